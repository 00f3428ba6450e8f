//! What lasts beyond a request (a task, a call that is gone on with, a stream, a subscription), for each kind of who asks: it is decided by
//! the tool or resource that it came from, and ends for whoever may not use that any more.

use std::net::SocketAddr;

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::issuer::{SigningKey, TestIssuer};
use harness::relay::{Proxy, Setup};
use harness::tls::{Authority, tunnel};
use harness::wait;
use hyper::Method;
use rcgen::SanType;
use serde_json::{Value, json};

use super::Files;

const RESOURCE: &str = "https://relay.example/mcp";

/// What rules say of each client, and the name by which the test knows it.
const WHO: [(&str, &str); 5] = [
    ("dev", "{ key: dev }"),
    ("bob", "{ group: token-group }"),
    ("ada", "{ subject: ada, issuer: 'http://*' }"),
    ("cyd", "{ scope: reads }"),
    ("ann", "{ certificate: 'ann@*' }"),
];

/// A resource that all subscribe to, and may not read later on.
const DENIED: &str = "res:1";

/// A resource that one of them subscribes to.
fn own_resource(name: &str) -> String {
    format!("res:of-{name}")
}

/// A policy that lets each of them use this.
fn allowing(what: &str) -> String {
    let who = WHO.map(|(_, who)| who).join(", ");
    format!("allow: [{{ who: {{ key: ops }} }}, {{ who: [{who}], {what} }}]\n")
}

/// One client, with one of everything that lasts.
struct Lasting {
    name: &'static str,
    client: Client,
    authorization: Option<String>,
    stream: Pending,
    /// Ids of a task of each of the tools `arguments` and `raw`, as the client knows them and as the backend does.
    tasks: [(String, String); 2],
    /// Id of the last event of a call that runs.
    event: String,
    _call: Pending,
}

fn text(file: &std::path::Path) -> String {
    file.to_str().unwrap().to_owned()
}

/// A legacy client with this credential.
async fn client(at: SocketAddr, authorization: Option<&String>) -> Client {
    let new = Client::uninitialized(at);
    let mut client = match authorization {
        Some(value) => new.with_header("authorization", value),
        None => new,
    };
    client.initialize().await.result();
    client
}

/// Makes a task by a call of this tool.
async fn make(client: &Client, fixture: &Fixture, tool: &str) -> (String, String) {
    let call = McpRequest::new(1, "tools/call", json!({ "name": tool, "task": { "ttl": 600_000 } }));
    let made = client.request(call).await;
    let id = made.result()["task"]["taskId"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned();
    (id, fixture.log("tasks").last().unwrap().clone())
}

/// Has the backend tell of the status of tasks, in a call of somebody else.
async fn tell(ops: &Client, statuses: &[(&str, &str)]) {
    let status = |(own, text): &(&str, &str)| {
        let params = json!({ "taskId": own, "status": "working", "statusMessage": text });
        json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params }).to_string()
    };
    let mut lines: Vec<String> = statuses.iter().map(status).collect();
    lines.push(r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#.to_owned());
    ops.call("raw", json!({ "lines": lines })).await.result();
}

async fn touch(ops: &Client, uri: &str) {
    ops.call("touch", json!({ "uri": uri })).await.result();
}

async fn outcome(client: &Client, method: &str, id: &str) -> String {
    let answer = client.request(McpRequest::new(1, method, json!({ "taskId": id }))).await;
    if answer.response().get("result").is_some() { "ok".to_owned() } else { answer.kind().to_owned() }
}

impl Lasting {
    async fn begin(
        name: &'static str,
        at: SocketAddr,
        authorization: Option<String>,
        fixture: &Fixture,
    ) -> Self {
        let client = client(at, authorization.as_ref()).await;
        let stream = client.open_stream().await;
        let tasks = [make(&client, fixture, "arguments").await, make(&client, fixture, "raw").await];
        for uri in [DENIED.to_owned(), own_resource(name)] {
            let subscribe = McpRequest::new(2, "resources/subscribe", json!({ "uri": uri }));
            client.request(subscribe).await.result();
        }
        fixture.open_gate(name, 1);
        let mut call = client.start(McpRequest::tool(3, "run", run_args(name, 3)).progress("t")).await;
        let event = call.next_event().await.unwrap().id.unwrap();
        Self { name, client, authorization, stream, tasks, event, _call: call }
    }

    /// Comes back for the call, and returns the status of the answer.
    async fn resume(&self, at: SocketAddr) -> u16 {
        let mut headers = vec![
            ("accept".to_owned(), "text/event-stream".to_owned()),
            ("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()),
            ("mcp-session-id".to_owned(), self.client.session.clone().unwrap()),
            ("last-event-id".to_owned(), self.event.clone()),
        ];
        headers.extend(self.authorization.iter().map(|value| ("authorization".to_owned(), value.clone())));
        let mut exchange = Exchange::start(at, request(Method::GET, "/mcp", &headers, Vec::new())).await;
        exchange.head().await;
        exchange.status.as_u16()
    }

    /// Reads the stream until it was told of both, and returns all that it was told of: texts of statuses, and URIs.
    async fn told(&mut self, status: &str, uri: &str) -> Vec<String> {
        let mut told = Vec::new();
        while ![status, uri].iter().all(|one| told.iter().any(|told| told == one)) {
            let Value::Object(mut message) = self.stream.next().await.expect("a message") else { continue };
            let params = message.remove("params").unwrap_or_default();
            let texts = ["statusMessage", "uri"].map(|member| params[member].as_str().map(str::to_owned));
            told.extend(texts.into_iter().flatten());
        }
        told
    }

    async fn is_there(&mut self, at: SocketAddr, ops: &Client) {
        let name = self.name;
        let [(first, own), _] = self.tasks.clone();
        assert_eq!(outcome(&self.client, "tasks/get", &first).await, "ok", "{name}");
        assert_eq!(self.resume(at).await, 200, "{name}");
        // The slave learns of a stream a little after its client: a status that nobody can be told is dropped.
        wait::until("the first status", async || {
            tell(ops, &[(&own, "first")]).await;
            let limit = std::time::Duration::from_millis(300);
            tokio::time::timeout(limit, self.stream.next()).await.ok().flatten()
        })
        .await;
        tell(ops, &[(&own, "allowed")]).await;
        touch(ops, DENIED).await;
        self.told("allowed", DENIED).await;
    }

    /// Reads what the stream has been told until now.
    async fn catch_up(&mut self, ops: &Client) {
        tell(ops, &[(&self.tasks[0].1, "before")]).await;
        touch(ops, &own_resource(self.name)).await;
        self.told("before", &own_resource(self.name)).await;
    }

    async fn has_ended(&mut self, at: SocketAddr, ops: &Client) {
        let name = self.name;
        let [(first, own), (second, other)] = self.tasks.clone();
        wait::until("the policy to be in force", async || {
            (self.client.tool_names().await == ["raw"]).then_some(())
        })
        .await;
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            assert_eq!(outcome(&self.client, method, &first).await, "unknown_task", "{name} {method}");
            assert_eq!(outcome(&self.client, method, &second).await, "ok", "{name} {method}");
        }
        let listed = self.client.request(McpRequest::new(1, "tasks/list", json!({}))).await;
        let listed = listed.result()["tasks"].as_array().unwrap().clone();
        let ids: Vec<&str> = listed.iter().filter_map(|task| task["taskId"].as_str()).collect();
        assert_eq!(ids, [second.as_str()], "{name}");
        assert_eq!(self.resume(at).await, 400, "{name}");
        tell(ops, &[(&own, "denied"), (&other, "after")]).await;
        touch(ops, DENIED).await;
        touch(ops, &own_resource(name)).await;
        let told = self.told("after", &own_resource(name)).await;
        assert!(!told.iter().any(|told| told == "denied" || told == DENIED), "{name}: {told:?}");
    }
}

/// A proxy with TLS that takes keys, tokens and certificates.
async fn start(files: &Files, issuer: &TestIssuer, servers: &Authority, clients: &Authority) -> Proxy {
    std::fs::write(files.path("issuers.yaml"), format!("issuers:\n- issuer: {}\n", issuer.url)).unwrap();
    let own = servers.issue("proxy", &["localhost", "127.0.0.1"]);
    let setup =
        files.proxy().env("PUBLIC_URL", RESOURCE).env("AUTH_ISSUERS", text(&files.path("issuers.yaml")));
    let setup = setup.env("TLS_CERT", text(&own.cert)).env("TLS_KEY", text(&own.key));
    setup.env("TLS_HTTP_CLIENT_CA", text(&clients.root())).start_proxy().await
}

#[tokio::test]
async fn what_lasts_ends_for_whoever_may_not_use_what_it_came_from_any_more() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let files = Files::new(&allowing("tools: [arguments, raw, run], resources: 'res:*'"));
    let (servers, clients) = (Authority::default(), Authority::default());
    let proxy = start(&files, &issuer, &servers, &clients).await;
    let fixture = Fixture::default();
    let setup = Setup::slave("one", proxy.link)
        .env("PROXY_SERVER_URL", format!("wss://localhost:{}", proxy.link.port()))
        .env("PROXY_CA_FILE", text(&servers.root()));
    let variables = [("FIXTURE_ERA", "legacy"), ("FIXTURE_TASKS", "1"), ("FIXTURE_RESOURCES", "1")];
    let _slave = fixture.serve_with(setup, &variables).start_slave().await;
    let bare = tunnel(proxy.http, servers.client(None)).await;
    let ann = clients.issue_as("ann", &[], |params| {
        params.subject_alt_names = vec![SanType::Rfc822Name("ann@team.example".try_into().unwrap())];
    });
    let showing = tunnel(proxy.http, servers.client(Some(&ann))).await;
    let ops = Client::modern(bare).with_header("authorization", "Bearer key-of-ops");
    wait::until("the tools", async || ops.tool_names().await.contains(&"touch".into()).then_some(())).await;
    let token = |subject: &str, groups: &[&str], scope: &str| {
        let mut claims = issuer.claims(subject, RESOURCE);
        claims["groups"] = json!(groups);
        claims["scope"] = json!(scope);
        Some(format!("Bearer {}", key.token("e", &claims)))
    };
    let mut all = Vec::new();
    for (name, at, authorization) in [
        ("dev", bare, Some("Bearer key-of-dev".to_owned())),
        ("bob", bare, token("bob", &["token-group"], "")),
        ("ada", bare, token("ada", &[], "")),
        ("cyd", bare, token("cyd", &[], "reads")),
        ("ann", showing, None),
    ] {
        all.push((at, Lasting::begin(name, at, authorization, &fixture).await));
    }
    for (at, one) in &mut all {
        one.is_there(*at, &ops).await;
    }
    for (_, one) in &mut all {
        one.catch_up(&ops).await;
    }
    files.change(&proxy, &allowing("tools: raw, resources: 'res:of-*'")).await;
    for (at, one) in &mut all {
        one.has_ended(*at, &ops).await;
    }
}
