//! A slave's own policy, and the client's identity as a backend is told it.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::process::profile_folder;
use harness::relay::Setup;
use hyper::Method;
use serde_json::json;

use super::{Files, client};

#[tokio::test]
async fn a_slave_takes_no_call_that_its_own_policy_denies_whatever_the_proxy_allows() {
    let files = Files::new("allow: [{ who: anyone }]\n");
    let proxy = files.proxy().start_proxy().await;
    let own = files.path("slave.yaml");
    std::fs::write(
        &own,
        "
allow: [{ who: { group: devs }, tools: [echo, payload] }, { who: { key: ops }, tools: '*' }]
deny: [{ tools: payload, arguments: { pointer: /bytes, equals: 7 } }]
",
    )
    .unwrap();
    let setup = Setup::slave("one", proxy.link).env("SLAVE_POLICY", own.to_str().unwrap());
    let _slave = setup.start_slave().await;
    let all = ["echo", "fail", "payload", "sleep"];
    for (name, echo, payload, sleep) in [
        ("dev", "ok", "forbidden", "unknown_tool"),
        ("ops", "ok", "forbidden", "ok"),
        ("guest", "unknown_tool", "unknown_tool", "unknown_tool"),
    ] {
        let client = client(&proxy, name);
        client.lists(&all).await;
        for (tool, arguments, expected) in [
            ("echo", json!({ "text": "x" }), echo),
            ("payload", json!({ "bytes": 7 }), payload),
            ("sleep", json!({ "seconds": 0 }), sleep),
        ] {
            let answer = client.call(tool, arguments).await;
            let outcome = answer.response().get("result").map_or_else(|| answer.kind(), |_| "ok");
            assert_eq!(outcome, expected, "{name} {tool}");
        }
    }
}

#[tokio::test]
async fn a_backend_that_asks_for_it_is_told_who_the_client_is() {
    let files = Files::new("allow: [{ who: anyone }]\n");
    let (proxy, fixture) = (files.proxy().start_proxy().await, Fixture::default());
    let entry = json!({ "command": profile_folder().join("mirror-fixture"), "env": { "MIRROR_ERA": "modern" }, "identity": true });
    let path = fixture.write_backends(&json!({ "mirror": entry }));
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
    let _slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    let dev = client(&proxy, "dev");
    dev.lists(&["mirror"]).await;
    let call =
        McpRequest::tool(1, "mirror", json!({})).meta("io.mcp-relay/identity", json!({ "subject": "root" }));
    let answer = dev.request(call).await;
    let told = &answer.result()["seen"]["_meta"]["io.mcp-relay/identity"];
    assert_eq!(*told, json!({ "subject": "dev", "groups": ["devs"] }));
}

#[tokio::test]
async fn a_stream_is_gone_on_with_only_by_who_may_still_use_the_tool() {
    let files = Files::new("allow: [{ who: { key: dev }, tools: '*' }]\n");
    let (proxy, fixture) = (files.proxy().start_proxy().await, Fixture::default());
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    let mut dev = Client::uninitialized(proxy.http).with_header("authorization", "Bearer key-of-dev");
    dev.initialize().await;
    harness::wait::until("the tool", async || {
        dev.tool_names().await.iter().any(|name| name == "run").then_some(())
    })
    .await;
    fixture.open_gate("call", 1);
    let mut pending = dev.start(McpRequest::tool(1, "run", run_args("call", 3)).progress("t")).await;
    let priming = pending.next_event().await.unwrap();
    let last = priming.id.unwrap();
    let resume = async |last: &str| {
        let headers = [
            ("accept".to_owned(), "text/event-stream".to_owned()),
            ("authorization".to_owned(), "Bearer key-of-dev".to_owned()),
            ("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()),
            ("mcp-session-id".to_owned(), dev.session.clone().unwrap()),
            ("last-event-id".to_owned(), last.to_owned()),
        ];
        let mut exchange =
            Exchange::start(proxy.http, request(Method::GET, "/mcp", &headers, Vec::new())).await;
        exchange.head().await;
        exchange.status.as_u16()
    };
    assert_eq!(resume(&last).await, 200);
    files.change(&proxy, "allow: [{ who: { key: dev }, tools: count }]\n").await;
    harness::wait::until("the policy to be in force", async || {
        (!dev.tool_names().await.iter().any(|name| name == "run")).then_some(())
    })
    .await;
    assert_eq!(resume(&last).await, 400);
}
