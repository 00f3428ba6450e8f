//! Backends that ask the client of a call, across eras (docs/ERAS.md): a legacy backend asks a modern client.

use harness::answer::Answer;
use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "the-key-that-all-replicas-have-in-common";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Waits until the proxy lists the tool, or no more does. The key is for those that have keys.
async fn offers(proxy: &Proxy, tool: &str, listed: bool) {
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer one-key-of-the-tests");
    wait::until("the list of tools", async || {
        (client.tool_names().await.iter().any(|name| name == tool) == listed).then_some(())
    })
    .await;
}

/// A slave of these proxies with the fixture of an era.
async fn slave(proxies: &[&Proxy], era: &str, ttl: &str) -> (Slave, Fixture) {
    let fixture = Fixture::default();
    let urls: Vec<String> = proxies.iter().map(|proxy| format!("ws://{}", proxy.link)).collect();
    let setup = Setup::slave("asking", proxies[0].link).env("PROXY_SERVER_URL", urls.join(","));
    let setup = setup.env("PARKED_TTL", ttl);
    let slave = fixture.serve_with(setup, &[("FIXTURE_ERA", era), ("FIXTURE_ASKS", "1")]).start_slave().await;
    for proxy in proxies {
        offers(proxy, "ask", true).await;
    }
    (slave, fixture)
}

fn form(message: &str) -> Value {
    json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": { "type": "object", "properties": {} } } })
}

fn request(id: u64, rounds: &Value) -> McpRequest {
    let able = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} });
    McpRequest::tool(id, "ask", json!({ "rounds": rounds })).meta(CAPABILITIES, able)
}

fn retry(id: u64, rounds: &Value, state: &Value, responses: &Value) -> McpRequest {
    let params = json!({ "name": "ask", "arguments": { "rounds": rounds }, "inputResponses": responses, "requestState": state });
    let able = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} });
    McpRequest::new(id, "tools/call", params).meta(CAPABILITIES, able)
}

/// The keys of what an answer asks for, with their messages or methods, in the order of the keys.
fn asked(answer: &Answer) -> Vec<(String, String)> {
    let result = answer.result();
    assert_eq!(result["resultType"], "input_required", "{result}");
    let requests = result["inputRequests"].as_object().unwrap();
    let shown = |request: &Value| match request["params"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None => request["method"].as_str().unwrap().to_owned(),
    };
    requests.iter().map(|(key, request)| (key.clone(), shown(request))).collect()
}

fn state(answer: &Answer) -> Value {
    answer.result()["requestState"].clone()
}

fn accept(text: &str) -> Value {
    json!({ "action": "accept", "content": { "text": text } })
}

#[tokio::test]
async fn a_modern_client_answers_a_legacy_backend_in_rounds_through_any_proxy() {
    let setup = Setup::proxy().env("SESSION_KEY", KEY);
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let _slave = slave(&[&one, &two], "legacy", "60").await;
    let rounds = json!([[form("first"), { "method": "roots/list" }], [form("second")]]);
    let clients = [Client::modern(one.http), Client::modern(two.http)];
    let first = clients[0].request(request(1, &rounds).progress("one")).await;
    let keys = asked(&first);
    assert_eq!(keys.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(), ["first", "roots/list"]);
    assert_eq!(first.result()["inputRequests"][&keys[0].0], form("first"), "as the backend wrote it");
    let roots = json!({ "roots": [{ "uri": "file:///x" }] });
    let responses = json!({ &keys[0].0: accept("a"), &keys[1].0: roots, "stray": {} });
    let second = clients[1].request(retry(2, &rounds, &state(&first), &responses).progress("two")).await;
    assert_eq!(asked(&second)[0].1, "second");
    let progress = |message: &&Value| message["method"] == "notifications/progress";
    let tokens: Vec<&Value> =
        second.messages.iter().filter(progress).map(|message| &message["params"]["progressToken"]).collect();
    assert_eq!(tokens, ["two"], "the progress after the first round is the retry's");
    let responses = json!({ &asked(&second)[0].0: { "action": "decline" } });
    let last = clients[0].request(retry(3, &rounds, &state(&second), &responses)).await;
    assert_eq!(last.result()["resultType"], "complete");
    let told: Value = serde_json::from_str(last.text()).unwrap();
    assert_eq!(told, json!([accept("a"), roots, { "action": "decline" }]));
    for used in [&first, &second] {
        let again = clients[0].request(retry(4, &rounds, &state(used), &responses)).await;
        assert_eq!(again.code(), -32602, "{}", again.error());
    }
}

#[tokio::test]
async fn an_answer_that_is_missing_is_asked_for_again() {
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = slave(&[&proxy], "legacy", "60").await;
    let rounds = json!([[form("a"), form("b")]]);
    let client = Client::modern(proxy.http);
    let first = client.request(request(1, &rounds)).await;
    let keys = asked(&first);
    let second = client.request(retry(2, &rounds, &state(&first), &json!({ &keys[1].0: accept("b") }))).await;
    assert_eq!(asked(&second), [keys[0].clone()]);
    let responses = json!({ &keys[0].0: accept("a") });
    let last = client.request(retry(3, &rounds, &state(&second), &responses)).await;
    assert_eq!(last.text(), json!([accept("a"), accept("b")]).to_string());
}

#[tokio::test]
async fn a_state_is_good_for_its_own_request_and_process_only() {
    let proxy = Setup::proxy()
        .env("AUTH_BEARER_KEYS", "one-key-of-the-tests,two-key-of-the-tests")
        .start_proxy()
        .await;
    let (slave, _fixture) = slave(&[&proxy], "legacy", "60").await;
    let rounds = json!([[form("a")]]);
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer one-key-of-the-tests");
    let other = Client::modern(proxy.http).with_header("authorization", "Bearer two-key-of-the-tests");
    let first = client.request(request(1, &rounds)).await;
    let responses = json!({ &asked(&first)[0].0: accept("a") });
    let stolen = other.request(retry(2, &rounds, &state(&first), &responses)).await;
    assert_eq!(stolen.code(), -32602);
    let changed = client.request(retry(3, &json!([[form("b")]]), &state(&first), &responses)).await;
    assert_eq!(changed.code(), -32602);
    let forged = format!("{}x", state(&first).as_str().unwrap()).into();
    assert_eq!(client.request(retry(4, &rounds, &forged, &responses)).await.kind(), "state_lost");
    // Nor does one of which only the label is left begin anew.
    let seal = state(&first).as_str().unwrap().find("mrp1.").unwrap();
    for cut in [seal, seal + 2] {
        let cut = state(&first).as_str().unwrap()[..cut].into();
        assert_eq!(client.request(retry(4, &rounds, &cut, &responses)).await.kind(), "state_lost");
    }
    let malformed = client.request(retry(5, &rounds, &state(&first), &json!([]))).await;
    assert_eq!(malformed.code(), -32602);
    // None of these spoiled it.
    let last = client.request(retry(6, &rounds, &state(&first), &responses)).await;
    assert_eq!(last.text(), json!([accept("a")]).to_string());
    let first = client.request(request(7, &rounds)).await;
    slave.signal(Signal::SIGKILL);
    offers(&proxy, "ask", false).await;
    let _next = self::slave(&[&proxy], "legacy", "60").await;
    let forgotten = client.request(retry(8, &rounds, &state(&first), &responses)).await;
    assert_eq!(forgotten.kind(), "state_lost", "{}", forgotten.error());
}

#[tokio::test]
async fn a_client_that_does_not_come_back_is_given_up_after_a_time() {
    let proxy = Setup::proxy().start_proxy().await;
    let (slave, _fixture) = slave(&[&proxy], "legacy", "1").await;
    let rounds = json!([[form("a")]]);
    let client = Client::modern(proxy.http);
    let first = client.request(request(1, &rounds)).await;
    wait::until("the call to be given up", async || {
        let scrape = Scrape::of(slave.http).await;
        (scrape.sum("mcp_relay_slave_parked_calls_ended_total", &["outcome=\"expired\""]) > 0.0).then_some(())
    })
    .await;
    let late = client.request(retry(2, &rounds, &state(&first), &json!({}))).await;
    assert_eq!(late.code(), -32602);
    assert!(late.error()["message"].as_str().unwrap().contains("expired"), "{}", late.error());
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_what_it_lacks() {
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = slave(&[&proxy], "legacy", "60").await;
    let client = Client::modern(proxy.http);
    for (asked, required) in [
        (form("a"), json!({ "elicitation": { "form": {} } })),
        (json!({ "method": "roots/list" }), json!({ "roots": {} })),
        (
            json!({ "method": "sampling/createMessage", "params": { "tools": [] } }),
            json!({ "sampling": { "tools": {} } }),
        ),
    ] {
        let answer = client.call("ask", json!({ "rounds": [[asked]] })).await;
        assert_eq!((answer.code(), answer.status), (-32021, 400), "{}", answer.error());
        assert_eq!(answer.error()["data"]["requiredCapabilities"], required);
        let goes_on = client.call("ask", json!({ "rounds": [[asked]], "optional": true })).await;
        let told: Value = serde_json::from_str(goes_on.text()).unwrap();
        assert_eq!(told[0]["code"], -32601, "the backend goes on without");
    }
}
