//! Modern clients, whose every request carries its metadata: headers against body, statuses, lists, calls.

use protocol::mcp::era::{Era, Version};
use serde_json::{Value, json};

use crate::fake::{BOTH, Rig, TOOLS, and};

const DATE: &str = "2026-07-28";

fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": DATE, "io.modelcontextprotocol/clientCapabilities": {}})
}

fn request(method: &str, mut params: Value) -> String {
    if params.get("_meta").is_none() {
        params["_meta"] = meta();
    }
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

/// Returns the headers of a well-formed request.
fn headers<'a>(method: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = and(&[("mcp-protocol-version", DATE), ("mcp-method", method)]);
    all.extend_from_slice(more);
    all
}

#[tokio::test]
async fn each_modern_method_has_its_status_and_code() {
    let rig = Rig::new();
    for (method, params, more, expected) in [
        ("server/discover", json!({}), vec![], (200, None)),
        ("tools/list", json!({}), vec![], (200, None)),
        ("tools/list", json!({"cursor": "x"}), vec![], (400, Some(-32602))),
        ("tools/call", json!({"name": "echo"}), vec![("mcp-name", "echo")], (200, None)),
        ("tools/call", json!({}), vec![], (400, Some(-32602))),
        ("initialize", json!({"protocolVersion": "2025-11-25"}), vec![], (404, Some(-32601))),
        ("ping", json!({}), vec![], (404, Some(-32601))),
        ("logging/setLevel", json!({}), vec![], (404, Some(-32601))),
        ("prompts/get", json!({"name": "p"}), vec![("mcp-name", "p")], (200, None)),
        ("prompts/get", json!({}), vec![], (400, Some(-32602))),
        ("resources/subscribe", json!({"uri": "x:y"}), vec![], (404, Some(-32601))),
        ("no/such", json!({}), vec![], (200, None)),
    ] {
        let reply = rig.post(&headers(method, &more), request(method, params.clone())).await;
        assert_eq!(reply.outcome(), expected, "{method} {params}");
        assert_eq!(reply.json()["id"], 1, "{method}");
        assert!(!reply.headers.contains_key("mcp-session-id"));
    }
}

#[tokio::test]
async fn missing_metadata_is_invalid_params() {
    let rig = Rig::new();
    for metadata in [
        json!({}),
        json!({"io.modelcontextprotocol/clientCapabilities": {}}),
        json!({"io.modelcontextprotocol/protocolVersion": DATE}),
        json!({"io.modelcontextprotocol/protocolVersion": DATE, "io.modelcontextprotocol/clientCapabilities": []}),
        json!({"io.modelcontextprotocol/protocolVersion": 3, "io.modelcontextprotocol/clientCapabilities": {}}),
    ] {
        for method in ["server/discover", "tools/list", "tools/call"] {
            let body = request(method, json!({"name": "echo", "_meta": metadata}));
            let reply = rig.post(&headers(method, &[("mcp-name", "echo")]), body).await;
            assert_eq!(
                (reply.outcome(), &reply.json()["id"]),
                ((400, Some(-32602)), &json!(1)),
                "{method} {metadata}"
            );
        }
    }
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
    assert_eq!(rig.post(BOTH, bare).await.outcome(), (400, Some(-32602)), "a method that only this era has");
}

#[tokio::test]
async fn headers_must_match_the_body() {
    let rig = Rig::new();
    let call = |name: &str| request("tools/call", json!({"name": name}));
    let of = |version: &'static str, method: &'static str, name: &'static str| {
        let given = [("mcp-protocol-version", version), ("mcp-method", method), ("mcp-name", name)];
        and(&given.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    };
    let good = (200, None);
    let bad = (400, Some(-32020));
    for (headers, body, expected) in [
        (of(DATE, "tools/call", "echo"), call("echo"), good),
        (of(DATE, "tools/call", "=?base64?ZWNobw==?="), call("echo"), good),
        (of(DATE, "tools/call", "=?base64?w7w=?="), call("ü"), good),
        (of(DATE, "tools/call", "=?base64?ZWNobw==?="), call("=?base64?ZWNobw==?="), bad),
        (of(DATE, "tools/call", "=?base64?ZWNobw?="), call("echo"), bad),
        (of(DATE, "tools/call", "other"), call("echo"), bad),
        (of(DATE, "tools/call", "Echo"), call("echo"), bad),
        (of(DATE, "tools/call", ""), call("echo"), bad),
        (of(DATE, "TOOLS/CALL", "echo"), call("echo"), bad),
        (of(DATE, "tools/list", "echo"), call("echo"), bad),
        (of(DATE, "", "echo"), call("echo"), bad),
        (of("", "tools/call", "echo"), call("echo"), bad),
        (of("2025-11-25", "tools/call", "echo"), call("echo"), bad),
    ] {
        let reply = rig.post(&headers, body.clone()).await;
        assert_eq!((reply.outcome(), &reply.json()["id"]), (expected, &json!(1)), "{headers:?} {body}");
    }
    let twice = headers("tools/call", &[("mcp-name", "echo"), ("mcp-name", "other")]);
    assert_eq!(rig.post(&twice, call("echo")).await.outcome(), bad, "readers must not disagree");
    let read = request("resources/read", json!({"uri": "x:y"}));
    assert_eq!(rig.post(&headers("resources/read", &[("mcp-name", "x:z")]), read).await.outcome(), bad);
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_the_list_of_known_ones() {
    let rig = Rig::new();
    let of = |version: &str| {
        let mut metadata = meta();
        metadata["io.modelcontextprotocol/protocolVersion"] = version.into();
        request("server/discover", json!({"_meta": metadata}))
    };
    let future = and(&[("mcp-protocol-version", "v999"), ("mcp-method", "server/discover")]);
    let reply = rig.post(&future, of("v999")).await;
    assert_eq!(reply.outcome(), (400, Some(-32022)));
    let data = reply.json()["error"]["data"].clone();
    assert_eq!(data["requested"], "v999");
    let discovered = rig.post(&headers("server/discover", &[]), of(DATE)).await.json()["result"].clone();
    assert_eq!(data["supported"], discovered["supportedVersions"]);
    // The header is compared first.
    assert_eq!(rig.post(&headers("server/discover", &[]), of("v999")).await.outcome(), (400, Some(-32020)));
    // A request whose metadata name a legacy version is of that version.
    assert_eq!(rig.post(BOTH, of("2025-11-25")).await.outcome(), (200, Some(-32601)));
}

#[tokio::test]
async fn discovery_and_lists_name_their_ttl_and_cache_scope() {
    let rig = Rig::new();
    let discovered =
        rig.post(&headers("server/discover", &[]), request("server/discover", json!({}))).await.json();
    let result = &discovered["result"];
    assert_eq!(
        (&result["resultType"], &result["capabilities"]),
        (&json!("complete"), &json!({"logging": {}, "tools": { "listChanged": true }}))
    );
    assert_eq!(result["supportedVersions"][0], DATE);
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-relay");
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(5000), &json!("public")));

    let list = rig.post(&headers("tools/list", &[]), request("tools/list", json!({}))).await;
    let result = &list.json()["result"];
    assert!(list.text().contains(&format!(r#""tools":{TOOLS},"#)), "byte for byte: {}", list.text());
    assert_eq!((&result["resultType"], &result["ttlMs"]), (&json!("complete"), &json!(5000)));
    assert_eq!(result["cacheScope"], "public");

    let guarded = Rig::with(|config| config.keys = runtime::secret::SecretSet::new(["k"]).into());
    let authorized = headers("tools/list", &[("authorization", "Bearer k")]);
    let list = guarded.post(&authorized, request("tools/list", json!({}))).await;
    assert_eq!(
        list.json()["result"]["cacheScope"],
        "private",
        "a shared cache must not serve those without a key"
    );
}

#[tokio::test]
async fn a_call_carries_decoded_parameters_and_no_session() {
    let rig = Rig::new();
    let more = [
        ("mcp-name", "echo"),
        ("Mcp-Param-Region", "us-west1"),
        ("Mcp-Param-Greeting", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        ("mcp-session-id", "ignored"),
        ("traceparent", "00-c-d-00"),
        ("tracestate", "a=b"),
    ];
    let reply = rig.post(&headers("tools/call", &more), request("tools/call", json!({"name": "echo"}))).await;
    assert_eq!(reply.outcome(), (200, None));
    let (header, _) = rig.recorded.lock().unwrap().calls.pop().unwrap();
    assert_eq!((header.era, header.version), (Era::Modern, Version::V2026_07_28));
    assert_eq!((header.session, header.request_id), (None, None));
    let params: Vec<_> =
        header.param_headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(params, [("greeting", "Hello, 世界"), ("region", "us-west1")]);
    assert_eq!(
        (header.traceparent.as_deref(), header.tracestate.as_deref()),
        (Some("00-c-d-00"), Some("a=b"))
    );

    // No other limit than that of the head.
    let long = "x".repeat(60_000);
    let more = [("mcp-name", "echo"), ("mcp-param-region", &*long)];
    let reply = rig.post(&headers("tools/call", &more), request("tools/call", json!({"name": "echo"}))).await;
    assert_eq!(reply.outcome(), (200, None));
    assert_eq!(rig.recorded.lock().unwrap().calls.pop().unwrap().0.param_headers["region"], long);

    for bad in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?="] {
        let more = [("mcp-name", "echo"), ("mcp-param-region", bad)];
        let reply =
            rig.post(&headers("tools/call", &more), request("tools/call", json!({"name": "echo"}))).await;
        assert_eq!(reply.outcome(), (400, Some(-32020)), "{bad}");
    }
    assert!(rig.recorded.lock().unwrap().calls.is_empty());
}

#[tokio::test]
async fn a_backend_s_error_has_its_own_status() {
    let rig = Rig::new();
    let error = r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#;
    for _ in 0..2 {
        rig.scripted(vec![protocol::link::call::ResponseEvent::End {
            seq: 0,
            more: false,
            error: true,
            tool_error: false,
            status: 400,
            payload: error.into(),
        }]);
    }
    let body = request("tools/call", json!({"name": "echo"}));
    let reply = rig.post(&headers("tools/call", &[("mcp-name", "echo")]), body).await;
    assert_eq!(reply.outcome(), (400, Some(-32021)));
    assert_eq!(reply.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#));
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
    assert_eq!(rig.post(BOTH, legacy).await.outcome(), (200, Some(-32021)));
}

#[tokio::test]
async fn responses_batches_streams_and_session_ends_are_refused() {
    use axum::body::Body;
    use axum::http::Method;
    let rig = Rig::new();
    let version = and(&[("mcp-protocol-version", DATE)]);
    assert_eq!(
        rig.post(&version, r#"{"jsonrpc":"2.0","id":3,"result":{}}"#).await.outcome(),
        (400, Some(-32600))
    );
    assert_eq!(
        rig.post(&version, r#"[{"jsonrpc":"2.0","id":3,"method":"ping"}]"#).await.outcome(),
        (400, Some(-32600))
    );
    let note = r#"{"jsonrpc":"2.0","method":"notifications/anything"}"#;
    assert_eq!(rig.post(&version, note).await.outcome(), (202, None));
    for method in [Method::GET, Method::DELETE] {
        let response = rig.send(method, "/mcp", &version, Body::empty()).await;
        assert_eq!(response.status(), 405);
        assert!(response.headers()["allow"].to_str().unwrap().contains("POST"));
    }
}
