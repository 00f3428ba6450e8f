//! The policy (`POLICY`) through the built program: who sees and may use what, and what happens when it changes.

mod changes;
mod decisions;
mod drained;
mod lasting;
mod matrix;
mod operate;
mod operators;
mod slave;
mod tasks;
mod ways;

use std::net::SocketAddr;
use std::path::PathBuf;

use harness::client::Client;
use harness::http::{Exchange, request};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use hyper::Method;
use tempfile::TempDir;

/// Keys of the tests: each is its name with a prefix.
const KEYS: &str = "\
- { key: key-of-dev, name: dev, groups: [devs] }
- { key: key-of-intern, name: intern, groups: [devs, interns] }
- { key: key-of-ops, name: ops }
- { key: key-of-ci, name: ci }
- { key: key-of-guest, name: guest }
";

/// A folder with the files of keys and policy.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new(policy: &str) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(files.path("keys.yaml"), KEYS).unwrap();
        files.write(policy);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, policy: &str) {
        let (path, new) = (self.path("policy.yaml"), self.path("policy.new"));
        std::fs::write(&new, policy).and_then(|()| std::fs::rename(&new, &path)).unwrap();
    }

    /// Replaces the policy and waits until the proxy has read it.
    async fn change(&self, proxy: &Proxy, policy: &str) {
        let before = proxy.log.len();
        self.write(policy);
        proxy.log.wait_for_after("POLICY read again", before).await;
    }

    fn proxy(&self) -> Setup {
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        Setup::proxy().env("AUTH_BEARER_KEYS_FILE", path("keys.yaml")).env("POLICY", path("policy.yaml"))
    }

    /// A proxy with this policy, and a slave with the demo tools.
    async fn scene(&self) -> (Proxy, Slave) {
        let proxy = self.proxy().start_proxy().await;
        let slave = Setup::slave("one", proxy.link).start_slave().await;
        proxy.accepted(1).await;
        (proxy, slave)
    }
}

/// The client with the key of this name.
fn client(proxy: &Proxy, name: &str) -> Client {
    Client::modern(proxy.http).with_header("authorization", &format!("Bearer key-of-{name}"))
}

/// Waits until a call waits for a slave, at the proxy whose clients' port this is.
async fn waits(at: SocketAddr) {
    wait::until("a call to wait", async || {
        let headers = vec![("authorization".to_owned(), "Bearer key-of-ops".to_owned())];
        let mut exchange = Exchange::start(at, request(Method::GET, "/metrics", &headers, Vec::new())).await;
        exchange.head().await;
        let text = String::from_utf8(exchange.rest().await).unwrap();
        let is_one = |line: &str| line.starts_with("mcp_relay_queue_length{") && line.ends_with(" 1");
        text.lines().any(is_one).then_some(())
    })
    .await;
}
