//! The legacy GET stream, and health.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use front::calls::Listing;
use http_body_util::BodyExt;

use crate::fake::{BOTH, Reply, Rig, and};

const EVENTS: &[(&str, &str)] = &[("accept", "text/event-stream")];

async fn next(body: &mut Body) -> Option<String> {
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
    for _ in 0..2 {
        // Several changes before the client reads make one notification.
        rig.edge.calls().listing.send_replace(Arc::new(Listing::default()));
        rig.edge.calls().listing.send_replace(Arc::new(Listing::default()));
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
            rig.send(Method::GET, "/sse", &headers, Body::empty()).await.status(),
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
