//! Tests of `mcp-relay doctor` beside running processes.

use super::{CODE, proxy_env, run, slave_env, text};
use crate::server::Server;

#[test]
fn the_doctor_accepts_a_working_pair_and_does_not_disturb_it() {
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
    // The slave was not replaced by the probe: it leaves only now.
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
    let cases = [
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
    let tokens = [("GITLAB_TOKEN", "hush"), ("PATH", "/usr/bin:/bin"), ("MCP_SERVER_PORT", "0")];
    let report = text(&run(&["doctor", "standalone"], &tokens).stdout);
    assert!(report.contains("✗ tools") && report.contains("GITLAB_TOKEN: set for mr-pilot"), "{report}");
    assert!(report.contains("MR_PILOT_COMMAND") && !report.contains("hush"), "{report}");
    let report = text(&run(&["doctor", "proxy"], &[]).stdout);
    assert!(report.contains("✗ slave codes"), "{report}");
}
