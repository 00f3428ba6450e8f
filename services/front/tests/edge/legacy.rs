//! Legacy clients, which open with `initialize`: versions, sessions, lists, calls.

use axum::body::Body;
use axum::http::Method;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::log_level::LogLevel;
use runtime::secret::SessionKey;
use serde_json::json;

use crate::fake::{BOTH, Reply, Rig, TOOLS, and, end};

fn request(method: &str, params: &serde_json::Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

#[tokio::test]
async fn initialize_agrees_on_the_version_asked_for_or_the_newest() {
    let rig = Rig::new();
    for (asked, given) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1.0", "2025-11-25"),
    ] {
        let body = request("initialize", &json!({"protocolVersion": asked, "capabilities": {}}));
        // `initialize` ignores the headers of an earlier session.
        let reply =
            rig.post(&and(&[("mcp-protocol-version", "2026-07-28"), ("mcp-session-id", "old")]), body).await;
        let result = &reply.json()["result"];
        assert_eq!(
            (reply.status.as_u16(), result["protocolVersion"].as_str()),
            (200, Some(given)),
            "{asked}"
        );
        assert_eq!(result["capabilities"], json!({"logging": {}, "tools": {"listChanged": true}}));
        assert_eq!(
            (&result["serverInfo"]["name"], &result["serverInfo"]["version"]),
            (&json!("mcp-relay"), &json!("1.2.3"))
        );
        assert!(reply.header("mcp-session-id").bytes().all(|b| (0x21..=0x7e).contains(&b)));
        assert!(!reply.header("mcp-session-id").is_empty());
    }
}

#[tokio::test]
async fn initialize_without_a_version_gets_the_existing_server_s() {
    let rig = Rig::new();
    for members in ["", r#","params":null"#, r#","params":{}"#, r#","params":{"protocolVersion":null}"#] {
        for id in ["0", "1", r#""""#] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize"{members}}}"#);
            let reply = rig.post(BOTH, body).await;
            let version = reply.json()["result"]["protocolVersion"].clone();
            assert_eq!((reply.status.as_u16(), version), (200, json!("2025-06-18")), "{id} {members}");
            assert!(!reply.header("mcp-session-id").is_empty(), "a session as for others");
        }
    }
}

#[tokio::test]
async fn each_legacy_method_has_its_status_and_code() {
    let rig = Rig::new();
    for (method, params, status, code) in [
        ("ping", json!({}), 200, None),
        ("tools/list", json!({}), 200, None),
        ("tools/list", json!({"cursor": null}), 200, None),
        ("tools/list", json!({"cursor": ""}), 200, Some(-32602)),
        ("tools/list", json!({"cursor": "x"}), 200, Some(-32602)),
        ("tools/call", json!({"name": "echo"}), 200, None),
        ("tools/call", json!({}), 200, Some(-32602)),
        ("tools/call", json!({"name": 7}), 200, Some(-32602)),
        ("initialize", json!({}), 200, None),
        ("logging/setLevel", json!({"level": "loud"}), 200, Some(-32602)),
        ("logging/setLevel", json!({"level": 3}), 200, Some(-32602)),
        ("logging/setLevel", json!({}), 200, Some(-32602)),
        ("logging/setLevel", json!({"level": "info"}), 400, Some(-32600)),
        ("prompts/list", json!({}), 200, None),
        ("prompts/get", json!({}), 200, Some(-32602)),
        ("resources/read", json!({"uri": "x:y"}), 200, None),
        ("resources/read", json!({"name": "x"}), 200, Some(-32602)),
        ("completion/complete", json!({"ref": {}}), 200, Some(-32602)),
        ("sampling/createMessage", json!({}), 200, Some(-32601)),
        ("subscriptions/listen", json!({}), 200, Some(-32601)),
        ("no/such", json!({}), 200, None),
    ] {
        let reply = rig.post(BOTH, request(method, &params)).await;
        assert_eq!(reply.outcome(), (status, code), "{method} {params}");
        assert_eq!(reply.json()["id"], 1, "{method}");
        assert_eq!(reply.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn the_list_is_passed_byte_for_byte() {
    let reply = Rig::new().post(BOTH, request("tools/list", &json!({}))).await;
    assert_eq!(reply.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":{TOOLS}}}}}"#));
}

#[tokio::test]
async fn ids_are_returned_as_they_were_written() {
    let rig = Rig::new();
    for id in ["0", "-7", "12345678901234567890123", r#""""#, r#""a\u0041\"\\ü""#] {
        for body in [
            format!(r#"{{"jsonrpc":"2.0","method":"ping","id":{id}}}"#),
            format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"echo"}},"id":{id}}}"#),
            format!(r#"{{"jsonrpc":"2.0","method":"no/such","id":{id}}}"#),
        ] {
            let reply = rig.post(BOTH, body.clone()).await;
            assert!(
                reply.text().starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"#)),
                "{body}: {}",
                reply.text()
            );
        }
    }
    let long = format!(r#"{{"jsonrpc":"2.0","method":"ping","id":"{}"}}"#, "x".repeat(5000));
    assert_eq!(rig.post(BOTH, long).await.outcome(), (400, Some(-32600)));
}

#[tokio::test]
async fn a_call_has_a_complete_header_and_the_message_unaltered() {
    let rig = Rig::new();
    let token = rig.session("2025-06-18").await;
    let body = r#" {"params":{"_meta":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","progressToken":1},"arguments":{"x":1.50},"name":"echo"},
        "jsonrpc":"2.0", "id":"q", "method":"tools/call", "later":[]}"#;
    rig.scripted(vec![end(0, r#"{"z":1.0,"a":[1e400]}"#)]);
    // The trace context of the message takes precedence over the whole context of the HTTP headers.
    let beside = [
        ("mcp-session-id", token.as_str()),
        ("traceparent", "00-1bf92f3577b34da6a3ce929d0e0e4736-10f067aa0ba902b7-01"),
        ("tracestate", "beside=1"),
        ("baggage", "kept=1"),
    ];
    let reply = rig.post(&and(&beside), body).await;
    assert_eq!(reply.text(), r#"{"jsonrpc":"2.0","id":"q","result":{"z":1.0,"a":[1e400]}}"#);
    let recorded = rig.recorded.lock().unwrap();
    let (header, message) = &recorded.calls[0];
    assert_eq!(message, body);
    assert_eq!((header.method.as_str(), header.name.as_deref()), ("tools/call", Some("echo")));
    assert_eq!((header.era, header.version), (Era::Legacy, Version::V2025_06_18));
    assert_eq!((header.request_id.as_deref(), header.silence_timeout_ms), (Some(r#""q""#), 300_000));
    let trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!((header.traceparent.as_deref(), header.tracestate.as_deref()), (trace, None));
    assert_eq!(header.baggage.as_deref(), Some("kept=1"));
    let session = header.session.as_deref().unwrap();
    assert!(
        session.len() == 32 && session.bytes().all(|b| b.is_ascii_hexdigit()) && !token.contains(session)
    );
    assert_eq!(*rig.answered.lock().unwrap(), ["initialize ok"], "the edge does not count calls");
}

#[tokio::test]
async fn the_version_of_a_call_is_that_of_the_header_else_of_the_session_else_2025_03_26() {
    let rig = Rig::new();
    let token = rig.session("2025-11-25").await;
    let call = request("tools/call", &json!({"name": "echo"}));
    for (headers, version) in [
        (vec![], Version::V2025_03_26),
        (vec![("mcp-protocol-version", "2025-06-18")], Version::V2025_06_18),
        (vec![("mcp-session-id", token.as_str())], Version::V2025_11_25),
        (
            vec![("mcp-session-id", token.as_str()), ("mcp-protocol-version", "2025-06-18")],
            Version::V2025_06_18,
        ),
    ] {
        assert_eq!(rig.post(&and(&headers), call.clone()).await.outcome(), (200, None), "{headers:?}");
        let header = rig.recorded.lock().unwrap().calls.pop().unwrap().0;
        assert_eq!((header.era, header.version), (Era::Legacy, version), "{headers:?}");
    }
    let reply = rig.post(&and(&[("mcp-protocol-version", "1999-01-01")]), call).await;
    assert_eq!(reply.outcome(), (400, Some(-32022)));
    assert_eq!(reply.json()["error"]["data"]["requested"], "1999-01-01");
}

#[tokio::test]
async fn notifications_and_responses_are_accepted_with_202() {
    let rig = Rig::new();
    let token = rig.session("2025-11-25").await;
    let headers = and(&[("mcp-session-id", &token)]);
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"because"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/of_later"}"#,
        r#"{"jsonrpc":"2.0","id":3,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":1,"message":"no"}}"#,
    ] {
        let reply = rig.post(&headers, body).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (202, 0), "{body}");
    }
    // Without a session the id could name another client's request.
    let anonymous = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(rig.post(BOTH, anonymous).await.status, 202);
    let call = request("tools/call", &json!({"name": "echo"}));
    rig.post(&headers, call).await;
    let recorded = rig.recorded.lock().unwrap();
    let session = recorded.calls[0].0.session.clone().unwrap();
    assert_eq!(recorded.cancelled, [(session, r#""x""#.to_owned(), Some("because".to_owned()))]);
}

#[tokio::test]
async fn a_reason_that_is_no_text_is_none_and_a_long_one_is_cut() {
    let rig = Rig::new();
    let token = rig.session("2025-11-25").await;
    let headers = and(&[("mcp-session-id", &token)]);
    let long = format!("\"{}\"", "ü".repeat(5000));
    let reasons = ["1", "null", "{}", r#""\ud800""#, r#""a\n\u0007""#, &long];
    for reason in reasons {
        let params = format!(r#"{{"requestId":1,"reason":{reason}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
        assert_eq!(rig.post(&headers, body).await.status, 202, "{reason:.20}");
    }
    let recorded = rig.recorded.lock().unwrap();
    let got: Vec<Option<&str>> = recorded.cancelled.iter().map(|(_, _, reason)| reason.as_deref()).collect();
    assert_eq!(got, [None, None, None, None, Some("a\n\u{7}"), Some(&*"ü".repeat(1024))]);
}

#[tokio::test]
async fn a_session_lasts_until_it_is_ended_or_expires() {
    let rig = Rig::new();
    let token = rig.session("2025-11-25").await;
    let headers = and(&[("mcp-session-id", &token)]);
    let delete = async |headers: &[(&str, &str)]| {
        Reply::read(rig.send(Method::DELETE, "/mcp", headers, Body::empty()).await).await.outcome()
    };
    assert_eq!(rig.post(&headers, request("ping", &json!({}))).await.outcome(), (200, None));
    assert_eq!(delete(&headers).await, (200, None));
    assert_eq!(delete(&headers).await, (404, Some(-32001)));
    assert_eq!(delete(BOTH).await, (404, Some(-32001)));
    for body in [
        request("ping", &json!({})),
        request("tools/call", &json!({"name": "echo"})),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":3,"result":{}}"#.to_owned(),
    ] {
        assert_eq!(rig.post(&headers, body.clone()).await.outcome(), (404, Some(-32001)), "{body}");
    }
    assert_eq!(rig.send(Method::GET, "/mcp", &headers, Body::empty()).await.status(), 404);
    let recorded = rig.recorded.lock().unwrap();
    assert_eq!((recorded.ended.len(), recorded.calls.len()), (1, 0));
}

#[tokio::test]
async fn a_token_is_valid_at_every_replica_with_the_same_key_and_nowhere_else() {
    let token = Rig::new().session("2025-11-25").await;
    let ping = request("ping", &json!({}));
    let headers = and(&[("mcp-session-id", &token)]);
    assert_eq!(Rig::new().post(&headers, ping.clone()).await.outcome(), (200, None), "another replica");
    let stranger = Rig::with(|config| config.session_keys = SessionKey::derive("another key").into());
    assert_eq!(stranger.post(&headers, ping.clone()).await.outcome(), (404, Some(-32001)));
    let short = Rig::with(|config| config.session_ttl = std::time::Duration::ZERO);
    assert_eq!(short.post(&headers, ping.clone()).await.outcome(), (404, Some(-32001)), "expired");
    for garbage in ["", "x", "%00", &"A".repeat(100), &"A".repeat(10_000)] {
        let reply = Rig::new().post(&and(&[("mcp-session-id", garbage)]), ping.clone()).await;
        assert_eq!(reply.outcome(), (404, Some(-32001)), "{garbage}");
    }
}

#[tokio::test]
async fn the_level_of_log_messages_is_kept_for_the_session_and_passed_on() {
    let rig = Rig::new();
    let (one, other) = (rig.session("2025-11-25").await, rig.session("2025-06-18").await);
    let call = request("tools/call", &json!({"name": "echo"}));
    let level_of_call = async |token: &str| {
        rig.post(&and(&[("mcp-session-id", token)]), call.clone()).await;
        let header = rig.recorded.lock().unwrap().calls.pop().unwrap().0;
        (header.log_level, header.session.unwrap())
    };
    assert_eq!(level_of_call(&one).await.0, None);
    for level in LogLevel::ALL {
        let body = request("logging/setLevel", &json!({"level": level.as_str()}));
        let reply = rig.post(&and(&[("mcp-session-id", &one)]), body).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["result"]), (200, &json!({})), "{level:?}");
        let (known, session) = level_of_call(&one).await;
        assert_eq!(known, Some(level));
        assert_eq!(rig.recorded.lock().unwrap().levels.pop(), Some((session, level)));
    }
    assert_eq!(level_of_call(&other).await.0, None, "another session");
    let headers = and(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "logging/setLevel")]);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"0"}}}}"#;
    let modern = rig.post(&headers, body).await;
    assert_eq!(modern.outcome(), (404, Some(-32601)), "2026-07-28 has no such method");
}
