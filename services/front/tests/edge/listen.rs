//! The legacy GET stream, and health.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use front::calls::Listing;
use http_body_util::BodyExt;
use protocol::mcp::catalog::ListKind;
use protocol::mcp::entry_array::EntryArray;

use crate::fake::{BOTH, Reply, Rig, and};

const EVENTS: &[(&str, &str)] = &[("accept", "text/event-stream")];

pub(crate) async fn next(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.to_vec()).unwrap())
}

async fn active(rig: &Rig) -> i64 {
    let reply = Reply::read(rig.send(Method::GET, "/health", &[], Body::empty()).await).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (200, &"ok".into()));
    reply.json()["activeSessions"].as_i64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_carries_list_changes_and_keepalive_comments() {
    let rig = Rig::new();
    assert_eq!(active(&rig).await, 0);
    let response = rig.send(Method::GET, "/mcp", EVENTS, Body::empty()).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(active(&rig).await, 1);
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await.unwrap(), ":\n\n", "so that the headers travel");
    let began = tokio::time::Instant::now();
    assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
    assert_eq!(began.elapsed().as_secs(), 15);
    for name in ["a", "b"] {
        // Several changes before the client reads make one notification.
        rig.edge.calls().listing.send_replace(Arc::new(Listing::default()));
        rig.edge.calls().listing.send_replace(listing(&[name]));
        let event = next(&mut body).await.unwrap();
        assert_eq!(event, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n");
    }
    drop(body);
    assert_eq!(active(&rig).await, 0);
}

#[tokio::test(start_paused = true)]
async fn closing_the_edge_ends_open_and_later_streams() {
    let rig = Rig::new();
    let mut body = rig.send(Method::GET, "/mcp", EVENTS, Body::empty()).await.into_body();
    next(&mut body).await.unwrap();
    rig.edge.close();
    assert_eq!(next(&mut body).await, None);
    let late = Reply::read(rig.send(Method::GET, "/mcp", EVENTS, Body::empty()).await).await;
    assert_eq!(late.text(), ":\n\n");
}

#[tokio::test]
async fn a_stream_needs_a_client_that_accepts_events() {
    let rig = Rig::new();
    for (headers, status) in [
        (vec![], 200),
        (vec![("accept", "*/*")], 200),
        (vec![("accept", "application/json")], 406),
        (vec![("accept", "text/event-stream"), ("mcp-session-id", "none")], 404),
        (vec![("accept", "text/event-stream"), ("mcp-protocol-version", "1999-01-01")], 400),
    ] {
        assert_eq!(
            rig.send(Method::GET, "/mcp", &headers, Body::empty()).await.status(),
            status,
            "{headers:?}"
        );
    }
    let token = rig.session("2025-11-25").await;
    let headers = and(&[("mcp-session-id", &token)]);
    assert_eq!(rig.send(Method::GET, "/mcp", &headers, Body::empty()).await.status(), 200);
}

#[tokio::test]
async fn unknown_paths_and_http_methods_are_refused() {
    let rig = Rig::new();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for path in front::PATHS {
        let reply = Reply::read(rig.send(Method::POST, path, BOTH, ping.into()).await).await;
        assert_eq!(reply.outcome(), (200, None), "{path}");
    }
    for (method, path, status) in [
        (Method::PUT, "/mcp", 405),
        (Method::HEAD, "/mcp", 405),
        (Method::POST, "/health", 405),
        (Method::POST, "/other", 404),
        (Method::GET, "/mcp/x", 404),
        (Method::GET, "/.well-known/oauth-protected-resource", 404),
    ] {
        let reply = Reply::read(rig.send(method.clone(), path, BOTH, Body::empty()).await).await;
        assert_eq!(reply.outcome(), (status, Some(-32600)), "{method} {path}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{method} {path}");
    }
}

/// Clients of later versions may be configured with the address of the transport of 2024-11-05.
#[tokio::test]
async fn the_old_addresses_serve_streamable_http_to_those_who_speak_it() {
    let rig = Rig::new();
    let token = rig.session("2025-06-18").await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for path in ["/sse", "/messages/", "/messages"] {
        assert_eq!(
            Reply::read(rig.send(Method::POST, path, BOTH, ping.into()).await).await.outcome(),
            (200, None)
        );
    }
    let headers = and(&[("mcp-session-id", &token)]);
    let mut stream = rig.send(Method::GET, "/sse", &headers, Body::empty()).await.into_body();
    assert_eq!(next(&mut stream).await.unwrap(), ":\n\n", "no endpoint");
    for path in ["/", "/mcp", "/messages/"] {
        let mut stream = rig.send(Method::GET, path, EVENTS, Body::empty()).await.into_body();
        assert_eq!(next(&mut stream).await.unwrap(), ":\n\n", "{path}");
    }
}

async fn open(rig: &Rig, token: &str) -> Body {
    let headers = and(&[("mcp-session-id", token)]);
    let mut body = rig.send(Method::GET, "/mcp", &headers, Body::empty()).await.into_body();
    assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
    body
}

fn change(rig: &Rig) {
    let listing = &rig.edge.calls().listing;
    let count = listing.borrow().list(ListKind::Tools).entries.len();
    listing.send_replace(self::listing(&vec!["x"; count + 1]));
}

/// Returns a listing with tools of these names.
fn listing(names: &[&str]) -> Arc<Listing> {
    let mut listing = Listing::default();
    listing.lists[0].entries = EntryArray::new(names.iter().map(|name| (*name, *name)));
    Arc::new(listing)
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_to_one_stream_of_a_session() {
    let rig = Rig::new();
    let (one, two) = (rig.session("2025-11-25").await, rig.session("2025-11-25").await);
    let mut old = open(&rig, &one).await;
    let mut newest = open(&rig, &one).await;
    let mut other = open(&rig, &two).await;
    let mut free = rig.send(Method::GET, "/mcp", EVENTS, Body::empty()).await.into_body();
    next(&mut free).await;
    for _ in 0..3 {
        change(&rig);
        for stream in [&mut newest, &mut other, &mut free] {
            assert!(next(stream).await.unwrap().contains("list_changed"));
        }
        assert_eq!(next(&mut old).await.unwrap(), ":\n\n", "the older stream is silent");
    }
    // The older one takes over, and does not repeat what the session was told.
    drop(newest);
    assert_eq!(next(&mut old).await.unwrap(), ":\n\n");
    change(&rig);
    assert!(next(&mut old).await.unwrap().contains("list_changed"));
    // A change of which the newest stream has not told yet is not lost with it.
    let newest = open(&rig, &one).await;
    change(&rig);
    drop(newest);
    assert!(next(&mut old).await.unwrap().contains("list_changed"));
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_a_session_end_with_it() {
    let rig = Rig::with(|config| config.session_ttl = std::time::Duration::from_mins(1));
    let (here, there, kept) =
        (rig.session("2025-11-25").await, rig.session("2025-06-18").await, rig.session("2025-11-25").await);
    let mut streams = [open(&rig, &here).await, open(&rig, &here).await];
    let mut elsewhere = open(&rig, &there).await;
    let mut other = open(&rig, &kept).await;
    let headers = and(&[("mcp-session-id", here.as_str())]);
    assert_eq!(rig.send(Method::DELETE, "/mcp", &headers, Body::empty()).await.status(), 200);
    for stream in &mut streams {
        assert_eq!(next(stream).await, None, "ended here");
    }
    // The client ended the other session at another replica.
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
    rig.post(&and(&[("mcp-session-id", &there)]), call).await;
    let key = rig.recorded.lock().unwrap().calls.pop().unwrap().0.session.unwrap();
    rig.edge.revoke_session(&key, u64::MAX);
    assert_eq!(next(&mut elsewhere).await, None, "ended elsewhere");
    assert_eq!(rig.send(Method::GET, "/mcp", &headers, Body::empty()).await.status(), 404);
    for _ in 0..3 {
        assert_eq!(next(&mut other).await.unwrap(), ":\n\n", "another session's stream goes on");
    }
    let mut left = 0;
    while next(&mut other).await.is_some() {
        left += 1;
        assert!(left < 10, "and ends when its token expires");
    }
}
