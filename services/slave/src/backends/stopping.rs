//! Going down: one signal for all backends, one for each that leaves alone, and waiting until their processes are
//! gone. Must not know any backend.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Beyond the grace: a killed process needs a moment to be gone.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// When one backend is to end: with the slave, or alone, once it has left the registry and its last call has ended.
pub(crate) struct Leaving {
    whole: Stopping,
    users: TaskTracker,
}

impl Leaving {
    /// `users` is closed when the backend leaves.
    pub(crate) fn new(whole: Stopping, users: TaskTracker) -> Self {
        Self { whole, users }
    }

    /// Resolves when the backend is to end. Cancel-safe.
    pub(crate) async fn begun(&self) {
        tokio::select! {
            () = self.whole.begun() => {}
            () = self.users.wait() => {}
        }
    }

    /// How long all backends together may take to go; `None`: this one goes alone and hurries nobody.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.whole.is_stopping().then(|| self.whole.grace())
    }

    /// For whoever still waits for it.
    pub(crate) fn why(&self) -> &'static str {
        if self.whole.is_stopping() { "the slave is shutting down" } else { "it is not configured any more" }
    }
}

/// Shared by the executor and every backend. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Stopping {
    signal: CancellationToken,
    tasks: TaskTracker,
    grace: Arc<OnceLock<Duration>>,
}

impl Stopping {
    /// Spawns a task that looks after processes: [`Self::stop`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Whether stopping has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.signal.is_cancelled()
    }

    /// Resolves when stopping begins. Cancel-safe.
    pub(crate) async fn begun(&self) {
        self.signal.cancelled().await;
    }

    /// How long a backend may take to go by itself, from the beginning of stopping.
    pub(crate) fn grace(&self) -> Duration {
        self.grace.get().copied().unwrap_or_default()
    }

    /// Tells all backends to stop and waits until they have, at most a moment longer than `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        let _ = self.grace.set(grace);
        self.signal.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace + AFTER_KILL, self.tasks.wait()).await.is_err() {
            tracing::warn!("a backend's process is still there after SIGKILL");
        }
    }
}
