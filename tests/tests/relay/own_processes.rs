//! Entries with a process for each session or client (`sessions` of the `mcpServers` file).

mod ends;

use std::collections::HashSet;
use std::path::Path;

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::Fixture;
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

struct Scene {
    proxy: Proxy,
    slave: Slave,
    fixture: Fixture,
}

/// The fixture's entry with these members.
fn entry(fixture: &Fixture, env: &[(&str, &str)], members: &Value) -> Value {
    let env: Vec<_> =
        env.iter().copied().chain([("FIXTURE_INTRODUCED", "1"), ("FIXTURE_ASKS", "1")]).collect();
    let mut entry = fixture.entry(&env);
    for (name, value) in members.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry
}

/// A proxy, and a slave whose only backend is the fixture with these members.
async fn scene(env: &[(&str, &str)], members: Value) -> Scene {
    scene_with(Setup::proxy(), env, members).await
}

async fn scene_with(proxy: Setup, env: &[(&str, &str)], members: Value) -> Scene {
    let fixture = Fixture::default();
    let path = fixture.write_backends(&json!({ "own": entry(&fixture, env, &members) }));
    let proxy = proxy.start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
    let slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    Scene { proxy, slave, fixture }
}

impl Scene {
    /// Waits until the proxy has the fixture's tools.
    async fn ready(self) -> Self {
        self.proxy.offers("introduced").await;
        self
    }

    async fn ended(&self, reason: &str) -> f64 {
        let label = format!("reason=\"{reason}\"");
        Scrape::of(self.slave.http).await.sum("mcp_relay_slave_backend_children_ended_total", &[&label])
    }

    /// Waits until a child has ended for this reason.
    async fn wait_ended(&self, reason: &str) {
        wait::until(reason, async || (self.ended(reason).await > 0.5).then_some(())).await;
    }
}

fn is_running(pid: i64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn gone(pid: i64) {
    wait::until("the process to be gone", async || (!is_running(pid)).then_some(())).await;
}

/// What the process says that runs the client's call.
async fn introduced(client: &Client) -> Value {
    let answer = client.call("introduced", json!({})).await;
    serde_json::from_str(answer.text()).unwrap()
}

async fn pid(client: &Client) -> i64 {
    introduced(client).await["pid"].as_i64().unwrap()
}

fn form(message: &str) -> Value {
    json!({ "rounds": [[{ "method": "elicitation/create", "params": { "message": message, "requestedSchema": { "type": "object", "properties": {} } } }]] })
}

/// Starts a call that asks its client; returns it and what it asks.
async fn asked(client: &Client, message: &str) -> (Pending, Value) {
    let mut call = client.start(McpRequest::tool(1, "ask", form(message))).await;
    let request = call.next().await.unwrap();
    (call, request)
}

async fn answer(client: &Client, request: &Value, text: &str) {
    let result = json!({ "action": "accept", "content": { "text": text } });
    let response = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
    assert_eq!(client.post(response.to_string().as_bytes()).await.status, 202);
}

async fn able(scene: &Scene) -> Client {
    Client::legacy_able(scene.proxy.http, json!({ "elicitation": {} })).await
}

#[tokio::test]
async fn sessions_that_are_asked_at_the_same_time_answer_their_own_process() {
    let scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
    let clients = [able(&scene).await, able(&scene).await];
    let mut asked_of = Vec::new();
    for (client, message) in clients.iter().zip(["first", "second"]) {
        let (call, request) = asked(client, message).await;
        assert_eq!(
            (&request["method"], &request["params"]["message"]),
            (&"elicitation/create".into(), &message.into())
        );
        asked_of.push((call, request));
    }
    // In the other order, so that an answer that goes astray is seen.
    for ((client, (call, request)), text) in clients.iter().zip(&mut asked_of).zip(["one", "two"]).rev() {
        answer(client, request, text).await;
        let told: Value = serde_json::from_str(call.finish().await.text()).unwrap();
        assert_eq!(told[0]["content"]["text"], text);
    }
}

#[tokio::test]
async fn a_shared_process_asks_nobody_while_calls_of_several_clients_run() {
    let scene = scene(&[], json!({})).await.ready().await;
    let clients = [able(&scene).await, able(&scene).await];
    let (mut first, request) = asked(&clients[0], "first").await;
    let second = clients[1].request(McpRequest::tool(1, "ask", form("second"))).await;
    assert_eq!(second.result()["isError"], true);
    assert!(second.text().contains("calls of several clients"), "{}", second.text());
    answer(&clients[0], &request, "one").await;
    assert!(first.finish().await.text().contains("one"));
    assert_eq!(pid(&clients[0]).await, pid(&clients[1]).await);
}

#[tokio::test]
async fn each_session_has_one_process_with_the_capabilities_of_its_client() {
    for era in ["legacy", "modern"] {
        let members = json!({ "sessions": "per-session" });
        let scene = scene(&[("FIXTURE_ERA", era)], members).await.ready().await;
        let declared =
            json!({ "elicitation": {}, "roots": { "listChanged": true }, "experimental": { "x": {} } });
        let able = Client::legacy_able(scene.proxy.http, declared).await;
        let plain = Client::legacy(scene.proxy.http).await;
        let own_port = Client::legacy(scene.slave.http).await;
        let modern = Client::modern(scene.proxy.http);
        let sampling =
            McpRequest::tool(1, "introduced", json!({})).meta(CAPABILITIES, json!({ "sampling": {} }));
        let found = [
            introduced(&able).await,
            introduced(&plain).await,
            introduced(&own_port).await,
            serde_json::from_str(modern.request(sampling).await.text()).unwrap(),
        ];
        let pids: HashSet<i64> = found.iter().map(|one| one["pid"].as_i64().unwrap()).collect();
        assert_eq!(pids.len(), 4, "{found:?}");
        assert!(!pids.contains(&scene.fixture.pids()[0].into()), "the first process runs no calls");
        if era == "legacy" {
            let known: Vec<&Value> = found.iter().map(|one| &one["capabilities"]).collect();
            let expected = [
                json!({ "elicitation": { "form": {} }, "roots": { "listChanged": true } }),
                json!({}),
                json!({}),
                json!({ "sampling": {} }),
            ];
            assert_eq!(known, expected.iter().collect::<Vec<_>>());
        }
        for (client, first) in [&able, &plain, &own_port, &modern].into_iter().zip(&found) {
            let again = introduced(client).await;
            assert_eq!((&again["pid"], &again["calls"]), (&first["pid"], &2.into()), "{era}");
        }
        assert_eq!(scene.fixture.pids().len(), 5, "{era}");
    }
}

#[tokio::test]
async fn notifications_reach_the_process_of_their_session_alone() {
    let scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
    let roots = json!({ "roots": { "listChanged": true } });
    let clients = [
        Client::legacy_able(scene.proxy.http, roots.clone()).await,
        Client::legacy_able(scene.proxy.http, roots.clone()).await,
    ];
    for client in &clients {
        let told = introduced(client).await;
        assert_eq!((&told["capabilities"], &told["notifications"]), (&roots, &json!([])));
    }
    let sent = [
        json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }),
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 7, "progress": 1e2 } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/of/tomorrow", "params": { "a": "b" } }),
    ];
    let too_long =
        json!({ "jsonrpc": "2.0", "method": "notifications/long", "params": { "a": "b".repeat(16_384) } });
    for message in [&too_long, &sent[0], &sent[1], &sent[2]] {
        assert_eq!(clients[0].post(format!("{message:#}").as_bytes()).await.status, 202);
    }
    wait::until("the notifications to be there", async || {
        (introduced(&clients[0]).await["notifications"] == json!(sent)).then_some(())
    })
    .await;
    assert_eq!(introduced(&clients[1]).await["notifications"], json!([]));
}

#[tokio::test]
async fn first_calls_of_one_session_at_the_same_time_start_one_process() {
    let scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
    let client = Client::legacy(scene.proxy.http).await;
    let mut calls = Vec::new();
    for id in 0..8 {
        calls.push(client.start(McpRequest::tool(id, "introduced", json!({}))).await);
    }
    let mut pids = HashSet::new();
    for mut call in calls {
        let found: Value = serde_json::from_str(call.finish().await.text()).unwrap();
        pids.insert(found["pid"].as_i64().unwrap());
    }
    assert_eq!((pids.len(), scene.fixture.pids().len()), (1, 2));
}

#[tokio::test]
async fn a_client_has_one_process_for_all_its_sessions() {
    let keys = Setup::proxy().env("AUTH_BEARER_KEYS", "one-key-of-the-tests,two-key-of-the-tests");
    let scene = scene_with(keys, &[], json!({ "sessions": "per-client" })).await;
    let bearer = |key: &str| {
        Client::modern(scene.proxy.http)
            .with_header("authorization", &format!("Bearer {key}-key-of-the-tests"))
    };
    wait::until("the tool", async || {
        bearer("one").tool_names().await.contains(&"introduced".to_owned()).then_some(())
    })
    .await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let client = Client::uninitialized(scene.proxy.http);
        let mut client = client.with_header("authorization", "Bearer one-key-of-the-tests");
        client.initialize().await;
        sessions.push(client);
    }
    let one = pid(&bearer("one")).await;
    for session in &sessions {
        assert_eq!(pid(session).await, one);
    }
    assert_ne!(pid(&bearer("two")).await, one);
    assert_eq!(sessions[0].end_session().await, 200);
    assert_eq!(pid(&sessions[1]).await, one, "the end of one session is not the end of the client");
}

#[tokio::test]
async fn a_server_over_http_has_a_session_for_each_session() {
    let upstream = McpUpstream::start(Kind::Legacy).await;
    let fixture = Fixture::default();
    let mut web = upstream.entry(Kind::Legacy);
    web["sessions"] = "per-session".into();
    let path = fixture.write_backends(&json!({ "web": web }));
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", path.to_str().unwrap());
    let _slave = setup.start_slave().await;
    proxy.offers("say").await;
    let clients = [Client::legacy(proxy.http).await, Client::legacy(proxy.http).await];
    for client in &clients {
        for _ in 0..2 {
            assert_eq!(client.call("say", json!({ "text": "é" })).await.text(), "said é");
        }
    }
    assert_eq!(upstream.seen("initialize").len(), 3, "one for the lists, one for each session");
    assert!(upstream.seen("DELETE").is_empty());
    clients[0].end_session().await;
    wait::until("the end of the upstream's session", async || {
        (upstream.seen("DELETE").len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_an_entry_says_wrongly_of_its_sessions_is_explained() {
    let fixture = Fixture::default();
    let servers = json!({
        "good": fixture.entry(&[]),
        "odd": entry(&fixture, &[], &json!({ "sessions": "each", "maxChildren": 0 })),
    });
    let path = fixture.write_backends(&servers);
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", path.to_str().unwrap());
    let slave = setup.start_slave().await;
    let line = slave.log.wait_for("member \"sessions\"").await;
    assert!(line.contains("\"odd\"") && line.contains("per-client"), "{line}");
}
