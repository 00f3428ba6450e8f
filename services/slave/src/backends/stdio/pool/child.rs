//! A child as the calls that use it see it: it is being started, takes calls, or has ended. Must not know how it is run.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::mcp::failure::Failure;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::backends::stdio::backend::StdioBackend;
use crate::metrics::ChildEnd;

/// Seconds after which a call of a child that is being started is worth another try.
const RETRY_AFTER: u32 = 5;

/// What calls of a child have to know.
#[derive(Clone)]
pub(super) enum ChildState {
    Starting,
    Ready,
    /// It takes no calls any more.
    Ended(Failure),
}

/// A child that calls use.
pub(super) struct Child {
    /// The number in its pool.
    pub(super) number: u64,
    /// The server that this child is a process of.
    pub(super) backend: Arc<StdioBackend>,
    pub(super) state: watch::Sender<ChildState>,
    end: OnceLock<ChildEnd>,
    told: CancellationToken,
}

impl Child {
    /// Returns a child that does not run yet.
    pub(super) fn new(number: u64, backend: StdioBackend) -> Self {
        Self {
            number,
            backend: Arc::new(backend),
            state: watch::Sender::new(ChildState::Starting),
            end: OnceLock::new(),
            told: CancellationToken::new(),
        }
    }

    /// Tells it to end. The first reason counts.
    pub(super) fn tell_to_end(&self, why: ChildEnd) {
        let _ = self.end.set(why);
        self.told.cancel();
    }

    /// Resolves when it was told to end, with the reason. Cancel-safe.
    pub(super) async fn told(&self) -> ChildEnd {
        self.told.cancelled().await;
        self.end.get().copied().unwrap_or(ChildEnd::Stopped)
    }

    /// Waits until it can take calls, at most `limit`.
    pub(super) async fn ready(&self, limit: Duration) -> Result<(), Failure> {
        let mut state = self.state.subscribe();
        let settled = async {
            let settled = state.wait_for(|state| !matches!(state, ChildState::Starting)).await;
            settled.map(|state| state.clone())
        };
        match timeout(limit, settled).await {
            Ok(Ok(ChildState::Ended(failure))) => Err(failure),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Failure::Internal),
            Err(_) => Err(Failure::BackendFailed {
                backend: self.backend.name.to_string(),
                reason: format!(
                    "its process for this client is being started, and was not ready within {limit:?} (BACKEND_WAIT)"
                ),
                retry_after: Some(RETRY_AFTER),
            }),
        }
    }
}
