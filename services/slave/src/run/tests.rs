//! Tests of the slave and its links against simulated proxies, over real sockets.

mod faults;
mod journal;
mod native;
mod plain;
mod port;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use runtime::env::Snapshot;
use runtime::shutdown::Shutdown;
use tokio::task::JoinHandle;

use super::*;
use crate::config::{Role, SlaveConfig};
use crate::endpoint::Stage;
use crate::link::Links;

/// A slave with the demo tools that connects to the test's proxy.
struct Running {
    links: Arc<Links>,
    executor: Executor,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

/// Returns the configuration of an environment. Variables of `more` replace the defaults.
fn config(url: &str, more: &[(&str, &str)]) -> SlaveConfig {
    let base = [
        ("PROXY_SERVER_URL", url),
        ("SLAVE_CODE", "secret-code-1"),
        ("SLAVE_NAME", "s1"),
        ("MCP_SERVER_PORT", "0"),
        ("DEMO_TOOLS", "1"),
        ("RECONNECT_MAX", "0.1"),
    ];
    let snapshot = Snapshot::of(base.iter().chain(more).copied());
    SlaveConfig::load(&snapshot, Role::Slave).unwrap().config
}

/// Starts the links only, as a process has only one metrics recorder.
async fn start(url: &str, more: &[(&str, &str)]) -> Running {
    let config = config(url, more);
    let shutdown = Shutdown::new(config.common.shutdown_grace);
    let slave = Slave::start(config).await.unwrap();
    let linked = slave.linked.unwrap();
    let links = Arc::clone(&linked.links);
    let (executor, until) = (slave.executor.clone(), shutdown.clone());
    let task = tokio::spawn(async move {
        linked.run(&until).await;
        executor.shutdown(Duration::ZERO).await;
    });
    Running { links, executor: slave.executor, shutdown, task }
}

impl Running {
    /// Ends the slave as a second SIGTERM does, and waits for its end.
    async fn stop(self) {
        self.shutdown.end_now();
        within(self.task).await.unwrap();
    }
}

/// Waits for a future, at most 20 s.
async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it did not happen within 20 s")
}

/// Polls a condition until it holds, at most 20 s.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let looking = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("not within 20 s: {what}"));
}
