//! Results of types that a client cannot go on with: refused with what is needed, never shown as an empty success; and tasks, which are
//! not relayed and not asked for.

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::relay::{Proxy, Setup, Slave};
use serde_json::{Value, json};

/// A slave whose backend speaks this era.
async fn scene(era: &str) -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = fixture.serve_with(Setup::slave("one", proxy.link), &[("FIXTURE_ERA", era)]);
    let slave = setup.start_slave().await;
    proxy.offers("raw").await;
    (proxy, slave, fixture)
}

fn lines(result: &str) -> Value {
    json!({ "lines": [format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{result}}}"#)] })
}

const ASKS: &str = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"of the backend"}}}}"#;

#[tokio::test]
async fn each_pair_of_eras_gets_a_result_or_says_what_is_missing() {
    let (modern, _slave_one, _fixture_one) = scene("modern").await;
    let (legacy, _slave_two, _fixture_two) = scene("legacy").await;
    let clients = [
        (Client::modern(modern.http), "modern, modern"),
        (Client::legacy(modern.http).await, "legacy, modern"),
        (Client::modern(legacy.http), "modern, legacy"),
        (Client::legacy(legacy.http).await, "legacy, legacy"),
    ];
    let task = r#"{"resultType":"task","taskId":"1","status":"working"}"#;
    let legacy_task = r#"{"task":{"taskId":"1","status":"working"}}"#;
    let other = r#"{"resultType":"pages","pages":[]}"#;
    let complete = r#"{"resultType":"complete","content":[]}"#;
    for (result, kinds) in [
        (ASKS, ["", "input_unsupported", "", ""]),
        (r#"{"resultType":"input_required","requestState":"x"}"#, ["", "input_unsupported", "", ""]),
        (task, ["result_unsupported", "result_unsupported", "", ""]),
        (legacy_task, ["", "", "result_unsupported", "result_unsupported"]),
        (other, ["", "result_unsupported", "", ""]),
        (complete, [""; 4]),
        (r#"{"content":[]}"#, [""; 4]),
    ] {
        for ((client, eras), kind) in clients.iter().zip(kinds) {
            let answer = client.call("raw", lines(result)).await;
            if kind.is_empty() {
                answer.result();
            } else {
                assert_eq!(answer.kind(), kind, "{eras}: {:?}", answer.messages);
            }
        }
    }
    let answer = clients[1].0.call("raw", lines(ASKS)).await;
    let message = answer.error()["message"].as_str().unwrap();
    assert!(message.contains("elicitation/create") && !message.contains("of the backend"), "{message}");
}

#[tokio::test]
async fn a_backend_is_not_asked_for_a_task() {
    for era in ["legacy", "modern"] {
        let (proxy, slave, _fixture) = scene(era).await;
        for address in [proxy.http, slave.http] {
            let client = Client::legacy(address).await;
            for params in [
                json!({ "name": "arguments", "task": { "ttl": 60000 }, "arguments": { "task": { "ttl": 1 } } }),
                json!({ "arguments": { "task": { "ttl": 1 } }, "name": "arguments", "task": null }),
                json!({ "task": {}, "name": "arguments", "arguments": { "task": { "ttl": 1 } } }),
            ] {
                let answer = client.request(McpRequest::new(1, "tools/call", params)).await;
                let got: Value = serde_json::from_str(answer.text()).unwrap();
                assert_eq!(
                    (&got["task"], &got["arguments"]["task"]["ttl"]),
                    (&Value::Null, &json!(1)),
                    "{got}"
                );
                assert!(got.get("task").is_none(), "{got}");
            }
        }
    }
}

#[tokio::test]
async fn a_modern_client_s_extension_for_tasks_stays_at_the_relay_and_others_pass() {
    let (proxy, _slave, _fixture) = scene("modern").await;
    let client = Client::modern(proxy.http)
        .with_header("mcp-method", "tools/call")
        .with_header("mcp-name", "arguments");
    let capabilities = r#"{"elicitation":{},"extensions":{"x/y":{"n":1e400}, "io.modelcontextprotocol/tasks":{}},"roots":{}}"#;
    let meta = format!(
        r#"{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"x","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{capabilities},"a":1.0}}"#
    );
    // The fixture cannot read 1e400, and need not: what it gets is looked at in the text.
    let meta = meta.replace("1e400", "1e40");
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"arguments","arguments":{{}},"_meta":{meta}}}}}"#
    );
    let mut exchange = client.post(body.as_bytes()).await;
    let answer: Value = serde_json::from_slice(&exchange.rest().await).unwrap();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let got: Value = serde_json::from_str(text).unwrap();
    let got = &got["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(got, &json!({ "elicitation": {}, "extensions": { "x/y": { "n": 1e40 } }, "roots": {} }));
}
