//! Icons, titles and user interfaces (MCP Apps: `ui://` resources, `_meta.ui`, the extension `io.modelcontextprotocol/ui`) through the relay,
//! for every pair of eras, from servers over stdio and HTTP.

use std::net::SocketAddr;

use harness::apps::{self, EXTENSION};
use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::relay::{Proxy, Setup, Slave};
use serde_json::{Value, json};

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// A client of each era that shows user interfaces.
async fn clients(address: SocketAddr) -> [(&'static str, Client); 2] {
    let legacy = Client::legacy_able(address, apps::capability()).await;
    [("legacy", legacy), ("modern", Client::modern(address))]
}

/// The result of a request of a client that shows user interfaces.
async fn result(client: &Client, method: &str, params: Value) -> Value {
    let mut request = McpRequest::new(1, method, params);
    if client.session.is_none() {
        request = request.meta(CAPABILITIES, apps::capability());
    }
    let answer = client.request(request).await;
    assert!(answer.response().get("result").is_some(), "{method}: {:?}", answer.messages);
    answer.result().clone()
}

async fn slave(proxy: &Proxy, name: &str, fixture: &Fixture, servers: &Value) -> Slave {
    let path = fixture.write_backends(servers);
    let setup = Setup::slave(name, proxy.link).env("DEMO_TOOLS", "0");
    setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await
}

/// The stdio fixture with user interfaces of this host.
fn stdio(fixture: &Fixture, era: &str, host: &str) -> Value {
    fixture.entry(&[("FIXTURE_ERA", era), ("FIXTURE_APPS", host)])
}

/// All that the server of this host offers, as it wrote it.
async fn check(client: &Client, host: &str, name: &str) {
    let all = [
        ("tools/list", "tools", apps::tools(host, &apps::capability())),
        ("prompts/list", "prompts", apps::prompts(host)),
        ("resources/list", "resources", apps::resources(host)),
        ("resources/templates/list", "resourceTemplates", apps::templates(host)),
    ];
    for (method, list, own) in all {
        let listed = result(client, method, json!({})).await;
        for entry in own.as_array().unwrap() {
            assert!(listed[list].as_array().unwrap().contains(entry), "{name}: {entry} in {listed}");
        }
    }
    for uri in [apps::listed(host), apps::unlisted(host)] {
        let read = result(client, "resources/read", json!({ "uri": uri })).await;
        assert_eq!(read["contents"], apps::contents(&uri), "{name}");
    }
    // The second one is for the user interface alone; who may call it is the host's to say.
    for tool in [format!("{host}_show"), format!("{host}_refresh")] {
        let call = json!({ "name": tool, "arguments": { "board": "b" } });
        let called = result(client, "tools/call", call).await;
        assert_eq!(called["structuredContent"], json!({ "board": "b" }), "{name}");
        assert_eq!(called["_meta"]["for"], "the user interface", "{name}: {called}");
        let declared = &called["_meta"]["declared"]["extensions"][EXTENSION];
        assert_eq!(declared["mimeTypes"], json!([apps::MIME_TYPE]), "{name}: {called}");
    }
}

#[tokio::test]
async fn user_interfaces_icons_and_titles_are_the_backend_s_between_all_eras_over_stdio_and_http() {
    let fixture = Fixture::default();
    let (legacy, modern) = (McpUpstream::start(Kind::Legacy).await, McpUpstream::start(Kind::Modern).await);
    let events = McpUpstream::start(Kind::Events).await;
    let mut servers = json!({
        "kinds": fixture.entry(&[("FIXTURE_KINDS", "kinds")]),
        "s1": stdio(&fixture, "legacy", "stdio-legacy"),
        "s2": stdio(&fixture, "modern", "stdio-modern"),
    });
    for (name, kind, upstream) in [
        ("http-legacy", Kind::Legacy, &legacy),
        ("http-modern", Kind::Modern, &modern),
        ("http-events", Kind::Events, &events),
    ] {
        upstream.offer_apps(name);
        servers[name] = upstream.entry(kind);
    }
    let proxy = Setup::proxy().start_proxy().await;
    let slave = slave(&proxy, "one", &fixture, &servers).await;
    let hosts = ["stdio-legacy", "stdio-modern", "http-legacy", "http-modern", "http-events"];
    for host in hosts {
        proxy.offers(&format!("{host}_refresh")).await;
    }
    for address in [proxy.http, slave.http] {
        for (era, client) in clients(address).await {
            for host in hosts {
                check(&client, host, &format!("{era} client at {address}, {host}")).await;
            }
        }
    }
    let status = harness::http::get(proxy.http, "/api/v1/status").await.1;
    assert!(status.contains(r#""server":"stdio-modern""#) || status.contains("1.2.3"), "{status}");
}

#[tokio::test]
async fn the_extension_is_announced_to_clients_of_both_eras() {
    for era in ["legacy", "modern"] {
        let fixture = Fixture::default();
        let proxy = Setup::proxy().start_proxy().await;
        let slave =
            slave(&proxy, "one", &fixture, &json!({ "boards": stdio(&fixture, era, "boards") })).await;
        proxy.offers("boards_show").await;
        let expected = json!({ EXTENSION: { "mimeTypes": [apps::MIME_TYPE], "n": 1.5 } });
        for address in [proxy.http, slave.http] {
            let discover = McpRequest::new(1, "server/discover", json!({}));
            let modern = Client::modern(address).request(discover).await;
            assert_eq!(modern.result()["capabilities"]["extensions"], expected, "{era} backend");
            let legacy = Client::uninitialized(address).initialize().await;
            assert_eq!(legacy.result()["capabilities"]["extensions"], expected, "{era} backend");
        }
    }
}

#[tokio::test]
async fn a_process_of_a_session_learns_whether_its_own_client_shows_user_interfaces() {
    let fixture = Fixture::default();
    let mut entry = stdio(&fixture, "legacy", "boards");
    entry["sessions"] = "per-session".into();
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = slave(&proxy, "one", &fixture, &json!({ "boards": entry })).await;
    proxy.offers("boards_plain").await;
    let mut large = apps::capability();
    large["experimental"] = json!({ "org.example/long": "x".repeat(4000) });
    let long = Client::legacy_able(proxy.http, large).await;
    let plain = Client::legacy(proxy.http).await;
    let [(_, able), (_, modern)] = clients(proxy.http).await;
    for (client, shows) in [(&able, true), (&long, true), (&plain, false), (&modern, true)] {
        let call = json!({ "name": "boards_plain", "arguments": {} });
        let declared = result(client, "tools/call", call).await["_meta"]["declared"].clone();
        assert_eq!(declared == apps::capability(), shows, "{declared}");
        assert_eq!(declared == json!({}), !shows, "{declared}");
    }
}

#[tokio::test]
async fn names_that_an_operator_gives_leave_references_as_they_are_and_what_is_hidden_is_not_read_by_one() {
    let fixture = Fixture::default();
    let mut shown = stdio(&fixture, "legacy", "shown");
    shown["prefix"] = "x_".into();
    shown["tools"] = json!({ "rename": { "shown_show": "display" } });
    let mut hidden = stdio(&fixture, "modern", "hidden");
    hidden["resources"] = json!({ "deny": ["ui://*"] });
    let proxy = Setup::proxy().start_proxy().await;
    let slave = slave(&proxy, "one", &fixture, &json!({ "a": shown, "b": hidden })).await;
    proxy.offers("hidden_show").await;
    proxy.offers("display").await;
    for address in [proxy.http, slave.http] {
        for (era, client) in clients(address).await {
            let tools = result(&client, "tools/list", json!({})).await;
            let tools = tools["tools"].as_array().unwrap();
            let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
            for (name, uri) in
                [("display", apps::unlisted("shown")), ("x_shown_refresh", apps::listed("shown"))]
            {
                assert_eq!(tool(name)["_meta"]["ui"]["resourceUri"], uri, "{era}");
                let read = result(&client, "resources/read", json!({ "uri": uri })).await;
                assert_eq!(read["contents"], apps::contents(&uri), "{era}");
                let called = result(&client, "tools/call", json!({ "name": name, "arguments": {} })).await;
                let own = called["_meta"]["name"].as_str().unwrap();
                assert!(own.starts_with("shown_"), "{era}: {called}");
            }
            for uri in [apps::listed("hidden"), apps::unlisted("hidden")] {
                let read = McpRequest::new(1, "resources/read", json!({ "uri": uri }));
                assert!(client.request(read).await.code() < 0, "{era}: {uri}");
            }
        }
    }
}

#[tokio::test]
async fn a_user_interface_that_no_list_has_is_read_from_the_slave_whose_tool_names_it() {
    let fixtures = [Fixture::default(), Fixture::default(), Fixture::default()];
    let proxy = Setup::proxy().start_proxy().await;
    let _one =
        slave(&proxy, "one", &fixtures[0], &json!({ "a": stdio(&fixtures[0], "legacy", "first") })).await;
    let _two =
        slave(&proxy, "two", &fixtures[1], &json!({ "a": stdio(&fixtures[1], "modern", "second") })).await;
    let kinds = json!({ "kinds": fixtures[2].entry(&[("FIXTURE_KINDS", "kinds")]) });
    let _three = slave(&proxy, "three", &fixtures[2], &kinds).await;
    for tool in ["first_show", "second_show", "change"] {
        proxy.offers(tool).await;
    }
    for (era, client) in clients(proxy.http).await {
        // Often enough that no chance finds the right one of three slaves.
        for _ in 0..20 {
            for host in ["first", "second"] {
                let uri = apps::unlisted(host);
                let read = result(&client, "resources/read", json!({ "uri": uri })).await;
                assert_eq!(read["contents"], apps::contents(&uri), "{era}");
            }
        }
    }
}

#[tokio::test]
async fn of_two_backends_with_one_uri_the_first_is_read_and_the_log_says_so() {
    let fixture = Fixture::default();
    let servers = json!({ "a": stdio(&fixture, "legacy", "same"), "b": stdio(&fixture, "modern", "same") });
    let proxy = Setup::proxy().start_proxy().await;
    let slave = slave(&proxy, "one", &fixture, &servers).await;
    proxy.offers("b__same_show").await;
    let line = slave.log.wait_for("is read from backend").await;
    assert!(line.contains("ui://same/unlisted.html") && line.contains("same_show"), "{line}");
    let [(_, legacy), (_, modern)] = clients(proxy.http).await;
    for client in [legacy, modern] {
        let uri = apps::unlisted("same");
        let read = result(&client, "resources/read", json!({ "uri": uri })).await;
        assert_eq!(read["contents"], apps::contents(&uri));
    }
}
