//! Batches of messages, which exist in one version only.

use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;
use serde_json::json;

use crate::fake::{BOTH, Rig, and, end, event, piece};

const JSON: &[(&str, &str)] = &[("accept", "application/json")];

const MIXED: &str = r#"[
    {"jsonrpc":"2.0","id":1,"method":"ping"},
    {"jsonrpc":"2.0","method":"notifications/initialized"},
    {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a"}},
    {"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"b"}},
    {"jsonrpc":"2.0","id":9,"result":{}},
    {"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-03-26"}},
    7
]"#;

fn script(rig: &Rig) {
    rig.scripted(vec![event(0, r#"{"e":1}"#), piece(1, "{\"x\"".into()), end(2, ":1}")]);
    rig.scripted(vec![ResponseEvent::Failed(Failure::Timeout)]);
}

#[tokio::test]
async fn a_batch_is_answered_as_an_array() {
    let rig = Rig::new();
    script(&rig);
    let reply = rig.post(JSON, MIXED).await;
    let answers = reply.json();
    let summary: Vec<_> =
        answers.as_array().unwrap().iter().map(|a| (a["id"].as_i64(), a["error"]["code"].as_i64())).collect();
    assert_eq!(
        summary,
        [
            (Some(1), None),
            (Some(2), None),
            (Some(3), Some(-32001)),
            (Some(4), Some(-32600)),
            (None, Some(-32600))
        ]
    );
    assert_eq!(answers[1]["result"], json!({"x": 1}));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_batch_is_answered_as_events_where_the_client_accepts_them() {
    let rig = Rig::new();
    script(&rig);
    let reply = rig.post(BOTH, MIXED).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events: Vec<serde_json::Value> = reply
        .text()
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    assert_eq!(events.len(), 6);
    assert_eq!(events[1], json!({"e": 1}));
    assert_eq!(events[2], json!({"jsonrpc": "2.0", "id": 2, "result": {"x": 1}}));
}

#[tokio::test]
async fn malformed_batches_and_those_of_later_versions_are_refused() {
    let rig = Rig::new();
    let many = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#; 101].join(","));
    for (body, expected) in [
        (r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#, (202, None)),
        ("[]", (400, Some(-32600))),
        ("[", (400, Some(-32700))),
        ("[{},", (400, Some(-32700))),
        (many.as_str(), (400, Some(-32600))),
    ] {
        assert_eq!(rig.post(BOTH, body.to_owned()).await.outcome(), expected, "{body:.40}");
    }
    let later = and(&[("mcp-protocol-version", "2025-06-18")]);
    assert_eq!(rig.post(&later, MIXED).await.outcome(), (400, Some(-32600)));
}
