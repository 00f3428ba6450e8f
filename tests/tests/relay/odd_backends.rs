//! Stdio backends whose lines are no strict JSON-RPC, that start late, start again, or have an entry like those of other programs: what
//! clients get.

use std::time::Duration;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

/// Far less than a call's timeout, which is what a call took that was never answered.
const AT_ONCE: Duration = Duration::from_secs(30);

async fn scene(fixture: &Fixture, env: &[(&str, &str)]) -> (Proxy, Slave) {
    let proxy = Setup::proxy().start_proxy().await;
    let mut setup = fixture.serve(Setup::slave("one", proxy.link));
    for (name, value) in env {
        setup = setup.env(name, *value);
    }
    let slave = setup.start_slave().await;
    proxy.offers("raw").await;
    (proxy, slave)
}

fn raw(lines: &[&str]) -> McpRequest {
    McpRequest::tool(1, "raw", json!({ "lines": lines }))
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_call_at_once_and_no_other() {
    let fixture = Fixture::default();
    let (proxy, slave) = scene(&fixture, &[]).await;
    let clients = [Client::modern(proxy.http), Client::legacy(proxy.http).await, Client::modern(slave.http)];
    fixture.open_gate("other", 0);
    let mut other = clients[0].start(McpRequest::tool(9, "run", run_args("other", 0))).await;
    fixture.wait_for("other", "start").await;
    for (line, kind) in [
        (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[],"secret-text":NaN}}"#, "not_a_number"),
        (
            r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"secret-text$ff"}]}}"#,
            "not_utf8",
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[],\"x\":\"secret-text\u{2}\"}}",
            "control_character",
        ),
        (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"secret-text"#, "truncated"),
        (r#"{"jsonrpc":"2.0","id":$id,"id":$id,"result":{"content":[]}}"#, "duplicate_member"),
    ] {
        for client in &clients {
            let answer = wait::within(line, AT_ONCE, client.request(raw(&[line]))).await;
            assert_eq!(answer.kind(), "bad_answer", "{line}: {:?}", answer.messages);
            assert!(!answer.error().to_string().contains("secret-text"), "no excerpt: {}", answer.error());
        }
        let label = format!("kind=\"{kind}\"");
        let counted = Scrape::of(slave.http).await;
        let counted =
            counted.sum("mcp_relay_slave_backend_odd_lines_total", &[&label, "backend=\"fixture\""]);
        assert!((counted - 3.0).abs() < 0.1, "{kind}: {counted}");
        let warned =
            slave.log.text().lines().filter(|log| log.contains(kind) && log.contains("WARN")).count();
        assert_eq!(warned, 1, "one line a minute of each kind: {kind}");
    }
    let text = r#"{"jsonrpc":"2.0","id":"$id","result":{"content":[{"type":"text","text":"taken"}]}}"#;
    let batch = format!("\u{feff}[{text}]");
    for line in [text, &batch] {
        for client in &clients {
            assert_eq!(client.request(raw(&[line])).await.text(), "taken", "{line}");
        }
    }
    fixture.open_gate("other", 9);
    assert_eq!(other.finish().await.text(), "done other");
    assert_eq!(fixture.pids().len(), 1);
}

#[tokio::test]
async fn a_line_beyond_the_limit_fails_its_own_call_and_the_backend_goes_on() {
    let fixture = Fixture::default();
    let (proxy, _slave) = scene(&fixture, &[("MAX_OUTPUT_BYTES", "65536")]).await;
    let client = Client::modern(proxy.http);
    fixture.open_gate("other", 0);
    let mut other = client.start(McpRequest::tool(9, "run", run_args("other", 0))).await;
    fixture.wait_for("other", "start").await;
    for line in [
        r#"{"jsonrpc":"2.0","id":$id,"result":{"content":["$long"]}}"#,
        r#"{"result":{"content":["$long"]},"id":$id,"jsonrpc":"2.0","more":"$long"}"#,
    ] {
        let answer = wait::within(line, AT_ONCE, client.request(raw(&[line]))).await;
        assert_eq!(answer.kind(), "result_too_large", "{:?}", answer.messages);
    }
    // What names no call is skipped, since it may be either one's.
    let answer = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"next"}]}}"#;
    let lines = [r#"{"result":{"content":["$long"]},"jsonrpc":"2.0"}"#, "$long", answer];
    assert_eq!(client.request(raw(&lines)).await.text(), "next");
    fixture.open_gate("other", 9);
    assert_eq!(other.finish().await.text(), "done other");
    assert_eq!(fixture.pids().len(), 1);
}

#[tokio::test]
async fn calls_wait_for_a_backend_that_starts_and_for_one_that_is_started_again() {
    let fixture = Fixture::default();
    fixture.open_gate("process", 0);
    let proxy = Setup::proxy().start_proxy().await;
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.accepted(1).await;
    let clients = [Client::modern(proxy.http), Client::legacy(proxy.http).await, Client::modern(slave.http)];
    let mut early = Vec::new();
    for client in &clients {
        early.push(client.start(McpRequest::tool(1, "run", run_args("early", 0))).await);
    }
    fixture.open_gate("process", 1);
    for call in &mut early {
        assert_eq!(call.finish().await.text(), "done early");
    }
    for client in &clients {
        assert_eq!(client.call("die", json!({})).await.kind(), "backend_failed");
        assert!(client.tool_names().await.contains(&"run".to_owned()), "it stays listed");
        assert_eq!(client.call("run", run_args("again", 0)).await.text(), "done again");
    }
    assert_eq!(clients[0].call("no_such_tool", json!({})).await.kind(), "unknown_tool");
}

#[tokio::test]
async fn a_backend_that_does_not_come_back_is_named_with_advice_and_another_slave_is_preferred() {
    let fixture = Fixture::default();
    let (proxy, slave) = scene(&fixture, &[("BACKEND_WAIT", "0.2")]).await;
    let client = Client::modern(proxy.http);
    fixture.open_gate("process", 0);
    assert_eq!(client.call("die", json!({})).await.kind(), "backend_failed");
    let answer = client.call("run", run_args("down", 0)).await;
    assert_eq!((answer.kind(), &answer.error()["data"]["retryAfter"]), ("backend_failed", &json!(5)));
    assert!(client.tool_names().await.contains(&"run".to_owned()));
    let other = Fixture::default();
    let _other = other.serve(Setup::slave("two", proxy.link)).start_slave().await;
    wait::until("calls to go to the other slave", async || {
        let answer = client.call("run", run_args("elsewhere", 0)).await;
        answer.response().get("result").map(|_| ())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(client.call("run", run_args("elsewhere", 0)).await.text(), "done elsewhere");
    }
    drop(slave);
}

#[tokio::test]
async fn a_backend_that_hangs_on_discovery_comes_up_with_initialize() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = fixture.serve_with(Setup::slave("one", proxy.link), &[("FIXTURE_HANGS", "1")]);
    let slave = setup.env("BACKEND_START_TIMEOUT", "3600").start_slave().await;
    slave.log.wait_for("BACKEND_START_TIMEOUT").await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.call("run", run_args("x", 0)).await.text(), "done x");
    assert_eq!(fixture.pids().len(), 2);
}

fn write(fixture: &Fixture, text: &str) -> String {
    let path = fixture.folder().join("backends.json");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_file_of_another_program_is_taken_and_a_bad_entry_stops_no_other_one() {
    let fixture = Fixture::default();
    let mut entry = fixture.entry(&[]);
    for (member, value) in
        [("alwaysAllow", json!(["*"])), ("unheard", json!("hush-hush")), ("concurrency", json!(1))]
    {
        entry[member] = value;
    }
    let off: Value = json!({ "type": "http", "url": "http://127.0.0.1:1", "disabled": true });
    let text = format!(
        "\u{feff}{{ // as an editor has it\n\"inputs\": [], /* none */\n\"servers\": {{ \"good\": {entry}, \"off\": {off},\n\"bad\": {{ \"command\": 7 }}, }},\n}}"
    );
    let path = write(&fixture, &text);
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", &path).env("DEMO_TOOLS", "0");
    let slave = setup.start_slave().await;
    proxy.offers("run").await;
    assert_eq!(Client::modern(proxy.http).call("run", run_args("x", 0)).await.text(), "done x");
    slave.log.wait_for("entry \"bad\", member \"command\"").await;
    slave.log.wait_for("member \"unheard\" has no effect").await;
    assert!(!slave.log.text().contains("hush-hush") && !slave.log.text().contains("alwaysAllow"));
    let mut strict = setup.env("SLAVE_STRICT", "1").spawn();
    assert_eq!(strict.exit(wait::TIMEOUT).await.code(), Some(64));
    assert!(strict.log.text().contains("entry \"bad\", member \"command\""), "{}", strict.log.text());
}

#[tokio::test]
async fn each_kind_of_entry_that_cannot_be_used_stops_a_strict_slave_and_no_other() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let bad = [
        json!({}),
        json!({ "command": "" }),
        json!({ "command": "x", "args": "y" }),
        json!({ "command": "x", "env": { "A": 1 } }),
        json!({ "command": "x", "args": ["${NOT_SET_ANYWHERE}"] }),
        json!({ "command": "x", "sessions": "each" }),
        json!({ "command": "x", "concurrency": -1 }),
        json!({ "command": "x", "confine": { "net": 7 } }),
        json!({ "command": "x", "tools": { "alow": [] } }),
        json!({ "command": "x", "prefix": "a\n" }),
        json!({ "type": "carrier-pigeon", "url": "http://127.0.0.1:1" }),
        json!({ "url": "ftp://127.0.0.1" }),
        json!({ "url": "http://127.0.0.1:1", "headers": { "Host": "x" } }),
        json!({ "url": "https://127.0.0.1:1", "tls": { "ca": "/nowhere" } }),
    ];
    let mut servers = json!({ "good": fixture.entry(&[]) });
    for (number, entry) in bad.iter().enumerate() {
        let alone = json!({ "good": fixture.entry(&[]), "bad": entry });
        let path = write(&fixture, &json!({ "mcpServers": alone }).to_string());
        let setup = Setup::slave("strict", proxy.link).env("SLAVE_BACKENDS", &path).env("SLAVE_STRICT", "1");
        let mut strict = setup.spawn();
        assert_eq!(strict.exit(wait::TIMEOUT).await.code(), Some(64), "{entry}: {}", strict.log.text());
        let text = strict.log.text().replace("\\\"", "\"");
        assert!(text.contains("entry \"bad\""), "{entry}: {text}");
        servers[format!("bad{number}")] = entry.clone();
    }
    let path = write(&fixture, &json!({ "mcpServers": servers }).to_string());
    let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", &path).env("DEMO_TOOLS", "0");
    let slave = setup.start_slave().await;
    proxy.offers("run").await;
    assert_eq!(Client::modern(proxy.http).call("run", run_args("x", 0)).await.text(), "done x");
    for number in 0..bad.len() {
        slave.log.wait_for(&format!("entry \"bad{number}\"")).await;
    }
}
