//! Spans that belong to no call: starts of backends and links, each a trace of its own.

use std::collections::HashSet;

use harness::client::Client;
use harness::fixture::Fixture;
use harness::otlp::{Collector, Span};
use harness::relay::Setup;
use harness::wait;
use serde_json::json;

use super::traced;

/// Outcomes of spans: what they are about, the outcome, and whether the span is an error.
type Outcomes = Vec<(String, String, bool)>;

/// Waits until the spans of this name satisfy `enough`, and checks that each is the root of its own trace.
async fn roots(
    collector: &Collector,
    name: &str,
    key: &str,
    enough: impl Fn(&Outcomes) -> bool,
) -> (Vec<Span>, Outcomes) {
    let (spans, outcomes) = wait::until(&format!("spans {name:?}"), async || {
        let spans: Vec<Span> = collector.spans().into_iter().filter(|span| span.name == name).collect();
        let outcome =
            |span: &Span| (span.get(key).to_owned(), span.get("mcp_relay.outcome").to_owned(), span.failed);
        let outcomes: Outcomes = spans.iter().map(outcome).collect();
        enough(&outcomes).then_some((spans, outcomes))
    })
    .await;
    let traces: HashSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    assert!(traces.len() == spans.len() && spans.iter().all(|s| s.parent.is_empty()), "{spans:?}");
    (spans, outcomes)
}

fn count(outcomes: &Outcomes, of: &str) -> usize {
    outcomes.iter().filter(|(about, ..)| about == of).count()
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
    let all = |outcomes: &Outcomes| {
        count(outcomes, "fixture") > 1 && count(outcomes, "missing") * count(outcomes, "leaving") > 0
    };
    let (spans, outcomes) = roots(&collector, "backend start", "mcp_relay.backend", all).await;
    for (backend, outcome, failed) in outcomes {
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
    let both = |outcomes: &Outcomes| count(outcomes, &open) > 0 && count(outcomes, &closed) > 0;
    let (spans, outcomes) = roots(&collector, "link", "network.peer.port", both).await;
    for (port, outcome, failed) in outcomes {
        // A slave also looks whether there are other proxies behind an address.
        let (expected, is_failure) =
            if port == open { (&["linked", "already_linked"][..], false) } else { (&["refused"][..], true) };
        assert!(
            expected.contains(&outcome.as_str()) && failed == is_failure,
            "port {port}: {outcome} {failed}"
        );
    }
    let linked = spans.iter().find(|span| span.get("mcp_relay.outcome") == "linked").unwrap();
    assert_eq!([linked.kind, linked.get("server.address")], ["client", "127.0.0.1"]);
    assert_eq!(linked.get("mcp_relay.dialect"), "native");
}
