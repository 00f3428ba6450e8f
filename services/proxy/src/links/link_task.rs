//! The task of a link after authentication: runs the link until it ends, then waits for the slave to reconnect. Must
//! not know how connections are accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{KeepAliveConfig, LinkDriver};
use tokio::time::sleep;

use super::audit;
use super::auth::Socket;
use super::disconnect::DisconnectReason;
use super::link_end::SlaveLink;
use super::registration::Registered;
use super::registry::Registry;
use super::slave::Slave;
use crate::balance::outliers::Outcome;
use crate::metrics;

/// The times of every link's keep-alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkTimes {
    /// `LINK_PING_INTERVAL_MS`: silence after which a ping is sent.
    pub(crate) ping_interval: Duration,
    /// `LINK_PING_TIMEOUT_MS`: silence after which the link is closed.
    pub(crate) ping_timeout: Duration,
    /// `LINK_LATE_MS`: round trip time above which a slave is degraded.
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

/// Runs the link until it ends, then keeps its calls until the slave reconnects or no client waits for them.
pub(super) async fn run_link(
    socket: Socket,
    registered: Registered,
    registry: &Arc<Registry>,
    times: LinkTimes,
) {
    let (Registered { slave, generation, .. }, since) = (registered, Instant::now());
    let end = SlaveLink::new(Arc::clone(&slave), generation, Arc::clone(registry));
    let mut driver = LinkDriver::new(socket, end, times.keepalive());
    let reason = (&mut driver).await;
    audit::closed(&slave, &reason, since);
    let current = on_disconnect(&slave, generation, &reason, registry);
    // The socket is closed now, not after the slave's grace: descriptors are scarce, and the slave waits for the close
    // frame.
    let (socket, _) = driver.into_parts();
    match reason.close_code() {
        Some(code) => {
            let text = match &reason {
                DisconnectReason::Closed | DisconnectReason::Drained => String::new(),
                reason => reason.to_string(),
            };
            Box::pin(socket.close(code, &text)).await;
        }
        None => drop(socket),
    }
    if current {
        await_reconnect(&slave, generation, registry).await;
    }
}

/// Records the end of the link. Returns whether no newer link has replaced it.
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
    if slave.is_current(generation) {
        slave.await_return(reason, registry.limits().grace, now);
    }
    let current = slave.link_down(generation, now);
    if current {
        if matches!(reason, DisconnectReason::Silent) {
            slave.presume_dead(now);
        }
        tracing::info!(slave = slave.name, calls = slave.calls(), "Active slave disconnected: {reason}");
        registry.peers().remove_report(slave.key, now);
        registry.publish_change(slave);
    }
    current
}

/// Waits until the slave has reconnected or no client waits for its calls any more.
async fn await_reconnect(slave: &Slave, generation: u64, registry: &Registry) {
    let mut was_awaited = false;
    while slave.is_current(generation) {
        let now = Instant::now();
        let is_awaited = slave.awaited_until(now).is_some();
        if was_awaited && !is_awaited {
            registry.changed.notify_one();
        }
        was_awaited = is_awaited;
        if registry.is_back_on_another_link(slave) {
            slave.extend_plain_grace(now);
        }
        let timers = slave.poll_timers(now);
        metrics::record_timeouts(timers.timed_out);
        let Some(next) = timers.next else {
            registry.forget(slave);
            return;
        };
        tokio::select! {
            () = sleep(next.saturating_duration_since(Instant::now())) => {}
            () = slave.relinked.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;
    use link::ConnectionError;

    use super::super::registration::tests::registry;
    use super::*;
    use crate::config::SlaveMode;

    #[tokio::test]
    async fn the_wait_for_a_slave_ends_with_its_next_link_and_not_with_a_timer() {
        let registry = registry(SlaveMode::Multi, 9);
        let now = Instant::now();
        let slave = Slave::plain(1, "s".into(), 0, Duration::from_mins(1));
        for _ in 0..3 {
            let generation = slave.link_up(0, now);
            let lost = DisconnectReason::Lost(ConnectionError::UnexpectedEof);
            slave.await_return(&lost, Duration::from_mins(1), now);
            slave.link_down(generation, now);
            let mut waiting = Box::pin(await_reconnect(&slave, generation, &registry));
            assert_eq!(poll!(&mut waiting), Poll::Pending);
            slave.link_up(0, now);
            assert_eq!(poll!(&mut waiting), Poll::Ready(()));
        }
    }
}
