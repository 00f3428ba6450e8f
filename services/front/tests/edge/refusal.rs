//! Bodies and calls that are refused or fail: status, code, id, headers.

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::{Value, json};

use crate::fake::{BOTH, Reply, Rig, and};

const CALL: &str = r#"{"jsonrpc":"2.0","id":"i","method":"tools/call","params":{"name":"echo"}}"#;

fn modern_call() -> (Vec<(&'static str, &'static str)>, String) {
    let headers =
        and(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")]);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": "i", "method": "tools/call", "params": {"name": "echo", "_meta": meta}});
    (headers, body.to_string())
}

#[tokio::test]
async fn every_failure_of_a_call_has_its_row_in_both_eras() {
    let rig = Rig::new();
    for failure in Failure::examples() {
        let row = failure.spec();
        for era in [Era::Legacy, Era::Modern] {
            rig.scripted(vec![ResponseEvent::Failed(failure.clone())]);
            let reply = match era {
                Era::Legacy => rig.post(BOTH, CALL).await,
                Era::Modern => {
                    let (headers, body) = modern_call();
                    rig.post(&headers, body).await
                }
            };
            // A legacy client that cancelled its call gets no response to it.
            if (&failure, era) == (&Failure::Cancelled, Era::Legacy) {
                assert_eq!((reply.outcome(), reply.text()), ((200, None), ""));
                continue;
            }
            assert_eq!(
                reply.outcome(),
                (failure.status(era), Some(row.code_for(era).into())),
                "{failure:?} {era:?}"
            );
            assert_eq!(reply.json()["id"], "i");
            assert_eq!(reply.json()["error"]["data"]["kind"], row.kind);
            assert_eq!(
                !reply.header("retry-after").is_empty(),
                [429, 503].contains(&reply.status.as_u16()),
                "{failure:?}"
            );
        }
    }
    assert_eq!(rig.open_calls(), 0);
}

#[tokio::test]
async fn bodies_that_are_not_one_message_are_refused() {
    let rig = Rig::new();
    for (body, status, code, id) in [
        ("", 400, -32700, Value::Null),
        ("{", 400, -32700, Value::Null),
        ("\u{feff}{}", 400, -32700, Value::Null),
        ("3", 400, -32600, Value::Null),
        ("{}", 400, -32600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":[]}}"#, 200, -32602, json!(1)),
    ] {
        let reply = rig.post(BOTH, body).await;
        assert_eq!((reply.outcome(), reply.json().get("id")), ((status, Some(code)), Some(&id)), "{body}");
    }
    for not_utf8 in [
        &b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"[..],
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\",\"arguments\":\"\xff\"}}",
    ] {
        assert_eq!(rig.post(BOTH, Bytes::from_static(not_utf8)).await.outcome(), (400, Some(-32700)));
    }
    let answered = &rig.answered.lock().unwrap();
    assert!(answered.iter().all(|answered| answered.starts_with("invalid ")), "{answered:?}");
}

/// The schemas since 2025-11-25 forbid `null`; before, JSON-RPC 2.0 asks for it.
#[tokio::test]
async fn an_error_without_a_known_id_has_null_or_no_id_by_the_version() {
    let rig = Rig::with(|config| config.max_body = 1000);
    let null = Some(Value::Null);
    let long = "x".repeat(1001);
    for (version, id) in [
        (None, &null),
        (Some("2024-11-05"), &null),
        (Some("2025-03-26"), &null),
        (Some("2025-06-18"), &null),
        (Some("2025-11-25"), &None),
        (Some("2026-07-28"), &None),
        (Some("2099-01-01"), &None),
    ] {
        let headers: Vec<_> = version.map(|version| ("mcp-protocol-version", version)).into_iter().collect();
        let with = |more: &[(&'static str, &'static str)]| [&and(&headers)[..], more].concat();
        for (what, method, path, headers, body) in [
            ("not JSON", Method::POST, "/mcp", with(&[]), "{"),
            ("no message", Method::POST, "/mcp", with(&[]), "{}"),
            ("too long", Method::POST, "/mcp", with(&[]), &long),
            ("unknown session", Method::GET, "/mcp", with(&[("mcp-session-id", "x")]), ""),
            ("no such path", Method::POST, "/other", with(&[]), CALL),
            ("no such method", Method::PUT, "/mcp", with(&[]), CALL),
            ("foreign page", Method::POST, "/mcp", with(&[("origin", "https://evil.example")]), CALL),
        ] {
            let reply = Reply::read(rig.send(method, path, &headers, body.to_owned().into()).await).await;
            assert!(reply.status.as_u16() >= 400, "{what}");
            assert_eq!(reply.json().get("id"), id.as_ref(), "{what} {version:?}");
        }
    }
    // Each message that can be read has its own id back, whatever the version.
    let reply = rig.post(&and(&[("mcp-protocol-version", "2099-01-01")]), CALL).await;
    assert_eq!((reply.outcome().0, &reply.json()["id"]), (400, &json!("i")));
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_before_they_are_read() {
    let rig = Rig::with(|config| config.max_body = 200);
    let fits = format!("{CALL}{}", " ".repeat(200 - CALL.len()));
    assert_eq!(rig.post(BOTH, fits.clone()).await.outcome(), (200, None));
    let over = rig.post(BOTH, format!("{fits} ")).await;
    assert_eq!(over.outcome(), (413, Some(-32600)));
    assert!(over.text().contains("200") && over.text().contains("MAX_BODY_BYTES"), "{}", over.text());

    // A length in the header is enough: the body is not polled.
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(rig.post(&and(&[("content-length", "201")]), never).await.status, 413);
    // Without a length, no more than the limit is read of an endless body.
    let endless =
        Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 90]))));
    assert_eq!(rig.post(BOTH, endless).await.status, 413);
}

#[tokio::test]
async fn bodies_in_pieces_are_put_together() {
    let rig = Rig::new();
    for size in [1, 7, CALL.len() - 1] {
        let pieces =
            CALL.as_bytes().chunks(size).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
        let reply = rig.post(BOTH, Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()))).await;
        assert_eq!(reply.outcome(), (200, None), "{size}");
        assert_eq!(rig.recorded.lock().unwrap().calls.pop().unwrap().1, CALL);
    }
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
    assert_eq!(rig.post(BOTH, Body::from_stream(broken)).await.outcome(), (400, Some(-32600)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let rig = Rig::new();
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(rig.post(BOTH, never).await.outcome(), (408, Some(-32600)));
}

#[tokio::test]
async fn unsupported_media_types_are_refused() {
    let rig = Rig::new();
    for (headers, expected) in [
        (vec![], (200, None)),
        (vec![("content-type", "application/json; charset=utf-8")], (200, None)),
        (vec![("content-type", "text/plain")], (415, Some(-32600))),
        (vec![("accept", "*/*")], (200, None)),
        (vec![("accept", "text/html")], (406, Some(-32600))),
    ] {
        assert_eq!(rig.post(&headers, CALL).await.outcome(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn unknown_methods_share_one_label() {
    let rig = Rig::new();
    for method in ["ping", "no/such", "x\\u0000y"] {
        rig.post(BOTH, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#)).await;
    }
    // What the edge does not know becomes a call, which is counted there.
    let expected = ["ping ok"];
    assert_eq!(*rig.answered.lock().unwrap(), expected);
}

/// Returns bodies that resemble messages, and arbitrary bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"jsonrpc\"",
        "\"2.0\"",
        "\"id\"",
        "\"method\"",
        "\"params\"",
        "\"_meta\"",
        "1",
        "null",
        "\"tools/call\"",
        "\"tools/list\"",
        "\"name\"",
        "\"initialize\"",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":",
    ]);
    let near = prop::collection::vec(words, 0..16).prop_map(|words| words.concat().into_bytes());
    prop_oneof![3 => near, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}

fn header() -> impl Strategy<Value = (&'static str, String)> {
    let names = [
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-param-x",
        "mcp-session-id",
        "accept",
        "content-type",
        "content-length",
        "origin",
        "host",
        "authorization",
        "traceparent",
    ];
    let values = prop_oneof![
        prop::sample::select(vec![
            "2026-07-28",
            "2025-11-25",
            "tools/call",
            "=?base64?YQ==?=",
            "=?base64?",
            "*/*",
            "application/json"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,24}",
    ];
    (prop::sample::select(names.to_vec()), values)
}

proptest! {
    #[test]
    fn every_request_gets_a_well_formed_response(body in body(), headers in prop::collection::vec(header(), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let rig = Rig::new();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = runtime.block_on(rig.post(&headers, body));
        if reply.status == 202 {
            prop_assert!(reply.body.is_empty());
        } else if reply.header("content-type") == "application/json" {
            let answer = reply.json();
            let one = answer.get(0).unwrap_or(&answer);
            prop_assert_eq!(&one["jsonrpc"], "2.0");
            prop_assert!(reply.status == 200 || one["error"]["code"].is_i64());
        } else {
            prop_assert!(reply.text().starts_with("data: "));
        }
        prop_assert_eq!(rig.open_calls(), 0);
    }
}
