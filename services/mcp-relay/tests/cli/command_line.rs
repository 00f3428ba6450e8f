//! Tests of command lines, variables and exit codes.

use super::{proxy_env, run, text};
use crate::server::Server;

/// A variable and its value.
type Pair<'a> = (&'a str, &'a str);

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
        ("PROXY_SERVER_URL", "nowhere"),
    ];
    let proxy: &[&str] = &["MCP_SERVER_PORT", "LOG_LEVEL", "SESSION_KEY"];
    let slave: &[&str] = &["MCP_SERVER_PORT", "LOG_LEVEL", "SESSION_KEY", "SLAVE_CODE", "PROXY_SERVER_URL"];
    let by_mode: [(&[&str], &[Pair<'_>], &[&str]); 5] = [
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
fn a_file_of_backends_or_tools_that_cannot_be_used_is_64() {
    for variable in ["SLAVE_BACKENDS", "SLAVE_TOOLS"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{").unwrap();
        let output = run(&[], &[("MCP_SERVER_PORT", "0"), (variable, file.path().to_str().unwrap())]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains(variable), "{error}");
    }
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
