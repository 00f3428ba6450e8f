//! The transport of 2024-11-05: `GET /sse`, its endpoint, and what is posted there.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use front::calls::Listing;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use protocol::link::call::ResponseEvent;
use protocol::link::header::Purpose;
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::failure::Failure;
use protocol::mcp::subscription::ListenEvent;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fake::{Reply, Rig, end, event, piece};

const EVENTS: &[(&str, &str)] = &[("accept", "text/event-stream")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// A stream and its endpoint.
struct Session {
    body: Body,
    endpoint: String,
    read: String,
}

impl Session {
    async fn open(rig: &Rig, headers: &[(&str, &str)]) -> Self {
        let response = rig.send(Method::GET, "/sse", headers, Body::empty()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut session = Self { body: response.into_body(), endpoint: String::new(), read: String::new() };
        let (name, endpoint) = session.event().await.unwrap();
        assert_eq!(name, "endpoint");
        assert!(endpoint.starts_with("/messages?sessionId="), "{endpoint}");
        session.endpoint = endpoint;
        session
    }

    /// Returns name and data of the next event, without comments; `None` at the end.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                if event != ":" {
                    let event = event.strip_prefix("event: ").unwrap_or_else(|| panic!("{event:?}"));
                    let (name, data) = event.split_once("\ndata: ").unwrap();
                    assert!(!data.contains('\n'), "{data}");
                    return Some((name.to_owned(), data.to_owned()));
                }
            }
            let frame = self.body.frame().await?.expect("the stream broke off").into_data().unwrap();
            self.read.push_str(std::str::from_utf8(&frame).unwrap());
        }
    }

    async fn message(&mut self) -> Value {
        let (name, data) = self.event().await.unwrap();
        assert_eq!(name, "message");
        serde_json::from_str(&data).unwrap()
    }

    async fn post(&self, rig: &Rig, message: impl ToString) -> Reply {
        let body = Body::from(message.to_string());
        Reply::read(rig.send(Method::POST, &self.endpoint, JSON, body).await).await
    }

    async fn accepted(&self, rig: &Rig, message: Value) {
        assert_eq!(self.post(rig, &message).await.outcome(), (202, None), "{message}");
    }
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn call(id: u64) -> Value {
    request(id, "tools/call", &json!({"name": "echo", "arguments": {"x": id}}))
}

fn progress(text: &str) -> ResponseEvent {
    event(0, &json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": text}).to_string())
}

#[tokio::test]
async fn requests_are_accepted_at_the_endpoint_and_answered_on_the_stream() {
    let rig = Rig::new();
    let mut session = Session::open(&rig, EVENTS).await;
    let params = json!({"protocolVersion": "2024-11-05", "capabilities": {"roots": {}}, "clientInfo": {"name": "t", "version": "0"}});
    session.accepted(&rig, request(0, "initialize", &params)).await;
    let initialized = session.message().await;
    assert_eq!(
        (&initialized["id"], &initialized["result"]["protocolVersion"]),
        (&json!(0), &json!("2024-11-05"))
    );
    session.accepted(&rig, json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    session.accepted(&rig, request(1, "ping", &json!({}))).await;
    assert_eq!(session.message().await, json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    session.accepted(&rig, request(2, "tools/list", &json!({}))).await;
    assert_eq!(session.message().await["result"]["tools"][0]["name"], "echo");
    rig.scripted(vec![progress("1"), end(1, r#"{"content":[],"n":1e400}"#)]);
    session.accepted(&rig, call(3)).await;
    assert_eq!(session.message().await["params"], "1");
    assert_eq!(
        session.event().await.unwrap().1,
        r#"{"jsonrpc":"2.0","id":3,"result":{"content":[],"n":1e400}}"#
    );
    for (method, code) in [("tools/nothing", -32601), ("server/discover", -32601)] {
        rig.scripted(vec![ResponseEvent::Failed(Failure::MethodNotFound(method.into()))]);
        session.accepted(&rig, request(4, method, &json!({}))).await;
        assert_eq!(session.message().await["error"]["code"], code, "{method}");
    }
    let recorded = rig.recorded.lock().unwrap();
    let (header, message) = &recorded.calls[0];
    assert_eq!(serde_json::from_slice::<Value>(message).unwrap(), call(3));
    assert_eq!(header.version.as_str(), "2024-11-05");
    assert_eq!(header.client_capabilities.as_ref().unwrap().0.get(), r#"{"roots":{}}"#);
    assert_eq!(header.session, recorded.listened[0].0.session);
    assert_eq!(recorded.listened[0].0.purpose, Purpose::Inbox);
}

#[tokio::test]
async fn messages_of_several_calls_come_one_after_the_other() {
    let rig = Rig::new();
    let mut session = Session::open(&rig, EVENTS).await;
    let (one, two) = (rig.script(1), rig.script(1));
    session.accepted(&rig, call(1)).await;
    session.accepted(&rig, call(2)).await;
    one.send(piece(0, r#"{"a":"#.into())).await.unwrap();
    two.send(progress("2")).await.unwrap();
    let first = tokio::spawn(async move {
        let first = session.event().await.unwrap().1;
        (session, first)
    });
    // Both are offered while one of them is in the middle of its result, in whichever order.
    one.send(end(0, "1}")).await.unwrap();
    let (mut session, first) = first.await.unwrap();
    let second = session.event().await.unwrap().1;
    two.send(end(1, "{\"b\":\r\n2}")).await.unwrap();
    let third = session.event().await.unwrap().1;
    let mut events = [first, second, third];
    events.sort();
    assert_eq!(events[0], r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#);
    assert_eq!(events[1], r#"{"jsonrpc":"2.0","id":2,"result":{"b":  2}}"#);
    assert!(events[2].contains("notifications/progress"));
}

#[tokio::test]
async fn a_result_that_breaks_off_aborts_the_stream() {
    let rig = Rig::new();
    let mut session = Session::open(&rig, EVENTS).await;
    rig.scripted(vec![piece(0, r#"{"a":"#.into()), ResponseEvent::Failed(Failure::Timeout)]);
    session.accepted(&rig, call(1)).await;
    let mut aborted = false;
    while let Some(frame) = session.body.frame().await {
        aborted = frame.is_err();
    }
    assert!(aborted);
}

#[tokio::test]
async fn notifications_and_replies_of_the_client_reach_its_calls() {
    let rig = Rig::new();
    let mut session = Session::open(&rig, EVENTS).await;
    let script = rig.script(1);
    session.accepted(&rig, call(1)).await;
    script.send(progress("runs")).await.unwrap();
    session.message().await;
    session.accepted(&rig, json!({"jsonrpc": "2.0", "id": "of ours", "result": {"roots": []}})).await;
    session.accepted(&rig, json!({"jsonrpc": "2.0", "id": 5, "result": {}})).await;
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    session.accepted(&rig, cancelled).await;
    session.accepted(&rig, request(2, "ping", &json!({}))).await;
    assert_eq!(session.message().await["id"], 2);
    let recorded = rig.recorded.lock().unwrap();
    assert_eq!(recorded.calls.iter().filter(|(header, _)| header.purpose == Purpose::Reply).count(), 1);
    let key = recorded.calls[0].0.session.clone().unwrap();
    assert_eq!(recorded.calls[1].0.session.as_ref(), Some(&key));
    assert_eq!(recorded.cancelled, [(key, "1".to_owned(), None)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_of_changes_and_stays_alive() {
    let rig = Rig::new();
    let mut session = Session::open(&rig, EVENTS).await;
    let mut listing = Listing::default();
    listing.lists[0].entries = EntryArray::new([("new", "{}")]);
    rig.edge.calls().listing.send_replace(Arc::new(listing));
    let frame = session.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(std::str::from_utf8(&frame).unwrap().contains("tools/list_changed"));
    for _ in 0..2 {
        let frame = session.body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, ":\n\n");
    }
    assert_eq!(rig.edge.listening_streams(), 1);
}

#[tokio::test]
async fn the_session_ends_with_its_stream_and_the_stream_with_its_session() {
    let rig = Rig::new();
    let session = Session::open(&rig, EVENTS).await;
    let _script = rig.script(1);
    session.accepted(&rig, call(7)).await;
    let Session { mut body, endpoint, .. } = session;
    while rig.open_calls() == 0 {
        tokio::select! {
            _ = body.frame() => {}
            () = tokio::task::yield_now() => {}
        }
    }
    drop(body);
    let posted = rig.send(Method::POST, &endpoint, JSON, Body::from(call(8).to_string())).await;
    assert_eq!(Reply::read(posted).await.outcome(), (404, Some(-32001)));
    {
        let recorded = rig.recorded.lock().unwrap();
        let key = recorded.calls[0].0.session.clone().unwrap();
        assert_eq!(recorded.cancelled, [(key.clone(), "7".to_owned(), None)], "nobody can read its result");
        assert_eq!(recorded.ended, [key]);
    }
    assert_eq!((rig.open_calls(), rig.edge.listening_streams()), (0, 0));

    let mut ended = Session::open(&rig, EVENTS).await;
    let token = ended.endpoint.split_once('=').unwrap().1.to_owned();
    let headers = [("mcp-session-id", token.as_str())];
    assert_eq!(rig.send(Method::DELETE, "/mcp", &headers, Body::empty()).await.status(), 200);
    assert_eq!(ended.event().await, None);
}

#[tokio::test]
async fn a_stream_ends_when_the_edge_closes_and_what_runs_was_answered() {
    let rig = Rig::new();
    let (mut idle, mut busy) = (Session::open(&rig, EVENTS).await, Session::open(&rig, EVENTS).await);
    let script = rig.script(1);
    busy.accepted(&rig, call(1)).await;
    script.send(progress("runs")).await.unwrap();
    busy.message().await;
    rig.edge.close();
    assert_eq!(idle.event().await, None);
    script.send(end(1, "{}")).await.unwrap();
    assert_eq!(busy.message().await["id"], 1);
    assert_eq!(busy.event().await, None);
}

#[tokio::test]
async fn what_is_no_message_of_the_session_s_client_is_refused_at_once() {
    let keys = |config: &mut front::EdgeConfig| {
        config.keys = runtime::secret::SecretSet::new(["one", "two"]).into();
    };
    let rig = Rig::with(keys);
    let bearer = |key: &'static str| ("authorization", key);
    let refused = rig.send(Method::GET, "/sse", EVENTS, Body::empty()).await;
    assert_eq!(refused.status(), 401);
    let session = Session::open(&rig, &[EVENTS[0], bearer("Bearer one")]).await;
    let ping = request(1, "ping", &json!({})).to_string();
    let post = async |path: &str, key, kind, body: &str| {
        let headers = [("content-type", kind), bearer(key)];
        let sent = rig.send(Method::POST, path, &headers, Body::from(body.to_owned())).await;
        Reply::read(sent).await.outcome()
    };
    let (path, json) = (session.endpoint.as_str(), "application/json");
    let long =
        request(1, "ping", &json!({})).to_string().replace(":1,", &format!(":\"{}\",", "x".repeat(1024)));
    for (path, key, kind, body, outcome) in [
        (path, "Bearer one", json, ping.as_str(), (202, None)),
        (path, "Bearer two", json, &ping, (404, Some(-32001))),
        (path, "Bearer three", json, &ping, (401, Some(-32001))),
        ("/messages?sessionId=", "Bearer one", json, &ping, (404, Some(-32001))),
        ("/messages?sessionId=AgAA", "Bearer one", json, &ping, (404, Some(-32001))),
        (path, "Bearer one", "text/plain", &ping, (415, Some(-32600))),
        (path, "Bearer one", json, "{", (400, Some(-32700))),
        (path, "Bearer one", json, "{}", (400, Some(-32600))),
        (path, "Bearer one", json, "[]", (400, Some(-32600))),
        (path, "Bearer one", json, &format!("[{ping}]"), (400, Some(-32600))),
        (path, "Bearer one", json, &long, (400, Some(-32600))),
    ] {
        assert_eq!(post(path, key, kind, body).await, outcome, "{path} {key} {kind} {body}");
    }
    let modern = [EVENTS[0], bearer("Bearer one"), ("mcp-protocol-version", "2026-07-28")];
    assert_eq!(rig.send(Method::GET, "/sse", &modern, Body::empty()).await.status(), 405);
    let json_only = [("accept", "application/json"), bearer("Bearer one")];
    assert_eq!(rig.send(Method::GET, "/sse", &json_only, Body::empty()).await.status(), 406);
}

#[tokio::test]
async fn a_stream_counts_as_one_of_its_client_s() {
    let key = ("authorization", "Bearer one");
    let rig = Rig::with(|config| {
        config.keys = runtime::secret::SecretSet::new(["one"]).into();
        config.limits.streams_per_client = 2;
    });
    let headers = [EVENTS[0], key];
    let (one, _two) = (Session::open(&rig, &headers).await, Session::open(&rig, &headers).await);
    assert_eq!(rig.send(Method::GET, "/sse", &headers, Body::empty()).await.status(), 429);
    drop(one);
    Session::open(&rig, &headers).await;
}

/// Two replicas of one fleet: what reaches the one that does not have the stream comes to the other, once.
#[tokio::test]
async fn a_post_at_another_replica_reaches_the_stream_sealed_and_once() {
    let (here, there) = (Rig::new(), Rig::new());
    let (carry, carried) = mpsc::channel(8);
    let carried = tokio_stream(carried);
    *here.edge.calls().updates.lock().unwrap() = Some(Box::pin(carried));
    carry.send(ListenEvent::watching(Vec::new(), Vec::new())).await.unwrap();
    let mut session = Session::open(&here, EVENTS).await;
    assert_eq!(session.post(&there, call(1)).await.outcome(), (404, Some(-32001)), "nobody carries it");
    *there.edge.calls().other.lock().unwrap() = Some(carry.clone());
    session.accepted(&there, call(1)).await;
    assert_eq!(session.message().await["id"], 1);
    let long = json!({"jsonrpc": "2.0", "id": 3, "method": "ping", "params": {"x": "x".repeat(4 << 20)}});
    assert_eq!(session.post(&there, long).await.status, 413, "no slave's event carries it");
    let sealed = there.recorded.lock().unwrap().posted.pop().unwrap().1;
    assert!(!sealed.windows(4).any(|text| text == b"echo"), "the slave reads nothing");
    for again in [sealed.clone(), "AAAA".into(), sealed.slice(1..)] {
        carry.send(ListenEvent::Posted(again)).await.unwrap();
    }
    session.accepted(&here, call(2)).await;
    assert_eq!(session.message().await["id"], 2);
    assert_eq!(here.recorded.lock().unwrap().calls.len(), 2);
    assert!(there.recorded.lock().unwrap().calls.is_empty());
}

fn tokio_stream(
    receiver: mpsc::Receiver<ListenEvent>,
) -> impl futures_util::Stream<Item = ListenEvent> + Send {
    futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
        .fuse()
}
