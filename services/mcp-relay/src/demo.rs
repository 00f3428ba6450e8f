//! `mcp-relay demo`: the relay at work, with processes, sockets and a failure, all of them real.

mod fleet;
mod series;
mod story;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};

use fleet::Fleet;

/// Runs it to its end. Every child process is gone when it returns, also after a failure or a signal.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut fleet = Fleet::default();
    let told = tokio::select! {
        told = story::tell(&mut fleet) => told,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("terminated")),
    };
    fleet.end().await;
    told
}
