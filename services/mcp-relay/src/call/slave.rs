//! A slave that lives as long as one call and offers one tool: the whole way of a call, where there may be no other slave.

use std::time::Duration;

use anyhow::Context;
use runtime::env::Snapshot;
use runtime::shutdown::Shutdown;
use runtime::telemetry;
use slave::RunError;
use slave::config::{Role, SlaveConfig};
use tokio::task::JoinHandle;

use super::note;
use crate::serve::Stop;

/// How long it may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Variables of this environment that are about the server that is called.
const NOT_ITS: [&str; 5] = ["MCP_SERVER_HOST", "MCP_SERVER_PORT", "OPS_HOST", "OPS_PORT", "AUTH_BEARER_KEYS"];

/// A running one.
pub(super) struct Brought {
    shutdown: Shutdown,
    running: JoinHandle<Result<(), RunError>>,
}

/// Starts it, with `tool` as its only tool.
pub(super) fn start(tool: &str, snapshot: &Snapshot) -> Result<Brought, Stop> {
    let kept = snapshot.names().filter(|name| !NOT_ITS.contains(name));
    let kept = kept.filter_map(|name| Some((name, snapshot.get(name)?)));
    let any_port = [("MCP_SERVER_PORT", "0")];
    let mut config = SlaveConfig::load(&Snapshot::of(kept.chain(any_port)), Role::Slave)?.config;
    config.probe_tool = Some(tool.to_owned());
    telemetry::init("SLAVE", &config.common.log).context("the slave cannot write logs")?;
    let shutdown = Shutdown::new(GOODBYE);
    let running = tokio::spawn(slave::run(config, shutdown.clone()));
    Ok(Brought { shutdown, running })
}

impl Brought {
    /// Unlinks it.
    pub(super) async fn end(self) {
        self.shutdown.begin();
        // One that does not go in time goes with this process.
        if let Ok(Ok(Err(error))) = tokio::time::timeout(2 * GOODBYE, self.running).await {
            note(&format!("the slave could not run: {error}"));
        }
    }
}
