//! Audit by proven identity: lines name codes, keys and definitions by what was proved; and with `AUDIT_REQUIRED=1` no call runs
//! that cannot be written down.

use std::path::Path;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, definition};
use harness::relay::{CODE, Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

use crate::audit::{key_id, line, lines};

const KEY: &str = "key-of-a-client";

/// The id of a key or code as audit lines have it: 128 bits of its digest.
fn short_id(secret: &str) -> Value {
    key_id(secret)[..32].into()
}

/// A proxy with an audit stream, a named code `office-code` and an unnamed one, and one client's key.
async fn proxy_with_codes(folder: &Path) -> Proxy {
    let codes = folder.join("codes.yaml");
    std::fs::write(&codes, "- {code: office-code, name: office}\n").unwrap();
    Setup::proxy()
        .env("AUDIT_LOG", folder.join("audit.jsonl").to_str().unwrap())
        .env("SLAVE_CODES_FILE", codes.to_str().unwrap())
        .env("AUTH_BEARER_KEYS", KEY)
        .start_proxy()
        .await
}

async fn offers(client: &Client, tool: &str) {
    wait::until(tool, async || client.tool_names().await.iter().any(|name| name == tool).then_some(())).await;
}

fn client(proxy: &Proxy) -> Client {
    Client::modern(proxy.http).with_header("authorization", &format!("Bearer {KEY}"))
}

#[tokio::test]
async fn lines_name_codes_keys_and_definitions_by_proof() {
    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("audit.jsonl");
    let proxy = proxy_with_codes(folder.path()).await;
    let fixture = Fixture::default();
    // A slave says any name of itself; its code says who it is.
    let setup = Setup::slave("treasury", proxy.link).env("SLAVE_CODE", "office-code");
    let named = fixture.serve(setup).start_slave().await;
    let client = client(&proxy);
    offers(&client, "run").await;
    client.call("run", run_args("a", 0)).await.result();
    let call = line(&stream, "call", json!({ "tool": "run", "outcome": "ok" })).await;
    assert_eq!((&call["code"], &call["key_id"]), (&json!("office"), &short_id("office-code")), "{call}");
    assert_eq!(call["client_key_id"], short_id(KEY));
    let digest = call["definition"].as_str().unwrap();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{call}");
    let linked = line(&stream, "link", json!({ "outcome": "linked", "code": "office" })).await;
    assert_eq!(linked["key_id"], short_id("office-code"));
    drop(named);
    let closed = line(&stream, "link_closed", json!({ "code": "office" })).await;
    assert_eq!(closed["key_id"], short_id("office-code"));
    // Without a name, a code is its key id.
    let _unnamed = Setup::slave("treasury", proxy.link).start_slave().await;
    offers(&client, "echo").await;
    client.call("echo", json!({ "text": "x" })).await.result();
    let call = line(&stream, "call", json!({ "tool": "echo", "outcome": "ok" })).await;
    assert_eq!((&call["code"], &call["key_id"]), (&short_id(CODE), &short_id(CODE)), "{call}");
    let all = std::fs::read_to_string(&stream).unwrap();
    for secret in ["office-code", CODE, KEY] {
        assert!(!all.contains(secret), "{secret} is in the stream");
    }
}

#[tokio::test]
async fn changed_catalogs_reloads_and_operators_reads_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("audit.jsonl");
    let proxy = proxy_with_codes(folder.path()).await;
    let mut slave = RawSlave::link(proxy.link, CODE, "raw", &["one", "two"]).await;
    let first = line(&stream, "catalog", json!({ "slave": "raw", "tools": 2 })).await;
    assert_eq!((&first["added"], first.get("changed")), (&json!(["one", "two"]), None), "{first}");
    let mut changed = definition("one");
    changed["description"] = "another".into();
    slave.catalog(&json!({ "tools": [changed, definition("three")] })).await;
    let second = line(&stream, "catalog", json!({ "changed": ["one"] })).await;
    assert_eq!((&second["added"], &second["removed"]), (&json!(["three"]), &json!(["two"])), "{second}");
    assert_eq!(second["key_id"], short_id(CODE));
    std::fs::write(folder.path().join("codes.yaml"), "- {code: office-code, name: bureau}\n").unwrap();
    line(&stream, "config_reloaded", json!({ "file": "codes", "outcome": "ok" })).await;
    std::fs::write(folder.path().join("codes.yaml"), "- {code: [}\n").unwrap();
    line(&stream, "config_reloaded", json!({ "file": "codes", "outcome": "failed" })).await;
    for _ in 0..3 {
        let headers = [("authorization".to_owned(), format!("Bearer {KEY}"))];
        let ask = request(hyper::Method::GET, "/api/v1/status", &headers, Vec::new());
        Exchange::start(proxy.http, ask).await.rest().await;
    }
    let read = line(&stream, "api_read", json!({ "path": "/api/v1/status" })).await;
    assert_eq!((&read["key_id"], &read["peer"]), (&short_id(KEY), &json!("127.0.0.1")), "{read}");
    line(&stream, "audit_started", json!({ "required": false })).await;
    let reads = lines(&stream).iter().filter(|line| line["event"] == "api_read").count();
    assert_eq!(reads, 1, "a page that is read again and again has one line a minute");
}

fn required(setup: Setup, target: &str) -> Setup {
    setup.env("AUDIT_LOG", target).env("AUDIT_REQUIRED", "1")
}

/// Checks that no backend of the slave got a call.
async fn nothing_ran(slave: &Slave, fixture: &Fixture) {
    let ran = Scrape::of(slave.http).await.sum("mcp_relay_slave_calls_total", &["outcome=\"ok\""]);
    assert!(ran.abs() < 0.5, "{ran} calls ran");
    assert!(!fixture.folder().join("a.log").exists(), "the backend got a call");
}

#[tokio::test]
async fn calls_that_a_proxy_cannot_write_down_are_refused() {
    let proxy = required(Setup::proxy(), "/dev/full").start_proxy().await;
    let fixture = Fixture::default();
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
        let answer = client.call("run", run_args("a", 0)).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.error()["data"]["kind"], "audit_unavailable");
        // Whatever runs nothing goes on.
        assert!(client.tool_names().await.contains(&"run".to_owned()));
    }
    nothing_ran(&slave, &fixture).await;
}

#[tokio::test]
async fn calls_that_a_slave_cannot_write_down_are_refused() {
    let proxy = Setup::proxy().start_proxy().await;
    let fixture = Fixture::default();
    let setup = required(Setup::slave("one", proxy.link), "/dev/full");
    let slave = fixture.serve(setup).start_slave().await;
    proxy.offers("run").await;
    for address in [proxy.http, slave.http] {
        let answer = Client::modern(address).call("run", run_args("a", 0)).await;
        assert_eq!(answer.error()["data"]["kind"], "audit_unavailable", "{address}");
    }
    nothing_ran(&slave, &fixture).await;
}

#[tokio::test]
async fn calls_that_must_be_written_down_are_written_before_they_begin() {
    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("audit.jsonl");
    let proxy = required(Setup::proxy(), stream.to_str().unwrap()).start_proxy().await;
    let fixture = Fixture::default();
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("held", 0);
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "run", run_args("held", 1))).await;
    fixture.wait_for("held", "start").await;
    // The backend has the call, so the line is there: no waiting.
    let begun = lines(&stream).into_iter().find(|line| line["event"] == "call_begun");
    assert_eq!(
        begun.map(|line| (line["tool"].clone(), line["peer"].clone())),
        Some((json!("run"), json!("127.0.0.1")))
    );
    fixture.open_gate("held", 5);
    pending.finish().await;
    line(&stream, "call", json!({ "tool": "run", "outcome": "ok" })).await;
}
