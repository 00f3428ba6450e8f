//! Keys of operators and of clients: which of them opens which path, and what appears nowhere.

use std::net::SocketAddr;

use harness::client::Client;
use harness::relay::{Setup, port};
use harness::wait;
use serde_json::json;

use super::{KeyFile, ask, bearer};

const CLIENT: &str = "client-key-canary";
const OPS: &str = "ops-key-canary-16";

/// Statuses with the client's key, the operators' key, another key, and none.
async fn row(address: SocketAddr, path: &str) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (status, key) in statuses.iter_mut().zip([Some(CLIENT), Some(OPS), Some("another"), None]) {
        let value = key.map(bearer);
        let headers: Vec<(&str, &str)> =
            value.iter().map(|value| ("authorization", value.as_str())).collect();
        *status = ask(address, path, &headers).await.0;
    }
    statuses
}

async fn tool_row(address: SocketAddr) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (status, key) in statuses.iter_mut().zip([Some(CLIENT), Some(OPS), Some("another"), None]) {
        let client = Client::modern(address);
        let client = key.map_or(client.clone(), |key| client.with_header("authorization", &bearer(key)));
        *status = client.call("echo", json!({})).await.status;
    }
    statuses
}

#[tokio::test]
async fn each_path_takes_the_keys_of_its_own_callers() {
    let ops_file = KeyFile::new(&format!("- {{key: {OPS}, name: scraper}}\n"));
    let keyed = Setup::proxy().env("AUTH_BEARER_KEYS", CLIENT).env("UI", "1");
    let open = Setup::proxy().env("UI", "1");
    for (setup, read, call) in [
        (keyed.clone(), [200, 401, 401, 401], [200, 401, 401, 401]),
        (keyed.clone().env("OPS_KEYS", OPS), [403, 200, 401, 401], [200, 403, 401, 401]),
        (keyed.env("OPS_KEYS_FILE", ops_file.path()), [403, 200, 401, 401], [200, 403, 401, 401]),
        (open.env("OPS_KEYS", OPS), [401, 200, 401, 401], [200, 403, 200, 200]),
    ] {
        for ops_port in [None, Some("0")] {
            let proxy = setup.clone().env("OPS_PORT", ops_port.unwrap_or_default()).start_proxy().await;
            let ops = match ops_port {
                None => proxy.http,
                Some(_) => port(&proxy, "Ops server listening on http").await,
            };
            for path in ["/metrics", "/api/v1/status", "/api/v1/calls", "/api/v1/slaves"] {
                assert_eq!(row(ops, path).await, read, "{path}");
            }
            let page = row(ops, "/ui/").await;
            assert_eq!(
                page,
                [if read[0] == 403 { 403 } else { 200 }, 200, 200, 200],
                "static, but not for clients"
            );
            assert_eq!(row(ops, "/healthz").await, [200; 4]);
            assert_eq!(tool_row(proxy.http).await, call);
        }
    }
}

#[tokio::test]
async fn the_start_says_whose_keys_operators_use_and_commands_send_the_right_one() {
    let setup = Setup::proxy().env("AUTH_BEARER_KEYS", CLIENT);
    let shared = setup.start_proxy().await;
    shared.log.wait_for("Operators' endpoints take clients' keys").await;
    let apart = setup.clone().env("OPS_KEYS", OPS).start_proxy().await;
    assert_eq!(apart.log.count("Operators' endpoints take clients' keys"), 0);
    for (proxy, setup) in [(&shared, setup.clone()), (&apart, setup.env("OPS_KEYS", OPS))] {
        let port = proxy.http.port().to_string();
        let mut status = setup.env("MCP_SERVER_PORT", port).args(&["status"]).spawn();
        assert_eq!(status.exit(wait::TIMEOUT).await.code(), Some(0));
        assert!(!status.log.text().contains("canary"));
    }
}

#[tokio::test]
async fn secrets_of_files_appear_nowhere() {
    let keys = KeyFile::new("- {key: file-canary-1, name: ci}\n- file-canary-2\n");
    let ops = KeyFile::new("ops-canary-1\n");
    let session = KeyFile::new("session-canary-of-at-least-32-characters-1\n");
    let proxy = Setup::proxy()
        .env("LOG_LEVEL", "trace")
        .env("UI", "1")
        .env("AUTH_BEARER_KEYS_FILE", keys.path())
        .env("OPS_KEYS_FILE", ops.path())
        .env("SESSION_KEY_FILE", session.path())
        .start_proxy()
        .await;
    let mut seen = Vec::new();
    let client = Client::modern(proxy.http).with_header("authorization", &bearer("file-canary-1"));
    seen.push(format!("{:?}", client.call("echo", json!({})).await));
    for (file, variable, bad) in [
        (&keys, "AUTH_BEARER_KEYS_FILE", "- {key: canary, canary: canary}\n- canary: \"canary\n"),
        (&ops, "OPS_KEYS_FILE", "canary,canary\n"),
        (&session, "SESSION_KEY_FILE", "canary\n"),
    ] {
        file.write(bad);
        proxy.log.wait_for(&format!("{variable} cannot be used, the keys of before stay")).await;
    }
    // The keys of before are still in force.
    assert_eq!(client.call("echo", json!({})).await.status, 200);
    let key = bearer("ops-canary-1");
    for path in ["/metrics", "/api/v1/status", "/ui/"] {
        let headers = [("authorization".to_owned(), key.clone())];
        let request = harness::http::request(hyper::Method::GET, path, &headers, Vec::new());
        let mut exchange = harness::http::Exchange::start(proxy.http, request).await;
        seen.push(String::from_utf8(exchange.rest().await).unwrap());
        assert_eq!(exchange.status, 200, "{path}");
    }
    assert!(seen[1].contains("file=\"client_keys\",outcome=\"failed\""), "{}", seen[1]);
    seen.push(proxy.log.text());
    for text in seen {
        let leak = text.lines().find(|line| line.contains("canary"));
        assert!(leak.is_none(), "leaked: {leak:?}");
    }
}
