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

#[test]
fn the_environment_of_a_subcommand_is_checked_as_that_subcommand_reads_it() {
    let mut proxy = Server::start(&["proxy"], &proxy_env(&[("PROXY_MODE", "")]));
    let links = proxy.address("WebSocket server listening on ws://");
    let http = proxy.address("MCP server listening on http://");
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let (link_port, http_port) = (port(&links), port(&http));
    let listens =
        [("PROXY_WS_HOST", "127.0.0.1"), ("PROXY_WS_PORT", &link_port), ("MCP_SERVER_PORT", &http_port)];
    let report = text(&run(&["doctor"], &[&listens[..], &[("SLAVE_CODES", CODE)]].concat()).stdout);
    for said in [
        "doctor: proxy",
        "SLAVE_CODES is set and no mode is chosen: `mcp-relay proxy` is checked",
        "a proxy runs on",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }
    let url = format!("ws://{links}");
    let env: Vec<_> = slave_env(&url, CODE).into_iter().filter(|(name, _)| *name != "PROXY_SLAVE").collect();
    let output = run(&["doctor"], &env);
    let report = text(&output.stdout);
    assert!(report.contains("doctor: slave") && report.contains("`mcp-relay slave` is checked"), "{report}");
    assert_eq!(output.status.code(), Some(0), "{report}");
    // Who chose a mode, or names one, is not corrected.
    for (args, more) in
        [(&["doctor"][..], ("PROXY_SLAVE", "0")), (&["doctor", "standalone"], ("LOG_LEVEL", "info"))]
    {
        let report = text(&run(args, &[&env[..], &[more]].concat()).stdout);
        assert!(report.contains("doctor: standalone") && !report.contains("no mode is chosen"), "{report}");
    }
}
