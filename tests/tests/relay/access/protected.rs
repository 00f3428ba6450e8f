//! Without keys only this machine and private networks are served, and the operator is told.

use std::net::SocketAddr;

use harness::client::Client;
use harness::http::get;
use harness::relay::Setup;
use harness::wait;
use serde_json::{Value, json};

use super::{ask, bearer};

const KEYED: [&str; 3] = ["/metrics", "/api/v1/status", "/api/v1/calls"];
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/health"];

/// Statuses of a call and of the operators' endpoints for a request with this forwarding header.
async fn statuses(address: SocketAddr, header: (&'static str, &'static str)) -> Vec<u16> {
    let answer = Client::modern(address).with_header(header.0, header.1).call("echo", json!({})).await;
    let mut all = vec![answer.status];
    for path in KEYED {
        all.push(ask(address, path, &[header]).await.0);
    }
    for path in OPEN {
        assert_eq!(ask(address, path, &[header]).await.0, 200, "{path} {header:?}");
    }
    all
}

#[tokio::test]
async fn a_stranger_s_address_is_not_served_without_a_key() {
    let setup = Setup::proxy().env("TRUSTED_PROXIES", "127.0.0.1");
    let proxy = setup.start_proxy().await;
    for (header, served) in [
        (("x-forwarded-for", "10.1.2.3"), true),
        (("x-forwarded-for", "::ffff:192.168.0.9"), true),
        (("forwarded", "for=\"[fd00::9]\""), true),
        (("x-forwarded-for", "203.0.113.9"), false),
        (("forwarded", "for=203.0.113.9"), false),
        (("x-real-ip", "203.0.113.9"), false),
        (("x-forwarded-for", "203.0.113.9, 10.1.2.3"), false),
        (("x-forwarded-for", "unknown"), false),
        (("x-forwarded-proto", "https"), false),
    ] {
        let expected = if served { 200 } else { 401 };
        assert_eq!(statuses(proxy.http, header).await, [expected; 4], "{header:?}");
    }
    let foreign = ("x-forwarded-for", "203.0.113.9");
    let answer = Client::modern(proxy.http).with_header(foreign.0, foreign.1).call("echo", json!({})).await;
    assert_eq!(answer.kind(), "anonymous_refused");
    let text = format!("{:?}", answer.messages);
    assert!(text.contains("AUTH_BEARER_KEYS") && text.contains("ALLOW_ANONYMOUS=1"), "{text}");
    assert_eq!(ask(proxy.http, "/metrics", &[foreign]).await.1, "anonymous_refused");
    let everyone = setup.clone().env("ALLOW_ANONYMOUS", "1").start_proxy().await;
    assert_eq!(statuses(everyone.http, foreign).await, [200; 4]);
    let keyed = setup.env("AUTH_BEARER_KEYS", "a-key-of-the-tests").start_proxy().await;
    let key = bearer("a-key-of-the-tests");
    assert_eq!(ask(keyed.http, "/metrics", &[foreign, ("authorization", key.as_str())]).await.0, 200);
}

#[tokio::test]
async fn whoever_forwards_without_being_trusted_is_not_local() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    let standalone = Setup::bare("standalone").env("MCP_SERVER_PORT", "0").env("DEMO_TOOLS", "1");
    let standalone = standalone.start_slave().await;
    for address in [proxy.http, slave.http, standalone.http] {
        for header in [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1"), ("via", "1.1 x")] {
            let refused =
                Client::modern(address).with_header(header.0, header.1).call("echo", json!({})).await;
            assert_eq!((refused.status, refused.kind()), (401, "anonymous_refused"), "{header:?}");
            assert_eq!(ask(address, "/api/v1/status", &[header]).await.0, 401, "{header:?}");
        }
    }
    let answer = Client::modern(standalone.http).call("echo", json!({ "text": "x" })).await;
    assert_eq!(answer.text(), "x");
}

#[tokio::test]
async fn listening_beyond_loopback_without_keys_is_said_everywhere() {
    let exposed = Setup::proxy().env("MCP_SERVER_HOST", "0.0.0.0").env("UI", "1");
    let warning = async |setup: &Setup| {
        let proxy = setup.start_proxy().await;
        let status: Value = serde_json::from_str(&get(proxy.http, "/api/v1/status").await.1).unwrap();
        let told = proxy.log.count("listens beyond loopback");
        let page = get(proxy.http, "/ui/").await.1;
        assert!(page.contains("data-text=\"access.warning\""), "the page shows it");
        (status["access"]["warning"].as_str().unwrap_or_default().to_owned(), told)
    };
    let (text, told) = warning(&exposed).await;
    assert!(text.contains("only loopback and private addresses are served") && told == 1, "{text} {told}");
    let (text, _) = warning(&exposed.clone().env("ALLOW_ANONYMOUS", "1")).await;
    assert!(text.contains("everybody who reaches the port is served"), "{text}");
    let (text, told) = warning(&Setup::proxy().env("UI", "1")).await;
    assert!(text.is_empty() && told == 0, "{text}");
}

#[tokio::test]
async fn a_list_of_no_keys_or_codes_is_a_fault_of_the_configuration() {
    for (setup, variable, value) in [
        (Setup::proxy(), "AUTH_BEARER_KEYS", ","),
        (Setup::proxy(), "SLAVE_CODES", " , "),
        (Setup::proxy(), "OPS_KEYS", ",,"),
        (Setup::bare("standalone"), "AUTH_BEARER_KEYS", ","),
        (Setup::proxy(), "AUTH_BEARER_KEYS_FILE", "/nowhere/keys"),
        (Setup::proxy(), "SESSION_KEY_FILE", "/nowhere/keys"),
    ] {
        let mut process = setup.env(variable, value).env("MCP_SERVER_PORT", "0").spawn();
        assert_eq!(process.exit(wait::TIMEOUT).await.code(), Some(64), "{variable}");
        process.log.wait_for(&format!("  {variable} ")).await;
    }
}

#[tokio::test]
async fn short_secrets_and_plain_links_are_warned_of_without_showing_them() {
    let codes = Setup::proxy().env("SLAVE_CODES", "code-of-the-tests,hush-code").env("OPS_KEYS", "hush-ops");
    let proxy = codes.env("AUTH_BEARER_KEYS", "hush-key").start_proxy().await;
    for variable in [
        "SLAVE_CODES: fewer than 16 characters can be guessed (position 2)",
        "OPS_KEYS: ",
        "AUTH_BEARER_KEYS: ",
    ] {
        proxy.log.wait_for(variable).await;
    }
    assert!(!proxy.log.text().contains("hush"));
    // 192.0.2.0/24 is for documentation: no host has it.
    let slave = Setup::slave("one", proxy.link).env("PROXY_SERVER_URL", "ws://192.0.2.1:1");
    let far = slave.clone().env("SLAVE_CODE", "hush").start_slave().await;
    far.log.wait_for("ws://192.0.2.1:1 unencrypted").await;
    far.log.wait_for("SLAVE_CODE: fewer than 16").await;
    let allowed = slave.env("ALLOW_PLAINTEXT", "1").start_slave().await;
    let near = Setup::slave("two", proxy.link).start_slave().await;
    assert_eq!(allowed.log.count("unencrypted") + near.log.count("unencrypted"), 0);
    assert!(!far.log.text().contains("hush"));
    let mut doctor =
        Setup::proxy().env("SLAVE_CODES", "hush").env("PROXY_WS_PORT", "0").args(&["doctor"]).spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(0));
    doctor.log.wait_for("see the lines with ⚠").await;
    assert!(doctor.log.count("All good") == 0 && !doctor.log.text().contains("hush"));
}
