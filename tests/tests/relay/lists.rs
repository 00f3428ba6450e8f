//! Lists of tools: their order, and how long and for whom they may be kept.

use std::path::PathBuf;

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::rawslave::{RawSlave, dial};
use harness::relay::{CODE, Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

/// A slave with these backends in this order, each with its result of `tools/list`.
async fn slave(proxy: &Proxy, name: &str, fixture: &Fixture, backends: &[(&str, &str)]) -> Slave {
    let entry = |list: &str| fixture.entry(&[("FIXTURE_ERA", "modern"), ("FIXTURE_LIST", list)]).to_string();
    let entries: Vec<String> =
        backends.iter().map(|(name, list)| format!("{name:?}:{}", entry(list))).collect();
    let path: PathBuf = fixture.folder().join(format!("{name}.json"));
    std::fs::write(&path, format!(r#"{{"mcpServers":{{{}}}}}"#, entries.join(","))).unwrap();
    let setup = Setup::slave(name, proxy.link)
        .env("DEMO_TOOLS", "0")
        .env("LIST_TTL_MS", "9000")
        .env("SLAVE_BACKENDS", path.to_str().unwrap());
    setup.start_slave().await
}

/// A result of `tools/list` with these tools and more members.
fn list(tools: &[&str], more: &str) -> String {
    let tools: Vec<String> = tools
        .iter()
        .map(|tool| format!(r#"{{"name":"{tool}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    format!(r#"{{"resultType":"complete","tools":[{}]{more}}}"#, tools.join(","))
}

/// `ttlMs` and `cacheScope` of a server's list.
async fn hints(address: std::net::SocketAddr) -> (u64, String) {
    let answer = Client::modern(address).request(McpRequest::new(1, "tools/list", json!({}))).await;
    let result = answer.result();
    (result["ttlMs"].as_u64().unwrap(), result["cacheScope"].as_str().unwrap().to_owned())
}

/// `ttlMs` of what a server says of itself.
async fn discovery_ttl(address: std::net::SocketAddr) -> Value {
    let answer = Client::modern(address).request(McpRequest::new(1, "server/discover", json!({}))).await;
    answer.result()["ttlMs"].clone()
}

async fn wait_for_hints(address: std::net::SocketAddr, ttl: u64, scope: &str) {
    wait::until(&format!("{ttl} {scope}"), async || {
        (hints(address).await == (ttl, scope.to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tools_stand_by_slave_then_in_the_order_of_the_file_then_in_that_of_the_backend() {
    let fixture = Fixture::default();
    let proxies = [Setup::proxy().start_proxy().await, Setup::proxy().start_proxy().await];
    let zeta = [("zeta", &*list(&["z2", "z1"], "")), ("alpha", &*list(&["m", "a"], ""))];
    let beta = [("y", &*list(&["k2", "k1"], "")), ("x", &*list(&["b"], ""))];
    let expected = ["k2", "k1", "b", "z2", "z1", "m", "a"];
    let mut slaves = Vec::new();
    slaves.push(slave(&proxies[0], "zeta", &fixture, &zeta).await);
    proxies[0].offers("a").await;
    slaves.push(slave(&proxies[0], "beta", &fixture, &beta).await);
    slaves.push(slave(&proxies[1], "beta", &fixture, &beta).await);
    proxies[1].offers("b").await;
    slaves.push(slave(&proxies[1], "zeta", &fixture, &zeta).await);
    for proxy in &proxies {
        for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
            wait::until("the order", async || (client.tool_names().await == expected).then_some(())).await;
        }
    }
    assert_eq!(Client::modern(slaves[0].http).tool_names().await, ["z2", "z1", "m", "a"]);
}

#[tokio::test]
async fn a_list_is_kept_as_long_and_as_widely_as_its_strictest_part_allows() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().env("LIST_TTL_MS", "9000").start_proxy().await;
    let _silent = slave(&proxy, "silent", &fixture, &[("a", &list(&["s"], ""))]).await;
    proxy.offers("s").await;
    wait_for_hints(proxy.http, 9000, "public").await;
    let public = list(&["p"], r#","ttlMs":5000,"cacheScope":"public""#);
    let _public =
        slave(&proxy, "public", &fixture, &[("a", &public), ("b", &list(&["q"], r#","ttlMs":70000"#))]).await;
    proxy.offers("q").await;
    wait_for_hints(proxy.http, 5000, "public").await;
    let private = list(&["r"], r#","ttlMs":6000,"cacheScope":"private""#);
    let backends = [("a", private.as_str()), ("b", &list(&["t"], ""))];
    let private = slave(&proxy, "private", &fixture, &backends).await;
    proxy.offers("t").await;
    wait_for_hints(proxy.http, 5000, "private").await;
    wait_for_hints(private.http, 6000, "private").await;
    drop(private);
    proxy.withdraws("r").await;
    wait_for_hints(proxy.http, 5000, "public").await;
}

/// `_meta` of a list.
async fn list_meta(client: &Client, method: &str) -> Value {
    let answer = client.request(McpRequest::new(1, method, json!({}))).await;
    let mut meta = answer.result()["_meta"].clone();
    if let Some(members) = meta.as_object_mut() {
        members.remove("io.modelcontextprotocol/serverInfo");
    }
    meta
}

#[tokio::test]
async fn the_meta_of_a_backend_s_list_is_in_the_list_that_clients_get() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let server = r#""io.modelcontextprotocol/serverInfo":{"name":"hidden","version":"1"}"#;
    let one = list(&["a"], &format!(r#","_meta":{{"org.example/n":9007199254740993,"both":1,{server}}}"#));
    let two = list(&["b"], r#","_meta":{"both":2,"org.example/two":{"deep":[1]}}"#);
    let slave = slave(&proxy, "one", &fixture, &[("one", &one), ("two", &two)]).await;
    proxy.offers("b").await;
    let expected =
        json!({ "org.example/n": 9_007_199_254_740_993_u64, "both": 1, "org.example/two": { "deep": [1] } });
    for address in [proxy.http, slave.http] {
        for client in [Client::modern(address), Client::legacy(address).await] {
            assert_eq!(list_meta(&client, "tools/list").await, expected);
            let others = list_meta(&client, "prompts/list").await;
            assert!(others.is_null() || others == json!({}), "{others}");
        }
    }
    let own = Client::modern(proxy.http).request(McpRequest::new(1, "tools/list", json!({}))).await;
    assert_eq!(own.result()["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-relay");
}

#[tokio::test]
async fn a_list_in_which_a_dead_backend_s_entries_are_missing_is_not_kept() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().env("LIST_TTL_MS", "9000").start_proxy().await;
    let _good = slave(&proxy, "good", &fixture, &[("a", &list(&["good"], ""))]).await;
    proxy.offers("good").await;
    wait_for_hints(proxy.http, 9000, "public").await;
    let dead = json!({ "command": "/bin/false", "args": [] });
    let live = fixture.entry(&[("FIXTURE_LIST", &list(&["late"], ""))]);
    let path = fixture.write_backends(&json!({ "dead": dead }));
    let lone = Setup::slave("lone", proxy.link).env("DEMO_TOOLS", "0").env("LIST_TTL_MS", "9000");
    let lone = lone.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    // Another slave's list is a part of the same list.
    wait_for_hints(proxy.http, 0, "public").await;
    assert_eq!(Client::modern(proxy.http).tool_names().await, ["good"]);
    // Neither is what it says of itself, which depends on the backends.
    for address in [proxy.http, lone.http] {
        assert_eq!(discovery_ttl(address).await, 0);
    }
    fixture.write_backends(&json!({ "dead": live }));
    proxy.offers("late").await;
    for address in [proxy.http, lone.http] {
        wait_for_hints(address, 9000, "public").await;
        assert_eq!(discovery_ttl(address).await, 9000);
    }
}

#[tokio::test]
async fn a_list_that_may_be_another_in_a_moment_is_not_kept() {
    let proxy = Setup::proxy().env("LIST_TTL_MS", "60000").start_proxy().await;
    assert_eq!(hints(proxy.http).await.0, 0, "nobody is there");
    let mut slave: RawSlave = dial(proxy.link).await;
    slave.authenticate(CODE, "raw").await;
    let part = |ttl: Value| {
        let items = json!([{ "name": "first", "inputSchema": { "type": "object" } }]);
        json!({ "backend": "a", "position": 0, "lists": { "tools": { "items": items, "ttlMs": ttl } } })
    };
    slave.part(&part(json!(70_000))).await;
    proxy.offers("first").await;
    assert_eq!(hints(proxy.http).await.0, 0, "more is expected");
    slave.part(&json!({ "slave": { "complete": true } })).await;
    wait_for_hints(proxy.http, 60_000, "public").await;
    // Only the hint changes.
    slave.part(&part(json!(7_000))).await;
    wait_for_hints(proxy.http, 7_000, "public").await;
    slave.part(&part(json!(0))).await;
    wait_for_hints(proxy.http, 0, "public").await;
    drop(slave);
    proxy.withdraws("first").await;
    assert_eq!(hints(proxy.http).await.0, 0, "nobody is there any more");
}
