//! The shutdown of backends: one signal for all, one for each that is removed alone, and the wait for their processes to
//! be gone. Must not know any backend.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time beyond the grace in which a killed process is waited for.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The signal that ends one backend: with the slave, or alone, once it has left the registry and its last call has
/// ended. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ShutdownGuard {
    group: ShutdownGroup,
    users: TaskTracker,
}

impl ShutdownGuard {
    /// `users` tracks the calls that may use the backend; it is closed when the backend leaves the registry.
    pub(crate) fn new(group: ShutdownGroup, users: TaskTracker) -> Self {
        Self { group, users }
    }

    /// Waits until the backend is to end. Cancel-safe.
    pub(crate) async fn wait(&self) {
        tokio::select! {
            () = self.group.wait() => {}
            () = self.users.wait() => {}
        }
    }

    /// Returns how long all backends together may take to end; `None`: this one ends alone, without a limit.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.group.is_stopping().then(|| self.group.grace())
    }

    /// Returns the reason of the end, for calls that still wait for the backend.
    pub(crate) fn reason(&self) -> &'static str {
        if self.group.is_stopping() { "the slave is shutting down" } else { "it is not configured any more" }
    }
}

/// The shutdown that the executor and all backends share. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ShutdownGroup {
    signal: CancellationToken,
    tasks: TaskTracker,
    grace: Arc<OnceLock<Duration>>,
}

impl ShutdownGroup {
    /// Spawns a task that supervises processes: [`Self::stop`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Returns whether the shutdown has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.signal.is_cancelled()
    }

    /// Waits until the shutdown begins. Cancel-safe.
    pub(crate) async fn wait(&self) {
        self.signal.cancelled().await;
    }

    /// Returns how long a backend may take to end by itself, from the beginning of the shutdown.
    pub(crate) fn grace(&self) -> Duration {
        self.grace.get().copied().unwrap_or_default()
    }

    /// Tells all backends to stop and waits until they have, at most [`KILL_TIMEOUT`] longer than `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        let _ = self.grace.set(grace);
        self.signal.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace + KILL_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("a backend's process is still there after SIGKILL");
        }
    }
}
