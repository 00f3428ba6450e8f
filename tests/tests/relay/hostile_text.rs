//! Texts of peers command no terminal: whatever a slave, a proxy, a client or a backend says, no subcommand, log, audit stream
//! or label has a character of it that moves the cursor, reorders text or hides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Output};

use harness::client::Client;
use harness::fixture::Fixture;
use harness::http::get;
use harness::plain::NodeProxy;
use harness::process::binary;
use harness::rawslave::{self, RawSlave};
use harness::relay::{CODE, Proxy, Setup};
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello};
use protocol::link::limits::DEFAULT_WINDOW;
use serde_json::{Value, json};

/// One character of each class, the sequences that clear a screen and set a title, and a forged line.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{7f}\u{8}\r\u{61c}\u{200f}\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}\nforged";

/// A tool's name: the proxy takes no name with control characters.
const TOOL: &str = "t\u{202e}ool\u{200b}\u{e0041}";

/// Whether a character commands a terminal, reorders text or hides; told apart from the shipped list of such characters.
fn is_hostile(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t' || HOSTILE.contains(c) && !c.is_ascii()
}

fn assert_clean(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(is_hostile));
    assert!(line.is_none(), "{what}: {line:?}");
    let forged = text.lines().find(|line| line.starts_with("forged"));
    assert!(forged.is_none(), "{what}: a peer added a line");
}

/// Runs a subcommand with exactly these variables.
async fn run(args: &[&str], env: &[(&str, String)]) -> Output {
    let mut command = Command::new(binary());
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").envs(env.iter().map(|(k, v)| (*k, v)));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Runs a subcommand and returns what it printed, which must be clean.
async fn printed(args: &[&str], env: &[(&str, String)]) -> String {
    let output = run(args, env).await;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_clean(&args.join(" "), &text);
    text
}

/// Runs a subcommand and returns what it printed, which must be clean and quote the peer.
async fn shown(args: &[&str], env: &[(&str, String)]) -> String {
    let text = printed(args, env).await;
    assert!(text.contains("202e"), "{args:?} quotes nothing: {text}");
    text
}

fn hello(slave: &RawSlave) -> SlaveHello {
    SlaveHello {
        name: PROTOCOL_NAME.into(),
        versions: vec![1],
        instance: slave.instance.to_string(),
        slave_name: "hostile".into(),
        labels: BTreeMap::from([(TOOL.into(), HOSTILE.into())]),
        window: DEFAULT_WINDOW,
        agent: HOSTILE.into(),
        ..SlaveHello::default()
    }
}

/// A slave that says hostile things in each place where it can say something, and answers calls with them.
async fn hostile_slave(link: SocketAddr) -> RawSlave {
    let mut slave = rawslave::dial(link).await;
    let hello = hello(&slave);
    slave.authenticate_as(CODE, hello).await;
    let mut tool = rawslave::definition(TOOL);
    tool["description"] = HOSTILE.into();
    let health = json!({ "state": "degraded", "reason": HOSTILE });
    slave.catalog(&json!({ "tools": [tool, rawslave::definition("fails")], "health": health })).await;
    slave
}

/// Answers calls until the link ends: `fails` with an error, all others with a text and a block of another type.
async fn answer(mut slave: RawSlave) {
    loop {
        let open = slave.receive_open().await;
        slave.accept(&open).await;
        if open.message["params"]["name"] == "fails" {
            let error =
                json!({ "code": -32000, "message": HOSTILE, "data": { "kind": HOSTILE, "advice": HOSTILE } });
            let payload = error.to_string().into_bytes().into();
            let frame = Frame { payload, flags: Flags::ERROR, ..Frame::bare(FrameKind::End, open.call, 0) };
            slave.send(frame).await;
        } else {
            let text = format!("{HOSTILE}\n");
            let blocks = json!([{ "type": "text", "text": text.replace("\nforged", "") }, { "type": "x", "x": HOSTILE }]);
            slave.end(open.call, 0, &json!({ "resultType": "complete", "content": blocks })).await;
        }
    }
}

async fn scene(format: &'static str, folder: &std::path::Path) -> (Proxy, tokio::task::JoinHandle<()>) {
    let audit = folder.join("audit.jsonl");
    let proxy = Setup::proxy()
        .env("UI", "1")
        .env("LOG_LEVEL", "debug")
        .env("LOG_FORMAT", format)
        .env("AUDIT_LOG", audit.to_str().unwrap())
        .env("AUDIT_PAYLOADS", "1")
        .start_proxy()
        .await;
    let slave = hostile_slave(proxy.link).await;
    proxy.offers("fails").await;
    (proxy, tokio::spawn(answer(slave)))
}

#[tokio::test]
async fn subcommands_that_ask_a_proxy_print_no_character_of_a_peer_that_commands_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, answering) = scene("text", folder.path()).await;
    let env = [("MCP_SERVER_PORT", proxy.http.port().to_string()), ("SLAVE_CODES", CODE.to_owned())];
    for era in ["modern", "legacy"] {
        shown(&["call", "--list", "--era", era], &env).await;
        shown(&["call", TOOL, "--era", era], &env).await;
        shown(&["call", "fails", "--era", era], &env).await;
    }
    shown(&["status"], &env).await;
    shown(&["routes", "explain", "--tool", TOOL], &env).await;
    // The doctor has nothing of a slave to say, as yet.
    let with_link_port = [&env[..], &[("PROXY_WS_PORT", "0".to_owned())]].concat();
    printed(&["doctor", "proxy"], &with_link_port).await;
    printed(&["doctor", "proxy", "--json"], &with_link_port).await;
    for args in [
        &["call", "--list", "--json"][..],
        &["call", TOOL, "--json"],
        &["status", "--json"],
        &["routes", "explain", "--tool", TOOL, "--json"],
    ] {
        let text = shown(args, &env).await;
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"));
        assert!(value.to_string().contains('\u{202e}'), "{args:?} keeps the values: {text}");
    }
    let raw = String::from_utf8(run(&["call", TOOL, "--raw"], &env).await.stdout).unwrap();
    assert!(raw.starts_with(&HOSTILE.replace("\nforged", "")), "--raw: {raw:?}");
    shown(&["call", "echo", TOOL], &env).await;
    answering.abort();
}

#[tokio::test]
async fn logs_streams_and_labels_of_a_proxy_have_no_such_character() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let (proxy, answering) = scene(format, folder.path()).await;
        let client = Client::modern(proxy.http);
        for tool in [TOOL, "fails"] {
            client.call(tool, json!({ "text": HOSTILE })).await;
        }
        // A name that no header can carry, so that only a legacy client can send it.
        Client::legacy(proxy.http).await.call(HOSTILE, json!({ "text": HOSTILE })).await;
        answering.abort();
        proxy.log.wait_for("slave disconnected").await;
        assert!(harness::plain::node_slave(proxy.link, HOSTILE).await.is_err());
        proxy.log.wait_for("Invalid slave code").await;
        for line in proxy.log.text().lines() {
            assert_clean(&format!("the log in {format}"), line);
        }
        assert!(proxy.log.text().contains("202e"), "the log quotes the slave");
        for path in ["/metrics", "/api/v1/status", "/api/v1/slaves", "/readyz"] {
            assert_clean(path, &get(proxy.http, path).await.1);
        }
        let metrics = get(proxy.http, "/metrics").await.1;
        assert!(metrics.contains("202e"), "labels quote the slave: {metrics}");
        let audit = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
        assert_clean("the audit stream", &audit);
        assert!(audit.contains("202e"), "{audit}");
    }
}

#[tokio::test]
async fn what_a_backend_says_commands_no_terminal_of_the_slave() {
    let proxy = Setup::proxy().start_proxy().await;
    let fixture = Fixture::default();
    let setup = Setup::slave("one", proxy.link).env("UI", "1").env("LOG_LEVEL", "debug");
    let slave = fixture.serve_with(setup, &[("FIXTURE_PREFIX", "\u{202e}\u{200b}")]).start_slave().await;
    proxy.offers("\u{202e}\u{200b}leak").await;
    let client = Client::modern(proxy.http);
    client.call("\u{202e}\u{200b}leak", json!({ "say": HOSTILE })).await.result();
    slave.log.wait_for("stderr: forged").await;
    client.call("\u{202e}\u{200b}die", json!({})).await;
    for line in slave.log.text().lines() {
        assert_clean("the log", line);
    }
    let env = [("MCP_SERVER_PORT", slave.http.port().to_string())];
    shown(&["status"], &env).await;
    shown(&["status", "--json"], &env).await;
    assert_clean("/metrics", &get(slave.http, "/metrics").await.1);
}

/// Runs the doctor of a slave against a proxy that sends this text after the slave's code, and then closes with a hostile reason.
async fn doctor_against(reply: String) -> String {
    let proxy = NodeProxy::start("no code at all").await;
    let env = [("PROXY_SERVER_URL", format!("ws://{}", proxy.address())), ("SLAVE_CODE", CODE.to_owned())];
    let env = [&env[..], &[("DEMO_TOOLS", "1".to_owned()), ("MCP_SERVER_PORT", "0".to_owned())]].concat();
    let (output, ()) =
        tokio::join!(run(&["doctor", "slave"], &env), proxy.say_to_next(&reply, HOSTILE.replace('\n', "")));
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[tokio::test]
async fn what_a_proxy_says_commands_no_terminal_of_the_doctor() {
    let hello = json!({ "name": PROTOCOL_NAME, "version": 1, "instance": "0000000000000001", "graceMs": 1, "window": DEFAULT_WINDOW, "agent": HOSTILE });
    let accepted = json!({ "type": "auth_success", "message": HOSTILE, "protocol": hello }).to_string();
    let refused = json!({ "type": "auth_failed", "message": HOSTILE }).to_string();
    for (reply, quotes) in [(accepted, true), (refused, false), (String::new(), true)] {
        let text = doctor_against(reply).await;
        assert_clean("doctor slave", &text);
        assert_eq!(text.contains("202e"), quotes, "{text}");
    }
}
