//! Signals and the time limit that make the caller give up a call. Knows no call.

use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Sleep, sleep};

use super::error::CallError;

/// What cancels the call: SIGINT, SIGTERM or the time limit.
pub(super) struct Cancellation {
    interrupt: Signal,
    terminate: Signal,
    timeout: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Cancellation {
    /// Cancels at a signal, or `timeout` from now.
    pub(super) fn after(timeout: Option<Duration>) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            timeout: timeout.map(|span| (span, Box::pin(sleep(span)))),
        })
    }

    /// Starts the time limit anew. A signal that arrived meanwhile is kept.
    pub(super) fn renew(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout.map(|span| (span, Box::pin(sleep(span))));
    }

    /// Waits until the call is to be given up, and says why. Cancel safe.
    pub(super) async fn cancelled(&mut self) -> CallError {
        let timed_out = async {
            match &mut self.timeout {
                Some((span, over)) => {
                    over.as_mut().await;
                    *span
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            limit = timed_out => CallError::TimedOut(limit),
            _ = self.interrupt.recv() => CallError::Interrupted,
            _ = self.terminate.recv() => CallError::Interrupted,
        }
    }
}
