//! Slaves that send on a call's stream what the call may not have: the call fails, the link and its other calls go on.

use harness::client::{Client, McpRequest};
use harness::frames::{CallId, Flags, Frame, FrameKind};
use harness::metrics::Scrape;
use harness::plain::node_slave;
use harness::rawslave::{RawSlave, text_result};
use harness::relay::{CODE, Proxy, Setup};
use serde_json::{Value, json};

const TOKEN: &str = "token-of-the-call";

async fn linked() -> (Proxy, RawSlave) {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = RawSlave::link(proxy.link, CODE, "forger", &["tool"]).await;
    proxy.offers("tool").await;
    (proxy, slave)
}

/// A message of a slave.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: FrameKind,
    flags: Flags,
    bytes: &'static [u8],
}

const fn event(bytes: &'static [u8]) -> Message {
    Message { kind: FrameKind::Event, flags: Flags::NONE, bytes }
}

const fn end(bytes: &'static [u8]) -> Message {
    Message { kind: FrameKind::End, flags: Flags::NONE, bytes }
}

/// What a call may not have, with the label of the metric.
const FORGERIES: &[(&str, Message, &str)] = &[
    (
        "a response to another call",
        event(br#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"forged"}]}}"#),
        "not_a_notification",
    ),
    (
        "a response with an escaped key",
        event(br#"{"jsonrpc":"2.0","\u0069d":2,"\u0072esult":{}}"#),
        "not_a_notification",
    ),
    (
        "a request to the client",
        event(br#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"your password?"}}"#),
        "not_a_notification",
    ),
    (
        "a request that is flagged as one",
        Message { kind: FrameKind::Event, flags: Flags::REQUEST, bytes: br#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}"# },
        "not_a_request",
    ),
    (
        "a notification that no call has",
        event(br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#),
        "other_notification",
    ),
    (
        "progress of another call",
        event(br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#),
        "progress_token",
    ),
    ("bytes that are no JSON", event(b"bytes that are no JSON"), "not_json"),
    ("bytes that are no UTF-8", end(b"{\"content\":\"\xff\"}"), "not_json"),
    (
        "a batch",
        event(br#"[{"jsonrpc":"2.0","method":"notifications/message","params":{}}]"#),
        "not_a_notification",
    ),
    ("an end that adds a member", end(br#"{"content":[]},"id":8"#), "not_json"),
    ("two values", end(br#"{"content":[]} {"content":[]}"#), "not_json"),
    ("a truncated value", end(br#"{"content":["#), "not_json"),
    ("a line that ends the event", end(b"{\"content\":[]}\n\ndata: {}"), "not_json"),
    ("a result that is no object", end(b"[]"), "not_a_result"),
    ("an empty end", end(b""), "not_json"),
    ("an error without a code", Message { kind: FrameKind::End, flags: Flags::ERROR, bytes: br#"{"message":"x"}"# }, "not_an_error"),
];

async fn send(slave: &mut RawSlave, call: CallId, seq: u64, message: Message) {
    let Message { kind, flags, bytes } = message;
    slave.send(Frame { flags, payload: bytes.into(), ..Frame::bare(kind, call, seq) }).await;
}

/// Has the slave forge each message while another call of the same link is under way, which must come to its own end.
async fn forgeries_end_their_call_only(client: impl Fn(std::net::SocketAddr) -> Client) {
    let (proxy, mut slave) = linked().await;
    let client = client(proxy.http);
    for (what, message, _) in FORGERIES {
        let mut bystander = client.start(McpRequest::tool(2, "tool", json!({})).progress("other")).await;
        let other = slave.receive_open().await;
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({})).progress(TOKEN)).await;
        let opened = slave.receive_open().await;
        slave.accept(&opened).await;
        send(&mut slave, opened.call, 0, *message).await;
        let answer = pending.finish().await;
        assert_eq!((answer.messages.len(), answer.kind()), (1, "bad_answer"), "{what}: {answer:?}");
        assert_eq!(answer.response()["id"], 1, "{what}");
        assert_eq!(slave.frame(FrameKind::Cancel).await.call, opened.call, "{what}");
        slave.end(other.call, 0, &text_result("mine")).await;
        assert_eq!(bystander.finish().await.text(), "mine", "{what}");
    }
    let scrape = Scrape::of(proxy.http).await;
    for kind in [
        "not_json",
        "not_a_notification",
        "not_a_request",
        "other_notification",
        "progress_token",
        "not_a_result",
    ] {
        let expected = FORGERIES.iter().filter(|(_, _, label)| *label == kind).count() as f64;
        let counted = scrape.sum("mcp_relay_link_bad_answers_total", &[&format!("kind=\"{kind}\"")]);
        assert!((counted - expected).abs() < f64::EPSILON, "{kind}: {counted} of {expected}");
    }
}

#[tokio::test]
async fn a_modern_client_gets_no_forgery() {
    forgeries_end_their_call_only(Client::modern).await;
}

#[tokio::test]
async fn a_modern_client_that_takes_json_only_gets_no_forgery() {
    let json_only = |address| Client::modern(address).with_header("accept", "application/json");
    forgeries_end_their_call_only(json_only).await;
}

async fn legacy_forgeries(accept: &'static str) {
    let (proxy, mut slave) = linked().await;
    let client = Client::legacy(proxy.http).await.with_header("accept", accept);
    for (what, message, _) in FORGERIES {
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({})).progress(TOKEN)).await;
        let opened = slave.receive_open().await;
        slave.accept(&opened).await;
        let progress = json!({ "progressToken": TOKEN, "progress": 1 });
        slave
            .event(
                opened.call,
                0,
                &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress }),
            )
            .await;
        send(&mut slave, opened.call, 1, *message).await;
        let answer = pending.finish().await;
        assert_eq!(answer.kind(), "bad_answer", "{what}");
        assert_eq!(answer.response()["id"], 1, "{what}");
        assert!(!format!("{answer:?}").contains("forged"), "{what}: {answer:?}");
        assert_eq!(slave.frame(FrameKind::Cancel).await.call, opened.call, "{what}");
    }
}

#[tokio::test]
async fn a_legacy_client_s_stream_gets_no_forgery() {
    legacy_forgeries("application/json, text/event-stream").await;
}

#[tokio::test]
async fn a_legacy_client_that_takes_json_only_gets_no_forgery() {
    legacy_forgeries("application/json").await;
}

#[tokio::test]
async fn what_shows_late_aborts_the_body() {
    let (proxy, mut slave) = linked().await;
    let more = |message: Message| Message { flags: Flags(message.flags.0 | Flags::MORE.0), ..message };
    let late: &[(Message, Message)] = &[
        (end(br#"{"content":[]}"#), end(br#","id":8"#)),
        (end(br#"{"content":[]"#), end(b"")),
        (event(br#"{"jsonrpc":"2.0","#), event(br#""id":2,"result":{}}"#)),
    ];
    for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
        for (first, second) in late {
            let mut pending = client.start(McpRequest::tool(1, "tool", json!({})).progress(TOKEN)).await;
            let opened = slave.receive_open().await;
            slave.accept(&opened).await;
            send(&mut slave, opened.call, 0, more(*first)).await;
            pending.exchange.head().await;
            let mut begun = pending.exchange.try_chunk().await.expect("a body").expect("its beginning");
            if begun.starts_with(b"id: ") {
                // What a stream of 2025-11-25 begins with.
                begun = pending.exchange.try_chunk().await.expect("a body").expect("its beginning");
            }
            assert!(String::from_utf8_lossy(&begun).contains("\"jsonrpc\""), "{begun:?}");
            send(&mut slave, opened.call, 1, *second).await;
            let broken = loop {
                match pending.exchange.try_chunk().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            assert!(broken, "the body ends as if it were whole after {second:?}");
            assert_eq!(slave.frame(FrameKind::Cancel).await.call, opened.call);
        }
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
        let opened = slave.receive_open().await;
        slave.end(opened.call, 0, &text_result("as before")).await;
        assert_eq!(pending.finish().await.text(), "as before");
    }
}

#[tokio::test]
async fn the_answers_of_a_batch_are_checked_one_by_one() {
    let (proxy, mut slave) = linked().await;
    let call = |id: u32| {
        let params = json!({ "name": "tool", "_meta": { "progressToken": TOKEN } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let body = serde_json::to_vec(&[call(1), call(2)]).unwrap();
    let client = Client::legacy_on(proxy.http, "/mcp", "2025-03-26").await;
    for accept in ["application/json", "application/json, text/event-stream"] {
        for (what, message, _) in FORGERIES {
            let client = client.clone().with_header("accept", accept);
            let body = body.clone();
            let exchange = tokio::spawn(async move { client.post(&body).await.rest().await });
            let (first, second) = (slave.receive_open().await, slave.receive_open().await);
            send(&mut slave, first.call, 0, *message).await;
            slave.end(second.call, 0, &text_result("mine")).await;
            let text = String::from_utf8(exchange.await.unwrap()).unwrap();
            let answers: Vec<Value> = if text.starts_with('[') {
                serde_json::from_str(&text).unwrap()
            } else {
                let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
                events.map(|event| serde_json::from_str(event).unwrap()).collect()
            };
            assert_eq!(answers.len(), 2, "{what}: {text}");
            assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&json!(1), &json!(2)), "{what}");
            assert_eq!(answers[0]["error"]["data"]["kind"], "bad_answer", "{what}");
            assert_eq!(answers[1]["result"]["content"][0]["text"], "mine", "{what}");
        }
    }
}

#[tokio::test]
async fn a_slave_that_goes_on_forging_loses_its_link() {
    let (proxy, mut slave) = linked().await;
    let client = Client::modern(proxy.http);
    for _ in 0..=100 {
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
        let opened = slave.receive_open().await;
        send(&mut slave, opened.call, 0, end(b"[]")).await;
        assert_eq!(pending.finish().await.kind(), "bad_answer");
    }
    assert_eq!(slave.close_code().await, Some(1002));
    proxy.log.wait_for("it went on sending malformed answers").await;
}

#[tokio::test]
async fn a_plain_slave_s_answer_is_one_result_or_one_error() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let client = Client::modern(proxy.http);
    for _ in 0..2 {
        let request = link.request().await;
        let result = match request["method"].as_str() {
            Some("tools/list") => json!({ "tools": [harness::rawslave::definition("tool")] }),
            _ => json!({ "protocolVersion": "2025-06-18", "capabilities": {} }),
        };
        link.answer(&request, result).await;
    }
    proxy.offers("tool").await;
    for (member, value) in [
        ("result", json!([])),
        ("result", json!("text")),
        ("error", json!({ "message": "without a code" })),
        ("error", json!("text")),
    ] {
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
        let request = link.request().await;
        link.send(&json!({ "jsonrpc": "2.0", "id": request["id"], member: value })).await;
        assert_eq!(pending.finish().await.kind(), "bad_answer", "{member} {value}");
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
        let request = link.request().await;
        link.answer(&request, text_result("as before")).await;
        assert_eq!(pending.finish().await.text(), "as before");
    }
}
