//! Log lines of a call carry its request id, the same in proxy and slave, and its trace id if there is one.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::process::Log;
use harness::relay::{Proxy, Setup, Slave};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traceparent() -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-01")
}

/// Documented log phrases of one call, for each side.
const IN_PROXY: [&str; 3] =
    ["Forwarding request to slave", "Received response from slave", "Response forwarded to client"];
const IN_SLAVE: [&str; 4] = [
    "Received request from proxy",
    "Executing tool locally",
    "Tool was executed",
    "Sending response back to proxy",
];

async fn scene(formats: [&str; 2]) -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().env("LOG_FORMAT", formats[0]).start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("LOG_FORMAT", formats[1]);
    let slave = fixture.serve(setup).start_slave().await;
    proxy.offers("run").await;
    (proxy, slave, fixture)
}

/// Request ids of these lines.
async fn ids(log: &Log, phrases: &[&str], format: &str) -> Vec<[String; 2]> {
    let mut found = Vec::new();
    for phrase in phrases {
        let line = log.wait_for(phrase).await;
        let field = |name: &str| {
            if format == "json" {
                let line: Value = serde_json::from_str(&line).unwrap();
                line[name].as_str().unwrap_or_else(|| panic!("{name} in {line}")).to_owned()
            } else {
                let (_, rest) =
                    line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{name}: {line}"));
                rest.split(' ').next().unwrap().to_owned()
            }
        };
        found.push([field("request_id"), field("trace_id")]);
    }
    found
}

async fn one_id_throughout(formats: [&str; 2]) {
    let (proxy, slave, _fixture) = scene(formats).await;
    let ask = McpRequest::tool(1, "run", run_args("x", 0)).meta("traceparent", traceparent());
    Client::modern(proxy.http).request(ask).await.result();
    let mut all = ids(&proxy.log, &IN_PROXY, formats[0]).await;
    all.extend(ids(&slave.log, &IN_SLAVE, formats[1]).await);
    let first = all[0].clone();
    assert_eq!(first[1], TRACE);
    assert!(all.iter().all(|ids| *ids == first), "{all:?}");
    let phrase = proxy.log.wait_for("Forwarding request to slave").await;
    assert!(phrase.contains(&format!("(id: {})", first[0])), "{phrase}");
    assert_eq!((proxy.log.count("DEBUG"), slave.log.count("DEBUG")), (0, 0), "{}", slave.log.text());
}

#[tokio::test]
async fn a_call_has_one_request_id_in_text_and_json() {
    one_id_throughout(["text", "json"]).await;
}

#[tokio::test]
async fn a_call_has_one_request_id_in_json_and_text() {
    one_id_throughout(["json", "text"]).await;
}

#[tokio::test]
async fn warnings_about_a_call_name_it_at_the_default_level() {
    let proxy = Setup::proxy().start_proxy().await;
    let client = Client::modern(proxy.http).with_header("traceparent", &traceparent());
    client.call("echo", json!({})).await.error();
    let line = proxy.log.wait_for("No slave connected, cannot execute request").await;
    assert!(line.contains(" request_id=") && line.contains(&format!(" trace_id={TRACE}")), "{line}");
}

#[tokio::test]
async fn calls_on_the_slave_s_own_port_are_named_too() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).env("LOG_LEVEL", "info,slave=debug").start_slave().await;
    Client::modern(slave.http).call("no_such_tool", json!({})).await.error();
    let line = slave.log.wait_for("Call refused").await;
    assert!(line.contains(" request_id=") && !line.contains("trace_id"), "{line}");
}
