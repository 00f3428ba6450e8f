//! A key that is removed or expires ends what is open under it, and nothing else.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::relay::{Setup, sleep_args};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{KeyFile, bearer};

const BOTH: &str = "- {key: key-of-the-desktop, name: desktop}\n- {key: key-of-the-builds, name: builds}\n";
const BUILDS: &str = "- {key: key-of-the-builds, name: builds}\n";

/// Opens a GET stream with this key, and waits until it is open.
async fn listen(client: &Client, address: std::net::SocketAddr, key: &str) -> Exchange {
    let headers = [
        ("authorization".to_owned(), bearer(key)),
        ("accept".to_owned(), "text/event-stream".to_owned()),
        ("mcp-session-id".to_owned(), client.session.clone().unwrap()),
    ];
    let mut stream = Exchange::start(address, request(Method::GET, "/mcp", &headers, Vec::new())).await;
    stream.head().await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.try_chunk().await.unwrap().unwrap(), ":\n\n");
    stream
}

async fn session(address: std::net::SocketAddr, key: &str) -> Client {
    let mut client = Client::uninitialized(address).with_header("authorization", &bearer(key));
    client.initialize().await;
    client
}

#[tokio::test]
async fn a_removed_key_ends_its_streams_and_calls_and_no_others() {
    let file = KeyFile::new(BOTH);
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS_FILE", file.path()).start_proxy().await;
    let fixture = Fixture::default();
    let setup = Setup::slave("one", proxy.link).env("AUTH_BEARER_KEYS_FILE", file.path());
    let slave = fixture.serve(setup).env("DEMO_TOOLS", "1").start_slave().await;
    let modern = |key: &str| Client::modern(proxy.http).with_header("authorization", &bearer(key));
    let (desktop, builds) = (modern("key-of-the-desktop"), modern("key-of-the-builds"));
    wait::until("the tools", async || {
        let names = builds.tool_names().await;
        (names.contains(&"run".into()) && names.contains(&"sleep".into())).then_some(())
    })
    .await;
    // A stream of the proxy, one of the slave's own port, a call in progress and one that says nothing: of each key.
    let mut streams = Vec::new();
    for (address, key) in [
        (proxy.http, "key-of-the-desktop"),
        (slave.http, "key-of-the-desktop"),
        (proxy.http, "key-of-the-builds"),
    ] {
        streams.push(listen(&session(address, key).await, address, key).await);
    }
    let mut calls = Vec::new();
    for (client, gate) in [(&desktop, "d"), (&builds, "b")] {
        let request = McpRequest::tool(1, "sleep", sleep_args(500.0, 10_000)).progress(1);
        let mut reporting = client.start(request).await;
        assert_eq!(reporting.next().await.unwrap()["method"], "notifications/progress");
        fixture.open_gate(gate, 0);
        let silent = client.start(McpRequest::tool(2, "run", run_args(gate, 2))).await;
        fixture.wait_for(gate, "start").await;
        calls.push((reporting, silent));
    }
    file.rewrite(&proxy, "AUTH_BEARER_KEYS_FILE", BUILDS).await;
    for stream in &mut streams[..2] {
        wait::until("the stream's end", async || stream.try_chunk().await.unwrap().is_none().then_some(()))
            .await;
    }
    let (mut reporting, mut silent) = calls.remove(0);
    let end = reporting.finish().await;
    assert_eq!((end.status, end.kind()), (200, "unauthorized"), "as an event");
    // 401, or an event where the answer was silent for so long that its headers were sent.
    let end = silent.finish().await;
    assert_eq!(end.messages.len(), 1, "{end:?} {:?}", silent.exchange.headers);
    assert_eq!(end.kind(), "unauthorized");
    assert_eq!(desktop.call("echo", json!({})).await.status, 401);
    // The other key's calls go on.
    let (mut reporting, mut silent) = calls.remove(0);
    assert_eq!(reporting.next().await.unwrap()["method"], "notifications/progress");
    fixture.open_gate("b", 9);
    assert_eq!(silent.finish().await.text(), "done b");
    drop(reporting);
    // And its stream is told of changes.
    slave.signal(Signal::SIGTERM);
    let bytes = streams[2].try_chunk().await.unwrap().expect("an open stream");
    assert!(!bytes.is_empty());
}

#[tokio::test]
async fn an_expired_key_ends_its_stream() {
    // Before the time runs, since it may have to be built.
    harness::process::binary();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{}", now + 8), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    let stamp = String::from_utf8(output.stdout).unwrap();
    let file = KeyFile::new(&format!("- {{key: key-of-a-guest-16, not_after: '{}'}}\n", stamp.trim()));
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS_FILE", file.path()).start_proxy().await;
    let client = session(proxy.http, "key-of-a-guest-16").await;
    let mut stream = listen(&client, proxy.http, "key-of-a-guest-16").await;
    wait::until("the stream's end", async || stream.try_chunk().await.unwrap().is_none().then_some(())).await;
    assert_eq!(client.call("echo", json!({})).await.status, 401);
}
