//! Log messages of a backend that several calls share, the levels that clients ask for, and the ends of sessions' streams.

use std::net::SocketAddr;
use std::time::Duration;

use harness::answer::Answer;
use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::{self, Exchange};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use hyper::Method;
use serde_json::{Value, json};

const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// A proxy and a slave with the fixture, whose variables are these.
async fn relay(setup: Setup, fixture: &Fixture, env: &[(&str, &str)]) -> (Proxy, Slave) {
    let proxy = setup.start_proxy().await;
    let slave = fixture.serve_with(Setup::slave("one", proxy.link), env).start_slave().await;
    proxy.accepted(1).await;
    (proxy, slave)
}

/// Arguments with which the fixture writes log messages of these levels, with this text, and then answers.
fn logs(levels: &[&str], text: &str) -> Value {
    let log = |level: &&str| {
        let params = json!({ "level": level, "data": text });
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }).to_string()
    };
    let end = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[],"resultType":"complete"}}"#;
    json!({ "lines": levels.iter().map(log).chain([end.to_owned()]).collect::<Vec<_>>() })
}

/// Levels and texts of the log messages before a response.
fn read(answer: &Answer) -> Vec<(String, String)> {
    assert!(answer.response().get("result").is_some(), "{answer:?}");
    let params = answer.messages.iter().filter(|message| message["method"] == "notifications/message");
    let text = |params: &Value, member: &str| params[member].as_str().unwrap_or_default().to_owned();
    params.map(|message| (text(&message["params"], "level"), text(&message["params"], "data"))).collect()
}

fn info(text: &str) -> Vec<(String, String)> {
    vec![("info".to_owned(), text.to_owned())]
}

async fn offered(address: SocketAddr, client: &Client) {
    wait::until(&format!("the fixture's tools at {address}"), async || {
        client.tool_names().await.iter().any(|name| name == "raw").then_some(())
    })
    .await;
}

#[tokio::test]
async fn log_messages_find_their_client_with_several_calls_in_flight_and_no_other_client() {
    let fixture = Fixture::default();
    let setup = Setup::proxy().env("AUTH_BEARER_KEYS", "key-of-the-one,key-of-the-other");
    let (proxy, _slave) = relay(setup, &fixture, &[]).await;
    let with_key = |client: Client, key: &str| client.with_header("authorization", &format!("Bearer {key}"));
    let mut legacy = with_key(Client::uninitialized(proxy.http), "key-of-the-one");
    legacy.initialize().await;
    let one = with_key(Client::modern(proxy.http), "key-of-the-one");
    let other = with_key(Client::modern(proxy.http), "key-of-the-other");
    offered(proxy.http, &one).await;
    fixture.open_gate("held", 0);
    let mut held = legacy.start(McpRequest::tool("held", "run", run_args("held", 0))).await;
    fixture.wait_for("held", "start").await;
    let modern = |text: &str| McpRequest::tool(text, "raw", logs(&["info"], text)).meta(LOG_LEVEL, "info");
    for text in ["a", "b", "c"] {
        assert_eq!(read(&one.request(modern(text)).await), info(text), "the call's own message");
        assert_eq!(
            held.next().await.unwrap()["params"]["data"],
            text,
            "the other session of the same client"
        );
    }
    let calls = ["x", "y", "z"].map(modern);
    let [x, y, z] = calls.map(|call| one.request(call));
    let (x, y, z) = tokio::join!(x, y, z);
    for (answer, text) in [(&x, "x"), (&y, "y"), (&z, "z")] {
        assert!(read(answer).contains(&info(text)[0]), "{answer:?}");
    }
    for _ in 0..3 {
        assert_eq!(held.next().await.unwrap()["method"], "notifications/message");
    }
    // One message on one stream of a session: the call that began first gets it.
    assert_eq!(read(&legacy.call("raw", logs(&["info"], "once")).await), []);
    assert_eq!(held.next().await.unwrap()["params"]["data"], "once");
    // It could be either client's: nobody gets it.
    assert_eq!(read(&other.request(modern("secret")).await), []);
    fixture.open_gate("held", 9);
    let answer = held.finish().await;
    assert_eq!((read(&answer), answer.text()), (vec![], "done held"));
    assert_eq!(read(&other.request(modern("alone")).await), info("alone"));
}

#[tokio::test]
async fn sessions_and_requests_get_the_levels_that_they_ask_for() {
    const LEVELS: [&str; 4] = ["debug", "info", "warning", "error"];
    let fixture = Fixture::default();
    let (proxy, slave) = relay(Setup::proxy(), &fixture, &[("FIXTURE_LOGGING", "1")]).await;
    for address in [proxy.http, slave.http] {
        let (one, other) = (Client::legacy(address).await, Client::legacy(address).await);
        let modern = Client::modern(address);
        offered(address, &modern).await;
        let levels_of = async |client: &Client, asked: Option<&str>| {
            let request = McpRequest::tool(1, "raw", logs(&LEVELS, "x"));
            let request = asked.map_or(request.clone(), |level| request.meta(LOG_LEVEL, level));
            read(&client.request(request).await).into_iter().map(|(level, _)| level).collect::<Vec<_>>()
        };
        let set = async |client: &Client, level: &str| {
            client.request(McpRequest::new(7, "logging/setLevel", json!({ "level": level }))).await
        };
        if address == proxy.http {
            assert_eq!(levels_of(&one, None).await, LEVELS, "the backend decides");
        }
        assert_eq!(set(&one, "warning").await.result(), &json!({}));
        assert_eq!(levels_of(&one, None).await, ["warning", "error"]);
        fixture.wait_for("process", "level warning").await;
        assert_eq!(levels_of(&other, None).await, ["info", "warning", "error"], "no level of its own");
        assert_eq!(levels_of(&modern, None).await, Vec::<String>::new());
        assert_eq!(levels_of(&modern, Some("error")).await, ["error"]);
        assert_eq!(set(&one, "debug").await.result(), &json!({}));
        assert_eq!(levels_of(&one, None).await, LEVELS);
        fixture.wait_for("process", "level debug").await;
        assert_eq!(set(&other, "silent").await.code(), -32602);
    }
}

#[tokio::test]
async fn a_level_is_known_to_slaves_that_link_later_and_to_other_proxies_of_the_fleet() {
    let (fixture, key) = (Fixture::default(), "k".repeat(40));
    let setup = Setup::proxy().env("SESSION_KEY", key);
    let (a, b) = (setup.start_proxy().await, setup.start_proxy().await);
    let both = format!("ws://{},ws://{}", a.link, b.link);
    let slave = fixture.serve(Setup::slave("one", a.link).env("PROXY_SERVER_URL", both));
    let first = slave.start_slave().await;
    a.offers("raw").await;
    b.offers("raw").await;
    let client = Client::legacy(a.http).await;
    let answer = client.request(McpRequest::new(7, "logging/setLevel", json!({ "level": "error" }))).await;
    assert_eq!(answer.result(), &json!({}));
    let levels = ["info", "error"];
    wait::until("the level at the other proxy", async || {
        let answer = client.at(b.http).call("raw", logs(&levels, "x")).await;
        (read(&answer).len() == 1).then_some(())
    })
    .await;
    first.signal(nix::sys::signal::Signal::SIGKILL);
    drop(first);
    let _second = slave.start_slave().await;
    a.accepted(2).await;
    a.offers("raw").await;
    let answer = client.call("raw", logs(&levels, "x")).await;
    assert_eq!(read(&answer), [("error".to_owned(), "x".to_owned())]);
}

#[tokio::test]
async fn log_messages_that_may_be_a_call_s_keep_it_from_timing_out() {
    let fixture = Fixture::default();
    let (proxy, _slave) = relay(Setup::proxy().env("REQUEST_TIMEOUT", "4"), &fixture, &[]).await;
    // The waiting call is of a client that reads no log messages.
    let client = Client::modern(proxy.http);
    offered(proxy.http, &client).await;
    fixture.open_gate("held", 0);
    let mut held = client.start(McpRequest::tool(1, "run", run_args("held", 0))).await;
    fixture.wait_for("held", "start").await;
    let since = std::time::Instant::now();
    while since.elapsed() < Duration::from_secs(6) {
        client.call("raw", logs(&["info"], "x")).await;
        wait::delay(Duration::from_millis(300)).await;
    }
    fixture.open_gate("held", 9);
    assert_eq!(held.finish().await.text(), "done held");
}

async fn stream(client: &Client, address: SocketAddr) -> Exchange {
    let session = client.session.clone().unwrap();
    let headers = [("accept", "text/event-stream".to_owned()), ("mcp-session-id", session)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let request = http::request(Method::GET, "/mcp", &headers, Vec::new());
    let mut stream = Exchange::start(address, request).await;
    stream.head().await;
    assert_eq!(stream.status.as_u16(), 200);
    stream
}

#[tokio::test]
async fn an_ended_session_s_streams_end_at_every_proxy_of_the_fleet() {
    let setup = Setup::proxy().env("SESSION_KEY", "k".repeat(40));
    let (a, b) = (setup.start_proxy().await, setup.start_proxy().await);
    let both = format!("ws://{},ws://{}", a.link, b.link);
    let _slave = Setup::slave("one", a.link).env("PROXY_SERVER_URL", both).start_slave().await;
    a.offers("echo").await;
    b.offers("echo").await;
    let (client, other) = (Client::legacy(a.http).await, Client::legacy(a.http).await);
    let mut streams =
        [stream(&client, a.http).await, stream(&client, a.http).await, stream(&client, b.http).await];
    let mut kept = stream(&other, a.http).await;
    assert_eq!(client.end_session().await, 200);
    for stream in &mut streams {
        let end = async { while let Ok(Some(_)) = stream.try_chunk().await {} };
        wait::within("the end of a stream", wait::TIMEOUT, end).await;
    }
    // The other session's stream still tells of changes.
    let _more = Fixture::default().serve(Setup::slave("two", a.link)).start_slave().await;
    let told = async {
        let mut text = String::new();
        while !text.contains("list_changed") {
            let chunk = kept.try_chunk().await.unwrap().expect("an open stream");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    wait::within("a change on the other session's stream", wait::TIMEOUT, told).await;
}
