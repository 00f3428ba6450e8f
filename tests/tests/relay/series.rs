//! The exported series of a running proxy and slave are exactly those of docs/METRICS.md.

use std::collections::BTreeMap;

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::metrics::Scrape;
use harness::relay::{Setup, pair};
use serde_json::json;

/// One row of the document.
struct Row {
    kind: String,
    /// Names of labels, with all their values where those are known.
    labels: Vec<(String, Vec<String>)>,
    /// Whether the series appears only with its first event.
    late: bool,
}

/// The rows of the chapters whose titles begin with one of these.
fn documented(chapters: &[&str]) -> BTreeMap<String, Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/METRICS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let chapters =
        text.split("\n## ").filter(|chapter| chapters.iter().any(|title| chapter.starts_with(title)));
    let rows = chapters.flat_map(str::lines).filter(|line| line.starts_with("| `"));
    rows.map(row).collect()
}

fn row(line: &str) -> (String, Row) {
    let cells: Vec<&str> = line.splitn(6, '|').map(str::trim).collect();
    let label = |text: &str| {
        let mut names = text.split('`').skip(1).step_by(2).map(str::to_owned);
        (names.next().unwrap(), names.collect())
    };
    let labels = cells[3].split("; ").filter(|text| !text.is_empty()).map(label).collect();
    let kind = cells[2].split(',').next().unwrap().to_owned();
    (cells[1].trim_matches('`').to_owned(), Row { kind, labels, late: line.contains("Absent until") })
}

/// Labels of a sample of this series, by name; `None` for a line of another series.
fn labels_of<'a>(line: &'a str, name: &str) -> Option<BTreeMap<&'a str, &'a str>> {
    let rest = line.strip_prefix(name)?;
    let rest = ["_bucket", "_sum", "_count"].iter().find_map(|part| rest.strip_prefix(part)).unwrap_or(rest);
    let inside = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once('}')?.0,
        None => return rest.starts_with(' ').then(BTreeMap::new),
    };
    let pairs = inside.split("\",").filter_map(|pair| pair.split_once("=\""));
    Some(pairs.map(|(name, value)| (name, value.trim_end_matches('"'))).collect())
}

fn check(scrape: &Scrape, rows: &BTreeMap<String, Row>) {
    for line in scrape.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = rows.get(name).unwrap_or_else(|| panic!("docs/METRICS.md has no {name} there"));
        assert_eq!(row.kind, kind, "{name}");
    }
    for (name, row) in rows {
        let samples: Vec<_> = scrape.text().lines().filter_map(|line| labels_of(line, name)).collect();
        let known = row.labels.iter().all(|(_, values)| !values.is_empty());
        assert!(row.late || !known || !samples.is_empty(), "{name} is not there from the start");
        for sample in samples {
            for (label, value) in sample.iter().filter(|(label, _)| **label != "le") {
                let declared = row.labels.iter().find(|(declared, _)| declared == label);
                let (_, values) = declared.unwrap_or_else(|| panic!("{name} has no label {label} there"));
                let fits = value.is_empty() || values.is_empty() || values.iter().any(|one| one == value);
                assert!(fits, "{name}: {label} has no value {value} there");
            }
        }
    }
}

#[tokio::test]
async fn what_is_exported_is_what_is_documented() {
    let (proxy, slave) = pair().await;
    let client = Client::modern(proxy.http);
    client.call("echo", json!({ "text": "x" })).await.result();
    client.call("no-such-tool", json!({})).await.error();
    check(&Scrape::of(proxy.http).await, &documented(&["Proxy", "Audit", "Traces", "Every"]));
    check(&Scrape::of(slave.http).await, &documented(&["Slave", "Audit", "Traces", "Every"]));
}

#[tokio::test]
async fn refused_calls_and_the_conventions_durations_are_counted() {
    let (proxy, slave) = pair().await;
    let client = Client::modern(proxy.http);
    client.call("echo", json!({ "text": "x" })).await.result();
    client.call("fail", json!({ "message": "x" })).await.result();
    client.call("no-such-tool", json!({})).await.error();
    Client::modern(slave.http).call("echo", json!({ "text": "x" })).await.result();
    let (proxy, slave) = (Scrape::of(proxy.http).await, Scrape::of(slave.http).await);
    let operations = "mcp_server_operation_duration_seconds_count";
    let rows: [(&Scrape, &str, &[&str]); 6] = [
        (&proxy, "mcp_relay_calls_refused_total", &["tool=\"\"", "kind=\"unknown_tool\""]),
        (
            &proxy,
            operations,
            &[
                "mcp_method_name=\"tools/call\"",
                "gen_ai_tool_name=\"echo\"",
                "error_type=\"\"",
                "=\"2026-07-28\"",
            ],
        ),
        (&proxy, operations, &["gen_ai_tool_name=\"fail\"", "error_type=\"tool_error\""]),
        (&proxy, operations, &["gen_ai_tool_name=\"\"", "rpc_response_status_code=\"-32602\""]),
        (&proxy, "mcp_relay_link_calls_total", &["outcome=\"tool_error\""]),
        (&slave, operations, &["gen_ai_tool_name=\"echo\"", "network_transport=\"tcp\""]),
    ];
    for (scrape, name, labels) in rows {
        let found = scrape.sum(name, labels);
        assert!((found - 1.0).abs() < 0.1, "{name} {labels:?}: {found}\n{}", scrape.text());
    }
}

#[tokio::test]
async fn what_a_slave_asks_its_backends_is_timed_by_the_conventions() {
    let (proxy, fixture) = (Setup::proxy().start_proxy().await, Fixture::default());
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("environment").await;
    Client::modern(proxy.http).call("environment", json!({})).await.result();
    let scrape = Scrape::of(slave.http).await;
    let counted = |labels: &[&str]| scrape.sum("mcp_client_operation_duration_seconds_count", labels);
    // A legacy server, which answers with an error.
    for (method, error) in
        [("server/discover", "-32601"), ("initialize", ""), ("tools/list", ""), ("tools/call", "")]
    {
        let labels = [
            format!("mcp_method_name=\"{method}\""),
            format!("error_type=\"{error}\""),
            "=\"pipe\"".to_owned(),
        ];
        let found = counted(&labels.each_ref().map(String::as_str));
        assert!((found - 1.0).abs() < 0.1, "{labels:?}: {found}\n{}", scrape.text());
    }
}

#[tokio::test]
async fn programs_of_clients_are_counted_by_known_names_only() {
    let proxy = Setup::proxy().start_proxy().await;
    let before = Scrape::of(proxy.http).await;
    let count = |scrape: &Scrape, labels: &[&str]| scrape.sum("mcp_relay_client_introductions_total", labels);
    assert!(count(&before, &[]).abs() < 0.1, "{}", before.text());
    // This client is named mcp-relay-tests.
    Client::legacy_on(proxy.http, "/mcp", "2025-06-18").await;
    let modern = Client::modern(proxy.http);
    modern.tool_names().await;
    for (name, calls) in [("name-canary", 2), ("another-canary", 1), ("Visual Studio Code", 1)] {
        for _ in 0..calls {
            let info = json!({ "name": name, "version": "1" });
            let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
            Client::uninitialized(proxy.http)
                .speaking("2025-11-25")
                .request(McpRequest::new(1, "initialize", params))
                .await
                .result();
        }
    }
    let scrape = Scrape::of(proxy.http).await;
    for (labels, expected) in [
        (&["client=\"mcp-relay\"", "=\"2025-06-18\""][..], 1.0),
        (&["client=\"mcp-relay\"", "=\"2026-07-28\""], 1.0),
        (&["client=\"other\"", "=\"2025-11-25\""], 3.0),
        (&["client=\"vscode\""], 1.0),
    ] {
        let found = count(&scrape, labels);
        assert!((found - expected).abs() < 0.1, "{labels:?}: {found}\n{}", scrape.text());
    }
    assert!(!scrape.text().contains("canary"), "a client makes no series");
}
