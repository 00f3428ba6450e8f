//! Calls that their client cancelled: a legacy client gets no response to them, a modern one does.

use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

use crate::fake::{Rig, end, event};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const ACCEPTS: [&str; 4] = [
    "application/json",
    "application/json, text/event-stream",
    "text/event-stream, application/json",
    "text/event-stream",
];

/// The end as a slave sends it.
fn by_slave(failure: &Failure) -> ResponseEvent {
    let payload = failure.error_object(Era::Legacy).into();
    ResponseEvent::End { seq: 9, more: false, error: true, tool_error: false, status: 0, payload }
}

async fn answered(rig: &Rig, version: &str, accept: &str, script: Vec<ResponseEvent>) -> (u16, String) {
    let session = rig.session(version).await;
    rig.scripted(script);
    let headers = [
        ("content-type", "application/json"),
        ("accept", accept),
        ("mcp-protocol-version", version),
        ("mcp-session-id", &*session),
    ];
    let reply = rig.post(&headers, CALL).await;
    (reply.status.as_u16(), reply.text().to_owned())
}

#[tokio::test]
async fn a_cancelled_call_of_a_legacy_client_gets_no_response_in_any_form() {
    let rig = Rig::new();
    for version in LEGACY {
        for accept in ACCEPTS {
            for cancelled in [ResponseEvent::Failed(Failure::Cancelled), by_slave(&Failure::Cancelled)] {
                let status = if accept == "application/json" { 202 } else { 200 };
                let alone = answered(&rig, version, accept, vec![cancelled.clone()]).await;
                assert_eq!(alone, (status, String::new()), "{version} {accept} {cancelled:?}");
                let later = answered(&rig, version, accept, vec![event(0, r#"{"n":1}"#), cancelled]).await;
                let events = if status == 202 { "" } else { "data: {\"n\":1}\n\n" };
                assert_eq!(later, (status, events.to_owned()), "{version} {accept} after an event");
            }
        }
    }
}

#[tokio::test]
async fn every_other_end_is_answered() {
    let rig = Rig::new();
    // An error of a backend that names the code only is its own.
    let payload = br#"{"code":-31005,"message":"Request cancelled"}"#.as_slice().into();
    let own = ResponseEvent::End { seq: 9, more: false, error: true, tool_error: false, status: 0, payload };
    let ends = [
        end(0, r#"{"kind":"cancelled"}"#),
        ResponseEvent::Failed(Failure::Timeout),
        by_slave(&Failure::Timeout),
        by_slave(&Failure::OutcomeUnknown),
        own,
    ];
    for accept in ACCEPTS {
        for last in &ends {
            let (_, text) = answered(&rig, "2025-06-18", accept, vec![last.clone()]).await;
            assert!(text.contains(r#""id":1"#), "{accept} {last:?}: {text}");
        }
    }
}

#[tokio::test]
async fn a_batch_leaves_out_what_was_cancelled() {
    let rig = Rig::new();
    let two = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}},
        {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"b"}}]"#;
    let cancelled = || vec![ResponseEvent::Failed(Failure::Cancelled)];
    for (first, second, expected) in [
        (cancelled(), vec![end(0, "{}")], r#"[{"jsonrpc":"2.0","id":2,"result":{}}]"#),
        (vec![end(0, "{}")], cancelled(), r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#),
        (cancelled(), cancelled(), "[]"),
    ] {
        rig.scripted(first);
        rig.scripted(second);
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        assert_eq!(rig.post(&headers, two).await.text(), expected);
    }
}
