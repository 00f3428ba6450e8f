//! Tokens that tell HTTP backends who the client of a request is (`IDENTITY_KEY_FILE`): another relay as the backend that verifies them,
//! their keys as they change, and where they must not appear.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::client::Client;
use harness::http::get;
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use tempfile::TempDir;

const JWKS: &str = "/.well-known/jwks.json";

const KEYS: &str = "\
- { key: key-of-dev, name: dev, groups: [devs] }
- { key: key-of-guest, name: guest }
";

/// The backend lets `devs` call one tool; the relay itself may list it, but nobody has the scope to call it so.
const POLICY: &str = "
allow:
  - { who: { issuer: 'https://slave.example', subject: 'key:*', group: devs }, tools: echo }
  - { who: { subject: anonymous }, tools: echo, requires_scope: nobody-has-this }
";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        replace(&self.path(name), content);
    }
}

fn replace(file: &Path, content: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, file)).unwrap();
}

/// A proxy that knows clients by keys, and a slave that signs.
async fn scene(files: &Files, key: &str) -> (Proxy, Slave) {
    files.write("keys.yaml", KEYS);
    files.write("identity.pem", key);
    files.write("backends.json", r#"{"mcpServers":{}}"#);
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS_FILE", files.text("keys.yaml")).start_proxy().await;
    let slave = Setup::slave("one", proxy.link)
        .env("DEMO_TOOLS", "0")
        .env("SLAVE_BACKENDS", files.text("backends.json"))
        .env("IDENTITY_KEY_FILE", files.text("identity.pem"))
        .env("IDENTITY_ISSUER", "https://slave.example")
        .env("OPS_KEYS", "key-of-operators")
        .env("LOG_LEVEL", "trace")
        .start_slave()
        .await;
    (proxy, slave)
}

fn client(proxy: &Proxy, name: &str) -> Client {
    Client::modern(proxy.http).with_header("authorization", &format!("Bearer key-of-{name}"))
}

async fn offers(client: &Client, tool: &str) {
    wait::until(tool, async || client.tool_names().await.iter().any(|name| name == tool).then_some(())).await;
}

#[tokio::test]
async fn a_backend_that_verifies_tokens_decides_by_the_client() {
    let files = Files::new();
    let old = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
    let (proxy, slave) = scene(&files, &old).await;
    let (status, keys) = get(slave.http, JWKS).await;
    assert_eq!(status, 200, "public keys need no key: {keys}");
    files.write("jwks.json", &keys);
    files.write(
        "issuers.yaml",
        &format!(
            "issuers:\n- {{ issuer: 'https://slave.example', jwks_file: '{}' }}\n",
            files.text("jwks.json")
        ),
    );
    files.write("policy.yaml", POLICY);
    let back = Setup::proxy()
        .env("AUTH_ISSUERS", files.text("issuers.yaml"))
        .env("PUBLIC_URL", "https://back.example/mcp")
        .env("POLICY", files.text("policy.yaml"))
        .start_proxy()
        .await;
    let _behind = Setup::slave("behind", back.link).start_slave().await;
    back.accepted(1).await;
    let entry = json!({ "url": format!("http://{}/mcp", back.http), "identity": { "audience": "https://back.example/mcp" } });
    files.write("backends.json", &json!({ "mcpServers": { "back": entry } }).to_string());
    let (dev, guest) = (client(&proxy, "dev"), client(&proxy, "guest"));
    offers(&dev, "echo").await;
    offers(&guest, "echo").await;
    assert_eq!(dev.call("echo", json!({ "text": "by token" })).await.text(), "by token");
    let refused = guest.call("echo", json!({ "text": "by token" })).await;
    assert!(refused.response().get("error").is_some(), "{:?}", refused.messages);
    // The next key is published before it signs; then it signs, and the one before is still there.
    let new = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    for content in [format!("{old}{new}"), format!("{new}{old}")] {
        let before = slave.log.len();
        files.write("identity.pem", &content);
        slave.log.wait_for_after("IDENTITY_KEY_FILE was read again", before).await;
        let (_, keys) = get(slave.http, JWKS).await;
        assert_eq!(serde_json::from_str::<Value>(&keys).unwrap()["keys"].as_array().unwrap().len(), 2);
        files.write("jwks.json", &keys);
        wait::until("a call with the keys of now", async || {
            let answer = dev.call("echo", json!({ "text": "again" })).await;
            answer.response().get("result").is_some().then_some(())
        })
        .await;
    }
    let before = slave.log.len();
    files.write("identity.pem", "no key");
    slave.log.wait_for_after("the keys of before stay", before).await;
    assert_eq!(dev.call("echo", json!({ "text": "still" })).await.text(), "still");
}

#[tokio::test]
async fn each_request_has_a_token_of_its_client_for_this_backend_and_it_appears_nowhere_else() {
    let files = Files::new();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
    let (proxy, slave) = scene(&files, &key).await;
    let upstream = McpUpstream::start(Kind::Modern).await;
    let mut entry = upstream.entry(Kind::Modern);
    entry["identity"] = json!("token");
    files.write("backends.json", &json!({ "mcpServers": { "web": entry } }).to_string());
    let dev = client(&proxy, "dev");
    let tool = wait::until("a tool", async || dev.tool_names().await.into_iter().next()).await;
    for name in ["dev", "guest"] {
        client(&proxy, name).call(&tool, json!({})).await;
    }
    let claims = |authorization: &str| -> Value {
        let token = authorization.strip_prefix("Bearer ").expect("a token");
        let claims = token.split('.').nth(1).expect("claims");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    };
    let calls = upstream.seen("tools/call");
    let subjects: Vec<Value> =
        calls.iter().map(|seen| claims(seen.header("authorization"))["sub"].clone()).collect();
    assert_eq!(subjects, ["key:dev", "key:guest"]);
    let own = claims(upstream.seen("tools/list")[0].header("authorization"));
    assert_eq!((&own["sub"], own.get("groups")), (&json!("anonymous"), None));
    assert_eq!(own["aud"], format!("http://{}/mcp", upstream.address));
    let mut texts = vec![slave.log.text(), proxy.log.text()];
    for path in ["/metrics", "/api/v1/status", "/api/v1/backends", "/api/v1/calls"] {
        let headers = [("authorization".to_owned(), "Bearer key-of-operators".to_owned())];
        let request = harness::http::request(hyper::Method::GET, path, &headers, Vec::new());
        let mut exchange = harness::http::Exchange::start(slave.http, request).await;
        exchange.head().await;
        assert_eq!(exchange.status, 200, "{path}");
        texts.push(String::from_utf8(exchange.rest().await).unwrap());
    }
    let secret = key.lines().nth(1).expect("the key's text");
    let signatures = calls.iter().map(|seen| seen.header("authorization").rsplit('.').next().unwrap());
    for word in signatures.chain([secret]) {
        for text in &texts {
            assert!(!text.contains(word), "leaked");
        }
    }
}

#[tokio::test]
async fn what_cannot_sign_is_said_at_the_start() {
    let files = Files::new();
    files.write("identity.pem", "hush, no key");
    files.write(
        "backends.json",
        r#"{"mcpServers":{"web":{"url":"http://127.0.0.1:1/mcp","identity":"token"}}}"#,
    );
    let setup = Setup::bare("one")
        .env("MCP_SERVER_PORT", "0")
        .env("SLAVE_BACKENDS", files.text("backends.json"))
        .env("SLAVE_STRICT", "1");
    let mut without = setup.clone().spawn();
    assert_eq!(without.exit(wait::TIMEOUT).await.code(), Some(64), "{}", without.log.text());
    assert!(without.log.text().contains("IDENTITY_KEY_FILE, which signs tokens"), "{}", without.log.text());
    let mut with = setup.env("IDENTITY_KEY_FILE", files.text("identity.pem")).spawn();
    assert_eq!(with.exit(wait::TIMEOUT).await.code(), Some(64), "{}", with.log.text());
    let text = with.log.text();
    assert!(text.contains("a PEM file with a private key") && !text.contains("hush"), "{text}");
}
