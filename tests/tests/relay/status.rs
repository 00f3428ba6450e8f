//! The status of proxy and slave: `/api/v1/…` and `mcp-relay status`. It is correct, and contains no contents of calls.

use std::net::SocketAddr;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, get, request};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

async fn document(address: SocketAddr, path: &str) -> Value {
    let (status, text) = get(address, path).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

async fn status(address: SocketAddr) -> Value {
    document(address, "/api/v1/status").await
}

/// Waits until the status satisfies a condition.
async fn until(address: SocketAddr, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, async || Some(status(address).await).filter(|found| so(found))).await
}

async fn scene() -> (Proxy, Slave, Fixture) {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let fixture = Fixture::default();
    let setup = Setup::slave("berlin", proxy.link)
        .env("UI", "1")
        .env("SLAVE_LABELS", "platform=gitlab")
        .env("SLAVE_CAPACITY", "1");
    let slave = fixture.serve_with(setup, &[("FIXTURE_SECRET", "env-canary")]).start_slave().await;
    proxy.offers("run").await;
    (proxy, slave, fixture)
}

#[tokio::test]
async fn a_proxy_reports_its_slaves_and_itself() {
    let (proxy, slave, fixture) = scene().await;
    let found = until(proxy.http, "a measured round trip", |found| {
        found["slaves"]["list"][0]["roundTripMs"].is_number()
    })
    .await;
    assert_eq!((&found["schema"], &found["role"]), (&json!(1), &json!("proxy")));
    assert_eq!(found["readiness"], json!({ "ready": true, "slaves": 1 }));
    assert_eq!(found["proxies"]["list"][0]["instance"], found["instance"]);
    assert_eq!(found["slaves"]["byState"]["ready"], 1);
    let one = &found["slaves"]["list"][0];
    for (member, value) in [
        ("name", json!("berlin")),
        ("state", json!("ready")),
        ("labels", json!({ "platform": "gitlab" })),
        ("dialect", json!("native")),
        ("capacity", json!(1)),
        ("inFlight", json!(0)),
        ("toolCount", json!(8)),
    ] {
        assert_eq!(one[member], value, "{member}: {one}");
    }
    assert!(one["tools"].as_array().unwrap().contains(&json!("run")), "{one}");
    assert!(one["agent"].as_str().unwrap().starts_with("mcp-relay/"), "{one}");
    assert!(one["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{one}");
    assert!(one["since"].as_str().unwrap() >= found["startedAt"].as_str().unwrap(), "{one}");
    assert_eq!(document(proxy.http, "/api/v1/slaves").await["list"][0]["name"], "berlin");
    // A slave for which no call waits is forgotten at once.
    let client = Client::modern(proxy.http);
    fixture.open_gate("one", 1);
    let mut call = client.start(McpRequest::tool(1, "run", run_args("one", 4)).progress(1)).await;
    call.next().await.unwrap();
    slave.signal(Signal::SIGKILL);
    let found =
        until(proxy.http, "the slave to be lost", |found| found["slaves"]["byState"]["lost"] == 1).await;
    assert!(!found["slaves"]["list"][0]["reason"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn calls_are_seen_while_they_wait_run_and_after_their_end() {
    let (proxy, slave, fixture) = scene().await;
    fixture.open_gate("one", 3);
    let client = Client::modern(proxy.http)
        .with_header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let mut first = client.start(McpRequest::tool(1, "run", run_args("one", 4)).progress(1)).await;
    first.next().await.unwrap();
    // The slave is at its capacity.
    let mut second = client.start(McpRequest::tool(2, "run", run_args("two", 0))).await;
    let found = until(proxy.http, "one call that runs and one that waits", |found| {
        let live = &found["calls"]["live"];
        live["total"] == 2
            && live["list"][0]["progress"]["done"] == 3.0
            && live["list"][1]["state"] == "waiting"
    })
    .await;
    let call = &found["calls"]["live"]["list"][0];
    assert_eq!(
        (&call["tool"], &call["slave"], &call["state"]),
        (&json!("run"), &json!("berlin"), &json!("running"))
    );
    assert_eq!(call["progress"], json!({ "done": 3.0, "total": 4.0 }));
    assert_eq!(
        (&call["client"], &call["trace"]),
        (&json!("127.0.0.1"), &json!("0af7651916cd43dd8448eb211c80319c"))
    );
    // The slave shows the call under the same id.
    let own = status(slave.http).await;
    let there = &own["calls"]["live"]["list"][0];
    assert_eq!((&there["id"], &there["backend"]), (&call["id"], &json!("fixture")), "{own}");
    assert_eq!(
        there["client"].as_str(),
        found["instance"].as_str().map(|id| format!("proxy {id}")).as_deref()
    );
    assert_eq!(there["progress"]["done"], 3.0);
    fixture.open_gate("one", 5);
    first.finish().await;
    second.finish().await;
    client.call("nowhere", json!({})).await.error();
    let found = until(proxy.http, "their ends", |found| found["calls"]["live"]["total"] == 0).await;
    let outcomes: Vec<&str> = found["calls"]["recent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["unknown_tool", "ok", "ok"]);
    until(proxy.http, "them in the rates", |found| {
        let sum = |member: &str| -> u64 {
            found["calls"]["rates"][member].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
        };
        (sum("ended"), sum("notOk")) == (3, 1)
    })
    .await;
    until(slave.http, "both on the slave", |found| found["calls"]["recent"].as_array().unwrap().len() == 2)
        .await;
}

#[tokio::test]
async fn a_slave_reports_its_links_and_the_output_of_its_backends() {
    let (proxy, slave, fixture) = scene().await;
    let client = Client::modern(proxy.http);
    client.call("leak", json!({ "say": "a line\u{1b}[31m of its own" })).await.result();
    let found = until(slave.http, "both lines", |found| {
        found["backends"]["list"][0]["stderr"].as_array().is_some_and(|lines| lines.len() == 2)
    })
    .await;
    assert_eq!((&found["role"], &found["name"]), (&json!("slave"), &json!("berlin")));
    let link = &found["links"]["list"][0];
    assert_eq!((&link["state"], &link["dialect"]), (&json!("up"), &json!("native")));
    assert_eq!(link["url"], format!("ws://{}", proxy.link));
    assert_eq!(link["proxy"], status(proxy.http).await["instance"]);
    let backend = &found["backends"]["list"][0];
    assert_eq!(
        (&backend["name"], &backend["state"], &backend["restarts"]),
        (&json!("fixture"), &json!("ready"), &json!(0))
    );
    assert_eq!(backend["pid"], fixture.pids()[0]);
    assert_eq!(backend["stderr"][0]["text"], "the secret is [masked]");
    assert_eq!(backend["stderr"][1]["text"], "a line[31m of its own", "as the log has it");
    client.call("die", json!({})).await;
    until(slave.http, "the restart", |found| {
        let backend = &found["backends"]["list"][0];
        backend["restarts"] == 1 && backend["state"] == "ready" && backend["pid"].is_number()
    })
    .await;
    proxy.signal(Signal::SIGKILL);
    let found = until(slave.http, "the lost link", |found| found["links"]["total"] == 0).await;
    assert!(found["links"]["problem"].is_string() && found["readiness"]["ready"] == false, "{found}");
}

#[tokio::test]
async fn without_ui_calls_are_not_recorded() {
    let proxy = Setup::proxy().start_proxy().await;
    let fixture = Fixture::default();
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("leak").await;
    Client::modern(proxy.http).call("leak", json!({})).await.result();
    slave.log.wait_for("the secret is").await;
    for address in [proxy.http, slave.http] {
        assert_eq!(status(address).await["calls"], json!({ "enabled": false }));
        assert_eq!(get(address, "/ui/").await.0, 404);
    }
    assert_eq!(status(slave.http).await["backends"]["list"][0]["stderr"], Value::Null);
    let standalone =
        Setup::bare("alone").env("MCP_SERVER_PORT", "0").env("DEMO_TOOLS", "1").start_slave().await;
    let found = status(standalone.http).await;
    assert_eq!((&found["role"], &found["links"]), (&json!("standalone"), &json!({ "enabled": false })));
}

#[tokio::test]
async fn contents_of_calls_are_not_reported() {
    let (proxy, slave, _fixture) = scene().await;
    let client = Client::legacy(proxy.http).await;
    client
        .call("arguments", json!({ "secret": "argument-canary", "token": ["result-canary"] }))
        .await
        .result();
    client.call("none-canaries-here", json!({ "x": "argument-canary" })).await.error();
    until(slave.http, "the call", |found| found["calls"]["recent"].as_array().unwrap().len() == 1).await;
    let session = client.session.clone().unwrap();
    for address in [proxy.http, slave.http] {
        for path in ["/api/v1/status", "/api/v1/slaves", "/api/v1/calls", "/api/v1/backends", "/api/v1/links"]
        {
            let (_, text) = get(address, path).await;
            let hidden =
                ["argument-canary", "result-canary", "env-canary", harness::relay::CODE, session.as_str()];
            let leak = hidden.iter().find(|secret| text.contains(**secret));
            assert!(leak.is_none(), "{path} tells {leak:?}: {text}");
        }
    }
}

#[tokio::test]
async fn foreign_pages_and_other_methods_get_nothing() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut exchange =
            Exchange::start(proxy.http, request(method, "/api/v1/status", &headers, Vec::new())).await;
        exchange.head().await;
        exchange.status.as_u16()
    };
    assert_eq!(ask(Method::GET, &[("origin", "https://evil.example")]).await, 403);
    // A page that reached loopback under its own name (DNS rebinding): browsers send its origin.
    let rebound = [("host", "evil.example"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ask(Method::GET, &rebound).await, 403);
    assert_eq!(ask(Method::GET, &[("sec-fetch-site", "same-origin")]).await, 200);
    assert_eq!(ask(Method::POST, &[]).await, 405);
    assert_eq!(ask(Method::HEAD, &[]).await, 200);
    let mut page = Exchange::start(proxy.http, request(Method::GET, "/ui/", &[], Vec::new())).await;
    page.head().await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn the_terminal_shows_the_same() {
    let (proxy, slave, _fixture) = scene().await;
    Client::modern(proxy.http).call("leak", json!({})).await.result();
    until(slave.http, "the call", |found| found["calls"]["recent"].as_array().unwrap().len() == 1).await;
    let ask = |args: &[&'static str], env: &[(&str, String)]| {
        let setup =
            env.iter().fold(Setup::bare("status"), |setup, (name, value)| setup.env(name, value.as_str()));
        setup.args(args).spawn()
    };
    let of = |address: SocketAddr| [("MCP_SERVER_PORT", address.port().to_string())];
    let mut command = ask(&["status"], &of(proxy.http));
    assert_eq!(command.exit(wait::TIMEOUT).await.code(), Some(0));
    command.log.wait_for("berlin").await;
    command.log.wait_for("recent calls").await;
    let mut command = ask(&["status"], &of(slave.http));
    assert_eq!(command.exit(wait::TIMEOUT).await.code(), Some(0));
    command.log.wait_for("the secret is [masked]").await;
    command.log.wait_for("linked to 1 of 1 proxies").await;
    let mut command = ask(&["status", "--json"], &of(proxy.http));
    assert_eq!(command.exit(wait::TIMEOUT).await.code(), Some(0));
    let line = command.log.wait_for("{").await;
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["role"], "proxy");
    let watching = ask(&["status", "--watch"], &of(proxy.http));
    wait::until("a second look", async || (watching.log.count("berlin") >= 2).then_some(())).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = ask(&["status"], &of(nobody));
    assert_eq!(command.exit(wait::TIMEOUT).await.code(), Some(1));
    command.log.wait_for("MCP_SERVER_PORT").await;
}

#[tokio::test]
async fn the_terminal_needs_a_key_where_the_page_does() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "key1,key2").env("OPS_PORT", "0").start_proxy().await;
    let line = proxy.log.wait_for("Ops server listening on").await;
    let port = line.rsplit(':').next().unwrap().to_owned();
    let ask = |key: &str| {
        let setup = Setup::bare("status").env("OPS_PORT", port.as_str());
        let setup = if key.is_empty() { setup } else { setup.env("AUTH_BEARER_KEYS", key) };
        setup.args(&["status"]).spawn()
    };
    let mut refused = ask("");
    assert_eq!(refused.exit(wait::TIMEOUT).await.code(), Some(1));
    refused.log.wait_for("asks for a key").await;
    assert_eq!(ask("key2").exit(wait::TIMEOUT).await.code(), Some(0));
}
