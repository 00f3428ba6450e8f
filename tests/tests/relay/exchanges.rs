//! Exchanges of several rounds (MCP 2026-07-28): a retry finds the slave that gave its `requestState` out, from any proxy.

use harness::answer::Answer;
use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::relay::{CODE, Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "the-key-that-all-replicas-have-in-common";

/// What the backend writes into a state: any text may stand there.
const STATE: &str = r#"{\"of\":\"$who\"} é\n mr2."#;

/// A slave with a modern backend that knows its name, and the backend's folder.
async fn slave(proxies: &[&Proxy], code: &str, name: &str) -> (Slave, Fixture) {
    let urls: Vec<String> = proxies.iter().map(|proxy| format!("ws://{}", proxy.link)).collect();
    let setup = Setup::slave(name, proxies[0].link).env("SLAVE_CODE", code);
    let setup = setup.env("PROXY_SERVER_URL", urls.join(",")).env("SLAVE_CAPACITY", "1");
    // A folder of its own: slaves follow their files.
    let fixture = Fixture::default();
    let env = [("FIXTURE_ERA", "modern"), ("FIXTURE_WHO", name)];
    (fixture.serve_with(setup, &env).start_slave().await, fixture)
}

/// Waits until the proxy has these slaves.
async fn linked(proxy: &Proxy, slaves: usize) {
    proxy.offers("raw").await;
    wait::until("all slaves", async || {
        let (_, text) = harness::http::get(proxy.http, "/api/v1/status").await;
        let status: Value = serde_json::from_str(&text).unwrap();
        let tools = status["tools"]["list"].as_array().unwrap();
        tools.iter().any(|tool| tool["name"] == "raw" && tool["slaves"] == slaves).then_some(())
    })
    .await;
}

fn lines(result: &str) -> Value {
    json!({ "lines": [format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{result}}}"#)] })
}

/// Asks for a state; returns it with the name of the slave that gave it out.
async fn begin(client: &Client) -> (String, String) {
    let result =
        format!(r#"{{"resultType":"input_required","inputRequests":{{}},"requestState":"{STATE}"}}"#);
    let answer = client.call("raw", lines(&result)).await;
    assert_eq!(answer.result()["resultType"], "input_required");
    let state = answer.result()["requestState"].as_str().unwrap().to_owned();
    let who = state.split('"').nth(3).unwrap().to_owned();
    (state, who)
}

fn retry(tool: &str, arguments: impl Into<Value>, state: impl Into<Value>) -> McpRequest {
    let params = json!({ "name": tool, "arguments": arguments.into(), "inputResponses": {}, "requestState": state.into() });
    McpRequest::new(2, "tools/call", params)
}

/// Goes on with the exchange, and returns the answer with the name of the slave as its text.
async fn go_on(client: &Client, state: &str) -> Answer {
    let result = r#"{"resultType":"complete","content":[{"type":"text","text":"$who"}]}"#;
    client.request(retry("raw", lines(result), state)).await
}

#[tokio::test]
async fn a_retry_finds_the_slave_that_gave_the_state_out_from_any_proxy() {
    let setup = Setup::proxy().env("SESSION_KEY", KEY);
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let proxies = [&one, &two];
    let _slaves = [
        slave(&proxies, CODE, "alpha").await,
        slave(&proxies, CODE, "beta").await,
        slave(&proxies, CODE, "gamma").await,
    ];
    for proxy in proxies {
        linked(proxy, 3).await;
    }
    let clients = [Client::modern(one.http), Client::modern(two.http)];
    for round in 0..16 {
        let (state, who) = begin(&clients[round % 2]).await;
        assert_eq!(go_on(&clients[(round / 2) % 2], &state).await.text(), who, "round {round}");
    }
    // The backend gets its own state back, and nothing else of the request changes.
    let (state, who) = begin(&clients[0]).await;
    let answer = clients[1].request(retry("arguments", json!({ "a": [1.0] }), state.as_str())).await;
    let params: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(
        params["requestState"],
        STATE.replace("\\\"", "\"").replace("$who", &who).replace("\\n", "\n")
    );
    assert_eq!((&params["arguments"], &params["inputResponses"]), (&json!({ "a": [1.0] }), &json!({})));
}

#[tokio::test]
async fn a_retry_waits_for_its_slave_while_that_is_busy() {
    let proxy = Setup::proxy().start_proxy().await;
    let slaves = [slave(&[&proxy], CODE, "alpha").await, slave(&[&proxy], CODE, "beta").await];
    linked(&proxy, 2).await;
    let client = Client::modern(proxy.http);
    let (state, who) = begin(&client).await;
    let fixture = &slaves[usize::from(who == "beta")].1;
    fixture.open_gate("held", 0);
    let mut held = client.start(retry("run", run_args("held", 0), state.as_str())).await;
    fixture.wait_for("held", "start").await;
    let other = client.clone();
    let waiting = tokio::spawn(async move { go_on(&other, &state).await });
    wait::until("the retry to wait", async || {
        let scrape = harness::metrics::Scrape::of(proxy.http).await;
        (scrape.sum("mcp_relay_queue_length", &[]) > 0.0).then_some(())
    })
    .await;
    fixture.open_gate("held", 1);
    held.finish().await.result();
    assert_eq!(waiting.await.unwrap().text(), who);
}

#[tokio::test]
async fn another_slave_of_the_same_code_takes_over_and_no_stranger() {
    let setup = Setup::proxy().env("SLAVE_CODES", format!("{CODE},another-code-of-the-tests"));
    let setup = setup.env("SESSION_KEY", KEY);
    let proxy = setup.start_proxy().await;
    let mut ours = vec![
        ("alpha", slave(&[&proxy], CODE, "alpha").await),
        ("beta", slave(&[&proxy], CODE, "beta").await),
    ];
    let _stranger = slave(&[&proxy], "another-code-of-the-tests", "stranger").await;
    linked(&proxy, 3).await;
    let client = Client::modern(proxy.http);
    let (state, who) = wait::until("a state of ours", async || {
        let (state, who) = begin(&client).await;
        (who != "stranger").then_some((state, who))
    })
    .await;
    let mut states = Vec::new();
    for _ in 0..60 {
        let (state, who) = begin(&client).await;
        states.extend((who != "stranger").then_some(state));
    }
    let gone = ours.iter().position(|(name, _)| *name == who).unwrap();
    ours.remove(gone).1.0.signal(Signal::SIGKILL);
    linked(&proxy, 2).await;
    for _ in 0..3 {
        assert_eq!(go_on(&client, &state).await.text(), ours[0].0);
    }
    // Of a rollout no retry is lost, whichever of both slaves began it.
    assert!(states.len() > 20, "{}", states.len());
    for state in &states {
        assert_eq!(go_on(&client, state).await.text(), ours[0].0);
    }
    // A new proxy waits for the slave that is gone, and not for ever.
    let fresh = setup.env("START_WINDOW", "1").start_proxy().await;
    let _heir = slave(&[&fresh], CODE, "heir").await;
    linked(&fresh, 1).await;
    assert_eq!(go_on(&Client::modern(fresh.http), &state).await.text(), "heir");
    ours.remove(0).1.0.signal(Signal::SIGKILL);
    linked(&proxy, 1).await;
    for _ in 0..3 {
        let answer = go_on(&client, &state).await;
        assert_eq!((answer.code(), answer.kind()), (-31022, "state_lost"), "{:?}", answer.messages);
    }
}

#[tokio::test]
async fn a_state_that_nobody_gave_out_is_refused_before_any_backend_sees_it() {
    let proxy = Setup::proxy().start_proxy().await;
    let (_slave, fixture) = slave(&[&proxy], CODE, "alpha").await;
    linked(&proxy, 1).await;
    let client = Client::modern(proxy.http);
    let (state, _) = begin(&client).await;
    for (forged, kind) in [
        (json!(""), "invalid_params"),
        (json!("x"), "invalid_params"),
        (json!(1), "invalid_params"),
        (json!(null), "invalid_params"),
        (json!({}), "invalid_params"),
        (json!(state[38..]), "invalid_params"),
        (json!(state[1..]), "invalid_params"),
        (json!(state.to_uppercase()), "invalid_params"),
        (json!("é".repeat(40)), "invalid_params"),
        (json!("mr2.0000000000000000.0000000000000000.x"), "state_lost"),
    ] {
        let answer = client.request(retry("run", run_args("forged", 0), forged.clone())).await;
        assert_eq!(answer.kind(), kind, "{forged}: {:?}", answer.messages);
    }
    assert!(fixture.log("forged").is_empty());
    // A label cut off from its state is a state that is empty.
    let answer = client.request(retry("arguments", json!({}), &state[..38])).await;
    assert_eq!(serde_json::from_str::<Value>(answer.text()).unwrap()["requestState"], "");
}

#[tokio::test]
async fn a_slave_s_own_port_passes_states_as_they_are() {
    let proxy = Setup::proxy().start_proxy().await;
    let (slave, _fixture) = slave(&[&proxy], CODE, "alpha").await;
    linked(&proxy, 1).await;
    let client = Client::modern(slave.http);
    let (state, who) = begin(&client).await;
    assert!(state.starts_with(r#"{"of":"#), "{state}");
    assert_eq!(go_on(&client, &state).await.text(), who);
    let answer = client.request(retry("arguments", json!({}), "anything")).await;
    assert_eq!(serde_json::from_str::<Value>(answer.text()).unwrap()["requestState"], "anything");
}
