//! The transport of 2024-11-05 through the program: at a proxy, at another replica than the one that has the stream, and at a slave's own
//! port.

use std::net::SocketAddr;

use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "the session key of both replicas, long enough";

async fn scene() -> (Vec<Proxy>, Slave, Fixture) {
    let fixture = Fixture::default();
    let setup = Setup::proxy().env("SESSION_KEY", KEY);
    let proxies = vec![setup.start_proxy().await, setup.start_proxy().await];
    let urls = format!("ws://{},ws://{}", proxies[0].link, proxies[1].link);
    let setup = fixture.serve_with(Setup::slave("one", proxies[0].link), &[("FIXTURE_ASKS", "1")]);
    let slave = setup.env("PROXY_SERVER_URL", urls).start_slave().await;
    for proxy in &proxies {
        proxy.offers("run").await;
    }
    (proxies, slave, fixture)
}

/// A client's stream, and where it posts to.
struct Stream {
    exchange: Exchange,
    endpoint: String,
    /// What was read and not taken: a chunk may end within a character.
    read: Vec<u8>,
}

impl Stream {
    async fn open(address: SocketAddr) -> Self {
        let headers = [("accept".to_owned(), "text/event-stream".to_owned())];
        let get = request(Method::GET, "/sse", &headers, Vec::new());
        let mut exchange = Exchange::start(address, get).await;
        exchange.head().await;
        assert_eq!((exchange.status.as_u16(), exchange.header("content-type")), (200, "text/event-stream"));
        let mut stream = Self { exchange, endpoint: String::new(), read: Vec::new() };
        let (name, endpoint) = stream.event().await.expect("an endpoint");
        assert_eq!(name, "endpoint");
        stream.endpoint = endpoint;
        stream
    }

    /// Returns name and data of the next event, without comments; `None` at the end of the stream, however it ends.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            while let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let rest = self.read.split_off(end + 2);
                let event = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                let event = event.trim_end_matches('\n');
                if let Some((name, data)) = event.split_once("data: ") {
                    let name = name.strip_prefix("event: ").unwrap_or("message");
                    return Some((name.trim().to_owned(), data.to_owned()));
                }
            }
            let bytes = self.exchange.try_chunk().await.ok()??;
            self.read.extend_from_slice(&bytes);
        }
    }

    /// Returns the next message that is no change of a list.
    async fn message(&mut self) -> Value {
        loop {
            let (name, data) = self.event().await.expect("a message");
            assert_eq!(name, "message");
            let message: Value = serde_json::from_str(&data).unwrap();
            if !message["method"].as_str().is_some_and(|method| method.ends_with("list_changed")) {
                return message;
            }
        }
    }

    /// Posts a message at this address and returns the status.
    async fn post(&self, address: SocketAddr, message: Value) -> u16 {
        post(address, &self.endpoint, message).await
    }

    async fn initialize(&mut self, address: SocketAddr) {
        let client = json!({ "name": "old", "version": "1" });
        let capabilities = json!({ "roots": {}, "sampling": {} });
        let params =
            json!({ "protocolVersion": "2024-11-05", "capabilities": capabilities, "clientInfo": client });
        assert_eq!(self.post(address, rpc(0, "initialize", &params)).await, 202);
        let answer = self.message().await;
        assert_eq!((&answer["id"], &answer["result"]["protocolVersion"]), (&json!(0), &json!("2024-11-05")));
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(address, initialized).await, 202);
    }
}

fn rpc(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn run(id: u64, key: &str, steps: u64) -> Value {
    let meta = json!({ "progressToken": id });
    rpc(id, "tools/call", &json!({ "name": "run", "arguments": run_args(key, steps), "_meta": meta }))
}

/// All that a client of 2024-11-05 does, with the stream at one address and the posts at another.
async fn session(stream_at: SocketAddr, post_at: SocketAddr, fixture: &Fixture, name: &str) {
    let mut stream = Stream::open(stream_at).await;
    stream.initialize(post_at).await;
    assert_eq!(stream.post(post_at, rpc(1, "ping", &json!({}))).await, 202);
    assert_eq!(stream.message().await["id"], 1);
    assert_eq!(stream.post(post_at, rpc(2, "tools/list", &json!({}))).await, 202);
    assert!(stream.message().await["result"]["tools"].to_string().contains("\"run\""));

    fixture.open_gate(name, 9);
    assert_eq!(stream.post(post_at, run(3, name, 2)).await, 202);
    for progress in 1..=2 {
        let message = stream.message().await;
        assert_eq!(
            (&message["params"]["progress"], &message["params"]["progressToken"]),
            (&json!(progress), &json!(3))
        );
    }
    let answer = stream.message().await;
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!(3), &json!(format!("done {name}")))
    );

    // The backend asks, and the client's response finds it.
    let ask = json!({ "rounds": [[{ "method": "roots/list", "params": {} }]] });
    assert_eq!(
        stream.post(post_at, rpc(4, "tools/call", &json!({ "name": "ask", "arguments": ask }))).await,
        202
    );
    let asked = stream.message().await;
    assert_eq!(asked["method"], "roots/list");
    let roots = json!({ "roots": [{ "uri": "file:///x" }] });
    let reply = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": roots });
    assert_eq!(stream.post(post_at, reply).await, 202);
    let answer = stream.message().await;
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("file:///x"), "{answer}");

    cancel_and_end(stream, post_at, fixture, name).await;
}

/// Cancels a call, and ends the session while another one runs.
async fn cancel_and_end(mut stream: Stream, post_at: SocketAddr, fixture: &Fixture, name: &str) {
    // A cancelled call ends without an answer; others go on.
    let held = format!("{name} held");
    fixture.open_gate(&held, 0);
    assert_eq!(stream.post(post_at, run(5, &held, 1)).await, 202);
    fixture.wait_for(&held, "start").await;
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 5 } });
    assert_eq!(stream.post(post_at, cancelled).await, 202);
    fixture.wait_for(&held, "cancelled").await;
    assert_eq!(stream.post(post_at, rpc(6, "tools/call", &json!({ "name": "nothing" }))).await, 202);
    let answer = stream.message().await;
    assert_eq!(answer["id"], 6, "nothing comes of the cancelled call: {answer}");
    assert!(answer["error"]["code"].is_i64(), "{answer}");

    // The session ends with its stream, and with it what still runs.
    let last = format!("{name} last");
    fixture.open_gate(&last, 0);
    assert_eq!(stream.post(post_at, run(7, &last, 1)).await, 202);
    fixture.wait_for(&last, "start").await;
    let Stream { exchange, endpoint, .. } = stream;
    drop(exchange);
    fixture.wait_for(&last, "cancelled").await;
    wait::until("the session to be over", async || {
        (post(post_at, &endpoint, rpc(8, "ping", &json!({}))).await == 404).then_some(())
    })
    .await;
}

/// Posts a message and returns the status.
async fn post(address: SocketAddr, endpoint: &str, message: Value) -> u16 {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let post = request(Method::POST, endpoint, &headers, message.to_string().into_bytes());
    let mut exchange = Exchange::start(address, post).await;
    exchange.head().await;
    exchange.status.as_u16()
}

#[tokio::test]
async fn a_client_of_2024_11_05_does_all_it_can_at_a_proxy_and_at_a_slave_s_own_port() {
    let (proxies, slave, fixture) = scene().await;
    session(proxies[0].http, proxies[0].http, &fixture, "proxy").await;
    session(slave.http, slave.http, &fixture, "slave").await;
}

#[tokio::test]
async fn its_posts_may_reach_another_replica_than_its_stream() {
    let (proxies, _slave, fixture) = scene().await;
    session(proxies[0].http, proxies[1].http, &fixture, "there").await;
    // From one post to the next, as a load balancer does.
    let mut stream = Stream::open(proxies[1].http).await;
    for id in 0..20 {
        let address = proxies[usize::from(id % 3 == 0)].http;
        assert_eq!(stream.post(address, rpc(id, "ping", &json!({}))).await, 202);
        assert_eq!(stream.message().await["id"], id);
    }
    // A long message, which the slave carries in pieces.
    let text = "é".repeat(50_000);
    let params = json!({ "name": "arguments", "arguments": { "text": text } });
    assert_eq!(stream.post(proxies[0].http, rpc(99, "tools/call", &params)).await, 202);
    let answer = stream.message().await;
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains(&text));
}

#[tokio::test]
async fn without_a_slave_that_carries_it_a_post_at_another_replica_is_refused() {
    let (proxies, mut slave, _fixture) = scene().await;
    let mut stream = Stream::open(proxies[0].http).await;
    slave.signal(Signal::SIGKILL);
    slave.exit(wait::TIMEOUT).await;
    for proxy in &proxies {
        proxy.withdraws("run").await;
    }
    assert_eq!(stream.post(proxies[1].http, rpc(1, "ping", &json!({}))).await, 404);
    assert_eq!(stream.post(proxies[0].http, rpc(2, "ping", &json!({}))).await, 202);
    assert_eq!(stream.message().await["id"], 2);
}

#[tokio::test]
async fn a_stream_ends_when_its_proxy_drains() {
    let (proxies, _slave, _fixture) = scene().await;
    let mut stream = Stream::open(proxies[0].http).await;
    stream.initialize(proxies[0].http).await;
    proxies[0].signal(Signal::SIGTERM);
    while let Some((_, data)) = stream.event().await {
        assert!(data.contains("list_changed"), "{data}");
    }
}
