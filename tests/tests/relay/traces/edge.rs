//! Spans of messages that the edge answers itself: one for each message, and no second one for calls.

use harness::client::{Client, McpRequest};
use harness::otlp::{Collector, Span};
use harness::plain::NodeProxy;
use harness::relay::{CODE, Proxy, Setup};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{CALLER, TRACE, traced, traceparent};

/// Another trace context.
const WITHIN: &str = "5bf92f3577b34da6a3ce929d0e0e4736";

/// Stops the proxy, which flushes all spans, and returns them.
async fn all_spans(mut proxy: Proxy, collector: &Collector) -> Vec<Span> {
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.exit(harness::wait::TIMEOUT).await.success());
    collector.spans()
}

/// The one span of this name and trace.
fn the<'a>(spans: &'a [Span], trace: &str, name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|s| s.trace == trace && s.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:?}");
    found[0]
}

#[tokio::test]
async fn a_session_s_messages_have_spans() {
    let collector = Collector::grpc().await;
    let proxy = traced(Setup::proxy(), &collector, "grpc").start_proxy().await;
    let mut client = Client::uninitialized(proxy.http).with_header("traceparent", &traceparent());
    client.initialize().await;
    client.request(McpRequest::new("p-1", "ping", json!({}))).await.result();
    let list =
        McpRequest::new(7, "tools/list", json!({})).meta("traceparent", format!("00-{WITHIN}-{CALLER}-01"));
    client.request(list.meta("tracestate", "vendor=1")).await.result();
    client.request(McpRequest::new(8, "tools/list", json!({ "cursor": "no-such-page" }))).await.error();
    let spans = all_spans(proxy, &collector).await;
    let [greeting, ready, ping] =
        ["initialize", "notifications/initialized", "ping"].map(|name| the(&spans, TRACE, name));
    for span in [greeting, ready, ping] {
        assert_eq!((span.kind, span.parent.as_str(), span.failed), ("server", CALLER, false), "{span:?}");
        assert_eq!(span.get("mcp.method.name"), span.name);
        assert_eq!(span.get("mcp.protocol.version"), "2025-11-25");
        assert_eq!([span.get("network.transport"), span.get("network.protocol.name")], ["tcp", "http"]);
        assert_eq!((span.get("client.address"), span.get("mcp_relay.outcome")), ("127.0.0.1", "ok"));
        assert!(span.links.is_empty());
    }
    let session = greeting.get("mcp.session.id");
    assert!(!session.is_empty() && [ready, ping].map(|s| s.get("mcp.session.id")) == [session; 2]);
    let ids = [greeting, ready, ping].map(|span| span.get("jsonrpc.request.id"));
    assert_eq!(ids, ["0", "", "p-1"]);
    // The context of the message has precedence; that of the HTTP header becomes a link.
    let list = the(&spans, WITHIN, "tools/list");
    assert_eq!((list.parent.as_str(), list.links.as_slice()), (CALLER, &[TRACE.to_owned()][..]));
    let refused = the(&spans, TRACE, "tools/list");
    assert!(refused.failed);
    assert_eq!([refused.get("error.type"), refused.get("rpc.response.status_code")], ["-32602"; 2]);
    assert_eq!(refused.get("mcp_relay.outcome"), "invalid_params");
}

#[tokio::test]
async fn a_call_has_one_span_and_a_refused_one_too() {
    let collector = Collector::http().await;
    let proxy = traced(Setup::proxy(), &collector, "http/protobuf").start_proxy().await;
    let client = Client::modern(proxy.http).with_header("traceparent", &traceparent());
    client.request(McpRequest::new(1, "server/discover", json!({}))).await.result();
    client.request(McpRequest::new(2, "secret-canary/method", json!({}))).await.error();
    // A call that no slave can take.
    client.call("echo", json!({})).await.error();
    // A call whose session is unknown.
    let mut stranger = Client::uninitialized(proxy.http);
    stranger.session = Some("stranger".into());
    let ask = McpRequest::tool(4, "echo", json!({})).meta("traceparent", format!("00-{WITHIN}-{CALLER}-01"));
    stranger.request(ask).await.error();
    let spans = all_spans(proxy, &collector).await;
    let discovery = the(&spans, TRACE, "server/discover");
    assert_eq!(discovery.get("mcp.protocol.version"), "2026-07-28");
    assert!(discovery.get("mcp.session.id").is_empty() && !discovery.failed);
    // An unknown method, which no slave could take either, does not become the name of a span.
    let other = the(&spans, TRACE, "other");
    assert_eq!((other.get("mcp_relay.outcome"), other.failed), ("no_slave", true));
    assert!(!collector.raw().contains("canary"));
    let call = the(&spans, TRACE, "tools/call");
    assert!(!call.get("mcp_relay.request_id").is_empty(), "it is the dispatcher's: {call:?}");
    let refused = the(&spans, WITHIN, "tools/call");
    assert_eq!((refused.parent.as_str(), refused.get("mcp_relay.outcome")), (CALLER, "session_not_found"));
    assert!(refused.failed && refused.get("mcp_relay.request_id").is_empty());
}

#[tokio::test]
async fn messages_of_a_batch_have_one_each() {
    let collector = Collector::grpc().await;
    let proxy = traced(Setup::proxy(), &collector, "grpc").start_proxy().await;
    let client = Client::legacy_on(proxy.http, "/mcp", "2025-03-26").await;
    let client = client.with_header("traceparent", &traceparent());
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "id": 2, "method": "tools/list" },
        { "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "echo" } },
    ]);
    client.post(batch.to_string().as_bytes()).await.rest().await;
    let spans = all_spans(proxy, &collector).await;
    let names: Vec<&str> = spans
        .iter()
        .filter(|span| span.trace == TRACE && span.kind == "server")
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in ["ping", "tools/list", "tools/call"] {
        the(&spans, TRACE, name);
    }
}

#[tokio::test]
async fn what_a_slave_answers_on_a_plain_link_has_spans_too() {
    let collector = Collector::grpc().await;
    let node = NodeProxy::start(CODE).await;
    let _slave = traced(Setup::slave("one", node.address()), &collector, "grpc").start_slave().await;
    let mut link = node.accept().await.expect("accepted");
    let params = json!({ "_meta": { "traceparent": traceparent() } });
    link.send(&json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": params })).await;
    link.receive().await.expect("an answer");
    let list = collector.trace(TRACE, |s| s.iter().find(|s| s.name == "tools/list").cloned()).await;
    assert_eq!((list.kind, list.parent.as_str()), ("server", CALLER));
    assert_eq!([list.get("network.protocol.name"), list.get("jsonrpc.request.id")], ["websocket", "3"]);
}
