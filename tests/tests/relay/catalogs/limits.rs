//! Limits of one code: links, bytes, tools, changes, labels.

use std::path::PathBuf;

use futures_util::future::join_all;
use harness::client::Client;
use harness::metrics::Scrape;
use harness::plain::node_slave;
use harness::rawslave::{RawSlave, Received, definition, dial};
use harness::relay::{Proxy, Setup};
use harness::wait;
use protocol::link::handshake::Auth;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A proxy with a code `mallory` that has these limits (YAML), and a code `witness` with the default ones.
pub(super) async fn proxy(limits: &str) -> (Proxy, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("codes.yaml");
    let codes = format!(
        "codes:\n- {{code: code-of-mallory, name: mallory, limits: {limits}}}\n- {{code: code-of-the-witness, name: witness}}\n"
    );
    std::fs::write(&file, codes).unwrap();
    let setup = Setup::proxy().env("SLAVE_CODES_FILE", file.to_str().unwrap());
    let setup = setup.env("AUDIT_LOG", "stdout").env("HANDSHAKE_RATE", "0");
    // A busy machine must not be taken for a dead peer.
    let setup = setup.env("LINK_PING_TIMEOUT_MS", "60000");
    (setup.start_proxy().await, dir)
}

/// A linked slave with the code `mallory` that has sent nothing yet.
pub(super) async fn mallory(proxy: &Proxy, name: &str) -> RawSlave {
    let mut slave = dial(proxy.link).await;
    slave.authenticate("code-of-mallory", name).await;
    slave
}

/// Presents the code `mallory`. Returns the code of the close frame that the proxy sends instead of an answer, or `None`.
async fn refused(proxy: &Proxy) -> Option<u16> {
    let mut slave = dial(proxy.link).await;
    let auth = Auth::new("code-of-mallory".into(), slave.hello("mallory-again"));
    slave.text(serde_json::to_string(&auth).unwrap()).await;
    match slave.receive().await {
        Received::Closed(code) => code,
        Received::Text(_) | Received::Frame(_) => None,
    }
}

fn part(backend: &str, items: &[Value]) -> Value {
    json!({ "backend": backend, "lists": { "tools": { "items": items } } })
}

fn state() -> Value {
    json!({ "slave": { "complete": true } })
}

#[tokio::test]
async fn a_code_has_its_links_and_no_more() {
    let (proxy, _dir) = proxy("{links: 2}").await;
    let first = mallory(&proxy, "mallory-1").await;
    let _second = mallory(&proxy, "mallory-2").await;
    assert_eq!(refused(&proxy).await, Some(1013));
    proxy.log.wait_for("2 slaves are connected with this code already").await;
    proxy.log.wait_for(r#""reason":"code_full""#).await;
    let _witness = RawSlave::link(proxy.link, "code-of-the-witness", "witness", &["seen"]).await;
    proxy.offers("seen").await;
    drop(first);
    wait::until("a place to come free", async || (refused(&proxy).await != Some(1013)).then_some(())).await;
}

#[tokio::test]
async fn a_list_beyond_the_limits_is_left_out_and_the_link_and_the_other_lists_stay() {
    let (proxy, _dir) = proxy("{tools: 10, catalog_bytes: 100000}").await;
    let mut slave = mallory(&proxy, "mallory").await;
    slave.part(&part("small", &[definition("small_tool")])).await;
    let many: Vec<Value> = (0..10).map(|n| definition(&format!("tool_{n}"))).collect();
    slave.part(&part("many", &many)).await;
    slave.part(&state()).await;
    proxy.offers("small_tool").await;
    proxy.log.wait_for("limits.tools").await;
    proxy.log.wait_for(r#""event":"catalog_refused""#).await;
    assert_eq!(Client::modern(proxy.http).tool_names().await, ["small_tool"]);
    // A part that cannot fit is skipped while it comes.
    let long = json!({ "name": "long_tool", "description": "x".repeat(400_000) });
    slave.part(&part("small", &[long])).await;
    proxy.withdraws("small_tool").await;
    proxy.log.wait_for("limits.catalog_bytes").await;
    slave.part(&part("small", &[definition("small_again")])).await;
    slave.part(&part("many", &[definition("fewer")])).await;
    proxy.offers("small_again").await;
    proxy.offers("fewer").await;
    wait::until("the slave to be ready", async || {
        let metrics = Scrape::of(proxy.http).await;
        (metrics.sum("mcp_relay_slave_state", &[r#"slave="mallory""#, r#"state="ready""#]) > 0.0)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_endless_tool_list_of_a_plain_slave_ends_in_bounded_memory() {
    let (proxy, _dir) = proxy("{}").await;
    let _witness = RawSlave::link(proxy.link, "code-of-the-witness", "witness", &["seen"]).await;
    proxy.offers("seen").await;
    let before = proxy.resident();
    let mut link = node_slave(proxy.link, "code-of-mallory").await.unwrap();
    let page =
        json!({ "tools": [{ "name": "t", "description": "x".repeat(1 << 20) }], "nextCursor": "more" });
    let mut pages = 0;
    loop {
        let request = wait::within("a request or silence", wait::TIMEOUT, async {
            tokio::select! {
                request = link.request() => Some(request),
                _ = proxy.log.wait_for("limits.catalog_bytes") => None,
            }
        })
        .await;
        let Some(request) = request else { break };
        if request["method"] == "tools/list" {
            pages += 1;
            assert!(pages < 10, "pages of 1 MiB beyond 4 MiB");
            link.answer(&request, page.clone()).await;
        } else {
            link.answer(&request, json!({})).await;
        }
    }
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 48 << 20, "the proxy grew by {grown} bytes");
    assert_eq!(Client::modern(proxy.http).tool_names().await, ["seen"]);
}

#[tokio::test]
async fn names_that_one_code_invents_do_not_use_up_the_labels_of_another() {
    let (proxy, _dir) = proxy("{links: 1000}").await;
    let tools: Vec<Value> = (0..1500).map(|n| definition(&format!("invented_{n}"))).collect();
    let mut slave = mallory(&proxy, "mallory").await;
    slave.part(&part("b", &tools)).await;
    slave.part(&state()).await;
    proxy.offers("invented_1499").await;
    for batch in 0..12 {
        let names: Vec<String> = (0..50).map(|n| format!("mallory-{}", batch * 50 + n)).collect();
        drop(join_all(names.iter().map(|name| mallory(&proxy, name))).await);
    }
    let mut witness = RawSlave::link(proxy.link, "code-of-the-witness", "witness", &["seen"]).await;
    proxy.offers("seen").await;
    let client = Client::modern(proxy.http);
    let mut call = client.start(harness::client::McpRequest::tool(1, "seen", json!({}))).await;
    let opened = witness.receive_open().await;
    witness.end(opened.call, 0, &harness::rawslave::text_result("yes")).await;
    assert_eq!(call.finish().await.text(), "yes");
    wait::until("the witness's own series", async || {
        let metrics = Scrape::of(proxy.http).await;
        let tool = metrics.sum("mcp_relay_forwards_total", &[r#"tool="seen""#]);
        let slave = metrics.sum("mcp_relay_link_connects_total", &[r#"slave="witness""#]);
        (tool > 0.0 && slave > 0.0).then_some(())
    })
    .await;
    let other = Scrape::of(proxy.http).await.sum("mcp_relay_link_connects_total", &[r#"slave="other""#]);
    assert!(other > 0.0, "names beyond the share are counted together");
}
