//! Proxies that refuse, replace, misbehave or fall silent, and the slave's own end.

use super::proxy::{Proxy, ProxyListener, close_with, send_reply};
use super::*;
use futures_util::{SinkExt, StreamExt};
use protocol::link::handshake::{AuthReply, close};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_refused_code_says_what_to_check() {
    let listener = ProxyListener::open().await;
    let slave = start(&listener.url, &[]).await;
    let (mut ws, _) = listener.accept().await;
    send_reply(&mut ws, &AuthReply::failed()).await;
    close_with(&mut ws, close::AUTH_FAILED).await;
    until("the slave knows", || slave.links.status.why().contains("SLAVE_CODE")).await;
    assert_eq!(slave.links.endpoint.links(), 0);
    slave.stop().await;
}

#[tokio::test]
async fn a_replaced_slave_waits_longer_than_after_a_lost_link() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[("RECONNECT_MAX", "600")]).await;
    proxy.link(&listener).await;
    close_with(proxy.ws.as_mut().unwrap(), close::REPLACED).await;
    until("the slave knows", || slave.links.status.why().contains("another slave")).await;
    // The slave waits for minutes now: its shutdown must not.
    slave.stop().await;
}

#[tokio::test]
async fn a_link_is_closed_and_renewed_after_a_protocol_error() {
    let listener = ProxyListener::open().await;
    let slave = start(&listener.url, &[]).await;
    let faults = [
        Message::text("{}"),
        Message::binary(vec![0xff; 40]),
        Message::binary(vec![9]),
        Message::binary(vec![0; 300_000]),
    ];
    for fault in faults {
        let mut proxy = Proxy::new();
        proxy.link(&listener).await;
        proxy.ws.as_mut().unwrap().send(fault).await.unwrap();
        proxy.until("the close", |proxy| proxy.closed.is_some()).await;
        assert_eq!(proxy.closed, Some(close::PROTOCOL_ERROR));
    }
    let mut proxy = Proxy::new();
    proxy.link(&listener).await;
    slave.task.abort();
}

#[tokio::test]
async fn a_silent_proxy_is_given_up_and_its_calls_are_kept() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let pings = [("LINK_PING_INTERVAL_MS", "100"), ("LINK_PING_TIMEOUT_MS", "1000")];
    let slave = start(&listener.url, &pings).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.5,"steps":10}"#);
    proxy.until("some progress", |_| answers.len() > 0).await;
    // The connection stays open, but nobody reads: a paused process, or packets that are dropped.
    let silent = proxy.ws.take();
    proxy.end.link_down(std::time::Instant::now());
    until("the slave gives it up", || slave.links.status.why().contains("LINK_PING_TIMEOUT_MS")).await;
    proxy.link(&listener).await;
    proxy.until("the result", |_| answers.is_over()).await;
    assert_eq!(answers.len(), 11);
    drop((silent, proxy));
    slave.stop().await;
}

#[tokio::test]
async fn a_proxy_that_answers_pings_is_not_given_up() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let pings = [("LINK_PING_INTERVAL_MS", "100"), ("LINK_PING_TIMEOUT_MS", "1000")];
    let slave = start(&listener.url, &pings).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":2}"#);
    proxy.until("the result", |_| answers.is_over()).await;
    assert_eq!(slave.links.endpoint.links(), 1);
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn a_stopped_slave_finishes_its_calls_and_closes_its_links() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.3,"steps":3}"#);
    proxy.until("some progress", |_| answers.len() == 1).await;
    slave.shutdown.begin();
    proxy.until("drain", |proxy| proxy.draining).await;
    assert!(!answers.is_over());
    proxy.until("the result", |_| answers.is_over()).await;
    assert_eq!(answers.len(), 4);
    proxy.until("the close", |proxy| proxy.closed.is_some()).await;
    assert_eq!(proxy.closed, Some(close::GOING_AWAY));
    within(slave.task).await.unwrap();
}

#[tokio::test]
async fn a_slave_stopped_while_its_link_is_down_still_delivers() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.2,"steps":2}"#);
    proxy.until("some progress", |_| answers.len() == 1).await;
    proxy.cut();
    slave.shutdown.begin();
    proxy.link(&listener).await;
    proxy.until("the result", |_| answers.is_over()).await;
    proxy.until("the close", |proxy| proxy.closed.is_some()).await;
    assert!(proxy.draining);
    within(slave.task).await.unwrap();
}

#[tokio::test]
async fn running_calls_end_with_the_grace() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[("SHUTDOWN_GRACE", "0.2")]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":600,"steps":10000}"#);
    proxy.until("some progress", |_| answers.len() > 0).await;
    slave.shutdown.begin();
    proxy.until("the close", |proxy| proxy.closed.is_some()).await;
    within(slave.task).await.unwrap();
    assert!(!answers.is_over());
}

#[tokio::test]
async fn a_call_in_transit_when_the_slave_is_stopped_is_returned() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    proxy.until("the catalog", |proxy| proxy.catalog.tools.len() == 4).await;
    slave.shutdown.begin();
    until("it drains", || slave.links.endpoint.stage() >= Stage::Draining).await;
    // Opened before the slave's drain was read: it may neither run nor be lost.
    let ws = proxy.ws.as_mut().unwrap();
    let open = protocol::link::frame::Frame {
        aux: 2,
        payload: "{}{}".into(),
        ..protocol::link::frame::Frame::bare(
            protocol::link::frame::FrameKind::Open,
            protocol::link::ids::CallId::new(super::proxy::INSTANCE, 7),
            0,
        )
    };
    let mut batch = bytes::BytesMut::new();
    open.encode(&mut batch);
    ws.send(Message::Binary(batch.freeze())).await.unwrap();
    let gone = within(async {
        loop {
            let Message::Binary(mut batch) = ws.next().await.unwrap().unwrap() else { continue };
            while let Some(frame) = protocol::link::frame::Frame::decode(&mut batch).unwrap() {
                if frame.call == open.call {
                    return frame;
                }
            }
        }
    })
    .await;
    assert!(gone.flags.has(protocol::link::frame::Flags::GONE), "{gone:?}");
    drop(proxy);
    within(slave.task).await.unwrap();
}

#[tokio::test]
async fn a_stopped_slave_does_not_wait_for_a_proxy_that_closed() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[("SHUTDOWN_GRACE", "600")]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.5,"steps":2}"#);
    proxy.until("some progress", |_| answers.len() == 1).await;
    proxy.end.drain();
    let discovery = slave.links.endpoint.discovery();
    proxy.until("the drain to be read", |_| discovery.borrow().draining == 1).await;
    // The call goes on although its client disconnected; its end is never acknowledged.
    close_with(proxy.ws.as_mut().unwrap(), close::GOING_AWAY).await;
    until("the slave knows", || slave.links.status.why().contains("going down")).await;
    assert_eq!(slave.links.endpoint.calls(), 1);
    slave.shutdown.begin();
    within(slave.task).await.unwrap();
}
