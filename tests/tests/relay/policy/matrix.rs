//! The matrix: who asks, what for, and on which way. The decision is one, and it is made again wherever a request may be somewhere else
//! than where it was decided: on another slave, run again, a task of before, a subscription that is open.

use std::convert::Infallible;

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::issuer::{SigningKey, TestIssuer};
use harness::rawslave::{RawSlave, dial, text_result};
use harness::relay::{Proxy, Setup};
use harness::wait;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::{Value, json};

use super::{Files, client};

const RESOURCE: &str = "https://relay.example/mcp";

/// What one is allowed, for one identity of each kind; nobody else is allowed anything.
const POLICY: &str = "
allow:
  - who: [{ key: dev }, { subject: ada, issuer: 'http://*' }, { group: token-group }]
    tools: echo
    prompts: greet
    resources: ['demo://about', 'demo://echo/a*', 'demo://echo/{text}']
deny:
  - { who: { key: intern } }
";

/// A kind of what can be asked for: the request, the list that shows it, and how it is called there.
const KINDS: [(&str, &str, &str); 4] = [
    ("tools/call", "tools/list", "echo"),
    ("prompts/get", "prompts/list", "greet"),
    ("resources/read", "resources/list", "demo://about"),
    ("resources/read", "resources/templates/list", "demo://echo/{text}"),
];

fn params(method: &str, name: &str) -> Value {
    match method {
        "resources/read" => json!({ "uri": name.replace("{text}", "abc") }),
        "prompts/get" => json!({ "name": name, "arguments": { "name": "Ada" } }),
        _ => json!({ "name": name, "arguments": { "text": "hi" } }),
    }
}

fn unknown(method: &str) -> &'static str {
    match method {
        "resources/read" => "unknown_resource",
        "prompts/get" => "unknown_prompt",
        _ => "unknown_tool",
    }
}

async fn called(client: &Client, method: &str, name: &str) -> String {
    let answer = client.request(McpRequest::new(1, method, params(method, name))).await;
    if answer.response().get("result").is_some() { "ok".into() } else { answer.kind().to_owned() }
}

async fn listed(client: &Client, list: &str, name: &str) -> bool {
    let answer = client.request(McpRequest::new(1, list, json!({}))).await;
    let entries =
        answer.result().as_object().unwrap().values().find_map(Value::as_array).expect("a list").clone();
    let of = |entry: &Value| ["name", "uri", "uriTemplate"].iter().any(|member| entry[*member] == name);
    entries.iter().any(of)
}

/// The outcomes of all kinds in one batch, in the order of [`KINDS`].
async fn batched(proxy: &Proxy, authorization: &str) -> Vec<String> {
    let client = Client::uninitialized(proxy.http).with_header("authorization", authorization);
    let mut client = client.speaking("2025-03-26");
    client.initialize().await.result();
    let messages = KINDS.iter().enumerate().map(|(id, (method, _, name))| {
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params(method, name) })
    });
    let mut exchange = client.post(messages.collect::<Value>().to_string().as_bytes()).await;
    let body = exchange.rest().await;
    let text = String::from_utf8_lossy(&body);
    // One array, or an event for each message.
    let json = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect::<Vec<_>>();
    let json: Vec<Value> = if json.is_empty() {
        serde_json::from_str(&text).unwrap()
    } else {
        let values = json.iter().filter(|line| !line.is_empty());
        values
            .flat_map(|line| match serde_json::from_str(line).unwrap() {
                Value::Array(all) => all,
                one => vec![one],
            })
            .collect()
    };
    let of = |id: usize| {
        let answer =
            json.iter().find(|answer| answer["id"] == id).unwrap_or_else(|| panic!("{id} in {text}"));
        match answer.get("error") {
            None => "ok".to_owned(),
            Some(error) => error["data"]["kind"].as_str().unwrap_or_default().to_owned(),
        }
    };
    (0..KINDS.len()).map(of).collect()
}

#[tokio::test]
async fn every_identity_meets_one_decision_for_each_kind_on_every_way() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let files = Files::new(POLICY);
    std::fs::write(files.path("issuers.yaml"), format!("issuers:\n- issuer: {}\n", issuer.url)).unwrap();
    let setup = files.proxy().env("PUBLIC_URL", RESOURCE);
    let proxy = setup.env("AUTH_ISSUERS", files.path("issuers.yaml").to_str().unwrap()).start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.accepted(1).await;
    client(&proxy, "dev").lists(&["echo"]).await;
    let token = |subject: &str, groups: &[&str]| {
        let mut claims = issuer.claims(subject, RESOURCE);
        claims["groups"] = json!(groups);
        key.token("e", &claims)
    };
    for (credential, is_allowed) in [
        ("key-of-dev".to_owned(), true),
        (token("ada", &[]), true),
        (token("bob", &["token-group"]), true),
        ("key-of-intern".to_owned(), false),
        ("key-of-guest".to_owned(), false),
        // What a token says is no key's name.
        (token("dev", &["dev"]), false),
    ] {
        let authorization = format!("Bearer {credential}");
        let client = Client::modern(proxy.http).with_header("authorization", &authorization);
        let mut expected = Vec::new();
        for (method, list, name) in KINDS {
            let decision = if is_allowed { "ok" } else { unknown(method) };
            assert_eq!(called(&client, method, name).await, decision, "{credential} {method} {name}");
            assert_eq!(listed(&client, list, name).await, is_allowed, "{credential} {list} {name}");
            expected.push(decision.to_owned());
        }
        assert_eq!(batched(&proxy, &authorization).await, expected, "{credential}, in a batch");
        assert_eq!(called(&client, "resources/read", "demo://echo/xyz").await, "unknown_resource");
        assert_eq!(called(&client, "tools/call", "payload").await, "unknown_tool");
    }
}

/// Codes of two slaves that share a tool, so that rules can tell them apart.
const CODES: &str = "- { code: code-of-a-for-tests, name: a, provide: [read] }
- { code: code-of-b-for-tests, name: b, provide: [read] }
";

async fn raw(proxy: &Proxy, name: &str) -> RawSlave {
    let mut slave = dial(proxy.link).await;
    slave.authenticate(&format!("code-of-{name}-for-tests"), name).await;
    let tool = json!({ "name": "read", "inputSchema": { "type": "object" }, "annotations": { "readOnlyHint": true } });
    slave.catalog(&json!({ "tools": [tool] })).await;
    slave
}

async fn fail(slave: &mut RawSlave) {
    let call = slave.receive_open().await.call;
    let failure = Failure::BackendFailed { backend: "b".into(), reason: "died".into(), retry_after: None };
    let frame = Frame::bare(FrameKind::End, call, 0);
    let payload = failure.error_object(Era::Legacy).into();
    slave.send(Frame { payload, flags: Flags::ERROR, ..frame }).await;
}

async fn fail_each(slave: &mut RawSlave) -> Infallible {
    loop {
        fail(slave).await;
    }
}

async fn two_slaves(files: &Files) -> Proxy {
    std::fs::write(files.path("codes.yaml"), CODES).unwrap();
    files
        .proxy()
        .env("SLAVE_CODES_FILE", files.path("codes.yaml").to_str().unwrap())
        .env("RETRY_IDEMPOTENT", "1")
        .env("LINK_GRACE", "0.3")
        // The slaves of this test answer only while they are read from.
        .env("LINK_PING_TIMEOUT_MS", "60000")
        .start_proxy()
        .await
}

const BOTH: &str = "allow: [{ who: { key: dev }, tools: read }]\n";
const ONLY_A: &str = "allow: [{ who: { key: dev }, tools: read, slaves: { code: a } }]\n";

/// What becomes of a call that slave `a` has, when it fails there (`retry`) or `a` is lost with it (`move`).
#[tokio::test]
async fn a_call_that_is_run_again_or_moves_is_decided_again() {
    for (way, rules, changed, expected) in [
        ("retry", BOTH, None, "ok"),
        ("move", BOTH, None, "ok"),
        // The other slave is none of the client's.
        ("retry", ONLY_A, None, "backend_failed"),
        ("move", ONLY_A, None, "outcome_unknown"),
        // It was one of the client's when the call began.
        ("retry", BOTH, Some(ONLY_A), "backend_failed"),
        ("move", BOTH, Some(ONLY_A), "outcome_unknown"),
    ] {
        let files = Files::new(rules);
        let proxy = two_slaves(&files).await;
        let mut a = raw(&proxy, "a").await;
        let dev = client(&proxy, "dev");
        dev.lists(&["read"]).await;
        let mut pending = dev.start(McpRequest::tool(1, "read", json!({}))).await;
        let opened = if way == "move" { Some(a.receive_open().await) } else { None };
        let mut b = raw(&proxy, "b").await;
        let offering = || (proxy.log.count("Slave offers its tools") == 2).then_some(());
        wait::until("the tool of both", async || offering()).await;
        if let Some(changed) = changed {
            files.change(&proxy, changed).await;
        }
        let a = if opened.is_some() {
            a.disconnect();
            None
        } else {
            fail(&mut a).await;
            Some(a)
        };
        if expected == "ok" {
            let again = b.receive_open().await;
            b.end(again.call, 0, &text_result("by b")).await;
            assert_eq!(pending.finish().await.text(), "by b", "{way}");
        } else {
            // `b` answers nothing: the call has not been there. It is run again at `a`, as often as it may be.
            let answer = match a {
                Some(mut a) => tokio::select! {
                    answer = pending.finish() => answer,
                    never = fail_each(&mut a) => match never {},
                },
                None => pending.finish().await,
            };
            assert_eq!(answer.kind(), expected, "{way} {rules} {changed:?}");
        }
    }
}

#[tokio::test]
async fn a_subscription_tells_only_of_what_its_client_may_read_now() {
    let open = "allow: [{ who: { key: [dev, ops] }, tools: '*', resources: 'res:*' }]\n";
    let files = Files::new(open);
    let (proxy, fixture) = (files.proxy().start_proxy().await, Fixture::default());
    let setup = Setup::slave("one", proxy.link);
    let variables = [("FIXTURE_RESOURCES", "1"), ("FIXTURE_ERA", "modern")];
    let _slave = fixture.serve_with(setup, &variables).start_slave().await;
    let (dev, ops) = (client(&proxy, "dev"), client(&proxy, "ops"));
    wait::until("the tool", async || ops.tool_names().await.contains(&"touch".into()).then_some(())).await;
    let filter = json!({ "notifications": { "resourceSubscriptions": ["res:1", "res:2"] } });
    let mut stream = dev.start(McpRequest::new("s", "subscriptions/listen", filter)).await;
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
    let touch = async |uri: &str| {
        ops.call("touch", json!({ "uri": uri })).await.result();
    };
    touch("res:1").await;
    assert_eq!(stream.next().await.unwrap()["params"]["uri"], "res:1");
    files
        .change(
            &proxy,
            "allow: [{ who: { key: ops }, tools: '*', resources: 'res:*' }, { who: { key: dev }, resources: 'res:2' }]\n",
        )
        .await;
    dev.lists(&[]).await;
    touch("res:1").await;
    touch("res:2").await;
    // What it is told next is not the update of what is none of its business any more.
    assert_eq!(stream.next().await.unwrap()["params"]["uri"], "res:2");
}
