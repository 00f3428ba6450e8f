//! Shutdown of the proxy: running calls finish, then links close. Must not know HTTP.

use std::sync::Arc;
use std::time::Duration;

use runtime::shutdown::Shutdown;
use tokio::time::{sleep, timeout};

use crate::links::Registry;
use crate::metrics;

/// Time between two counts of the calls under way.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Time limit for the closing of links.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Announces the shutdown to the slaves as soon as it begins, and waits for the calls under way, including those that
/// no client reads any more.
pub(super) async fn drain(registry: Arc<Registry>, shutdown: Shutdown) {
    shutdown.draining().await;
    metrics::set_draining();
    tracing::info!(calls = registry.calls(), "Shutting down: no new calls, running ones finish");
    registry.drain();
    let finished = async {
        while registry.calls() > 0 {
            sleep(POLL_INTERVAL).await;
        }
    };
    tokio::select! {
        () = finished => {}
        () = shutdown.grace_over() => tracing::warn!(calls = registry.calls(), "The grace is over: running calls are given up"),
    }
}

/// Closes all links. A peer that does not answer delays this by [`CLOSE_TIMEOUT`] at most.
pub(super) async fn close_links(registry: &Registry) {
    registry.close_all();
    let closed = async {
        while registry.linked_slaves() > 0 {
            sleep(POLL_INTERVAL).await;
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
}
