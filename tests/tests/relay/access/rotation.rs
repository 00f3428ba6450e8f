//! Keys are replaced without the loss of a session: clients' keys of one name, and session keys.

use harness::client::{Client, McpRequest};
use harness::http::{Exchange, request};
use harness::relay::{Proxy, Setup};
use hyper::Method;
use serde_json::{Value, json};

use super::{KeyFile, bearer};

const FIRST: &str = "first-session-key-of-at-least-32-characters";
const SECOND: &str = "second-session-key-of-at-least-32-characters";

fn with_key(client: &Client, key: &str) -> Client {
    client.clone().with_header("authorization", &bearer(key))
}

async fn ping(client: &Client) -> u16 {
    client.request(McpRequest::new(1, "ping", json!({}))).await.status
}

#[tokio::test]
async fn keys_of_one_name_share_their_sessions() {
    let old = "- {key: old-key-of-the-builds, name: builds}\n";
    let new = "- {key: new-key-of-the-builds, name: builds}\n";
    let other = "- {key: key-of-the-desktops, name: desktops}\n";
    let file = KeyFile::new(&format!("{old}{other}"));
    let setup = Setup::proxy().env("AUTH_BEARER_KEYS_FILE", file.path()).env("UI", "1");
    let proxy = setup.start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    let mut client = with_key(&Client::uninitialized(proxy.http), "old-key-of-the-builds");
    client.initialize().await;
    let mut bare = Client::uninitialized(proxy.http);
    bare.session.clone_from(&client.session);
    assert_eq!(ping(&with_key(&bare, "new-key-of-the-builds")).await, 401, "it is not there yet");
    file.rewrite(&proxy, "AUTH_BEARER_KEYS_FILE", &format!("{old}{new}{other}")).await;
    assert_eq!(ping(&with_key(&bare, "new-key-of-the-builds")).await, 200);
    assert_eq!(ping(&client).await, 200);
    file.rewrite(&proxy, "AUTH_BEARER_KEYS_FILE", &format!("{new}{other}")).await;
    let renewed = with_key(&bare, "new-key-of-the-builds");
    assert_eq!(ping(&renewed).await, 200);
    assert_eq!(ping(&client).await, 401, "the old key");
    assert_eq!(ping(&with_key(&bare, "key-of-the-desktops")).await, 404, "another's session");
    // The name is who calls, in the API as in the audit stream.
    harness::wait::until("the tool", async || {
        renewed.tool_names().await.contains(&"echo".into()).then_some(())
    })
    .await;
    renewed.call("echo", json!({ "text": "x" })).await.result();
    let headers = [("authorization".to_owned(), bearer("new-key-of-the-builds"))];
    let mut exchange =
        Exchange::start(proxy.http, request(Method::GET, "/api/v1/calls", &headers, Vec::new())).await;
    exchange.head().await;
    let calls: Value = serde_json::from_slice(&exchange.rest().await).unwrap();
    assert!(calls.to_string().contains("\"client\":\"builds\""), "{calls}");
}

/// Opens a session on each proxy and uses it on the other.
async fn check_sessions(proxies: [&Proxy; 2], step: &str) {
    for (from, to) in [(0, 1), (1, 0)] {
        let client = Client::legacy(proxies[from].http).await;
        assert_eq!(ping(&client.at(proxies[to].http)).await, 200, "{step}: from {from} to {to}");
    }
}

#[tokio::test]
async fn session_keys_are_rolled_out_over_two_proxies() {
    let files = [KeyFile::new(FIRST), KeyFile::new(FIRST)];
    let start =
        async |file: &KeyFile| Setup::proxy().env("SESSION_KEY_FILE", file.path()).start_proxy().await;
    let (one, two) = (start(&files[0]).await, start(&files[1]).await);
    let oldest = Client::legacy(one.http).await;
    check_sessions([&one, &two], "before").await;
    // Each step reaches one proxy after the other; sessions hold in between.
    for (step, text) in [
        ("the new one is added", format!("{FIRST}\n{SECOND}\n")),
        ("the new one seals", format!("# rollout\n{SECOND}\n{FIRST}\n")),
    ] {
        for (file, proxy) in files.iter().zip([&one, &two]) {
            file.rewrite(proxy, "SESSION_KEY_FILE", &text).await;
            check_sessions([&one, &two], step).await;
            assert_eq!(ping(&oldest).await, 200, "{step}");
        }
    }
    let newest = Client::legacy(one.http).await;
    for (file, proxy) in files.iter().zip([&one, &two]) {
        file.rewrite(proxy, "SESSION_KEY_FILE", SECOND).await;
        check_sessions([&one, &two], "the old one is gone").await;
    }
    assert_eq!(ping(&newest.at(two.http)).await, 200);
    assert_eq!(ping(&oldest).await, 404, "sealed with the key that is gone");
}
