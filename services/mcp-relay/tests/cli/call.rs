//! Tests of `mcp-relay call` against real servers: output and exit codes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{CODE, proxy_env, run, slave_env, text};
use crate::server::Server;

/// Longest wait until a caller has made calls.
const TIMEOUT: Duration = Duration::from_secs(30);

const KEY: &str = "key-that-must-not-be-shown";

/// A standalone server with the demo tools, and its port.
fn standalone(more: &[(&str, &str)]) -> (Server, String) {
    let env = [&[("MCP_SERVER_PORT", "0"), ("DEMO_TOOLS", "1")], more].concat();
    let mut server = Server::start(&[], &env);
    let address = server.address("MCP server listening on http://");
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    (server, port)
}

#[test]
fn a_call_prints_its_result_in_both_eras() {
    let (_server, port) = standalone(&[]);
    let env = [("MCP_SERVER_PORT", port.as_str())];
    for era in ["modern", "legacy"] {
        let output = run(&["call", "echo", "--arguments", r#"{"text":"hello"}"#, "--era", era], &env);
        assert_eq!(output.status.code(), Some(0), "{era}: {}", text(&output.stderr));
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("hello\n".into(), String::new()), "{era}");

        let arguments = r#"{"seconds":0.02,"steps":2}"#;
        let output = run(&["call", "sleep", "--arguments", arguments, "--era", era], &env);
        assert_eq!(text(&output.stdout), "slept 0.02 s in 2 steps\n", "{era}");
        assert!(text(&output.stderr).starts_with("progress 1 of 2"), "{era}: {}", text(&output.stderr));

        let listed = text(&run(&["call", "--list", "--era", era], &env).stdout);
        assert!(listed.contains("echo     Answers with the text it was given."), "{era}: {listed}");
    }
    let many = ["call", "echo", "--arguments", r#"{"text":"x"}"#, "--during", "0.3", "--parallel", "3"];
    let output = run(&many, &env);
    let output_text = text(&output.stdout);
    assert!(
        output_text.ends_with(" calls answered, 0 failed\n") && !output_text.starts_with("0 "),
        "{output_text}"
    );
    let output = run(&["call", "echo", "--arguments", r#"{"text":"hello"}"#, "--json"], &env);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["content"][0]["text"], "hello");
}

#[test]
fn failures_of_tools_have_an_exit_code_of_their_own() {
    let (_server, port) = standalone(&[("AUTH_BEARER_KEYS", KEY)]);
    let address = format!("http://127.0.0.1:{port}");
    let url = ["--url", address.as_str()];
    let keyed = [("MINE", KEY)];
    let mine = ["--key-env", "MINE"];

    let failing = ["call", "fail", "--arguments", r#"{"message":"no luck"}"#];
    let output = run(&[&failing[..], &url, &mine].concat(), &keyed);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), "no luck\n".into()));

    let timed = ["call", "sleep", "--arguments", r#"{"seconds":600}"#, "--timeout", "0.2"];
    for (args, env, word) in [
        ([&["call", "nothing"][..], &url, &mine].concat(), &keyed[..], "unknown_tool"),
        ([&["call", "echo"][..], &url].concat(), &[], "AUTH_BEARER_KEYS"),
        (vec!["call", "echo", "--url", "http://127.0.0.1:1"], &[], "no connection to http://127.0.0.1:1/mcp"),
        ([&timed[..], &url, &mine].concat(), &keyed, "--timeout"),
        ([&timed[..], &["--era", "legacy"], &url, &mine].concat(), &keyed, "--timeout"),
    ] {
        let output = run(&args, env);
        let output_text = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output_text}");
        assert!(output_text.contains(word) && output.stdout.is_empty(), "{args:?}: {output_text}");
        assert!(!output_text.contains(KEY), "{output_text}");
    }
    for args in [&["call"][..], &["call", "--list", "echo"], &["call", "echo", "--arguments", "[]"]] {
        assert_eq!(run(args, &[]).status.code(), Some(64), "{args:?}");
    }
}

#[test]
fn a_call_waits_for_a_server_and_goes_the_whole_way_with_a_slave_of_its_own() {
    let mut proxy = Server::start(&[], &proxy_env(&[("AUTH_BEARER_KEYS", KEY)]));
    let link = format!("ws://{}", proxy.address("WebSocket server listening on ws://"));
    let address = format!("http://{}", proxy.address("MCP server listening on http://"));
    let args = ["call", "test.probe", "--arguments", r#"{"text":"all the way"}"#, "--url", &address];
    let env = [&slave_env(&link, CODE)[..], &[("AUTH_BEARER_KEYS", KEY), ("SLAVE_NAME", "probe")]].concat();

    for era in ["modern", "legacy"] {
        let output = run(&[&args[..], &["--with-slave", "--era", era]].concat(), &env);
        let output_text = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(0), "all the way\n".into()),
            "{output_text}"
        );
        assert!(!output_text.contains(CODE) && !output_text.contains(KEY), "{output_text}");
        // The slave drained before it left, so the proxy does not wait for its return.
        proxy.wait_for("closed by the slave after its drain");
    }
    let output = run(&[&args[..], &["--wait", "0.6"]].concat(), &env);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("waiting: "), "{}", text(&output.stderr));
}

#[test]
fn repeated_calls_end_at_a_signal_with_the_count() {
    let (_server, port) = standalone(&[]);
    let env = [("MCP_SERVER_PORT", port.as_str())];
    let args = ["call", "echo", "--arguments", r#"{"text":"x"}"#, "--during", "3600", "--parallel", "8"];
    for _ in 0..5 {
        let before = calls_of(&port);
        let mut caller = Server::start_on_stdout(&args, &env);
        let deadline = Instant::now() + TIMEOUT;
        while calls_of(&port) < before + 20 {
            assert!(Instant::now() < deadline, "nothing is called");
        }
        caller.interrupt();
        assert_eq!(caller.wait(), Some(0));
        let output_text = caller.lines().join("\n");
        assert!(output_text.ends_with("calls answered, 0 failed"), "{output_text}");
    }
}

/// Number of calls that the server has counted.
fn calls_of(port: &str) -> u64 {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let lines = page.lines().filter(|line| line.starts_with("mcp_relay_slave_calls_total{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_list_without_tools_says_why_and_can_wait_for_the_first_one() {
    let mut proxy = Server::start(&[], &proxy_env(&[]));
    let slaves = format!("ws://{}", proxy.address("WebSocket server listening on ws://"));
    let url = format!("http://{}", proxy.address("MCP server listening on http://"));
    for (format, printed) in [(&[][..], ""), (&["--json"], "[]\n")] {
        let empty = run(&[&["call", "--list", "--url", &url], format].concat(), &[]);
        assert_eq!((empty.status.code(), text(&empty.stdout).as_str()), (Some(0), printed));
        assert!(text(&empty.stderr).starts_with("no tool is listed: no slave or backend is ready yet"));
    }
    let mut waiting = Server::start(&["call", "--list", "--url", &url, "--wait", "60"], &[]);
    waiting.wait_for("waiting: no tool is listed yet");
    let _slave = Server::start(&[], &slave_env(&slaves, CODE));
    assert_eq!(waiting.wait(), Some(0), "{:?}", waiting.lines());
    assert!(!waiting.lines().join("\n").contains("no slave or backend is ready"), "{:?}", waiting.lines());
}
