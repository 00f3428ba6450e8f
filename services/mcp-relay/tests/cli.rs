//! The binary from the outside: command line, exit codes, doctor, health check and demo. Knows nothing of the services.

#[path = "cli/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use serde_json::json;
use server::Server;

const CODE: &str = "code-that-must-not-be-shown";

/// Runs the binary to its end with exactly these variables.
fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-relay"));
    command.args(args).env_clear().envs(env.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn proxy_env<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut env = vec![
        ("PROXY_MODE", "1"),
        ("SLAVE_CODES", CODE),
        ("MCP_SERVER_PORT", "0"),
        ("PROXY_WS_HOST", "127.0.0.1"),
        ("PROXY_WS_PORT", "0"),
    ];
    env.extend_from_slice(more);
    env
}

fn slave_env<'a>(url: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("PROXY_SLAVE", "1"),
        ("SLAVE_CODE", code),
        ("PROXY_SERVER_URL", url),
        ("MCP_SERVER_PORT", "0"),
        ("DEMO_TOOLS", "1"),
    ]
}

#[test]
fn help_goes_out_and_a_wrong_command_line_is_64() {
    for args in [&["--help"][..], &["proxy", "--help"], &["slave", "-h"], &["--version"], &["--env-help"]] {
        let output = run(args, &[]);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
    for args in [&["bogus"][..], &["proxy", "--port", "1"], &["doctor", "both"]] {
        let output = run(args, &[]);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn every_mode_names_all_problems_and_ends_with_64() {
    let bad = [
        ("MCP_SERVER_PORT", "x"),
        ("LOG_LEVEL", "loud"),
        ("SESSION_KEY", "hush"),
        ("SLAVE_CODE", "hush,hush"),
    ];
    let proxy: &[&str] = &["MCP_SERVER_PORT", "LOG_LEVEL", "SESSION_KEY"];
    let slave: &[&str] = &["MCP_SERVER_PORT", "LOG_LEVEL", "SESSION_KEY", "SLAVE_CODE", "PROXY_SERVER_URL"];
    let by_mode: [(&[&str], &[(&str, &str)], &[&str]); 5] = [
        (&["proxy"], &[], proxy),
        (&["slave"], &[], slave),
        (&[], &[("PROXY_MODE", "1")], proxy),
        (&[], &[("PROXY_SLAVE", "1")], slave),
        (&[], &[], proxy),
    ];
    for (args, mode, expected) in by_mode {
        let output = run(args, &[&bad[..], mode].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?} {mode:?}: {error}");
        for name in expected {
            assert!(
                error.contains(&format!("\n  {name} ")),
                "{args:?} {mode:?} does not name {name}: {error}"
            );
        }
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn a_backends_file_that_cannot_be_used_is_64() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{").unwrap();
    let output = run(&[], &[("MCP_SERVER_PORT", "0"), ("SLAVE_BACKENDS", file.path().to_str().unwrap())]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("SLAVE_BACKENDS"), "{error}");
}

#[test]
fn a_port_in_use_is_1_and_names_the_variable_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, other) in [("MCP_SERVER_PORT", "PROXY_WS_PORT"), ("PROXY_WS_PORT", "MCP_SERVER_PORT")] {
        let output = run(&["proxy"], &[("PROXY_WS_HOST", "127.0.0.1"), (variable, &port), (other, "0")]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&format!("set {variable} to another port")), "{error}");
    }
}

#[test]
fn log_lines_can_be_json_and_hold_no_secret() {
    let key = "key-that-must-not-be-shown-key-that-must-not-be-shown";
    let env = proxy_env(&[
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL", "trace"),
        ("SESSION_KEY", key),
        ("AUTH_BEARER_KEYS", key),
    ]);
    let mut proxy = Server::start(&[], &env);
    proxy.wait_for("MCP server listening on http://");
    proxy.interrupt();
    assert_eq!(proxy.wait(), Some(0));
    let lines = proxy.lines();
    for line in &lines {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(object["message"].is_string() && object["service"] == "PROXY", "{line}");
    }
    let all = lines.join("\n");
    assert!(!all.contains("must-not-be-shown"), "{all}");
}

#[test]
fn the_doctor_finds_a_working_pair_well_and_disturbs_it_not() {
    let mut proxy = Server::start(&[], &proxy_env(&[("SLAVE_MODE", "single")]));
    let url = format!("ws://{}", proxy.address("WebSocket server listening on ws://"));
    let http = proxy.address("MCP server listening on http://");
    let mut slave = Server::start(&[], &slave_env(&url, CODE));
    slave.wait_for("Authentication successful");

    let output = run(&["doctor"], &slave_env(&url, CODE));
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
    for step in ["✓ TCP", "✓ WebSocket", "✓ slave code", "✓ tools", "All good."] {
        assert!(report.contains(step), "{step} is missing:\n{report}");
    }
    assert!(!report.contains(CODE), "{report}");

    let port = http.rsplit_once(':').unwrap().1;
    let output = run(&["doctor", "proxy"], &[("MCP_SERVER_PORT", port), ("SLAVE_CODES", CODE)]);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.contains("✓ slaves: 1 connected"), "{report}");
    proxy.wait_for("Slave code accepted for a probe");
    // The slave says goodbye in its own time only: it was not replaced by the probe.
    slave.interrupt();
    assert_eq!(slave.wait(), Some(0));
    assert!(!slave.lines().join("\n").contains("attempting to reconnect"), "{:?}", slave.lines());
}

#[test]
fn the_doctor_says_what_to_fix() {
    let mut proxy = Server::start(&[], &proxy_env(&[]));
    let url = format!("ws://{}", proxy.address("WebSocket server listening on ws://"));
    let http = format!("ws://{}", proxy.address("MCP server listening on http://"));
    let plain = [("PROXY_SERVER_URL", url.as_str())];
    let cases: [(Vec<(&str, &str)>, &str, &str); 4] = [
        (slave_env(&url, "another-code"), "slave code", "SLAVE_CODES"),
        (slave_env(&http, CODE), "WebSocket", "PROXY_WS_PORT"),
        (slave_env("ws://127.0.0.1:1", CODE), "TCP", "start the proxy"),
        (plain.to_vec(), "configuration", "SLAVE_CODE"),
    ];
    for (env, step, fix) in cases {
        let output = run(&["doctor", "slave", "--json"], &env);
        assert_eq!(output.status.code(), Some(1), "{step}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let bad = |s: &&serde_json::Value| s["step"] == step && s["state"] == "bad";
        let found = report["steps"].as_array().unwrap().iter().find(bad);
        let shown = format!("{} {}", found.unwrap()["text"], found.unwrap()["fix"]);
        assert!(shown.contains(fix), "{step}: {report}");
        assert!(report["ok"] == false && !report.to_string().contains("another-code"), "{report}");
    }
    let report = text(&run(&["doctor", "proxy"], &[]).stdout);
    assert!(report.contains("✗ slave codes"), "{report}");
}

#[test]
fn the_health_check_follows_the_server() {
    let mut server = Server::start(&[], &[("MCP_SERVER_PORT", "0"), ("DEMO_TOOLS", "1")]);
    let address = server.address("MCP server listening on http://");
    let port = address.rsplit_once(':').unwrap().1;
    assert_eq!(run(&["health"], &[("MCP_SERVER_PORT", port)]).status.code(), Some(0));
    server.interrupt();
    assert_eq!(server.wait(), Some(0));
    let output = run(&["health"], &[("MCP_SERVER_PORT", port)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("MCP_SERVER_PORT"));
}

/// A call of `sleep`, in tenths of a second, that has begun: the connection that the rest of its answer comes on.
fn begun_sleep(address: &str, tenths: u32) -> TcpStream {
    let arguments = json!({ "seconds": f64::from(tenths) / 10.0, "steps": tenths });
    let call = json!({ "name": "sleep", "arguments": arguments, "_meta": { "progressToken": 1 } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut read = Vec::new();
    while !text(&read).contains("notifications/progress") {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).unwrap();
        assert_ne!(count, 0, "{}", text(&read));
        read.extend_from_slice(&some[..count]);
    }
    stream
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one_and_a_later_one_ends_the_grace() {
    let env = [("MCP_SERVER_PORT", "0"), ("DEMO_TOOLS", "1")];
    let mut server = Server::start(&[], &env);
    let address = server.address("MCP server listening on http://");
    let mut answer = begun_sleep(&address, 10);
    server.interrupt();
    server.interrupt();
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    assert!(text.contains("slept 1 s in 10 steps"), "{text}");
    assert_eq!(server.wait(), Some(0));

    let mut server = Server::start(&[], &env);
    let address = server.address("MCP server listening on http://");
    let _answer = begun_sleep(&address, 6000);
    server.interrupt_until_it_ends();
    assert_eq!(server.wait(), Some(0));
}

/// `host:port` of the demo's proxy, from its output.
fn demo_proxy(output: &str) -> String {
    let rest = output.split_once("MCP clients on http://").unwrap().1;
    rest.split_once('/').unwrap().0.to_owned()
}

#[test]
fn the_demo_shows_every_step_and_leaves_nothing_behind() {
    let output = run(&["demo"], &[("MCP_SERVER_PORT", "not a port: the demo does not care")]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{}", text(&output.stderr));
    let mut rest = shown.as_str();
    for phrase in [
        "1. Start",
        "2. tools/list",
        "echo",
        "3. A call",
        "slave-",
        "4. ",
        "progress",
        "5. ",
        "is killed",
        "outcome_unknown",
        "6. ",
        "7. ",
        "mcp_relay_",
        " -> ",
        "Done",
    ] {
        let (_, after) =
            rest.split_once(phrase).unwrap_or_else(|| panic!("{phrase:?} is missing or late:\n{shown}"));
        rest = after;
    }
    assert!(TcpStream::connect(demo_proxy(&shown)).is_err(), "the demo's proxy still runs");
}

#[test]
fn an_interrupted_demo_takes_its_processes_along() {
    let mut demo = Server::start_on_stdout(&["demo"], &[]);
    let proxy = demo_proxy(&demo.wait_for("MCP clients on http://"));
    demo.wait_for("4. A call with live progress");
    assert!(TcpStream::connect(&proxy).is_ok(), "the demo's proxy does not run");
    demo.interrupt();
    assert_eq!(demo.wait(), Some(1));
    assert!(TcpStream::connect(&proxy).is_err(), "the demo's proxy still runs");
}
