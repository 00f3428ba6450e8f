//! Client id metadata documents: a client whose id is a URL, at which its metadata are (draft-ietf-oauth-client-id-metadata-document).
//!
//! Anybody can have this process fetch one, so that it goes to public addresses alone, which are checked after the name was resolved and
//! then dialled; it follows no redirect, and takes little. Must not know what the metadata are for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use runtime::tls::ClientFiles;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::address::is_public;
use crate::client_metadata::Metadata;

/// Longest URL of a client, in bytes.
const MAX_URL: usize = 512;
/// Largest document, in bytes.
const MAX_DOCUMENT: usize = 16 * 1024;
/// Longest time of a fetch, from the resolution of the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Fetches at once.
const AT_ONCE: usize = 8;
/// Documents that are remembered, and for how long: good ones, and what was refused. In seconds.
const MAX_KEPT: usize = 1000;
const KEPT: u64 = 300;
const REFUSED_KEPT: u64 = 30;

/// Where documents may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentHosts {
    /// On the Internet, at port 443.
    Public,
    /// Anywhere: for clients of a private network, and for tests.
    Any,
}

/// The documents of clients.
pub struct Documents {
    hosts: DocumentHosts,
    tls: Arc<ClientConfig>,
    fetching: Semaphore,
    kept: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    until: u64,
    metadata: Result<Metadata, &'static str>,
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Why a document cannot be used, in words that quote nothing of it.
type Refused = &'static str;

impl Documents {
    /// Reads the roots that servers' certificates are checked with: the system's. Blocks the thread.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn new(hosts: DocumentHosts) -> Result<Self, String> {
        let tls = ClientFiles::default().load().map_err(|error| error.to_string())?;
        Ok(Self { hosts, tls, fetching: Semaphore::new(AT_ONCE), kept: Mutex::default() })
    }

    /// Returns the metadata of the client with this id. Cancel safe.
    pub(crate) async fn metadata(&self, id: &str, now: u64) -> Result<Metadata, Refused> {
        let url = self.url_of(id)?;
        if let Some(kept) = self.kept.lock().get(id).filter(|kept| kept.until > now) {
            return kept.metadata.clone();
        }
        let _permit =
            self.fetching.try_acquire().map_err(|_| "too many documents of clients are being fetched")?;
        let fetched = tokio::time::timeout(TIMEOUT, self.fetch(&url)).await;
        let fetched = fetched.unwrap_or(Err("the document of the client did not arrive in time"));
        let metadata = fetched.and_then(|value| read(&value, id, &url, now));
        self.keep(id, metadata.clone(), now);
        metadata
    }

    fn keep(&self, id: &str, metadata: Result<Metadata, Refused>, now: u64) {
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, kept| kept.until > now);
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
        }
        let lifetime = if metadata.is_ok() { KEPT } else { REFUSED_KEPT };
        kept.insert(id.to_owned(), Kept { until: now.saturating_add(lifetime), metadata });
    }

    /// Checks the URL that a client's id is.
    fn url_of(&self, id: &str) -> Result<Url, Refused> {
        let bad = "the id of the client is no https URL of a document";
        let url = Url::parse(id).map_err(|_| bad)?;
        let has_path = url.path().len() > 1;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        // A text that the parser changes is ambiguous: dot segments, other cases, other writings of a host.
        if id.len() > MAX_URL || url.scheme() != "https" || url.as_str() != id || !has_path || !is_plain {
            return Err(bad);
        }
        if self.hosts == DocumentHosts::Public && url.port().is_some() {
            return Err("the document of the client is at a port of its own");
        }
        Ok(url)
    }

    async fn fetch(&self, url: &Url) -> Result<Value, Refused> {
        let unreachable = "the document of the client cannot be fetched";
        let host = url.host_str().ok_or(unreachable)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().ok_or(unreachable)?;
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((bare, port)).await.map_err(|_| unreachable)?.collect();
        // One that is not public is enough: the name is not what it should be.
        if self.hosts == DocumentHosts::Public && !found.iter().all(|address| is_public(address.ip())) {
            return Err("the document of the client is not on the Internet");
        }
        // The checked address is dialled, so that the name is not resolved again.
        let stream = TcpStream::connect(found.as_slice()).await.map_err(|_| unreachable)?;
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| unreachable)?;
        let stream =
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(|_| unreachable)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| unreachable)?;
        let authority = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let target = &url[url::Position::BeforePath..];
        let request = Request::get(target).header(HOST, authority).header(ACCEPT, "application/json");
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| unreachable)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(|_| unreachable)?;
            let kind =
                response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let is_json =
                kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json");
            if response.status() != StatusCode::OK || !is_json {
                return Err("the document of the client is no JSON");
            }
            let body = Limited::new(response.into_body(), MAX_DOCUMENT).collect().await;
            let body = body.map_err(|_| "the document of the client is too long, or broke off")?.to_bytes();
            serde_json::from_slice(&body).map_err(|_| "the document of the client is no JSON")
        };
        tokio::select! {
            value = exchange => value,
            Err(_) = connection => Err(unreachable),
        }
    }
}

/// Reads a document, which must be that of the client which it was fetched for.
fn read(value: &Value, id: &str, url: &Url, now: u64) -> Result<Metadata, Refused> {
    if value["client_id"] != id {
        return Err("the document of the client is of another client");
    }
    let has_secret = value.get("client_secret").is_some();
    if has_secret || value.get("token_endpoint_auth_method").is_some_and(|method| method != "none") {
        return Err("the document of the client is not that of a public client");
    }
    let mut metadata = Metadata::read(value, now).map_err(|fault| fault.words)?;
    let host = url.host_str().unwrap_or_default();
    let name = format!("{} ({host})", metadata.name);
    name.trim().clone_into(&mut metadata.name);
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn documents(hosts: DocumentHosts) -> Documents {
        let builder =
            ClientConfig::builder().with_root_certificates(tokio_rustls::rustls::RootCertStore::empty());
        let tls = Arc::new(builder.with_no_client_auth());
        Documents { hosts, tls, fetching: Semaphore::new(AT_ONCE), kept: Mutex::default() }
    }

    #[tokio::test]
    async fn an_id_that_is_no_plain_url_or_not_of_the_internet_is_not_fetched() {
        let documents = documents(DocumentHosts::Public);
        for bad in [
            "http://client.example/id",
            "https://client.example",
            "https://client.example/",
            "https://user@client.example/id",
            "https://client.example/id#f",
            "https://client.example/a/../id",
            "https://client.example/./id",
            "https://client.example/%2e%2e/id",
            "https://CLIENT.example/id",
            "https://client.example:443/id",
            "https://client.example:8443/id",
            "https://client.example\\id",
            " https://client.example/id",
            "https://127.0.0.1/id",
            "https://2130706433/id",
            "https://0x7f.1/id",
            "https://169.254.169.254/latest",
            "https://[::1]/id",
            "https://[::ffff:7f00:1]/id",
            "https://localhost/id",
            "ftp://client.example/id",
            &format!("https://client.example/{}", "x".repeat(MAX_URL)),
        ] {
            assert!(documents.metadata(bad, 0).await.is_err(), "{bad}");
        }
        let refused = documents.metadata("https://localhost/id", 1).await;
        assert_eq!(refused, Err("the document of the client is not on the Internet"));
    }

    #[test]
    fn a_document_is_that_of_its_own_client_and_of_a_public_one() {
        let id = "https://client.example/id";
        let url = Url::parse(id).unwrap();
        let good =
            json!({"client_id": id, "client_name": "Good", "redirect_uris": ["https://client.example/cb"]});
        assert_eq!(read(&good, id, &url, 0).unwrap().name, "Good (client.example)");
        for (name, value) in [
            ("client_id", json!("https://client.example/other")),
            ("client_id", json!(null)),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("client_secret", json!("x")),
            ("redirect_uris", json!(["http://evil.example/"])),
            ("redirect_uris", json!([])),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(read(&bad, id, &url, 0).is_err(), "{bad}");
        }
        assert!(read(&json!([]), id, &url, 0).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let documents = documents(DocumentHosts::Any);
        for n in 0..3 * MAX_KEPT {
            documents.keep(&n.to_string(), Err("x"), 0);
        }
        assert!(documents.kept.lock().len() <= MAX_KEPT);
    }
}
