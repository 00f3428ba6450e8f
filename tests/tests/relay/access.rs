//! Who is served over HTTP: addresses, hosts, kinds of keys, and files of keys that change.

mod hosts;
mod keys;
mod protected;
mod revocation;
mod rotation;

use std::net::SocketAddr;
use std::path::PathBuf;

use harness::http::{Exchange, request};
use harness::process::Process;
use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;

/// A `GET` with these headers: the status, and the kind of the failure, if it is one.
async fn ask(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut exchange = Exchange::start(address, request(Method::GET, path, &headers, Vec::new())).await;
    exchange.head().await;
    let body: Value = serde_json::from_slice(&exchange.rest().await).unwrap_or_default();
    (exchange.status.as_u16(), body["error"]["data"]["kind"].as_str().unwrap_or_default().to_owned())
}

/// The value of `Authorization` for a key.
fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// A file of keys that is replaced as a whole, as mounted secrets are.
struct KeyFile {
    _folder: TempDir,
    path: PathBuf,
}

impl KeyFile {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self { path: folder.path().join("keys"), _folder: folder };
        file.write(text);
        file
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn write(&self, text: &str) {
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).unwrap();
    }

    /// Replaces the file and waits until the process has read it as the file of this variable.
    async fn rewrite(&self, process: &Process, variable: &str, text: &str) {
        let before = process.log.len();
        self.write(text);
        process.log.wait_for_after(&format!("{variable} was read again"), before).await;
    }
}
