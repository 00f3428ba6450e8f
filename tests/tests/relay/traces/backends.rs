//! Trace context for backends other than stdio MCP servers.

use std::os::unix::fs::PermissionsExt;

use harness::client::{Client, McpRequest};
use harness::otlp::Collector;
use harness::plain::node_slave;
use harness::relay::{CODE, Setup};
use serde_json::json;

use super::{CALLER, TRACE, one, traced, traceparent};

/// A command that writes its environment to a file, and a report for merge request 1 only.
const PILOT: &str = r#"
env > "$0.env"
[ "$1" = 1 ] || exit 3
printf '=====\nMR REVIEW REPORT\n=====\nGoal Status: MET\nRemarks:\n  Fine.\n=====\n'
"#;

#[tokio::test]
async fn a_command_finds_the_context_in_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mr-pilot");
    std::fs::write(&path, format!("#!/bin/sh\n{PILOT}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let env = || std::fs::read_to_string(path.with_extension("env")).unwrap();
    let collector = Collector::grpc().await;
    let proxy = Setup::proxy().start_proxy().await;
    let setup = |name| Setup::slave(name, proxy.link).env("MR_PILOT_COMMAND", path.to_str().unwrap());
    let ask = |target: &str| {
        McpRequest::tool(1, "review_merge_request", json!({ "mrUrlOrId": target }))
            .meta("traceparent", traceparent())
            .meta("tracestate", "vendor=1")
    };
    let client = Client::modern(proxy.http);
    {
        let _slave = traced(setup("one"), &collector, "grpc").start_slave().await;
        proxy.offers("review_merge_request").await;
        client.request(ask("1")).await.result();
        let environment = env();
        client.request(ask("2")).await.result();
        let [reviewed, failed, slave] = collector
            .trace(TRACE, |spans| {
                let exited = |code| spans.iter().find(|s| s.get("process.exit.code") == code).cloned();
                Some([exited("0")?, exited("3")?, one(spans, "mcp-relay-slave", "server")?.clone()])
            })
            .await;
        assert!(
            environment.contains(&format!("TRACEPARENT=00-{TRACE}-{}-01\n", reviewed.id)),
            "{environment}"
        );
        assert!(environment.contains("TRACESTATE=vendor=1\n"), "{environment}");
        assert_eq!((reviewed.name.as_str(), failed.name.as_str()), ("mr-pilot", "mr-pilot"));
        assert_eq!((reviewed.kind, &reviewed.parent, reviewed.failed), ("client", &slave.id, false));
        assert_eq!(reviewed.get("process.executable.name"), "mr-pilot");
        assert_eq!((failed.get("error.type"), failed.failed), ("tool_error", true));
    }
    proxy.withdraws("review_merge_request").await;
    let _slave = setup("two").start_slave().await;
    proxy.offers("review_merge_request").await;
    client.request(ask("1")).await.result();
    assert!(!env().contains("TRACE"), "{}", env());
}

/// A plain slave gets the client's message unchanged: no header, no altered `_meta`.
#[tokio::test]
async fn a_plain_slave_gets_the_message_as_it_is_while_traces_are_on() {
    let collector = Collector::grpc().await;
    let proxy = traced(Setup::proxy(), &collector, "grpc").start_proxy().await;
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let client = Client::legacy(proxy.http).await.with_header("traceparent", &traceparent());
    let tools = json!({ "tools": [harness::rawslave::definition("tool")] });
    for _ in 0..2 {
        let request = link.request().await;
        link.answer(&request, tools.clone()).await;
    }
    proxy.offers("tool").await;
    let own = format!("00-5bf92f3577b34da6a3ce929d0e0e4736-{CALLER}-01");
    let bare = McpRequest::tool(1, "tool", json!({ "a": 1 }));
    for (ask, meta) in [
        (bare.clone(), json!(null)),
        (bare.meta("traceparent", own.as_str()).meta("x", 1), json!({ "traceparent": own, "x": 1 })),
    ] {
        let mut pending = client.start(ask).await;
        let request = link.request().await;
        let params = request["params"].as_object().unwrap();
        assert_eq!((&params["name"], &params["arguments"]), (&json!("tool"), &json!({ "a": 1 })));
        assert_eq!(params.get("_meta").unwrap_or(&json!(null)), &meta);
        link.answer(&request, json!({ "content": [] })).await;
        pending.finish().await.result();
    }
}
