//! The keep-alive of a link: when to send a ping, and when to give up a silent peer. Must not know sockets or timers.

use std::time::{Duration, Instant};

use protocol::link::liveness::{KeepAliveAction, Liveness, RttEstimator};

use crate::outgoing::Outgoing;

/// Additional time before a silent peer is given up. After a pause of this process, timers may fire before sockets are
/// reported as readable.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(20);

/// The times of a link's keep-alive.
#[derive(Clone, Copy, Debug)]
pub struct KeepAliveConfig {
    /// Silence after which a ping is sent (`LINK_PING_INTERVAL_MS`).
    pub interval: Duration,
    /// Silence after which the link is closed (`LINK_PING_TIMEOUT_MS`).
    pub timeout: Duration,
    /// Time from the start of the link to the first measurement of the round trip.
    pub measure_after: Duration,
    /// Time between two further measurements.
    pub measure_interval: Duration,
    /// Round trip time above which a link is late.
    pub late: Duration,
}

/// The result of [`KeepAlive::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Time of the next poll.
    pub(crate) next: Instant,
    /// Whether a measuring ping was sent.
    pub(crate) measured: bool,
}

/// The keep-alive of a link: silence and round trips.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    liveness: Liveness,
    pub(crate) trips: RttEstimator,
    heard: Instant,
    /// Time at which the peer was first found to be silent for too long.
    suspected: Option<Instant>,
}

impl KeepAlive {
    pub(crate) fn new(config: KeepAliveConfig, now: Instant) -> Self {
        Self {
            liveness: Liveness::new(config.interval, config.timeout, now),
            trips: RttEstimator::new(config.measure_interval, config.late, now + config.measure_after),
            heard: now,
            suspected: None,
        }
    }

    /// Records that bytes have arrived.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.heard = now;
        self.suspected = None;
        self.liveness.on_received(now);
    }

    /// Queues the pings that are due. `Err`: the peer was silent for this time and is given up.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Outgoing) -> Result<Tick, Duration> {
        let number = self.trips.poll(now);
        if let Some(number) = number {
            out.send_ping(&number);
            self.liveness.on_ping_sent(now);
        }
        loop {
            match self.liveness.poll(now) {
                KeepAliveAction::Wait(until) => {
                    let next = until.min(self.trips.next_ping());
                    return Ok(Tick { next, measured: number.is_some() });
                }
                KeepAliveAction::Dead => {
                    let confirmed = *self.suspected.get_or_insert(now) + CONFIRM_TIMEOUT;
                    if now >= confirmed {
                        return Err(now.duration_since(self.heard));
                    }
                    return Ok(Tick { next: confirmed, measured: number.is_some() });
                }
                KeepAliveAction::Ping => out.send_ping(&[]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Role;

    const CONFIG: KeepAliveConfig = KeepAliveConfig {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(4),
        measure_after: Duration::ZERO,
        measure_interval: Duration::from_secs(1),
        late: Duration::from_secs(1),
    };

    #[test]
    fn after_a_pause_of_this_process_the_peer_gets_another_moment() {
        let start = Instant::now();
        let mut out = Outgoing::new(Role::Server, true);
        let mut keepalive = KeepAlive::new(CONFIG, start);
        let resumed = start + Duration::from_secs(10);
        let tick = keepalive.poll(resumed, &mut out);
        assert_eq!(tick.map(|tick| tick.next), Ok(resumed + CONFIRM_TIMEOUT));
        keepalive.on_heard(resumed + Duration::from_millis(1));
        assert!(keepalive.poll(resumed + CONFIRM_TIMEOUT, &mut out).is_ok());
    }

    #[test]
    fn a_peer_that_stays_silent_is_given_up() {
        let start = Instant::now();
        let mut out = Outgoing::new(Role::Server, true);
        let mut keepalive = KeepAlive::new(CONFIG, start);
        let late = start + Duration::from_secs(4);
        assert!(keepalive.poll(late, &mut out).is_ok());
        assert_eq!(
            keepalive.poll(late + CONFIRM_TIMEOUT, &mut out),
            Err(Duration::from_secs(4) + CONFIRM_TIMEOUT)
        );
    }
}
