//! The life of one link after authentication: it runs until it ends, then the slave's calls wait for the next one.
//! Must not know how connections are accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{KeepAliveConfig, LinkDriver};
use tokio::time::sleep;

use super::audit;
use super::auth::Socket;
use super::disconnect::DisconnectReason;
use super::link_end::SlaveLink;
use super::registry::{Registered, Registry};
use super::slave::Slave;
use crate::balance::outliers::Outcome;
use crate::metrics;

/// Times of every link's keep-alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkTimes {
    /// `LINK_PING_INTERVAL_MS`.
    pub(crate) ping_interval: Duration,
    /// `LINK_PING_TIMEOUT_MS`.
    pub(crate) ping_timeout: Duration,
    /// `LINK_LATE_MS`: a longer round trip makes a slave degraded.
    pub(crate) late: Duration,
}

impl LinkTimes {
    fn keepalive(self) -> KeepAliveConfig {
        KeepAliveConfig {
            interval: self.ping_interval,
            timeout: self.ping_timeout,
            measure_after: Duration::ZERO,
            measure_interval: self.ping_interval,
            late: self.late,
        }
    }
}

/// Runs the link until it ends, then looks after its calls until none is waited for.
pub(super) async fn run_link(
    socket: Socket,
    registered: Registered,
    registry: &Arc<Registry>,
    times: LinkTimes,
) {
    let (Registered { slave, generation }, since) = (registered, Instant::now());
    let end = SlaveLink::new(Arc::clone(&slave), generation, Arc::clone(registry));
    let mut driver = LinkDriver::new(socket, end, times.keepalive());
    let reason = (&mut driver).await;
    audit::closed(&slave, &reason, since);
    let current = on_disconnect(&slave, generation, &reason, registry);
    // The socket goes now, not when the slave's grace is over: descriptors are few, and the slave waits for our close.
    let (socket, _) = driver.into_parts();
    match reason.close_code() {
        Some(code) => {
            let text = match &reason {
                DisconnectReason::Closed | DisconnectReason::Drained => String::new(),
                reason => reason.to_string(),
            };
            socket.close(code, &text).await;
        }
        None => drop(socket),
    }
    if current {
        await_reconnect(&slave, generation, registry).await;
    }
}

/// Brings the books up to date. Returns whether no newer link has taken over.
fn on_disconnect(
    slave: &Arc<Slave>,
    generation: u64,
    reason: &DisconnectReason,
    registry: &Registry,
) -> bool {
    let now = Instant::now();
    metrics::record_disconnect(&slave.name, reason.kind());
    slave.health.on_disconnect(reason.kind(), reason.to_string());
    if matches!(reason, DisconnectReason::Protocol(_)) {
        registry.record_outcome(slave, Outcome::Failure(reason.kind()));
    }
    if matches!(reason, DisconnectReason::Drained) && slave.is_current(generation) {
        slave.mark_dead(now);
    }
    let current = slave.link_down(generation, now);
    if current {
        tracing::info!(slave = slave.name, calls = slave.calls(), "Active slave disconnected: {reason}");
        registry.peers().remove_report(slave.key, now);
        registry.publish_change(slave);
    }
    current
}

/// Waits until the slave is back or none of its calls is waited for any more.
async fn await_reconnect(slave: &Slave, generation: u64, registry: &Registry) {
    while slave.is_current(generation) {
        let timers = slave.poll_timers(Instant::now());
        metrics::record_timeouts(timers.timed_out);
        let Some(next) = timers.next else {
            registry.forget(slave);
            return;
        };
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}
