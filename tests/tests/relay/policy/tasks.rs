//! Tasks under a policy: each is decided as a call of the tool that made it, by the proxy and by the slave.

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::relay::Setup;
use harness::wait;
use serde_json::{Value, json};

use super::{Files, client};

fn request(method: &str, mut params: Value, era: &str) -> McpRequest {
    if era == "legacy" && method == "tools/call" {
        params["task"] = json!({ "ttl": 600_000 });
    }
    let request = McpRequest::new(1, method, params);
    let able = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    if era == "modern" { request.meta("io.modelcontextprotocol/clientCapabilities", able) } else { request }
}

async fn make(client: &Client, tool: &str, era: &str) -> String {
    let params = json!({ "name": tool, "arguments": { "env": "staging" } });
    let made = client.request(request("tools/call", params, era)).await;
    let task = if era == "legacy" { &made.result()["task"] } else { made.result() };
    task["taskId"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
}

async fn outcome(client: &Client, method: &str, id: &str, era: &str) -> String {
    let answer = client.request(request(method, json!({ "taskId": id }), era)).await;
    if answer.response().get("result").is_some() { "ok".to_owned() } else { answer.kind().to_owned() }
}

fn methods(era: &str) -> [&'static str; 3] {
    ["tasks/get", "tasks/cancel", if era == "legacy" { "tasks/result" } else { "tasks/update" }]
}

/// What becomes of a task of the tool `arguments` under other rules, while another tool of its slave stays allowed.
const RULES: [(&str, &str); 6] = [
    ("allow: [{ who: { key: dev }, tools: [arguments, raw] }]\n", "ok"),
    ("allow: [{ who: { key: dev }, tools: raw }]\n", "unknown_task"),
    ("default: allow\ndeny: [{ who: { key: dev }, tools: arguments }]\n", "unknown_task"),
    // A tool without annotations may destroy.
    (
        "default: allow\ndeny: [{ tools: arguments, annotations: { destructiveHint: true } }]\n",
        "unknown_task",
    ),
    (
        "allow: [{ who: { key: dev }, tools: raw }, { who: { key: dev }, tools: arguments, requires_scope: x }]\n",
        "insufficient_scope",
    ),
    // Its arguments were judged when it was made.
    ("allow: [{ who: { key: dev }, tools: '*', arguments: { pointer: /env, equals: staging } }]\n", "ok"),
];

#[tokio::test]
async fn a_task_is_decided_by_the_rules_about_its_tool() {
    for era in ["legacy", "modern"] {
        let files = Files::new(RULES[0].0);
        let (proxy, fixture) = (files.proxy().start_proxy().await, Fixture::default());
        let setup = Setup::slave("one", proxy.link);
        let variables = [("FIXTURE_ERA", era), ("FIXTURE_TASKS", "1")];
        let _slave = fixture.serve_with(setup, &variables).start_slave().await;
        let mut dev = client(&proxy, "dev");
        dev.lists(&["arguments", "raw"]).await;
        if era == "legacy" {
            dev = Client::uninitialized(proxy.http).with_header("authorization", "Bearer key-of-dev");
            dev.initialize().await.result();
        }
        let [first, second] = [make(&dev, "arguments", era).await, make(&dev, "raw", era).await];
        for (number, (rules, expected)) in RULES.iter().enumerate() {
            files.change(&proxy, &format!("{rules}# {number}\n")).await;
            for method in methods(era) {
                wait::until("the decision on the task", async || {
                    (outcome(&dev, method, &first, era).await == *expected).then_some(())
                })
                .await;
                assert_eq!(outcome(&dev, method, &second, era).await, "ok", "{era} {method} {rules}");
            }
            if era == "legacy" {
                let listed = dev.request(McpRequest::new(1, "tasks/list", json!({}))).await;
                let ids: Vec<&Value> =
                    listed.result()["tasks"].as_array().unwrap().iter().map(|task| &task["taskId"]).collect();
                let all = if *expected == "ok" { vec![&first, &second] } else { vec![&second] };
                assert_eq!(ids, all, "{rules}");
            }
        }
        // An id that names another tool is none that the slave has made.
        let named = |tool: &str| {
            let parts: Vec<&str> = first.split('.').collect();
            assert_eq!(parts[3], "mrt2", "{first}");
            let tool = base64_of(tool);
            [&parts[..7], &[tool.as_str()], &parts[8..]].concat().join(".")
        };
        assert_eq!(named("arguments"), first);
        files.change(&proxy, RULES[1].0).await;
        wait::until("the decision on the task", async || {
            (outcome(&dev, "tasks/get", &first, era).await == "unknown_task").then_some(())
        })
        .await;
        assert_eq!(outcome(&dev, "tasks/get", &named("raw"), era).await, "unknown_task");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn the_slave_s_own_policy_decides_a_task_by_its_tool_too() {
    for era in ["legacy", "modern"] {
        let files = Files::new("allow: [{ who: anyone }]\n");
        let own = files.path("slave.yaml");
        let write = |rules: &str| {
            let new = files.path("slave.new");
            std::fs::write(&new, rules).and_then(|()| std::fs::rename(&new, &own)).unwrap();
        };
        write("allow: [{ who: { key: dev }, tools: [arguments, raw] }]\n");
        let (proxy, fixture) = (files.proxy().start_proxy().await, Fixture::default());
        let setup = Setup::slave("one", proxy.link).env("SLAVE_POLICY", own.to_str().unwrap());
        let variables = [("FIXTURE_ERA", era), ("FIXTURE_TASKS", "1")];
        let slave = fixture.serve_with(setup, &variables).start_slave().await;
        proxy.accepted(1).await;
        let mut dev = client(&proxy, "dev");
        wait::until("the tools", async || dev.tool_names().await.contains(&"raw".into()).then_some(())).await;
        if era == "legacy" {
            dev = Client::uninitialized(proxy.http).with_header("authorization", "Bearer key-of-dev");
            dev.initialize().await.result();
        }
        let [first, second] = [make(&dev, "arguments", era).await, make(&dev, "raw", era).await];
        for (rules, expected) in [
            ("allow: [{ who: { key: dev }, tools: [arguments, raw] }] # again\n", "ok"),
            ("allow: [{ who: { key: dev }, tools: raw }]\n", "unknown_task"),
            ("default: allow\ndeny: [{ tools: arguments }]\n", "unknown_task"),
        ] {
            let before = slave.log.len();
            write(rules);
            slave.log.wait_for_after("SLAVE_POLICY read again", before).await;
            for method in methods(era) {
                assert_eq!(outcome(&dev, method, &first, era).await, expected, "{era} {method} {rules}");
                assert_eq!(outcome(&dev, method, &second, era).await, "ok", "{era} {method} {rules}");
            }
            if era == "legacy" {
                let listed = dev.request(McpRequest::new(1, "tasks/list", json!({}))).await;
                let count = listed.result()["tasks"].as_array().unwrap().len();
                assert_eq!(count, if expected == "ok" { 2 } else { 1 }, "{rules}");
            }
        }
    }
}
