//! Clients with access tokens of an OAuth issuer: which are accepted, what refused ones are told, and what ends with a token.

mod challenge;
mod invalid;
mod opaque;
mod rotation;
mod secrecy;

use std::net::SocketAddr;
use std::path::Path;

use harness::client::Client;
use harness::http::{Exchange, request};
use harness::issuer::{CLIENT, TestIssuer};
use harness::relay::Setup;
use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;

/// `PUBLIC_URL` of all proxies here.
const RESOURCE: &str = "https://relay.example/mcp";

/// A folder with an `AUTH_ISSUERS` file.
struct Issuers(TempDir);

impl Issuers {
    /// Lists one issuer; `more` are further lines of its entry, without indentation.
    fn of(issuer: &TestIssuer, more: &[&str]) -> Self {
        let issuers = Self(tempfile::tempdir().unwrap());
        issuers.write(
            &[vec![format!("issuer: {}", issuer.url)], more.iter().map(ToString::to_string).collect()]
                .concat()
                .join("\n  "),
        );
        issuers
    }

    fn write(&self, entry: &str) {
        let new = self.0.path().join("new");
        let text = format!("issuers:\n- {entry}\n");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, self.0.path().join("issuers.yaml")))
            .unwrap();
    }

    fn setup(&self) -> Setup {
        let path = self.0.path().join("issuers.yaml");
        Setup::proxy().env("AUTH_ISSUERS", path.to_str().unwrap()).env("PUBLIC_URL", RESOURCE)
    }
}

/// A line of an issuer's entry by which the proxy asks it about opaque tokens; the secret's file goes into this folder.
fn introspection(issuer: &TestIssuer, folder: &Path) -> String {
    let secret = folder.join("secret");
    std::fs::write(&secret, format!("{}\n", CLIENT.1)).unwrap();
    let address = issuer.url.trim_end_matches("/realms/r");
    let (id, secret) = (CLIENT.0, secret.display());
    format!("introspection: {{url: {address}/introspect, client_id: {id}, client_secret_file: {secret}}}")
}

/// A modern client that shows this token.
fn client(address: SocketAddr, token: &str) -> Client {
    Client::modern(address).with_header("authorization", &format!("Bearer {token}"))
}

/// Status, kind of the failure and `WWW-Authenticate` of a POST with these headers.
async fn post(address: SocketAddr, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
    all.push(("accept".to_owned(), "application/json, text/event-stream".to_owned()));
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec();
    let mut exchange = Exchange::start(address, request(Method::POST, "/mcp", &all, ping)).await;
    let body: Value = serde_json::from_slice(&exchange.rest().await).unwrap_or_default();
    let kind = body["error"]["data"]["kind"].as_str().unwrap_or_default().to_owned();
    (exchange.status.as_u16(), kind, exchange.header("www-authenticate").to_owned())
}

/// As [`post`], with this token.
async fn show(address: SocketAddr, token: &str) -> (u16, String, String) {
    post(address, &[("authorization", &format!("Bearer {token}"))]).await
}
