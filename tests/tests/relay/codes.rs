//! Slave codes from a file: who may link and as what, and how a change of the file affects open links.

use std::path::PathBuf;
use std::time::SystemTime;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::plain::node_slave;
use harness::rawslave::{RawSlave, Received, dial};
use harness::relay::{Proxy, Setup};
use harness::wait;
use nix::sys::signal::Signal;
use protocol::link::handshake::{Auth, SlaveHello};
use serde_json::json;
use tempfile::TempDir;

struct Codes {
    _folder: TempDir,
    path: PathBuf,
}

impl Codes {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let codes = Self { path: folder.path().join("codes"), _folder: folder };
        codes.write(text);
        codes
    }

    fn write(&self, text: &str) {
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).unwrap();
    }

    fn setup(&self) -> Setup {
        Setup::proxy().env("SLAVE_CODES_FILE", self.path.to_str().unwrap())
    }
}

/// Writes the file and waits until the proxy has read it.
async fn rewrite(codes: &Codes, proxy: &Proxy, text: &str) {
    let before = proxy.log.len();
    codes.write(text);
    proxy.log.wait_for_after("SLAVE_CODES_FILE was read again", before).await;
}

/// The proxy's answer to a native slave with these labels.
async fn verdict(proxy: &Proxy, code: &str, labels: &[(&str, &str)]) -> String {
    let mut slave = dial(proxy.link).await;
    let hello = SlaveHello {
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..slave.hello("asking")
    };
    slave.text(serde_json::to_string(&Auth::new(code.into(), hello)).unwrap()).await;
    match slave.receive().await {
        Received::Text(reply) => reply,
        other => panic!("an answer, not {other:?}"),
    }
}

#[tokio::test]
async fn codes_of_variable_and_file_are_valid_together_and_within_their_times() {
    let codes = Codes::new(
        "codes:\n- filed\n- {code: over, not_after: 2020-01-01T00:00:00Z}\n- {code: early, not_before: 2100-01-01T00:00:00Z}\n\
         - sha256: '77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e'\n",
    );
    let proxy = codes.setup().env("SLAVE_CODES", "listed").start_proxy().await;
    for (code, expected) in [
        ("filed", "auth_success"),
        ("listed", "auth_success"),
        // The file holds the SHA-256 digest of this code.
        ("cat", "auth_success"),
        ("over", "Slave code expired at 2020-01-01T00:00:00Z"),
        ("early", "Slave code is not valid before 2100-01-01T00:00:00Z"),
        ("other", "Invalid slave code"),
    ] {
        let reply = verdict(&proxy, code, &[]).await;
        assert!(reply.contains(expected), "{code}: {reply}");
    }
    let scrape = Scrape::of(proxy.http).await;
    let failures = |reason: &str| scrape.sum("mcp_relay_link_auth_failures_total", &[reason]);
    assert!((failures("reason=\"code_expired\"") - 2.0).abs() < 0.1);
    assert!((failures("reason=\"invalid_code\"") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn labels_and_tools_are_those_that_the_code_allows() {
    let codes = Codes::new(
        "- {code: a, name: office, labels: {set: {platform: gitlab}, allow: {region: [eu]}}, tools: [echo, 'pay*']}\n",
    );
    let proxy = codes.setup().start_proxy().await;
    let slave = Setup::slave("two", proxy.link).env("SLAVE_CODE", "a");
    let _slave = slave.env("SLAVE_LABELS", "platform=github,region=eu,zone=1").start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.tool_names().await, ["echo", "payload"]);
    assert_eq!(client.call("sleep", json!({})).await.kind(), "unknown_tool");
    let line = proxy.log.wait_for("Slave authenticated successfully").await;
    assert!(line.contains("office") && line.contains("gitlab") && !line.contains("github"), "{line}");
    let ignored = proxy.log.wait_for("Slave announces more than its code allows").await;
    assert!(ignored.contains("zone") && !ignored.contains("region"), "{ignored}");
    let left_out = proxy.log.wait_for("they are left out").await;
    assert!(left_out.contains("sleep") && left_out.contains("fail"), "{left_out}");
    wait::until("the identity's link in the metrics", async || {
        let scrape = Scrape::of(proxy.http).await;
        let links = scrape.sum("mcp_relay_slave_code_links", &["code=\"office\""]);
        let left_out = scrape.sum("mcp_relay_slave_tools_left_out", &["reason=\"not_allowed\""]);
        (links > 0.9 && left_out > 1.9).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_removed_code_closes_its_link_and_an_added_one_works_at_once() {
    let codes = Codes::new("- {code: old-canary, name: office}\n- {code: other, name: lab}\n");
    let proxy = codes.setup().env("LINK_GRACE", "1").start_proxy().await;
    let setup = |name: &str, code: &str| Setup::slave(name, proxy.link).env("SLAVE_CODE", code);
    let fixture = Fixture::default();
    let slave = fixture.serve(setup("one", "old-canary")).start_slave().await;
    let _other = setup("two", "other").start_slave().await;
    proxy.offers("run").await;
    proxy.offers("echo").await;
    assert!(verdict(&proxy, "new", &[]).await.contains("Invalid slave code"));
    fixture.open_gate("x", 0);
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "run", run_args("x", 2))).await;
    fixture.wait_for("x", "start").await;
    codes.write("- {code: new, name: office}\n- {code: other, name: lab}\n");
    proxy.withdraws("run").await;
    slave.log.wait_for("its slave code was removed").await;
    // The slave may not reconnect for its call.
    assert_eq!(pending.finish().await.kind(), "outcome_unknown");
    slave.log.wait_for("the proxy does not accept SLAVE_CODE (Invalid slave code)").await;
    // Other links were not affected.
    assert_eq!(proxy.log.count("Active slave disconnected"), 1);
    assert!(verdict(&proxy, "new", &[]).await.contains("auth_success"));
    assert!(!proxy.log.text().contains("canary") && !slave.log.text().contains("canary"));
}

#[tokio::test]
async fn a_link_closes_when_its_code_expires() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let stamp = rfc3339(now + 6);
    let codes = Codes::new(&format!("- {{code: short, name: guest, not_after: '{stamp}'}}\n"));
    let proxy = codes.setup().start_proxy().await;
    let mut slave = RawSlave::link(proxy.link, "short", "guest", &["raw_tool"]).await;
    proxy.offers("raw_tool").await;
    proxy.log.wait_for("A slave code expires soon: ").await;
    assert_eq!(slave.close_code().await, Some(4002));
    proxy.withdraws("raw_tool").await;
    let text = Scrape::of(proxy.http).await;
    assert!(text.sum("mcp_relay_slave_code_expires_seconds", &["code=\"guest\""]) < 1.0);
}

/// Formats seconds since 1970 by RFC 3339.
fn rfc3339(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_renamed_code_costs_no_call() {
    let codes = Codes::new("- {code: a, name: before, tools: ['*']}\n");
    let proxy = codes.setup().start_proxy().await;
    let fixture = Fixture::default();
    let setup = Setup::slave("one", proxy.link).env("SLAVE_CODE", "a");
    let _slave = fixture.serve(setup).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("x", 0);
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "run", run_args("x", 2))).await;
    fixture.wait_for("x", "start").await;
    rewrite(&codes, &proxy, "- {code: a, name: after, labels: {set: {p: q}}, tools: [run]}\n").await;
    let line = proxy.log.wait_for("the link stays").await;
    assert!(line.contains("after") && line.contains('q'), "{line}");
    proxy.withdraws("environment").await;
    fixture.open_gate("x", 9);
    assert_eq!(pending.finish().await.text(), "done x");
    rewrite(&codes, &proxy, "- {code: a, name: after}\n").await;
    proxy.offers("environment").await;
    assert_eq!(proxy.log.count("Active slave disconnected"), 0);
    assert_eq!(proxy.log.count("Slave authenticated successfully"), 1);
}

#[tokio::test]
async fn a_bad_file_is_refused_at_start_and_kept_out_later() {
    let codes = Codes::new("# ours\none\n");
    let proxy = codes.setup().env("SLAVE_CODES", "").start_proxy().await;
    let _link = node_slave(proxy.link, "one").await.expect("a link");
    codes.write("- {code: canary-1, name: office}\n- {code: canary-1, nme: lab}\n");
    let line = proxy.log.wait_for("SLAVE_CODES_FILE cannot be used, the codes of before stay").await;
    assert!(line.contains("line 2") && !line.contains("canary"), "{line}");
    assert!(node_slave(proxy.link, "one").await.is_ok());
    let scrape = Scrape::of(proxy.http).await;
    let failed = scrape.sum("mcp_relay_config_reloads_total", &["file=\"codes\"", "outcome=\"failed\""]);
    assert!(failed > 0.9, "{}", scrape.text());
    let mut second = codes.setup().spawn();
    assert_eq!(second.exit(wait::TIMEOUT).await.code(), Some(64));
    let line = second.log.wait_for("SLAVE_CODES_FILE = ").await;
    assert!(line.contains("line 2") && !second.log.text().contains("canary"), "{}", second.log.text());
    // SIGHUP reads the file again even if it has not changed.
    let before = proxy.log.len();
    proxy.signal(Signal::SIGHUP);
    proxy.log.wait_for_after("the codes of before stay", before).await;
    rewrite(&codes, &proxy, "two\n").await;
    assert!(node_slave(proxy.link, "one").await.is_err() && node_slave(proxy.link, "two").await.is_ok());
}
