//! Messages over a link of the plain dialect: each is a request and gets exactly one response.

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use serde_json::{Value, json};

use crate::fake::{Rig, end, event, piece};

async fn ask(rig: &Rig, text: &str) -> Value {
    let answer = rig.edge.answer_plain(Bytes::copy_from_slice(text.as_bytes())).await;
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test]
async fn each_message_gets_one_response() {
    let rig = Rig::new();
    for (text, id, code) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#,
            json!(1),
            None,
        ),
        (r#"{"jsonrpc":"2.0","id":"n-1","method":"notifications/initialized"}"#, json!("n-1"), None),
        (
            r#"{"jsonrpc":"2.0","id":2,"method":"notifications/cancelled","params":{"requestId":1}}"#,
            json!(2),
            None,
        ),
        (r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#, json!(3), None),
        (r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#, json!(4), None),
        (r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}"#, json!(5), None),
        (r#"{"jsonrpc":"2.0","id":6,"method":"subscriptions/listen"}"#, json!(6), Some(-32601)),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":3}"#, json!(7), Some(-32602)),
        (r#"{"jsonrpc":"2.0","method":"ping"}"#, json!(null), Some(-32600)),
        (r#"{"jsonrpc":"2.0","id":8,"method":"initialize"}"#, json!(8), None),
        // The proxy gives the id back to its client in any form, and nothing without it.
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, json!(1.5), Some(-32600)),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, json!(true), Some(-32600)),
        (r#"{"jsonrpc":"2.0","id":9,"params":{}}"#, json!(9), Some(-32600)),
        (r#"{"jsonrpc":"2.0","id":10,"method":7}"#, json!(10), Some(-32602)),
        (r#"{"id":11,"method":"ping"}"#, json!(11), Some(-32600)),
        (r#"{"jsonrpc":"2.0","id":12,"result":{}}"#, json!(12), Some(-32600)),
        ("{", json!(null), Some(-32700)),
        ("[]", json!(null), Some(-32600)),
    ] {
        let answer = ask(&rig, text).await;
        assert_eq!((&answer["id"], answer["error"]["code"].as_i64()), (&id, code), "{text}");
        assert!(answer.get("result").is_some() != answer.get("error").is_some());
    }
    let recorded = rig.recorded.lock().unwrap();
    assert!(recorded.cancelled.is_empty());
    let header = &recorded.calls[0].0;
    assert_eq!(
        (header.era, header.version, header.session.as_deref()),
        (Era::Legacy, Version::V2025_06_18, None)
    );
}

#[tokio::test]
async fn results_are_collected_and_events_dropped() {
    let rig = Rig::new();
    rig.scripted(vec![event(0, "{}"), piece(1, "{\"a".into()), piece(2, "\":1".into()), end(3, "}")]);
    rig.scripted(vec![ResponseEvent::Failed(Failure::Timeout)]);
    rig.scripted(vec![]);
    let call = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}"#;
    assert_eq!(ask(&rig, call).await, json!({"jsonrpc": "2.0", "id": 5, "result": {"a": 1}}));
    assert_eq!(ask(&rig, call).await["error"]["message"], "Proxy request timeout");
    assert_eq!(ask(&rig, call).await["error"]["code"], -32603, "a call that ends without an end");
    assert_eq!(rig.open_calls(), 0);
}
