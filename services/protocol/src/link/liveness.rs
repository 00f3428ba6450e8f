//! Whether the other side still answers. Knows no socket: bytes seen and the time are arguments.
//!
//! A closed socket shows itself; a paused process or dropped packets show only as silence. Each side asks with
//! a WebSocket ping when it has heard nothing for a while and gives the link up when the silence goes on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAliveAction {
    /// Nothing until this time.
    Wait(Instant),
    /// Send a WebSocket ping.
    Ping,
    /// The peer has been silent for too long: give the link up.
    Dead,
}

/// Silence watch of one link.
#[derive(Clone, Debug)]
pub struct Liveness {
    interval: Duration,
    timeout: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

impl Liveness {
    /// Asks after `interval` of silence, gives up after `timeout` of it. `timeout` should be at least twice `interval`.
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, heard: now, asked: None }
    }

    /// Anything at all was read from the peer.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// A ping was sent for another reason: no other is needed for an interval.
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// When a ping was sent and what has been heard decide; call again at the time that `Wait` names.
    pub fn poll(&mut self, now: Instant) -> KeepAliveAction {
        if now >= self.heard + self.timeout {
            return KeepAliveAction::Dead;
        }
        let next = self.asked.unwrap_or(self.heard) + self.interval;
        if now >= next {
            self.asked = Some(now);
            return KeepAliveAction::Ping;
        }
        KeepAliveAction::Wait(next.min(self.heard + self.timeout))
    }
}

/// Unanswered pings whose times are kept: a peer that answers none of so many is late enough.
const MOST_OPEN: usize = 32;

/// Round trips of one link: a numbered ping after each interval, whatever else is said on it.
#[derive(Clone, Debug)]
pub struct RttEstimator {
    interval: Duration,
    threshold: Duration,
    next: Instant,
    number: u64,
    /// Unanswered pings with their times, oldest first.
    open: VecDeque<(u64, Instant)>,
    last: Option<Duration>,
}

impl RttEstimator {
    /// Asks after each `interval`. A round trip above `threshold` is late, and so is one that lasts for an interval and the
    /// threshold already.
    pub fn new(interval: Duration, threshold: Duration, now: Instant) -> Self {
        Self { interval, threshold, next: now, number: 0, open: VecDeque::new(), last: None }
    }

    /// The payload of the ping that is due now, if one is.
    pub fn poll(&mut self, now: Instant) -> Option<[u8; 8]> {
        if now < self.next {
            return None;
        }
        self.next = now + self.interval;
        self.number += 1;
        if self.open.len() < MOST_OPEN {
            self.open.push_back((self.number, now));
        }
        Some(self.number.to_be_bytes())
    }

    /// When [`RttEstimator::poll`] has something to send.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// A pong with this payload came: it answers its ping and those before, which need not be answered each (RFC 6455,
    /// 5.5.3). Other payloads are none of ours. Returns the round trip of the newest one answered.
    pub fn answered(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let number = payload.try_into().ok().map(u64::from_be_bytes)?;
        let mut newest = None;
        while let Some((_, asked)) = self.open.front().filter(|(open, _)| *open <= number).copied() {
            newest = Some(now.saturating_duration_since(asked));
            self.last = newest;
            self.open.pop_front();
        }
        newest
    }

    /// The last round trip; where the peer has owed an answer for too long, what it takes so far.
    pub fn trip(&self, now: Instant) -> Option<Duration> {
        self.overdue(now).max(self.last)
    }

    /// Whether the peer answers late at the moment.
    pub fn is_late(&self, now: Instant) -> bool {
        self.overdue(now).is_some() || self.last.is_some_and(|trip| trip > self.threshold)
    }

    fn overdue(&self, now: Instant) -> Option<Duration> {
        let (_, asked) = self.open.front()?;
        let owed = now.saturating_duration_since(*asked);
        (owed >= self.interval.max(self.threshold)).then_some(owed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_then_given_up() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Liveness::new(Duration::from_millis(1500), Duration::from_secs(4), start);
        assert_eq!(watch.poll(start), KeepAliveAction::Wait(at(1500)));
        assert_eq!(watch.poll(at(1500)), KeepAliveAction::Ping);
        assert_eq!(watch.poll(at(1500)), KeepAliveAction::Wait(at(3000)));
        assert_eq!(watch.poll(at(3000)), KeepAliveAction::Ping);
        assert_eq!(watch.poll(at(3000)), KeepAliveAction::Wait(at(4000)));
        assert_eq!(watch.poll(at(4000)), KeepAliveAction::Dead);
    }

    #[test]
    fn an_answer_starts_the_watch_anew() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Liveness::new(Duration::from_millis(1500), Duration::from_secs(4), start);
        assert_eq!(watch.poll(at(1600)), KeepAliveAction::Ping);
        watch.heard(at(1700));
        assert_eq!(watch.poll(at(1700)), KeepAliveAction::Wait(at(3200)));
        assert_eq!(watch.poll(at(5699)), KeepAliveAction::Ping);
        assert_eq!(watch.poll(at(5700)), KeepAliveAction::Dead);
    }

    #[test]
    fn round_trips_are_measured_and_late_ones_noticed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trips = RttEstimator::new(Duration::from_millis(1500), Duration::from_secs(1), start);
        let first = trips.poll(start).unwrap();
        assert_eq!((trips.poll(start), trips.next()), (None, at(1500)));
        trips.answered(&first, at(20));
        assert_eq!((trips.trip(at(20)), trips.is_late(at(20))), (Some(Duration::from_millis(20)), false));
        let second = trips.poll(at(1500)).unwrap();
        trips.answered(&first, at(1600));
        trips.answered(&second, at(2700));
        assert!(trips.is_late(at(2700)), "1.2 s is above the threshold");
        let third = trips.poll(at(3000)).unwrap();
        trips.answered(&third, at(3010));
        assert!(!trips.is_late(at(3010)), "one timely answer is enough");
    }

    #[test]
    fn silence_beyond_one_interval_is_late() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trips = RttEstimator::new(Duration::from_millis(1500), Duration::from_secs(1), start);
        let _ = trips.poll(start).unwrap();
        assert!(!trips.is_late(at(1499)));
        let second = trips.poll(at(1500)).unwrap();
        assert!(trips.is_late(at(1500)));
        trips.answered(&second, at(1600));
        assert_eq!(trips.trip(at(1600)), Some(Duration::from_millis(100)), "one answer is for all before it");
        assert!(!trips.is_late(at(1600)));
    }

    #[test]
    fn a_link_slower_than_the_interval_is_measured_all_the_same() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trips = RttEstimator::new(Duration::from_millis(500), Duration::from_secs(2), start);
        let sent: Vec<[u8; 8]> = (0..10).map(|n| trips.poll(at(500 * n)).unwrap()).collect();
        for (n, payload) in (0..).zip(&sent) {
            trips.answered(payload, at(500 * n + 1200));
            assert_eq!(trips.trip(at(500 * n + 1200)), Some(Duration::from_millis(1200)));
        }
        trips.answered(b"drain", at(9000));
        assert!(!trips.is_late(at(9000)), "the operator allows 2 s");
    }

    #[test]
    fn a_peer_that_never_answers_costs_bounded_memory() {
        let start = Instant::now();
        let mut trips = RttEstimator::new(Duration::from_secs(1), Duration::from_secs(1), start);
        for n in 0..10_000 {
            let _ = trips.poll(start + Duration::from_secs(n));
        }
        assert!(trips.open.len() <= MOST_OPEN && trips.is_late(start + Duration::from_secs(10_000)));
    }
}
