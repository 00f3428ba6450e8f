//! Calls over a link of the native dialect.

use super::proxy::{Proxy, ProxyListener};
use super::*;
use protocol::link::call::ResponseEvent;

/// Returns the progress of a call's notifications.
fn steps(parts: &[ResponseEvent]) -> Vec<u64> {
    let step = |part: &ResponseEvent| match part {
        ResponseEvent::Event { payload, .. } => {
            let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
            assert_eq!(json["params"]["progressToken"], "p1");
            json["params"]["progress"].as_u64()
        }
        _ => None,
    };
    parts.iter().filter_map(step).collect()
}

#[tokio::test]
async fn a_call_runs_and_its_progress_arrives() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[("SLAVE_LABELS", "platform=gitlab"), ("SLAVE_CAPACITY", "7")]).await;
    let auth = proxy.link(&listener).await;
    let hello = auth.protocol.unwrap();
    assert_eq!(
        (auth.slave_code.0.as_str(), hello.slave_name.as_str(), hello.capacity),
        ("secret-code-1", "s1", 7)
    );
    assert_eq!(hello.labels["platform"], "gitlab");
    proxy.until("the catalog", |proxy| proxy.catalog.tools.len() == 4).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.05,"steps":5}"#);
    proxy.until("the result", |_| answers.is_over()).await;
    let parts = answers.all();
    assert_eq!(steps(&parts), [1, 2, 3, 4, 5]);
    assert!(
        matches!(parts.last(), Some(ResponseEvent::End { error: false, tool_error: false, .. })),
        "{parts:?}"
    );
    until("the slave forgets the call", || slave.links.endpoint.calls() <= 1).await;
    proxy.until("nothing is left", |_| slave.links.endpoint.calls() == 0).await;
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn a_broken_link_loses_and_duplicates_nothing() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.4,"steps":40}"#);
    for least in [3, 10, 20] {
        proxy.until("some progress", |_| answers.len() >= least).await;
        proxy.cut();
        proxy.link(&listener).await;
    }
    proxy.until("the result", |_| answers.is_over()).await;
    assert_eq!(steps(&answers.all()), (1..=40).collect::<Vec<_>>());
    proxy.until("nothing is left", |_| slave.links.endpoint.calls() == 0).await;
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn a_result_that_was_finished_while_the_link_was_down_is_delivered() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.call("sleep", r#"{"seconds":0.2,"steps":2}"#);
    proxy.until("some progress", |_| answers.len() == 1).await;
    proxy.cut();
    until("the call ends", || slave.links.endpoint.running_calls() == 0).await;
    proxy.link(&listener).await;
    proxy.until("the result", |_| answers.is_over()).await;
    assert_eq!(steps(&answers.all()), [1, 2]);
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn a_large_result_does_not_block_small_calls() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (_, large) = proxy.call("payload", r#"{"bytes":20000000}"#);
    proxy.until("the first of it", |_| large.len() > 0).await;
    let (_, small) = proxy.call("echo", r#"{"text":"hello"}"#);
    proxy.until("the small result", |_| small.is_over()).await;
    assert!(!large.is_over(), "the small call waited for the large one");
    proxy.until("the large result", |_| large.is_over()).await;
    assert!(large.end().len() > 20_000_000);
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn large_requests_and_results_at_once_do_not_block_each_other() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let text = "y".repeat(3_000_000);
    let calls: Vec<_> = (0..4).map(|_| proxy.call("echo", &format!(r#"{{"text":"{text}"}}"#)).1).collect();
    proxy.until("all results", |_| calls.iter().all(super::proxy::ResponseLog::is_over)).await;
    for answers in calls {
        let end = answers.end();
        assert!(end.len() > 3_000_000 && memchr::memmem::find(&end, text.as_bytes()).is_some());
    }
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn a_cancelled_call_stops_and_so_does_one_named_by_its_session() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (id, first) = proxy.call("sleep", r#"{"seconds":600,"steps":10000}"#);
    proxy.until("some progress", |_| first.len() > 0).await;
    proxy.end.cancel(id);
    proxy.until("it stops", |_| slave.links.endpoint.running_calls() == 0).await;
    assert!(!first.is_over(), "nothing follows a cancel");
    let (_, second) = proxy.call("sleep", r#"{"seconds":600,"steps":10000}"#);
    proxy.until("some progress", |_| second.len() > 0).await;
    for facts in [r#"{"cancel":["digest-2"]}"#, r#"{"cancel":["digest-0","digest-1"]}"#] {
        assert!(!second.is_over());
        proxy.end.session(facts.as_bytes().into());
        proxy.until("it is sent", |proxy| !proxy.end.wants_to_send()).await;
    }
    proxy.until("it ends", |_| second.is_over()).await;
    assert!(matches!(second.all().last(), Some(ResponseEvent::End { error: true, .. })));
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn a_header_that_cannot_be_read_ends_the_call_with_an_error() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[]).await;
    proxy.link(&listener).await;
    let (_, answers) = proxy.open(br#"{"method":7}"#, "{}".into());
    proxy.until("the error", |_| answers.is_over()).await;
    assert!(String::from_utf8(answers.end()).unwrap().contains("call header"));
    drop(proxy);
    slave.stop().await;
}

#[tokio::test]
async fn after_a_change_of_one_backend_only_its_part_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("servers.json");
    std::fs::write(&file, r#"{"mcpServers": {"broken": {"command": "/nowhere/server"}}}"#).unwrap();
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let slave = start(&listener.url, &[("SLAVE_BACKENDS", &file.to_string_lossy())]).await;
    proxy.link(&listener).await;
    let is_complete = |part: &String| part.starts_with(r#"{"slave":{"complete":true"#);
    proxy.until("the whole catalog", |proxy| proxy.received.iter().any(is_complete)).await;
    assert_eq!(proxy.catalog.tools.len(), 4);
    proxy.received.clear();
    slave.executor.set_servers(Vec::new(), &[]);
    let healthy = r#"{"slave":{"complete":true}}"#;
    proxy.until("the change", |proxy| proxy.received.iter().any(|part| part == healthy)).await;
    let about_backends: Vec<&String> =
        proxy.received.iter().filter(|part| part.contains("backend\":")).collect();
    assert_eq!(about_backends, [r#"{"backend":"broken","gone":true}"#, r#"{"backend":"demo","position":0}"#]);
    assert_eq!(proxy.catalog.tools.len(), 4);
    slave.stop().await;
}
