//! Tests of `mcp-relay demo`.

use std::net::TcpStream;

use super::{run, text};
use crate::server::Server;

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
        "mcp_relay_forwards_total",
        "slaves ready          2, then 1",
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
