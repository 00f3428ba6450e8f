//! Traces: a collector gets one trace of client, proxy, slave and backend, and calls do not depend on the collector.

mod backends;
mod edge;
mod starts;

use std::time::{Duration, Instant};

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::otlp::{Collector, Span};
use harness::relay::{Proxy, Setup, Slave};
use harness::tls::{Authority, terminator};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

fn traced(setup: Setup, collector: &Collector, protocol: &str) -> Setup {
    setup
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=key%2Dcanary")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

async fn scene(collector: &Collector, protocol: &str) -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let proxy = traced(Setup::proxy(), collector, protocol).start_proxy().await;
    let setup = traced(Setup::slave("one", proxy.link), collector, protocol);
    let setup = setup.env("OTEL_SERVICE_NAME", "office").env("OTEL_RESOURCE_ATTRIBUTES", "team=tools");
    let slave = fixture.serve(setup).start_slave().await;
    proxy.offers("arguments").await;
    (proxy, slave, fixture)
}

/// Waits for the span of this kind and service.
fn one<'a>(spans: &'a [Span], service: &str, kind: &str) -> Option<&'a Span> {
    spans.iter().find(|span| span.service == service && span.kind == kind)
}

fn meta_seen(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["_meta"].clone()
}

async fn one_trace_across_all(collector: Collector, protocol: &str) {
    let (proxy, _slave, _fixture) = scene(&collector, protocol).await;
    let ask = McpRequest::tool("r-1", "arguments", json!({ "q": "argument-canary" }))
        .meta("traceparent", traceparent())
        .meta("tracestate", "vendor=1");
    let client = Client::modern(proxy.http)
        .with_header("traceparent", "00-1bf92f3577b34da6a3ce929d0e0e4736-10f067aa0ba902b7-01");
    let answer = client.request(ask).await;
    let [server, forward, slave, backend] = collector
        .trace(TRACE, |spans| {
            let proxy = "mcp-relay-proxy";
            let found = [(proxy, "server"), (proxy, "client"), ("office", "server"), ("office", "client")];
            let found = found.map(|(service, kind)| one(spans, service, kind).cloned());
            found.iter().all(Option::is_some).then(|| found.map(Option::unwrap))
        })
        .await;
    // One chain from the client's own span to the backend.
    let parents = [&server.parent, &forward.parent, &slave.parent, &backend.parent];
    assert_eq!(parents, [CALLER, &server.id, &forward.id, &slave.id]);
    let meta = meta_seen(answer.text());
    assert_eq!(meta["traceparent"], format!("00-{TRACE}-{}-01", backend.id), "{meta}");
    assert_eq!(meta["tracestate"], "vendor=1");
    let route = collector.trace(TRACE, |spans| spans.iter().find(|s| s.name == "route").cloned()).await;
    assert_eq!((route.kind, &route.parent), ("internal", &server.id));
    // The context of the HTTP request is a link, not the parent.
    assert_eq!(server.links, ["1bf92f3577b34da6a3ce929d0e0e4736"]);
    for span in [&server, &forward, &slave, &backend] {
        assert_eq!(span.name, "tools/call arguments");
        assert_eq!(span.get("mcp.method.name"), "tools/call");
        assert_eq!(span.get("gen_ai.tool.name"), "arguments");
        assert_eq!(span.get("gen_ai.operation.name"), "execute_tool");
        assert!(!span.failed && span.get("error.type").is_empty(), "{span:?}");
    }
    assert_eq!(server.get("mcp.protocol.version"), "2026-07-28");
    assert_eq!([server.get("jsonrpc.request.id"), slave.get("jsonrpc.request.id")], ["r-1", "r-1"]);
    assert_eq!(backend.get("mcp.protocol.version"), "2025-11-25");
    let transports = [&server, &slave, &backend].map(|span| span.get("network.transport"));
    assert_eq!(transports, ["tcp", "tcp", "pipe"]);
    assert_eq!(server.get("mcp_relay.request_id"), slave.get("mcp_relay.request_id"));
    assert_eq!(forward.get("mcp_relay.slave"), "one");
    assert_eq!(slave.resource["team"], "tools");
    assert!(collector.had_header("x-tenant", "key-canary"));
}

#[tokio::test]
async fn one_trace_across_all_by_grpc() {
    one_trace_across_all(Collector::grpc().await, "grpc").await;
}

#[tokio::test]
async fn one_trace_across_all_by_http() {
    one_trace_across_all(Collector::http().await, "http/protobuf").await;
}

#[tokio::test]
async fn failures_are_errors_and_refused_calls_have_spans() {
    let collector = Collector::grpc().await;
    let (proxy, _slave, fixture) = scene(&collector, "grpc").await;
    let client = Client::modern(proxy.http).with_header("traceparent", &traceparent());
    client.call("no_such_tool", json!({})).await.error();
    let refused = collector.trace(TRACE, |s| s.iter().find(|s| s.kind == "server").cloned()).await;
    assert_eq!((refused.name.as_str(), refused.failed), ("tools/call", true), "no client's word is a name");
    assert_eq!(refused.get("error.type"), refused.get("rpc.response.status_code"));
    assert_eq!(refused.get("mcp_relay.outcome"), "unknown_tool");
    client.call("die", json!({})).await.error();
    let died = collector
        .trace(TRACE, |s| s.iter().find(|s| s.name == "tools/call die" && s.kind == "server").cloned());
    let died = died.await;
    assert!(died.failed && died.get("error.type").starts_with('-'), "{died:?}");
    proxy.offers("run").await;
    fixture.open_gate("x", 0);
    let pending = client.start(McpRequest::tool(1, "run", run_args("x", 1))).await;
    fixture.wait_for("x", "start").await;
    drop(pending);
    let left = collector.trace(TRACE, |s| {
        s.iter()
            .find(|s| s.name == "tools/call run" && s.service == "mcp-relay-proxy" && s.kind == "server")
            .cloned()
    });
    assert_eq!(left.await.get("error.type"), "cancelled");
}

#[tokio::test]
async fn waiting_has_a_span_of_its_own() {
    let collector = Collector::grpc().await;
    let fixture = Fixture::default();
    let proxy = traced(Setup::proxy(), &collector, "grpc").start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1");
    let _slave = fixture.serve(setup).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("first", 0);
    let client = Client::modern(proxy.http);
    let first = client.start(McpRequest::tool(1, "run", run_args("first", 0))).await;
    fixture.wait_for("first", "start").await;
    let second = client
        .start(McpRequest::tool(2, "run", run_args("second", 0)).meta("traceparent", traceparent()))
        .await;
    wait::until("a waiting call", async || {
        (Scrape::of(proxy.http).await.sum("mcp_relay_queue_length", &[]) > 0.0).then_some(())
    })
    .await;
    fixture.open_gate("first", 1);
    for mut pending in [first, second] {
        pending.finish().await.result();
    }
    let names = collector
        .trace(TRACE, |spans| {
            let server = spans.iter().find(|span| span.kind == "server")?;
            let mut names: Vec<String> =
                spans.iter().filter(|s| s.parent == server.id).map(|s| s.name.clone()).collect();
            names.sort();
            Some(names)
        })
        .await;
    assert_eq!(names, ["queue", "route", "tools/call run"]);
}

#[tokio::test]
async fn the_parent_decides_and_unsampled_contexts_are_propagated() {
    let collector = Collector::http().await;
    let (proxy, _slave, _fixture) = scene(&collector, "http/protobuf").await;
    let not_sampled = format!("00-{TRACE}-{CALLER}-00");
    let ask = |parent: &str| McpRequest::tool(1, "arguments", json!({})).meta("traceparent", parent);
    let client = Client::modern(proxy.http);
    let answer = client.request(ask(&not_sampled)).await;
    let traceparent = meta_seen(answer.text())["traceparent"].as_str().unwrap().to_owned();
    assert!(
        traceparent.starts_with(&format!("00-{TRACE}-")) && traceparent.ends_with("-00"),
        "{traceparent}"
    );
    let other = "5bf92f3577b34da6a3ce929d0e0e4736";
    client.request(ask(&format!("00-{other}-{CALLER}-01"))).await.result();
    collector.trace(other, |spans| one(spans, "office", "client").cloned()).await;
    assert!(collector.spans().iter().all(|span| span.trace != TRACE));
}

#[tokio::test]
async fn without_an_endpoint_the_client_s_context_passes_unchanged() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("arguments").await;
    let own = McpRequest::tool(1, "arguments", json!({}))
        .meta("traceparent", traceparent())
        .meta("tracestate", "a=1");
    let meta = meta_seen(Client::modern(proxy.http).request(own).await.text());
    assert_eq!([&meta["traceparent"], &meta["tracestate"]], [&json!(traceparent()), &json!("a=1")]);
    let client =
        Client::modern(proxy.http).with_header("traceparent", &traceparent()).with_header("baggage", "k=v");
    let meta = meta_seen(client.call("arguments", json!({})).await.text());
    assert_eq!([&meta["traceparent"], &meta["baggage"]], [&json!(traceparent()), &json!("k=v")]);
}

/// A port that accepts connections and never answers.
async fn black_hole() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn a_silent_collector_costs_no_call(protocol: &str) {
    let (_hole, url) = black_hole().await;
    let set = |setup: Setup| {
        setup
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", url.clone())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "5000")
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "20")
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    };
    let mut proxy = set(Setup::proxy()).start_proxy().await;
    let _slave = set(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    let began = Instant::now();
    for _ in 0..200 {
        client.call("echo", json!({ "text": "x" })).await.result();
    }
    // Calls that waited for the collector would take its time-out of 5 s for every ten: 100 s.
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    let scrape = Scrape::of(proxy.http).await;
    assert!(scrape.sum("mcp_relay_trace_spans_total", &["outcome=\"dropped\""]) > 100.0, "{}", scrape.text());
    let line = proxy.log.wait_for("Spans do not reach the collector").await;
    assert!(line.contains("failed=") && line.contains("dropped="), "{line}");
    assert!(proxy.log.count("Spans do not reach the collector") <= 2);
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.exit(wait::TIMEOUT).await.success());
}

#[tokio::test]
async fn a_silent_collector_costs_no_call_by_grpc() {
    a_silent_collector_costs_no_call("grpc").await;
}

#[tokio::test]
async fn a_silent_collector_costs_no_call_by_http() {
    a_silent_collector_costs_no_call("http/protobuf").await;
}

#[tokio::test]
async fn the_last_spans_leave_at_the_shutdown() {
    let collector = Collector::http().await;
    let setup = traced(Setup::proxy(), &collector, "http/protobuf").env("OTEL_BSP_SCHEDULE_DELAY", "600000");
    let mut proxy = setup.start_proxy().await;
    let client = Client::modern(proxy.http).with_header("traceparent", &traceparent());
    client.call("echo", json!({})).await.error();
    assert!(collector.spans().is_empty());
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.exit(wait::TIMEOUT).await.success());
    assert!(collector.spans().iter().any(|span| span.trace == TRACE && span.kind == "server"));
}

#[tokio::test]
async fn collectors_are_reached_by_tls_and_must_be_certified() {
    let (trusted, stranger) = (Authority::default(), Authority::default());
    for (protocol, alpn, compression) in [("grpc", "h2", "gzip"), ("http/protobuf", "http/1.1", "none")] {
        let collector = if protocol == "grpc" { Collector::grpc().await } else { Collector::http().await };
        let address = terminator(collector.address, &trusted.issue("collector", &["localhost"]), alpn).await;
        let start = async |authority: &Authority| {
            let setup = traced(Setup::proxy(), &collector, protocol)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{}", address.port()))
                .env("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.root().to_str().unwrap())
                .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression);
            let proxy = setup.start_proxy().await;
            let client = Client::modern(proxy.http).with_header("traceparent", &traceparent());
            client.call("echo", json!({})).await.error();
            proxy
        };
        let proxy = start(&stranger).await;
        let line = proxy.log.wait_for("Spans do not reach the collector").await;
        assert!(line.contains("TLS to localhost failed: ") && line.contains("OTLP_CERTIFICATE"), "{line}");
        assert!(collector.spans().is_empty());
        let _proxy = start(&trusted).await;
        collector.trace(TRACE, |spans| one(spans, "mcp-relay-proxy", "server").cloned()).await;
    }
}

#[tokio::test]
async fn no_span_has_a_secret_an_argument_or_a_result() {
    let collector = Collector::grpc().await;
    let fixture = Fixture::default();
    let proxy = traced(Setup::proxy(), &collector, "grpc")
        .env("SLAVE_CODES", "code-canary-1")
        .env("LOG_LEVEL", "trace")
        .env("AUTH_BEARER_KEYS", "bearer-canary")
        .start_proxy()
        .await;
    let setup = traced(Setup::slave("one", proxy.link), &collector, "grpc")
        .env("LOG_LEVEL", "trace")
        .env("SLAVE_CODE", "code-canary-1");
    let slave = fixture.serve_with(setup, &[("FIXTURE_SECRET", "backend-canary-secret")]).start_slave().await;
    let client = Client::modern(proxy.http)
        .with_header("authorization", "Bearer bearer-canary")
        .with_header("baggage", "user=baggage-canary");
    wait::until("the tools", async || client.tool_names().await.contains(&"run".into()).then_some(())).await;
    let calls = ["leak", "arguments", "run", "none-canary", "die"];
    for tool in calls {
        client.call(tool, json!({ "key": "argument-canary", "text": "argument-canary" })).await;
    }
    wait::until("the spans of all calls", async || {
        let spans = collector.spans();
        let is_call = |s: &&Span| s.kind == "server" && s.name.starts_with("tools/call");
        let of = |service: &str| spans.iter().filter(|s| s.service == service).filter(is_call).count();
        (of("mcp-relay-proxy") >= calls.len() && of("mcp-relay-slave") >= calls.len() - 1).then_some(())
    })
    .await;
    assert!(!collector.raw().contains("canary"), "{:?}", collector.spans());
    for log in [proxy.log.text(), slave.log.text()] {
        let leak = log.lines().find(|line| line.contains("key-canary") || line.contains("key%2Dcanary"));
        assert!(leak.is_none(), "the collector's headers leaked: {leak:?}");
    }
}
