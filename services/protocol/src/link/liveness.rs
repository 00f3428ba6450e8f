//! Liveness of the peer of a link, and the round-trip time to it. Must not know sockets; the time is an argument.
//!
//! A paused process or dropped packets show only as silence. Each side sends a WebSocket ping after an interval in which nothing
//! was received, and gives the link up when the silence goes on (docs/PROTOCOL.md, "Liveness").

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Action that the owner of the link takes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAliveAction {
    /// Nothing before this time.
    Wait(Instant),
    /// Send a WebSocket ping.
    Ping,
    /// Give the link up: the peer has been silent for too long.
    Dead,
}

/// Keep-alive timer of one link.
#[derive(Clone, Debug)]
pub struct Liveness {
    interval: Duration,
    timeout: Duration,
    last_received: Instant,
    last_ping: Option<Instant>,
}

impl Liveness {
    /// Makes a timer that asks for a ping after `interval` of silence and gives up after `timeout` of silence. `timeout` should be
    /// at least twice `interval`.
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, last_received: now, last_ping: None }
    }

    /// Records that anything at all was read from the peer.
    pub fn on_received(&mut self, now: Instant) {
        self.last_received = now;
        self.last_ping = None;
    }

    /// Records a ping that was sent for another reason: no other is needed for an interval.
    pub fn on_ping_sent(&mut self, now: Instant) {
        self.last_ping = Some(now);
    }

    /// Returns what is to be done; to be called again at the time that `Wait` names. A returned `Ping` counts as sent.
    pub fn poll(&mut self, now: Instant) -> KeepAliveAction {
        if now >= self.last_received + self.timeout {
            return KeepAliveAction::Dead;
        }
        let next = self.last_ping.unwrap_or(self.last_received) + self.interval;
        if now >= next {
            self.last_ping = Some(now);
            return KeepAliveAction::Ping;
        }
        KeepAliveAction::Wait(next.min(self.last_received + self.timeout))
    }
}

/// Largest number of unanswered pings whose times are kept.
const MAX_UNANSWERED: usize = 32;

/// Round-trip times of one link, measured by a numbered ping after each interval, whatever else is sent.
#[derive(Clone, Debug)]
pub struct RttEstimator {
    interval: Duration,
    threshold: Duration,
    next_ping: Instant,
    last_number: u64,
    /// Unanswered pings and when they were sent, oldest first.
    unanswered: VecDeque<(u64, Instant)>,
    last_rtt: Option<Duration>,
    shortest: Option<Duration>,
}

impl RttEstimator {
    /// Makes an estimator that sends a ping after each `interval`. A peer is late if its last round trip was longer than
    /// `threshold`, or if a ping has been unanswered for longer than both.
    pub fn new(interval: Duration, threshold: Duration, now: Instant) -> Self {
        Self {
            interval,
            threshold,
            next_ping: now,
            last_number: 0,
            unanswered: VecDeque::new(),
            last_rtt: None,
            shortest: None,
        }
    }

    /// Returns the payload of the ping that is due now, if one is. A returned ping counts as sent.
    pub fn poll(&mut self, now: Instant) -> Option<[u8; 8]> {
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.interval;
        self.last_number += 1;
        if self.unanswered.len() < MAX_UNANSWERED {
            self.unanswered.push_back((self.last_number, now));
        }
        Some(self.last_number.to_be_bytes())
    }

    /// Returns when [`RttEstimator::poll`] has something to send.
    pub fn next_ping(&self) -> Instant {
        self.next_ping
    }

    /// Records a pong. A pong answers its ping and those before, which need not be answered each (RFC 6455, 5.5.3); payloads
    /// that are no number of a ping are ignored. Returns the round-trip time of the newest ping answered.
    pub fn on_pong(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let number = payload.try_into().ok().map(u64::from_be_bytes)?;
        let mut newest = None;
        while let Some((_, sent)) = self.unanswered.front().filter(|(ping, _)| *ping <= number).copied() {
            newest = Some(now.saturating_duration_since(sent));
            self.last_rtt = newest;
            self.unanswered.pop_front();
        }
        self.shortest = self.shortest.into_iter().chain(newest).min();
        newest
    }

    /// Returns the shortest round-trip time of all: that of the way, without what waits on it.
    pub fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    /// Returns the last round-trip time, or how long the oldest ping has been unanswered where that is too long and longer.
    pub fn rtt(&self, now: Instant) -> Option<Duration> {
        self.overdue(now).max(self.last_rtt)
    }

    /// Returns the last round-trip time that was measured.
    pub fn last_trip(&self) -> Option<Duration> {
        self.last_rtt
    }

    /// Returns whether the peer answers late at the moment.
    pub fn is_late(&self, now: Instant) -> bool {
        self.overdue(now).is_some() || self.last_rtt.is_some_and(|rtt| rtt > self.threshold)
    }

    /// Returns how long the oldest ping has been unanswered, if that is too long.
    fn overdue(&self, now: Instant) -> Option<Duration> {
        let (_, sent) = self.unanswered.front()?;
        let waited = now.saturating_duration_since(*sent);
        (waited >= self.interval.max(self.threshold)).then_some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_causes_pings_and_then_the_end() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut liveness = Liveness::new(Duration::from_millis(1500), Duration::from_secs(4), start);
        assert_eq!(liveness.poll(start), KeepAliveAction::Wait(at(1500)));
        assert_eq!(liveness.poll(at(1500)), KeepAliveAction::Ping);
        assert_eq!(liveness.poll(at(1500)), KeepAliveAction::Wait(at(3000)));
        assert_eq!(liveness.poll(at(3000)), KeepAliveAction::Ping);
        assert_eq!(liveness.poll(at(3000)), KeepAliveAction::Wait(at(4000)));
        assert_eq!(liveness.poll(at(4000)), KeepAliveAction::Dead);
    }

    #[test]
    fn anything_received_starts_the_timer_anew() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut liveness = Liveness::new(Duration::from_millis(1500), Duration::from_secs(4), start);
        assert_eq!(liveness.poll(at(1600)), KeepAliveAction::Ping);
        liveness.on_received(at(1700));
        assert_eq!(liveness.poll(at(1700)), KeepAliveAction::Wait(at(3200)));
        assert_eq!(liveness.poll(at(5699)), KeepAliveAction::Ping);
        assert_eq!(liveness.poll(at(5700)), KeepAliveAction::Dead);
    }

    #[test]
    fn round_trips_are_measured_and_a_long_one_is_late() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut estimator = RttEstimator::new(Duration::from_millis(1500), Duration::from_secs(1), start);
        let first = estimator.poll(start).unwrap();
        assert_eq!((estimator.poll(start), estimator.next_ping()), (None, at(1500)));
        estimator.on_pong(&first, at(20));
        assert_eq!(
            (estimator.rtt(at(20)), estimator.is_late(at(20))),
            (Some(Duration::from_millis(20)), false)
        );
        let second = estimator.poll(at(1500)).unwrap();
        estimator.on_pong(&first, at(1600));
        estimator.on_pong(&second, at(2700));
        assert!(estimator.is_late(at(2700)), "1.2 s is above the threshold");
        let third = estimator.poll(at(3000)).unwrap();
        estimator.on_pong(&third, at(3010));
        assert!(!estimator.is_late(at(3010)), "one timely pong is enough");
    }

    #[test]
    fn silence_beyond_one_interval_is_late() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut estimator = RttEstimator::new(Duration::from_millis(1500), Duration::from_secs(1), start);
        let _ = estimator.poll(start).unwrap();
        assert!(!estimator.is_late(at(1499)));
        let second = estimator.poll(at(1500)).unwrap();
        assert!(estimator.is_late(at(1500)));
        estimator.on_pong(&second, at(1600));
        assert_eq!(
            estimator.rtt(at(1600)),
            Some(Duration::from_millis(100)),
            "a pong answers all pings before its own"
        );
        assert!(!estimator.is_late(at(1600)));
    }

    #[test]
    fn round_trips_longer_than_the_interval_are_measured() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut estimator = RttEstimator::new(Duration::from_millis(500), Duration::from_secs(2), start);
        let sent: Vec<[u8; 8]> = (0..10).map(|n| estimator.poll(at(500 * n)).unwrap()).collect();
        for (n, payload) in (0..).zip(&sent) {
            estimator.on_pong(payload, at(500 * n + 1200));
            assert_eq!(estimator.rtt(at(500 * n + 1200)), Some(Duration::from_millis(1200)));
        }
        estimator.on_pong(b"drain", at(9000));
        assert!(!estimator.is_late(at(9000)), "the operator allows 2 s");
    }

    #[test]
    fn a_peer_that_never_answers_costs_bounded_memory() {
        let start = Instant::now();
        let mut estimator = RttEstimator::new(Duration::from_secs(1), Duration::from_secs(1), start);
        for n in 0..10_000 {
            let _ = estimator.poll(start + Duration::from_secs(n));
        }
        assert!(
            estimator.unanswered.len() <= MAX_UNANSWERED
                && estimator.is_late(start + Duration::from_secs(10_000))
        );
    }
}
