//! When a link asks whether its peer is still there, and when it gives the peer up. Must not know sockets or timers.

use std::time::{Duration, Instant};

use protocol::link::liveness::{KeepAliveAction, Liveness, RttEstimator};

use crate::outgoing::Outgoing;

/// Times of one link's keep-alive.
#[derive(Clone, Copy, Debug)]
pub struct KeepAliveConfig {
    /// Silence after which a ping is sent (`LINK_PING_INTERVAL_MS`).
    pub interval: Duration,
    /// Silence after which the link is given up (`LINK_PING_TIMEOUT_MS`).
    pub timeout: Duration,
    /// How long after its start the link first measures the round trip.
    pub measure_after: Duration,
    /// How often it measures from then on.
    pub measure_interval: Duration,
    /// Round trips above this are late.
    pub late: Duration,
}

/// What a look at the clock led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// When to look again.
    pub(crate) next: Instant,
    /// A measuring ping was sent.
    pub(crate) measured: bool,
}

/// Keep-alive of one link: silence and round trips.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    liveness: Liveness,
    pub(crate) trips: RttEstimator,
    heard: Instant,
}

impl KeepAlive {
    pub(crate) fn new(config: KeepAliveConfig, now: Instant) -> Self {
        Self {
            liveness: Liveness::new(config.interval, config.timeout, now),
            trips: RttEstimator::new(config.measure_interval, config.late, now + config.measure_after),
            heard: now,
        }
    }

    /// Bytes came in.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.heard = now;
        self.liveness.on_received(now);
    }

    /// Queues the pings that are due. `Err`: the peer has been silent for this long and is given up.
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
                KeepAliveAction::Dead => return Err(now.duration_since(self.heard)),
                KeepAliveAction::Ping => out.send_ping(&[]),
            }
        }
    }
}
