//! A slave in this process that lives as long as one call and offers one tool (`--with-slave`). Knows no call.

use std::time::Duration;

use anyhow::Context;
use runtime::env::Snapshot;
use runtime::shutdown::Shutdown;
use runtime::telemetry;
use slave::RunError;
use slave::config::{Role, SlaveConfig};
use tokio::task::JoinHandle;

use super::print::note;
use crate::command_error::CommandError;

/// Longest time that the slave may take to drain and unlink.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Variables that describe the server that is called; the slave does not take them.
const SERVER_VARIABLES: [&str; 5] =
    ["MCP_SERVER_HOST", "MCP_SERVER_PORT", "OPS_HOST", "OPS_PORT", "AUTH_BEARER_KEYS"];

/// A running slave.
pub(super) struct SpawnedSlave {
    shutdown: Shutdown,
    running: JoinHandle<Result<(), RunError>>,
}

/// Starts a slave of this environment with `tool` as its only tool.
pub(super) fn start(tool: &str, snapshot: &Snapshot) -> Result<SpawnedSlave, CommandError> {
    let kept = snapshot.names().filter(|name| !SERVER_VARIABLES.contains(name));
    let kept = kept.filter_map(|name| Some((name, snapshot.get(name)?)));
    let any_port = [("MCP_SERVER_PORT", "0")];
    let mut config = SlaveConfig::load(&Snapshot::of(kept.chain(any_port)), Role::Slave)?.config;
    config.probe_tool = Some(tool.to_owned());
    telemetry::init("SLAVE", &config.common.log).context("the slave cannot write logs")?;
    let shutdown = Shutdown::new(STOP_TIMEOUT);
    let running = tokio::spawn(slave::run(config, shutdown.clone()));
    Ok(SpawnedSlave { shutdown, running })
}

impl SpawnedSlave {
    /// Unlinks and stops the slave.
    pub(super) async fn stop(self) {
        self.shutdown.begin();
        // A slave that is not done in time ends with this process.
        if let Ok(Ok(Err(error))) = tokio::time::timeout(2 * STOP_TIMEOUT, self.running).await {
            note(format!("the slave could not run: {error}"));
        }
    }
}
