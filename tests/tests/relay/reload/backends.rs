//! Changes of `SLAVE_BACKENDS`: unchanged backends continue, and calls of changed ones run to their end.

use std::path::{Path, PathBuf};

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A file of backends that is replaced by a rename, as editors and config maps do.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(servers: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self { path: folder.path().join("backends.json"), _folder: folder };
        file.write(&json!({ "mcpServers": servers }).to_string());
        file
    }

    fn write(&self, text: &str) {
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).unwrap();
    }

    /// Writes the file and waits until the slave uses it.
    async fn change(&self, slave: &Slave, servers: &Value) -> String {
        let before = slave.log.len();
        self.write(&json!({ "mcpServers": servers }).to_string());
        slave.log.wait_for_after("Backends read again from", before).await
    }

    async fn scene(&self) -> (Proxy, Slave) {
        let proxy = Setup::proxy().start_proxy().await;
        let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", self.path.to_str().unwrap());
        let slave = setup.start_slave().await;
        (proxy, slave)
    }
}

fn named(fixture: &Fixture, prefix: &str) -> Value {
    fixture.entry(&[("FIXTURE_PREFIX", prefix)])
}

/// Starts a call that waits at its gate.
async fn start_gated(client: &Client, fixture: &Fixture, tool: &str, key: &str) -> Pending {
    fixture.open_gate(key, 0);
    let call = client.start(McpRequest::tool(1, tool, run_args(key, 2)).progress(1)).await;
    fixture.wait_for(key, "start").await;
    call
}

async fn ended(pid: i32) {
    wait::until("the process to be gone", async || {
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_what_the_file_says_anew_changes_and_no_call_is_lost() {
    let (kept, changed, added) = (Fixture::default(), Fixture::default(), Fixture::default());
    let file = File::new(&json!({ "kept": named(&kept, "kept_"), "changed": named(&changed, "old_") }));
    let (proxy, slave) = file.scene().await;
    proxy.offers("kept_run").await;
    proxy.offers("old_run").await;
    let client = Client::modern(proxy.http);
    let mut through = start_gated(&client, &kept, "kept_run", "k").await;
    let mut old = start_gated(&client, &changed, "old_run", "o").await;
    let first = changed.pids()[0];

    let servers = json!({
        "changed": named(&changed, "new_"), "kept": named(&kept, "kept_"), "added": named(&added, "added_"),
    });
    let line = file.change(&slave, &servers).await;
    assert!(line.contains("1 added, 1 changed, 0 removed, 1 unchanged"), "{line}");
    proxy.offers("new_run").await;
    proxy.offers("added_run").await;
    proxy.withdraws("old_run").await;
    let names = Client::modern(slave.http).tool_names().await;
    let position = |tool: &str| names.iter().position(|name| name == tool);
    assert!(position("new_run") < position("kept_run"), "the file's order: {names:?}");
    assert_eq!(client.call("new_run", run_args("n", 0)).await.text(), "done n");
    assert!(Path::new(&format!("/proc/{first}")).exists(), "its call still runs");
    changed.open_gate("o", 9);
    assert_eq!(old.finish().await.text(), "done o");
    ended(first).await;

    let mut last = start_gated(&client, &added, "added_run", "a").await;
    let line = file.change(&slave, &json!({ "kept": named(&kept, "kept_") })).await;
    assert!(line.contains("0 added, 0 changed, 2 removed, 1 unchanged"), "{line}");
    proxy.withdraws("added_run").await;
    proxy.withdraws("new_run").await;
    assert_eq!(client.call("added_run", run_args("late", 0)).await.kind(), "unknown_tool");
    added.open_gate("a", 9);
    assert_eq!(last.finish().await.text(), "done a");
    ended(added.pids()[0]).await;
    ended(changed.pids()[1]).await;
    kept.open_gate("k", 9);
    assert_eq!(through.finish().await.text(), "done k");
    assert_eq!(kept.pids().len(), 1, "what did not change was not touched");
    let scrape = Scrape::of(slave.http).await;
    let read = scrape.sum("mcp_relay_slave_config_reloads_total", &["file=\"backends\"", "outcome=\"ok\""]);
    assert!((read - 2.0).abs() < 0.1, "{read}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_explained() {
    let fixture = Fixture::default();
    let file = File::new(&json!({ "one": named(&fixture, "") }));
    let (proxy, slave) = file.scene().await;
    proxy.offers("run").await;
    file.write(r#"{"mcpServers":{"one":{"args":"canary-1"},"two":{"command":"c","env":{"P":8}},"two":{"command":"canary-2","args":1}}}"#);
    let line = slave.log.wait_for("the backends of before stay").await;
    for part in [
        r#""one", member "command""#,
        r#""one", member "args""#,
        r#"member "env.P""#,
        r#""two" appears twice"#,
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let before = slave.log.len();
    file.write("{\"mcpServers\":\n{\"one\":canary-3}}");
    let line = slave.log.wait_for_after("the backends of before stay", before).await;
    assert!(line.contains("line 2"), "{line}");
    // SIGHUP reads the file again even if it has not changed.
    let before = slave.log.len();
    slave.signal(Signal::SIGHUP);
    slave.log.wait_for_after("the backends of before stay", before).await;
    let before = slave.log.len();
    std::fs::remove_file(&file.path).unwrap();
    let line = slave.log.wait_for_after("the backends of before stay", before).await;
    assert!(line.ends_with("cannot be read: no such file or directory"), "{line}");
    assert!(!slave.log.text().contains("canary"), "no value is shown");
    assert_eq!(Client::modern(proxy.http).call("run", run_args("x", 0)).await.text(), "done x");
    let scrape = Scrape::of(slave.http).await;
    let failed = scrape.sum("mcp_relay_slave_config_reloads_total", &["outcome=\"failed\""]);
    assert!((failed - 4.0).abs() < 0.1, "{failed}");
    file.change(&slave, &json!({ "one": named(&fixture, "") })).await;
    let before = slave.log.len();
    slave.signal(Signal::SIGHUP);
    let line = slave.log.wait_for_after("Backends read again from", before).await;
    assert!(line.contains("0 added, 0 changed, 0 removed, 1 unchanged"), "{line}");
    assert_eq!(fixture.pids().len(), 1);
}

#[tokio::test]
async fn an_entry_that_cannot_be_used_leaves_its_old_server_and_the_others_running() {
    let (one, two, three) = (Fixture::default(), Fixture::default(), Fixture::default());
    let file = File::new(&json!({ "one": named(&one, "one_"), "two": named(&two, "two_") }));
    let (proxy, slave) = file.scene().await;
    proxy.offers("one_run").await;
    proxy.offers("two_run").await;
    let mut bad = named(&one, "one_");
    bad["args"] = "canary".into();
    let servers = json!({ "one": bad, "two": named(&two, "two_"), "three": named(&three, "three_") });
    let line = file.change(&slave, &servers).await;
    assert!(line.contains("1 added, 0 changed, 0 removed, 2 unchanged"), "{line}");
    slave.log.wait_for("entry \"one\", member \"args\"").await;
    proxy.offers("three_run").await;
    let client = Client::modern(proxy.http);
    for tool in ["one_run", "two_run", "three_run"] {
        assert_eq!(client.call(tool, run_args("x", 0)).await.text(), "done x");
    }
    assert_eq!((one.pids().len(), two.pids().len()), (1, 1));
    let refused = Scrape::of(slave.http).await.sum("mcp_relay_slave_backends_refused", &[]);
    assert!((refused - 1.0).abs() < 0.1, "{refused}");
    assert!(!slave.log.text().contains("canary"), "no value is shown");
}

#[tokio::test]
async fn a_new_entry_that_cannot_start_leaves_the_old_one_working() {
    let fixture = Fixture::default();
    let file = File::new(&json!({ "one": named(&fixture, "") }));
    let (proxy, slave) = file.scene().await;
    proxy.offers("run").await;
    file.change(&slave, &json!({ "one": { "command": "/no/such/command" } })).await;
    slave.log.wait_for("is not found").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.call("run", run_args("x", 0)).await.text(), "done x");
    assert_eq!(fixture.pids().len(), 1);
    // Another change while the first has never worked: the newest one is used.
    file.change(&slave, &json!({ "one": named(&fixture, "mended_") })).await;
    proxy.offers("mended_run").await;
    proxy.withdraws("run").await;
    ended(fixture.pids()[0]).await;
    // A backend that does not run is replaced at once.
    let line =
        file.change(&slave, &json!({ "one": named(&fixture, "mended_"), "two": { "command": "/no" } })).await;
    assert!(line.contains("1 added, 0 changed, 0 removed, 1 unchanged"), "{line}");
    slave.log.wait_for("backend failed").await;
    let two = Fixture::default();
    file.change(&slave, &json!({ "one": named(&fixture, "mended_"), "two": named(&two, "two_") })).await;
    proxy.offers("two_run").await;
    assert_eq!((fixture.pids().len(), two.pids().len()), (2, 1));
}

#[tokio::test]
async fn the_standalone_server_follows_its_file_too() {
    let fixture = Fixture::default();
    let file = File::new(&json!({}));
    let setup = Setup::bare("standalone").env("MCP_SERVER_PORT", "0");
    let slave = setup.env("SLAVE_BACKENDS", file.path.to_str().unwrap()).start_slave().await;
    let client = Client::modern(slave.http);
    assert!(client.tool_names().await.is_empty());
    file.change(&slave, &json!({ "one": named(&fixture, "") })).await;
    wait::until("the added tool", async || {
        client.tool_names().await.contains(&"run".to_owned()).then_some(())
    })
    .await;
    assert_eq!(client.call("run", run_args("x", 0)).await.text(), "done x");
    file.change(&slave, &json!({ "one": { "command": "x", "disabled": true } })).await;
    assert!(client.tool_names().await.is_empty());
    ended(fixture.pids()[0]).await;
}
