//! `mcp-relay demo`: runs one proxy and two slaves as processes and shows calls through them. Knows no step of the scenario.

mod fleet;
mod metrics;
mod scenario;
mod summary;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};

use fleet::Fleet;

/// Runs the demo to its end. All child processes are gone when it returns, also after a failure or a signal.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut fleet = Fleet::default();
    let result = tokio::select! {
        result = scenario::run(&mut fleet) => result,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("terminated")),
    };
    fleet.stop().await;
    result
}
