//! Changes of `SLAVE_CODE_FILE`: links are renewed without an effect on calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup};
use harness::wait;
use serde_json::json;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(codes: &str, code: &str) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write("codes", codes);
        files.write("code", code);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, self.path(name))).unwrap();
    }

    fn proxy(&self) -> Setup {
        let setup = Setup::proxy().env("SLAVE_CODES", "");
        setup.env("SLAVE_CODES_FILE", self.path("codes").to_str().unwrap())
    }

    fn slave(&self, proxy: &Proxy) -> Setup {
        let setup = Setup::slave("one", proxy.link).env("SLAVE_CODE", "");
        setup.env("SLAVE_CODE_FILE", self.path("code").to_str().unwrap())
    }
}

/// Two codes of one name are one identity: a slave that changes from one to the other keeps its calls.
const BOTH: &str = "- {code: old-canary, name: office}\n- {code: new-canary, name: office}\n";
const NEW: &str = "- {code: new-canary, name: office}\n";

#[tokio::test]
async fn links_are_renewed_with_a_changed_code_and_no_call_notices() {
    let files = Files::new(BOTH, " old-canary\n");
    let (first, second) = (files.proxy().start_proxy().await, files.proxy().start_proxy().await);
    let fixture = Fixture::default();
    let both = format!("ws://{},ws://{}", first.link, second.link);
    let setup = fixture.serve(files.slave(&first)).env("DEMO_TOOLS", "1").env("PROXY_SERVER_URL", both);
    let slave = setup.start_slave().await;
    for proxy in [&first, &second] {
        proxy.offers("run").await;
        proxy.offers("echo").await;
    }
    let client = Client::modern(first.http);
    fixture.open_gate("x", 1);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("x", 2)).progress(1)).await;
    pending.next().await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let steady = tokio::spawn({
        let (over, client) = (Arc::clone(&over), client.clone());
        async move {
            let mut calls = 0;
            while !over.load(Ordering::Relaxed) {
                let call = client.call("echo", json!({ "text": "x" }));
                assert_eq!(wait::within("an echo", wait::TIMEOUT, call).await.text(), "x");
                calls += 1;
            }
            calls
        }
    });
    files.write("code", "new-canary");
    for proxy in [&first, &second] {
        proxy.accepted(2).await;
        wait::until("the renewed link to be the only one", async || {
            let scrape = Scrape::of(proxy.http).await;
            let links = scrape.sum("mcp_relay_slave_code_links", &["code=\"office\""]);
            ((links - 1.0).abs() < 0.1).then_some(())
        })
        .await;
    }
    wait::until("both links renewed", async || {
        (slave.log.count("Link renewed with the changed code") == 2).then_some(())
    })
    .await;
    // The old code can be removed without an effect.
    for (proxy, before) in [(&first, first.log.len()), (&second, second.log.len())] {
        files.write("codes", NEW);
        proxy.log.wait_for_after("SLAVE_CODES_FILE was read again", before).await;
    }
    over.store(true, Ordering::Relaxed);
    assert!(steady.await.unwrap() > 0);
    fixture.open_gate("x", 9);
    assert_eq!(pending.finish().await.text(), "done x");
    assert_eq!(fixture.log("x"), ["start", "end"]);
    assert_eq!((first.log.count("authenticated"), second.log.count("authenticated")), (2, 2));
    let links = Scrape::of(slave.http).await.sum("mcp_relay_slave_links", &[]);
    assert!((links - 2.0).abs() < 0.1, "{links}");
    for log in [&first.log, &second.log, &slave.log] {
        assert!(!log.text().contains("canary"));
    }
}

#[tokio::test]
async fn a_code_that_was_withdrawn_first_costs_the_time_until_the_new_one_is_there() {
    let files = Files::new("- {code: old-canary, name: office}\n", "old-canary");
    let proxy = files.proxy().start_proxy().await;
    let fixture = Fixture::default();
    let slave = fixture.serve(files.slave(&proxy)).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("x", 0);
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "run", run_args("x", 2))).await;
    fixture.wait_for("x", "start").await;
    files.write("codes", NEW);
    slave.log.wait_for("the proxy does not accept SLAVE_CODE").await;
    // An invalid file does not replace the code.
    files.write("code", "new-canary\nsecond\n");
    let line = slave.log.wait_for("the code of before stays").await;
    assert!(line.contains("several lines"), "{line}");
    let before = slave.log.len();
    std::fs::remove_file(files.path("code")).unwrap();
    let line = slave.log.wait_for_after("the code of before stays", before).await;
    assert!(line.ends_with("expected a readable file (no such file or directory)"), "{line}");
    files.write("code", "new-canary\n");
    proxy.accepted(2).await;
    fixture.open_gate("x", 9);
    assert_eq!(pending.finish().await.text(), "done x");
    assert_eq!(fixture.log("x"), ["start", "end"]);
    let scrape = Scrape::of(slave.http).await;
    let read =
        |outcome: &str| scrape.sum("mcp_relay_slave_config_reloads_total", &["file=\"code\"", outcome]);
    assert!((read("outcome=\"ok\"") - 1.0).abs() < 0.1 && (read("outcome=\"failed\"") - 2.0).abs() < 0.1);
    assert!(!slave.log.text().contains("canary"));
}

#[tokio::test]
async fn doctor_reads_the_code_from_its_file() {
    let files = Files::new(BOTH, "old-canary");
    let proxy = files.proxy().start_proxy().await;
    let mut doctor = files.slave(&proxy).args(&["doctor", "slave"]).spawn();
    doctor.exit(wait::TIMEOUT).await;
    proxy.log.wait_for("Slave code accepted for a probe").await;
    files.write("code", "");
    let mut doctor = files.slave(&proxy).args(&["doctor", "slave"]).spawn();
    assert!(!doctor.exit(wait::TIMEOUT).await.success());
    doctor.log.wait_for("SLAVE_CODE_FILE").await;
    doctor.log.wait_for("this one is empty").await;
}
