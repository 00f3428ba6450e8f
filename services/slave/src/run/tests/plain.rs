//! An existing proxy: no `protocol` in its answer, JSON-RPC as text frames.

use super::proxy::{ProxyListener, Ws, send_reply};
use super::*;
use futures_util::{SinkExt, StreamExt};
use protocol::link::handshake::{AuthReply, close};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn link(listener: &ProxyListener) -> Ws {
    let (mut ws, auth) = listener.accept().await;
    assert_eq!(auth.kind, "auth");
    send_reply(&mut ws, &AuthReply::success(None)).await;
    ws
}

async fn ask(ws: &mut Ws, request: Value) {
    ws.send(Message::text(request.to_string())).await.unwrap();
}

async fn answer(ws: &mut Ws) -> Value {
    within(async {
        loop {
            if let Message::Text(text) = ws.next().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    })
    .await
}

fn call(id: u64, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

#[tokio::test]
async fn requests_of_all_kinds_are_answered_with_their_ids() {
    let listener = ProxyListener::open().await;
    let slave = start(&listener.url, &[]).await;
    let mut ws = link(&listener).await;
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    ask(&mut ws, json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})).await;
    assert_eq!(answer(&mut ws).await["result"]["protocolVersion"], "2025-06-18");
    ask(&mut ws, json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).await;
    let list = answer(&mut ws).await;
    assert_eq!((&list["id"], list["result"]["tools"].as_array().unwrap().len()), (&json!(2), 4));
    ask(&mut ws, call(3, "echo", &json!({"text": "hi"}))).await;
    let echoed = answer(&mut ws).await;
    assert_eq!((&echoed["id"], &echoed["result"]["content"][0]["text"]), (&json!(3), &json!("hi")));
    ask(&mut ws, json!({"jsonrpc": "2.0", "id": "n", "method": "no/such"})).await;
    assert_eq!(answer(&mut ws).await["error"]["code"], -32601);
    drop(ws);
    slave.stop().await;
}

#[tokio::test]
async fn a_slow_request_does_not_hold_up_others_and_a_large_one_passes() {
    let listener = ProxyListener::open().await;
    let slave = start(&listener.url, &[]).await;
    let mut ws = link(&listener).await;
    ask(&mut ws, call(1, "sleep", &json!({"seconds": 0.3}))).await;
    ask(&mut ws, call(2, "payload", &json!({"bytes": 3_000_000}))).await;
    let first = answer(&mut ws).await;
    assert_eq!(first["id"], 2);
    assert_eq!(first["result"]["content"][0]["text"].as_str().unwrap().len(), 3_000_000);
    assert_eq!(answer(&mut ws).await["id"], 1);
    drop(ws);
    slave.stop().await;
}

#[tokio::test]
async fn a_stopped_slave_answers_running_calls_and_takes_no_new_ones() {
    let listener = ProxyListener::open().await;
    let slave = start(&listener.url, &[]).await;
    let mut ws = link(&listener).await;
    ask(&mut ws, call(1, "sleep", &json!({"seconds": 0.3}))).await;
    ask(&mut ws, call(2, "echo", &json!({"text": "x"}))).await;
    assert_eq!(answer(&mut ws).await["id"], 2);
    slave.shutdown.begin();
    until("it drains", || slave.links.endpoint.stage() >= Stage::Draining).await;
    ask(&mut ws, call(3, "echo", &json!({"text": "x"}))).await;
    let refused = answer(&mut ws).await;
    assert_eq!((&refused["id"], &refused["error"]["data"]["kind"]), (&json!(3), &json!("draining")));
    assert_eq!(answer(&mut ws).await["id"], 1);
    let closed = within(ws.next()).await.unwrap().unwrap();
    assert!(
        matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == close::GOING_AWAY),
        "{closed:?}"
    );
    drop(ws);
    within(slave.task).await.unwrap();
}

#[tokio::test]
async fn messages_that_are_no_requests_are_answered_or_end_the_link() {
    let listener = ProxyListener::open().await;
    let slave = start(&listener.url, &[]).await;
    let mut ws = link(&listener).await;
    ws.send(Message::text("no json")).await.unwrap();
    assert_eq!(answer(&mut ws).await["error"]["code"], -32700);
    ws.send(Message::binary(vec![1])).await.unwrap();
    let closed = within(ws.next()).await.unwrap().unwrap();
    assert!(
        matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == close::PROTOCOL_ERROR),
        "{closed:?}"
    );
    link(&listener).await;
    slave.task.abort();
}
