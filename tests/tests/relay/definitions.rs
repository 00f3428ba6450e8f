//! Definitions as backends write them, also where a JSON library cannot hold them: compared exactly, shown as they are, never equal because
//! they cannot be read. And names: no tool takes another's, none is lost.

use std::path::PathBuf;

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::rawslave::{RawSlave, dial};
use harness::relay::{CODE, Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

/// A slave with these backends in this order, each with its definitions.
async fn slave(proxy: &Proxy, name: &str, fixture: &Fixture, backends: &[(&str, &str)]) -> Slave {
    let entry = |(backend, tools): &(&str, &str)| {
        let list = format!(r#"{{"resultType":"complete","tools":[{tools}]}}"#);
        let env = [("FIXTURE_ERA", "modern"), ("FIXTURE_LIST", list.as_str()), ("FIXTURE_WHO", backend)];
        format!("{}:{}", json!(backend), fixture.entry(&env))
    };
    let entries: Vec<String> = backends.iter().map(entry).collect();
    let path: PathBuf = fixture.folder().join(format!("{name}.json"));
    std::fs::write(&path, format!(r#"{{"mcpServers":{{{}}}}}"#, entries.join(","))).unwrap();
    let setup =
        Setup::slave(name, proxy.link).env("DEMO_TOOLS", "0").env("SLAVE_BACKENDS", path.to_str().unwrap());
    setup.start_slave().await
}

/// The answer to `tools/list` as it came.
async fn list_text(address: std::net::SocketAddr) -> String {
    let client = Client::modern(address).with_header("mcp-method", "tools/list");
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{meta}}}}}"#);
    let mut exchange = client.post(body.as_bytes()).await;
    String::from_utf8(exchange.rest().await).unwrap()
}

async fn lists(address: std::net::SocketAddr, text: &str) {
    wait::until("the definition", async || list_text(address).await.contains(text).then_some(())).await;
}

fn odd_definitions() -> Vec<String> {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    [
        r#""maximum":1e400,"n":[-0.0, 1E+2,9007199254740993]"#.to_owned(),
        r#""description":"cut \ud83d", "enum":["\udc00\u0041"]"#.into(),
        r#""\ud83d":"a key""#.into(),
        format!(r#""default":{}"#, deep(200)),
        format!(r#""default":{}"#, deep(600)),
        r#""title":"a","title":"b""#.into(),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, odd)| {
        format!(r#"{{ "name" : "odd{number}","inputSchema":{{"type":"object",{odd}}},"_meta":{{"x":1.0}}}}"#)
    })
    .collect()
}

#[tokio::test]
async fn definitions_come_through_byte_for_byte_whatever_is_in_them() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let odd = odd_definitions();
    let slave = slave(&proxy, "one", &fixture, &[("a", &odd.join(",")), ("b", r#"{"name":"plain"}"#)]).await;
    lists(proxy.http, r#""plain""#).await;
    for definition in &odd {
        for address in [slave.http, proxy.http] {
            lists(address, definition).await;
        }
    }
}

#[tokio::test]
async fn odd_definitions_are_one_tool_only_where_they_are_the_same() {
    let proxy = Setup::proxy().start_proxy().await;
    let deep = |inside: &str| format!(r#"{{"x":{}{inside}{}}}"#, "[".repeat(200), "]".repeat(200));
    let too_deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(600), "]".repeat(600));
    let cases = [
        ("numbers", r#"{"maximum":1e400}"#.to_owned(), r#"{"maximum":10E399}"#.to_owned(), true),
        ("large", r#"{"maximum":1e400}"#.into(), r#"{"maximum":1e401}"#.into(), false),
        ("exact", r#"{"maximum":9007199254740993}"#.into(), r#"{"maximum":9007199254740992}"#.into(), false),
        ("halves", r#"{"const":"\ud83d"}"#.into(), r#"{"const":"\uD83D"}"#.into(), true),
        ("other_halves", r#"{"const":"\ud83d"}"#.into(), r#"{"const":"\ud83c"}"#.into(), false),
        ("replaced", r#"{"const":"\ud83d"}"#.into(), "{\"const\":\"\u{fffd}\"}".into(), false),
        (
            "worded",
            r#"{"properties":{"a":{"title":"\ud83d"}}}"#.into(),
            r#"{"properties":{"a":{}}}"#.into(),
            true,
        ),
        (
            "reworded",
            r#"{"anyOf":[{"title":"A"}]}"#.into(),
            r#"{"anyOf":[{"description":"B"}]}"#.into(),
            true,
        ),
        (
            "named",
            r#"{"properties":{"title":{}}}"#.into(),
            r#"{"properties":{"description":{}}}"#.into(),
            false,
        ),
        ("preset", r#"{"default":{"title":"a"}}"#.into(), r#"{"default":{"title":"b"}}"#.into(), false),
        ("deep", deep("1"), deep("1.0"), true),
        ("other_deep", deep("1"), deep("2"), false),
        ("too_deep", too_deep.clone(), too_deep, false),
        ("twice", r#"{"a":1,"a":1}"#.into(), r#"{"a":1,"a":1}"#.into(), false),
    ];
    let mut links = Vec::new();
    for (slave, pick) in [("alpha", 0), ("beta", 1)] {
        let definition = |(name, one, two, _): &(&str, String, String, bool)| {
            let schema = if pick == 0 { one } else { two };
            format!(r#"{{"name":"{name}","description":"of {slave}","inputSchema":{schema}}}"#)
        };
        let items: Vec<String> = cases.iter().map(definition).collect();
        let mut link: RawSlave = dial(proxy.link).await;
        link.authenticate(CODE, slave).await;
        let items = items.join(",");
        link.raw_part(format!(r#"{{"backend":"a","position":0,"lists":{{"tools":{{"items":[{items}]}}}}}}"#))
            .await;
        link.part(&json!({ "slave": { "complete": true } })).await;
        links.push(link);
    }
    lists(proxy.http, r#""beta__large""#).await;
    let text = list_text(proxy.http).await;
    for (name, one, _, is_pool) in &cases {
        assert!(
            text.contains(&format!(r#"{{"name":"{name}","description":"of alpha","inputSchema":{one}}}"#)),
            "{name}"
        );
        assert_eq!(text.contains(&format!(r#""beta__{name}""#)), !is_pool, "{name}");
    }
}

#[tokio::test]
async fn headers_are_checked_beside_odd_numbers() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let tool = r#"{"name":"arguments","inputSchema":{"type":"object","maximum":1e400,"title":"\ud83d","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"maximum":1e400,"type":"integer"}}}}"#;
    let slave = slave(&proxy, "one", &fixture, &[("a", tool)]).await;
    lists(proxy.http, r#""arguments""#).await;
    for address in [proxy.http, slave.http] {
        let call = |client: Client| async move { client.call("arguments", json!({ "region": "eu" })).await };
        let client = Client::modern(address);
        for wrong in [client.clone(), client.clone().with_header("mcp-param-region", "us")] {
            let answer = call(wrong).await;
            assert_eq!((answer.status, answer.kind()), (400, "header_mismatch"), "{:?}", answer.messages);
        }
        call(client.with_header("mcp-param-region", "eu")).await.result();
    }
    let url = format!("http://{}/mcp", proxy.http);
    let called = std::process::Command::new(harness::process::binary())
        .args(["call", "--url", &url, "arguments", "--arguments", r#"{"region":"eu"}"#])
        .output()
        .unwrap();
    assert!(called.status.success(), "{called:?}");
}

#[tokio::test]
async fn no_tool_of_a_slave_s_backends_takes_the_calls_of_another_or_is_lost() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let long = "t".repeat(60);
    let tools = |names: &[&str]| -> String {
        let tools: Vec<String> = names.iter().map(|name| format!(r#"{{"name":"{name}"}}"#)).collect();
        tools.join(",")
    };
    let (one, two) = (tools(&["add", &long]), tools(&["add", &long, "one__add", "own"]));
    let three = tools(&["add"]);
    let backends = [("one", one.as_str()), ("two", two.as_str()), ("on e", three.as_str())];
    let slave = slave(&proxy, "office", &fixture, &backends).await;
    lists(proxy.http, r#""own""#).await;
    let client = Client::modern(proxy.http);
    let names = client.tool_names().await;
    assert_eq!(names.len(), 7, "{names:?}");
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let mut answers: Vec<(String, String)> = Vec::new();
    for name in &names {
        assert!(name.len() <= 64 && name.bytes().all(allowed), "{name}");
        let lines = json!({ "lines": [r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"$who"}]}}"#] });
        let answer = client.request(McpRequest::tool(1, name, lines)).await;
        answers.push((name.clone(), answer.text().to_owned()));
    }
    let who = |name: &str| &answers.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!((who("one__add"), who("own")), (&"two".to_owned(), &"two".to_owned()));
    let of = |backend: &str| answers.iter().filter(|(_, who)| who == backend).count();
    assert_eq!((of("one"), of("two"), of("on e")), (2, 4, 1), "{answers:?}");
    slave.log.wait_for("is offered by several backends").await;
    let list: Value = serde_json::from_str(&list_text(proxy.http).await).unwrap();
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 7);
}
