//! The OAuth broker of a proxy: the way of a client from discovery to revocation, each step at another proxy, and what ends with a token.

mod ends;
mod fleet;
mod rotation;
mod setup;
mod walk;

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::client::{Client, McpRequest};
use harness::http::{Exchange, request};
use harness::process::binary;
use harness::relay::Setup;
use hyper::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// `PUBLIC_URL` of all proxies here.
const RESOURCE: &str = "https://relay.example/mcp";
const ISSUER: &str = "https://relay.example";
/// Words that no log may have.
const PASSWORD: &str = "canary-password-Qzx81";
const VERIFIER: &str = "canary-verifier-of-at-least-forty-three-characters";
const CALLBACK: &str = "http://127.0.0.1:7/cb";
const KEY: &str = "the-session-key-of-the-broker-tests";

/// A folder with a file of users and one of revocations.
struct Files(TempDir);

impl Files {
    /// With one user, `ann`, whom the command added.
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let added = users(&["add", "Ann", "--group", "dev"], &files.users(), PASSWORD);
        assert!(added.status.success(), "{added:?}");
        files
    }

    fn users(&self) -> PathBuf {
        self.0.path().join("users.yaml")
    }

    fn setup(&self) -> Setup {
        let file = self.0.path().join("revoked");
        self.without_revocations().env("BROKER_REVOCATIONS_FILE", file.to_str().unwrap())
    }

    /// Proxies that have no file of revocations.
    fn without_revocations(&self) -> Setup {
        Setup::proxy()
            .env("OAUTH_BROKER", "1")
            .env("PUBLIC_URL", RESOURCE)
            .env("SESSION_KEY", KEY)
            .env("BROKER_USERS_FILE", self.users().to_str().unwrap())
    }
}

/// Runs `mcp-relay users` with this standard input.
fn users(args: &[&str], file: &Path, input: &str) -> Output {
    let mut command = Command::new(binary());
    command.arg("users").args(args).arg("--file").arg(file);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What a proxy answered.
struct Answer {
    status: u16,
    headers: hyper::HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    fn member(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The record in the page's form.
    fn flow(&self) -> String {
        let (_, rest) = self.text.split_once("name=flow value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// The parameters of the redirect.
    fn redirect(&self) -> HashMap<String, String> {
        let (_, query) = self.header("location").split_once('?').expect("a redirect");
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), decoded(value)));
        query.split('&').filter_map(pair).collect()
    }
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        out.push_str(&part[2..]);
    }
    out
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let value = |text: &str| text.bytes().map(byte).collect::<String>();
    fields.iter().map(|(name, text)| format!("{name}={}", value(text))).collect::<Vec<_>>().join("&")
}

async fn send(at: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut exchange = Exchange::start(at, request(method, path, &headers, body.into_bytes())).await;
    exchange.head().await;
    let text = String::from_utf8(exchange.rest().await).unwrap();
    Answer { status: exchange.status.as_u16(), headers: exchange.headers.clone(), text }
}

async fn get(at: SocketAddr, path: &str) -> Answer {
    send(at, Method::GET, path, &[], String::new()).await
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn post(at: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Answer {
    send(at, Method::POST, path, &[FORM], encoded(fields)).await
}

/// Sends a form of a page, as a browser does.
async fn submit(at: SocketAddr, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let headers = [FORM, ("cookie", cookie), ("origin", ISSUER), ("sec-fetch-site", "same-origin")];
    send(at, Method::POST, path, &headers, encoded(fields)).await
}

/// Registers a client; returns its id.
async fn register(at: SocketAddr) -> String {
    let metadata = json!({"redirect_uris": ["http://127.0.0.1/cb"], "client_name": "Walker",
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none"});
    let headers = [("content-type", "application/json"), ("origin", "https://inspector.example")];
    let answer = send(at, Method::POST, "/oauth/register", &headers, metadata.to_string()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (201, "*"), "{}", answer.text);
    answer.member("client_id")
}

/// Signs in and lets the client in; returns the code. Each step goes to the next of these proxies.
async fn code(proxies: [SocketAddr; 3], client: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let query = encoded(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "s 1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
    ]);
    let page = get(proxies[0], &format!("/oauth/authorize?{query}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let fields = [("flow", &*page.flow()), ("username", "ann"), ("password", PASSWORD)];
    let page = submit(proxies[1], "/oauth/login", &cookie, &fields).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let fields = [("flow", &*page.flow()), ("decision", "allow")];
    let back = submit(proxies[2], "/oauth/consent", &cookie, &fields).await;
    assert_eq!(back.status, 303, "{}", back.text);
    let parameters = back.redirect();
    assert_eq!((parameters["state"].as_str(), parameters["iss"].as_str()), ("s 1", ISSUER));
    parameters["code"].clone()
}

/// Redeems a code; returns the access token and the refresh token.
async fn redeem(at: SocketAddr, client: &str, code: &str) -> (String, String) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", RESOURCE),
    ];
    let answer = post(at, "/oauth/token", &fields).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
    (answer.member("access_token"), answer.member("refresh_token"))
}

async fn refresh(at: SocketAddr, client: &str, token: &str) -> Answer {
    post(
        at,
        "/oauth/token",
        &[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)],
    )
    .await
}

trait ToolsStatus {
    /// The HTTP status of a list of tools.
    async fn tools_status(&self) -> u16;
}

impl ToolsStatus for Client {
    async fn tools_status(&self) -> u16 {
        self.request(McpRequest::new(1, "tools/list", json!({}))).await.status
    }
}

/// A modern client that shows this token.
fn bearer(at: SocketAddr, token: &str) -> Client {
    Client::modern(at).with_header("authorization", &format!("Bearer {token}"))
}
