//! `subscriptions/listen` at the edge, with updates from a script.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use front::calls::Listing;
use futures_util::StreamExt;
use protocol::mcp::catalog::ListKind;
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::subscription::{ListenEvent, ResourceUpdate, TaskUpdate};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fake::{BOTH, Reply, Rig, and};
use crate::listen::next;

const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;
const MODERN: &[(&str, &str)] =
    &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "subscriptions/listen")];

fn message(notifications: &str) -> Body {
    format!(
        r#"{{"jsonrpc":"2.0","id":"x","method":"subscriptions/listen","params":{{"_meta":{META},"notifications":{notifications}}}}}"#
    )
    .into()
}

/// Opens a stream whose updates come from the sender.
async fn open(rig: &Rig, notifications: &str) -> (Body, mpsc::UnboundedSender<ListenEvent>) {
    let (sender, events) = mpsc::unbounded_channel();
    let events = futures_util::stream::unfold(events, |mut events| async {
        events.recv().await.map(|event| (event, events))
    });
    *rig.edge.calls().updates.lock().unwrap() = Some(events.boxed());
    let response = rig.send(Method::POST, "/mcp", &and(MODERN), message(notifications)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    (response.into_body(), sender)
}

/// The next event; `None`: a comment.
async fn event(body: &mut Body) -> Option<Value> {
    let text = next(body).await.expect("an event");
    let data = text.strip_prefix("data: ")?;
    Some(serde_json::from_str(data.trim_end()).unwrap())
}

fn change(rig: &Rig, kind: ListKind, names: &[&str]) {
    let mut listing = Listing::clone(&rig.edge.calls().listing.borrow());
    listing.lists[kind as usize].entries = EntryArray::new(names.iter().map(|name| (*name, *name)));
    rig.edge.calls().listing.send_replace(Arc::new(listing));
}

#[tokio::test(start_paused = true)]
async fn the_acknowledgement_is_first_whatever_comes_before_and_comments_keep_the_wait_alive() {
    let rig = Rig::new();
    let wanted =
        r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#;
    let (mut body, updates) = open(&rig, wanted).await;
    updates.send(ListenEvent::Updated(ResourceUpdate::of_uri("a:1"))).unwrap();
    assert_eq!(event(&mut body).await, None, "a comment");
    updates.send(ListenEvent::watching(vec!["a:1".into(), "other".into()], Vec::new())).unwrap();
    let acknowledged = event(&mut body).await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let honoured = json!({ "toolsListChanged": true, "resourceSubscriptions": ["a:1"] });
    assert_eq!(acknowledged["params"]["notifications"], honoured, "nobody has prompts");
    let told = event(&mut body).await.unwrap();
    let meta = json!({ "io.modelcontextprotocol/subscriptionId": "x" });
    assert_eq!(told["params"], json!({ "uri": "a:1", "_meta": meta }));
    assert_eq!(event(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn tasks_are_told_of_that_were_named_and_acknowledged_and_no_others() {
    let rig = Rig::new();
    let (mut body, updates) = open(&rig, r#"{"taskIds":["a","b"]}"#).await;
    updates.send(ListenEvent::watching(Vec::new(), vec!["a".into(), "c".into()])).unwrap();
    let acknowledged = event(&mut body).await.unwrap();
    assert_eq!(acknowledged["params"]["notifications"], json!({ "taskIds": ["a"] }));
    for id in ["b", "c", "a"] {
        let params = format!(r#"{{"taskId":"{id}","status":"working"}}"#).into();
        updates.send(ListenEvent::TaskUpdated(TaskUpdate { id: id.into(), params })).unwrap();
    }
    let told = event(&mut body).await.unwrap();
    assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks"), &json!("a")));
    assert_eq!(told["params"]["_meta"], json!({ "io.modelcontextprotocol/subscriptionId": "x" }));
    assert_eq!(event(&mut body).await, None, "a comment, no other event");
}

#[tokio::test]
async fn tasks_are_told_of_to_clients_that_declare_the_extension() {
    let rig = Rig::new();
    let unable = META.replace(r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#, "");
    for (ids, expected) in [(r#""taskIds":["a"]"#, Some(-32021)), (r#""taskIds":[]"#, None), ("", None)] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"x","method":"subscriptions/listen","params":{{"_meta":{unable},"notifications":{{{ids}}}}}}}"#
        );
        let response = rig.send(Method::POST, "/mcp", &and(MODERN), body.into()).await;
        let status = if expected.is_some() { 400 } else { 200 };
        assert_eq!(response.status(), status, "{ids}");
        if expected.is_some() {
            assert_eq!(Reply::read(response).await.outcome(), (400, expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_told_once_and_only_those_that_were_asked_for() {
    let rig = Rig::new();
    let (mut body, _updates) = open(&rig, r#"{"toolsListChanged":true}"#).await;
    event(&mut body).await.unwrap();
    for names in [&["a"][..], &["a", "b"]] {
        change(&rig, ListKind::Tools, names);
        change(&rig, ListKind::Prompts, names);
        change(&rig, ListKind::Resources, names);
    }
    assert_eq!(event(&mut body).await.unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(event(&mut body).await, None, "a comment, no other event");
    change(&rig, ListKind::Tools, &["c"]);
    change(&rig, ListKind::Tools, &["a", "b"]);
    assert_eq!(event(&mut body).await, None, "it is what it was");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_a_result_when_the_edge_closes_and_lasts_when_nobody_can_tell_any_more() {
    let rig = Rig::new();
    let (mut body, updates) = open(&rig, r#"{"resourceSubscriptions":["a:1"]}"#).await;
    drop(updates);
    let acknowledged = event(&mut body).await.unwrap();
    assert_eq!(acknowledged["params"]["notifications"], json!({}));
    assert_eq!(event(&mut body).await, None);
    assert_eq!(rig.edge.listening_streams(), 1);
    rig.edge.close();
    let result = event(&mut body).await.unwrap();
    let meta = json!({ "io.modelcontextprotocol/subscriptionId": "x" });
    assert_eq!(
        result,
        json!({ "jsonrpc": "2.0", "id": "x", "result": { "resultType": "complete", "_meta": meta } })
    );
    assert_eq!(next(&mut body).await, None);
    drop(body);
    assert_eq!(rig.edge.listening_streams(), 0);
}

#[tokio::test]
async fn what_is_no_request_for_a_stream_is_refused() {
    let rig = Rig::new();
    for notifications in ["null", "[]", "7", r#"{"resourceSubscriptions":[1]}"#] {
        let reply = rig.send(Method::POST, "/mcp", &and(MODERN), message(notifications)).await;
        assert_eq!(Reply::read(reply).await.outcome(), (400, Some(-32602)), "{notifications}");
    }
    let json_only =
        [&[("accept", "application/json"), ("content-type", "application/json")], MODERN].concat();
    let reply = Reply::read(rig.send(Method::POST, "/mcp", &json_only, message("{}")).await).await;
    assert_eq!(reply.status, 406, "{}", reply.text());
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{}}}"#;
    assert_eq!(rig.post(BOTH, legacy).await.outcome(), (200, Some(-32601)));
    assert_eq!(rig.edge.listening_streams(), 0);
}
