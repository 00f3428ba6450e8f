//! The audit stream: connections, refusals and calls with client, tool, slave and outcome; payloads only where configured;
//! and no call fails because the stream cannot be written.

use std::path::{Path, PathBuf};

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::{Value, json};

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Waits for a line of this event with these members and returns the first one.
pub(crate) async fn line(path: &Path, event: &str, members: Value) -> Value {
    wait::until(&format!("{event} {members}"), async || {
        lines(path).into_iter().find(|line| {
            let wanted = members.as_object().unwrap();
            line["event"] == event && wanted.iter().all(|(name, value)| line[name] == *value)
        })
    })
    .await
}

struct Scene {
    proxy: Proxy,
    slave: Slave,
    fixture: Fixture,
    /// The streams of proxy and slave.
    streams: [PathBuf; 2],
}

/// A proxy that knows the key `first` as `ci`, and a slave, with their streams in files.
async fn scene(more: &[(&str, &str)]) -> Scene {
    let fixture = Fixture::default();
    let streams = ["proxy.jsonl", "slave.jsonl"].map(|name| fixture.folder().join(name));
    let routes = fixture.folder().join("routes.yaml");
    let id = key_id("first");
    std::fs::write(&routes, format!("clients:\n  ci: [{id}]\nrules: []\n")).unwrap();
    let both = |setup: Setup, stream: &Path| {
        let setup = setup.env("AUDIT_LOG", stream.to_str().unwrap());
        more.iter().fold(setup, |setup, (name, value)| setup.env(name, *value))
    };
    let setup =
        Setup::proxy().env("AUTH_BEARER_KEYS", "first,second").env("ROUTES", routes.to_str().unwrap());
    let proxy = both(setup, &streams[0]).start_proxy().await;
    let slave = fixture.serve(both(Setup::slave("one", proxy.link), &streams[1])).start_slave().await;
    let scene = Scene { proxy, slave, fixture, streams };
    let client = scene.client("first");
    wait::until("the tools", async || client.tool_names().await.contains(&"run".to_owned()).then_some(()))
        .await;
    scene
}

/// As `mcp-relay routes key-id` prints it.
pub(crate) fn key_id(key: &str) -> String {
    let mut child = std::process::Command::new(harness::process::binary())
        .args(["routes", "key-id"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Scene {
    fn client(&self, key: &str) -> Client {
        Client::modern(self.proxy.http).with_header("authorization", &format!("Bearer {key}"))
    }
}

#[tokio::test]
async fn calls_are_recorded_with_client_tool_slave_outcome_and_time() {
    let scene = scene(&[]).await;
    let [proxy, slave] = &scene.streams;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = McpRequest::tool(1, "run", run_args("said-in-a-call", 0))
        .meta("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    scene.client("first").request(ask).await.result();
    let entry =
        line(proxy, "call", json!({ "tool": "run", "client": "ci", "slave": "one", "outcome": "ok" })).await;
    assert_eq!((&entry["peer"], &entry["trace_id"]), (&json!("127.0.0.1"), &json!(trace)));
    assert_eq!(entry["service"], "PROXY");
    assert!(
        entry["duration_ms"].as_f64().unwrap() > 0.0 && entry["time"].as_str().unwrap().ends_with('Z'),
        "{entry}"
    );
    let id = &entry["request_id"];
    let same = line(slave, "call", json!({ "request_id": id, "tool": "run", "outcome": "ok" })).await;
    assert_eq!((&same["service"], &same["backend"]), (&json!("SLAVE"), &json!("fixture")));
    assert!(same["client"].as_str().unwrap().starts_with("proxy "), "{same}");
    // A key without a name, and calls that no slave takes.
    scene.client("second").call("made_up", json!({})).await;
    let refused = line(proxy, "call", json!({ "tool": "made_up", "outcome": "unknown_tool" })).await;
    assert!(
        refused["client"].as_str().unwrap().starts_with("key ") && refused.get("slave").is_none(),
        "{refused}"
    );
    // A call whose client disconnects.
    scene.fixture.open_gate("left", 0);
    let pending = scene.client("first").start(McpRequest::tool(2, "run", run_args("left", 1))).await;
    scene.fixture.wait_for("left", "start").await;
    drop(pending);
    line(proxy, "call", json!({ "slave": "one", "outcome": "cancelled" })).await;
    line(slave, "call", json!({ "backend": "fixture", "outcome": "cancelled" })).await;
    let all = format!("{:?}{:?}", lines(proxy), lines(slave));
    // A tool of the fixture has that name; a member has not.
    assert!(!all.contains("said-in-a-call") && !all.contains("\"arguments\":"), "{all}");
    assert!(!all.contains("\"first\"") && !all.contains("\"second\""), "{all}");
}

#[tokio::test]
async fn connections_and_refusals_are_recorded_with_their_peer() {
    let Scene { proxy, slave, streams, fixture: _fixture } = scene(&[("OPS_PORT", "0")]).await;
    let linked = line(&streams[0], "link", json!({ "outcome": "linked", "slave": "one" })).await;
    assert!(linked["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{linked}");
    assert_eq!(linked["dialect"], "native");
    let own = line(&streams[1], "link", json!({ "outcome": "linked" })).await;
    assert_eq!(own["address"], json!(proxy.link.to_string()));
    assert!(harness::plain::node_slave(proxy.link, "a-wrong-code").await.is_err());
    let refused = line(&streams[0], "link", json!({ "outcome": "refused", "reason": "invalid_code" })).await;
    assert!(refused["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{refused}");
    let stranger = Setup::slave("two", proxy.link).env("SLAVE_CODE", "another-wrong-code");
    let stream = streams[0].with_file_name("stranger.jsonl");
    let stranger = stranger.env("AUDIT_LOG", stream.to_str().unwrap()).spawn();
    line(&stream, "link", json!({ "outcome": "refused", "reason": "refused" })).await;
    drop(stranger);
    // Clients without a key, with a wrong key, from a foreign origin, and with an unknown session.
    let wrong = Client::modern(proxy.http).with_header("authorization", "Bearer a-wrong-key");
    assert_eq!(wrong.call("run", json!({})).await.status, 401);
    let entry = line(&streams[0], "request_refused", json!({ "reason": "unauthorized" })).await;
    assert_eq!(
        (&entry["peer"], &entry["method"], &entry["path"]),
        (&json!("127.0.0.1"), &json!("POST"), &json!("/mcp"))
    );
    let right = Client::modern(proxy.http).with_header("authorization", "Bearer first");
    right.with_header("origin", "https://evil.example").call("run", json!({})).await;
    line(&streams[0], "request_refused", json!({ "reason": "origin_forbidden" })).await;
    // The operators' port asks for the key as well.
    let listening = proxy.log.wait_for("Ops server listening on http://").await;
    let ops = listening.rsplit('/').next().unwrap().parse().unwrap();
    // Further refusals of one second are only counted: the next second has a line of its own again.
    wait::until("the refusal on the operators' port", async || {
        let request = http::request(hyper::Method::GET, "/metrics", &[], Vec::new());
        http::Exchange::start(ops, request).await.rest().await;
        let refused = |line: &Value| line["reason"] == "unauthorized" && line["path"] == "/metrics";
        lines(&streams[0]).iter().any(refused).then_some(())
    })
    .await;
    slave.signal(Signal::SIGTERM);
    let closed = line(&streams[0], "link_closed", json!({ "slave": "one" })).await;
    assert!(closed["duration_ms"].as_f64().is_some() && closed["reason"].is_string(), "{closed}");
    line(&streams[1], "link_closed", json!({ "reason": "closing" })).await;
    line(&streams[1], "audit_stopped", json!({})).await;
    let all = format!("{:?}{:?}{:?}", lines(&streams[0]), lines(&streams[1]), lines(&stream));
    assert!(!all.contains("wrong-code") && !all.contains("wrong-key"), "{all}");
}

#[tokio::test]
async fn payloads_are_recorded_only_if_configured_and_redacted() {
    let more = [("AUDIT_PAYLOADS", "1"), ("AUDIT_REDACT", "*token*"), ("AUDIT_REDACT_TEXT", "glpat-[a-z]+")];
    let scene = scene(&more).await;
    let arguments =
        json!({ "text": "clone with glpat-hush", "API_Token": "hush", "big": { "token": ["hush"] } });
    scene.client("first").call("arguments", arguments).await.result();
    let gone = "[redacted]";
    for stream in &scene.streams {
        let entry = line(stream, "call", json!({ "tool": "arguments" })).await;
        let expected =
            json!({ "text": format!("clone with {gone}"), "API_Token": gone, "big": { "token": gone } });
        assert_eq!(entry["arguments"], expected);
        assert!(entry["result"]["content"][0]["text"].as_str().unwrap().contains("clone with"), "{entry}");
        assert!(!entry.to_string().contains("hush"), "{entry}");
    }
    scene.client("first").call("arguments", json!({ "text": "x".repeat(100_000) })).await.result();
    let large = wait::until("a large call", async || {
        lines(&scene.streams[0]).into_iter().find(|line| line["arguments"]["bytes"].is_number())
    })
    .await;
    assert!(large["arguments"]["bytes"].as_u64().unwrap() > 100_000, "{large}");
    assert!(large["result"]["bytes"].as_u64().unwrap() > 100_000, "{large}");
    scene.client("first").call("die", json!({})).await;
    let failed = line(&scene.streams[0], "call", json!({ "tool": "die", "outcome": "backend_failed" })).await;
    assert!(failed["error"]["message"].is_string(), "{failed}");
}

#[tokio::test]
async fn a_file_that_was_moved_is_reopened_at_sighup() {
    let scene = scene(&[]).await;
    let stream = &scene.streams[0];
    let moved = stream.with_extension("1");
    line(stream, "link", json!({ "outcome": "linked" })).await;
    std::fs::rename(stream, &moved).unwrap();
    scene.client("first").call("run", run_args("a", 0)).await.result();
    line(&moved, "call", json!({ "tool": "run" })).await;
    scene.proxy.signal(Signal::SIGHUP);
    wait::until("the new file", async || stream.exists().then_some(())).await;
    scene.client("first").call("run", run_args("b", 0)).await.result();
    line(stream, "call", json!({ "tool": "run" })).await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(stream).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_full_disk_costs_no_call_and_is_counted() {
    let proxy = Setup::proxy().env("AUDIT_LOG", "/dev/full").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).env("AUDIT_LOG", "/dev/full").start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    for n in 0..5 {
        assert_eq!(client.call("echo", json!({ "text": n.to_string() })).await.text(), n.to_string());
    }
    wait::until("lost lines", async || {
        let failed = Scrape::of(proxy.http).await.sum("mcp_relay_audit_lines_total", &["outcome=\"failed\""]);
        (failed >= 7.0).then_some(())
    })
    .await;
    assert_eq!(proxy.log.count("Audit lines are lost, AUDIT_LOG cannot be written"), 1);
}

#[tokio::test]
async fn a_target_that_is_never_read_delays_neither_calls_nor_the_exit() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // The pipe is opened for reading, so that it can be opened for writing, and never read.
    let reader = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let setup = Setup::proxy().env("AUDIT_LOG", pipe.to_str().unwrap()).env("AUDIT_PAYLOADS", "1");
    let mut proxy = setup.start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    for _ in 0..20 {
        let text = "x".repeat(15_000);
        assert_eq!(client.call("echo", json!({ "text": text })).await.text(), text);
    }
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.exit(harness::wait::TIMEOUT).await.success());
    proxy.log.wait_for("The last audit lines could not be written within 2 s").await;
    drop(reader);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_at_all_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/audit.jsonl");
    let mut proxy = Setup::proxy().env("AUDIT_LOG", path.to_str().unwrap()).spawn();
    assert_eq!(proxy.exit(harness::wait::TIMEOUT).await.code(), Some(64));
    let line = proxy.log.wait_for("AUDIT_LOG").await;
    assert!(line.contains("a file in an existing folder"), "{line}");
}
