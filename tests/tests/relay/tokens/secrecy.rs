//! Tokens and secrets stay between client, proxy and issuer; who the client is goes on to the slave.

use harness::canary;
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::issuer::{CLIENT, SigningKey, TestIssuer};
use harness::metrics::Scrape;
use harness::otlp::Collector;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;

use super::{Issuers, RESOURCE, client, introspection, show};

/// An opaque token that the issuer knows, and one that it does not.
const OPAQUE: &str = "opaque-canary-token";
const UNKNOWN: &str = "unknown-canary-token";

/// Makes a process say as much as it can, into its log, traces and the audit stream.
fn telling(setup: Setup, collector: &Collector, audit: &std::path::Path) -> Setup {
    setup
        .env("LOG_LEVEL", "trace")
        .env("LOG_CALLS", "all")
        .env("UI", "1")
        .env("AUDIT_LOG", audit.to_str().unwrap())
        .env("AUDIT_PAYLOADS", "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

/// Waits for the spans of so many calls at each of the two, and returns all that the collector got.
async fn spans(collector: &Collector, calls: usize) -> String {
    wait::until("the spans of the calls", async || {
        let spans = collector.spans();
        let of = |service: &str| {
            let of = spans.iter().filter(|span| span.service == service && span.kind == "server");
            of.filter(|span| span.name.starts_with("tools/call")).count()
        };
        (of("mcp-relay-proxy") >= calls && of("mcp-relay-slave") >= calls).then_some(())
    })
    .await;
    collector.raw()
}

/// All that operators see of both.
async fn told(proxy: &Proxy, slave: &Slave, audits: [&std::path::Path; 2]) -> Vec<(&'static str, String)> {
    let mut told = vec![("the proxy's log", proxy.log.text()), ("the slave's log", slave.log.text())];
    for (place, path) in ["the proxy's audit stream", "the slave's audit stream"].into_iter().zip(audits) {
        let lines = std::fs::read_to_string(path).unwrap();
        assert!(lines.contains("\"call") || lines.contains("run"), "{place} says nothing: {lines}");
        told.push((place, lines));
    }
    for path in ["/api/v1/status", "/api/v1/calls", "/api/v1/logs", "/ui"] {
        told.push(("the operators' pages", http::get(proxy.http, path).await.1));
    }
    told.push(("the metrics", Scrape::of(proxy.http).await.text().to_owned()));
    told
}

#[tokio::test]
async fn no_token_is_in_a_log_a_trace_an_audit_stream_an_answer_or_a_call() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    issuer.activate(OPAQUE, issuer.claims("bob", RESOURCE));
    let (collector, folder) = (Collector::http().await, tempfile::tempdir().unwrap());
    let audits = ["proxy", "slave"].map(|name| folder.path().join(name));
    let asked = introspection(&issuer, folder.path());
    let issuers = Issuers::of(&issuer, &[&asked]);
    let setup = telling(issuers.setup(), &collector, &audits[0]);
    let proxy = setup.start_proxy().await;
    let fixture = Fixture::default();
    let setup = telling(Setup::slave("one", proxy.link), &collector, &audits[1]);
    let slave = fixture.serve(setup).start_slave().await;
    let token = key.token("e", &issuer.claims("ada", RESOURCE));
    let mut answers = Vec::new();
    for (name, token) in [("ada", token.as_str()), ("bob", OPAQUE)] {
        let client = client(proxy.http, token);
        wait::until("the tools", async || client.tool_names().await.contains(&"run".into()).then_some(()))
            .await;
        let done = client.call("run", run_args(name, 1)).await;
        assert_eq!(done.text(), format!("done {name}"));
        answers.push(format!("{done:?}"));
    }
    for bad in [format!("{token}x"), UNKNOWN.to_owned()] {
        let refused = show(proxy.http, &bad).await;
        assert_eq!(refused.0, 401);
        answers.push(format!("{refused:?}"));
    }
    let mut told = told(&proxy, &slave, [&audits[0], &audits[1]]).await;
    told.push(("the traces", spans(&collector, 2).await));
    told.push(("the answers", answers.concat()));
    let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("no JWT") };
    for (place, text) in &told {
        for word in [&signature[..40], &payload[..40], OPAQUE, UNKNOWN, CLIENT.1] {
            assert_eq!(canary::find(text, word), None, "{place}");
        }
    }
    let audit =
        |name: &str| told.iter().any(|(place, text)| place.contains("proxy's audit") && text.contains(name));
    assert!(audit("\"ada\"") && audit("\"bob\""), "who they were is said");
}
