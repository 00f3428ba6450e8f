//! Spans of what belongs to no call: starts of backends and links, each a trace of its own.

use std::collections::HashSet;

use harness::client::Client;
use harness::fixture::Fixture;
use harness::otlp::{Collector, Span};
use harness::relay::Setup;
use harness::wait;
use serde_json::json;

use super::traced;

/// How the starts of this name came out: by what they are about, and whether they are errors.
type Came = Vec<(String, String, bool)>;

/// Waits until `enough` says so of the spans of this name, which are roots of traces of their own.
async fn roots(
    collector: &Collector,
    (name, key): (&str, &str),
    enough: impl Fn(&Came) -> bool,
) -> (Vec<Span>, Came) {
    let (spans, came) = wait::until(&format!("spans {name:?}"), async || {
        let spans: Vec<Span> = collector.spans().into_iter().filter(|span| span.name == name).collect();
        let told =
            |span: &Span| (span.get(key).to_owned(), span.get("mcp_relay.outcome").to_owned(), span.failed);
        let came: Came = spans.iter().map(told).collect();
        enough(&came).then_some((spans, came))
    })
    .await;
    let traces: HashSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    assert!(traces.len() == spans.len() && spans.iter().all(|s| s.parent.is_empty()), "{spans:?}");
    (spans, came)
}

fn count(came: &Came, of: &str) -> usize {
    came.iter().filter(|(about, ..)| about == of).count()
}

#[tokio::test]
async fn each_start_of_a_backend_is_a_trace() {
    let collector = Collector::grpc().await;
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let servers = json!({
        "fixture": fixture.entry(&[]),
        "missing": { "command": "/no/such/program" },
        "leaving": { "command": "/bin/sh", "args": ["-c", "exit 7"] },
    });
    let backends = fixture.write_backends(&servers);
    let setup = traced(Setup::slave("one", proxy.link), &collector, "grpc").env("DEMO_TOOLS", "0");
    let _slave = setup.env("SLAVE_BACKENDS", backends.to_str().unwrap()).start_slave().await;
    proxy.offers("die").await;
    Client::modern(proxy.http).call("die", json!({})).await.error();
    let all = |came: &Came| count(came, "fixture") > 1 && count(came, "missing") * count(came, "leaving") > 0;
    let (spans, came) = roots(&collector, ("backend start", "mcp_relay.backend"), all).await;
    for (backend, outcome, failed) in came {
        let expected = match backend.as_str() {
            "fixture" => ("ready", false),
            "missing" => ("start_failed", true),
            // The end of the process, or of its pipes: whichever is seen first.
            _ => (outcome.as_str(), true),
        };
        assert_eq!((outcome.as_str(), failed), expected, "{backend}");
    }
    let ready = spans.iter().find(|span| span.get("mcp_relay.backend") == "fixture").unwrap();
    assert_eq!((ready.kind, ready.get("mcp.protocol.version")), ("internal", "2025-11-25"));
}

#[tokio::test]
async fn each_attempt_at_a_link_is_a_trace() {
    let collector = Collector::http().await;
    let proxy = Setup::proxy().start_proxy().await;
    let strict = Setup::proxy().env("SLAVE_CODES", "another-code").start_proxy().await;
    let url = format!("ws://{},ws://{}", proxy.link, strict.link);
    let setup = traced(Setup::slave("one", proxy.link), &collector, "http/protobuf");
    let _slave = setup.env("PROXY_SERVER_URL", url).start_slave().await;
    let [open, closed] = [proxy.link, strict.link].map(|address| address.port().to_string());
    let both = |came: &Came| count(came, &open) > 0 && count(came, &closed) > 0;
    let (spans, came) = roots(&collector, ("link", "network.peer.port"), both).await;
    for (port, outcome, failed) in came {
        let expected = if port == open { ("linked", false) } else { ("refused", true) };
        assert_eq!((outcome.as_str(), failed), expected, "port {port}");
    }
    let linked = spans.iter().find(|span| span.get("mcp_relay.outcome") == "linked").unwrap();
    assert_eq!([linked.kind, linked.get("server.address")], ["client", "127.0.0.1"]);
    assert_eq!(linked.get("mcp_relay.dialect"), "native");
}
