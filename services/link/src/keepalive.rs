//! The keep-alive of a link: when to send a ping, when a peer owes an answer for too long, and when to give it up. Must not
//! know sockets or timers.

use std::time::{Duration, Instant};

use protocol::link::liveness::{KeepAliveAction, Liveness, RttEstimator};

use crate::outgoing::Outgoing;

/// Additional time before a silent peer is given up. After a pause of this process, timers may fire before sockets are
/// reported as readable.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(20);

/// Part of the ping interval after which something that was sent and not answered by anything is followed by a ping, which
/// every living peer answers.
const PROBE_PART: u32 = 15;

/// Part of the ping interval after which a peer that has sent nothing since it was asked is overdue.
const OVERDUE_PART: u32 = 6;

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
    /// Whether the peer has just become overdue: it was asked a while ago and has sent nothing since.
    pub(crate) overdue: bool,
}

/// The answer that the peer owes.
#[derive(Clone, Copy, Debug)]
struct Question {
    /// Time at which something was sent after the peer was last heard.
    asked: Instant,
    /// Whether a ping was sent since then.
    pinged: bool,
    /// Whether the peer was reported as overdue.
    overdue: bool,
}

/// The keep-alive of a link: silence and round trips.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    liveness: Liveness,
    pub(crate) trips: RttEstimator,
    heard: Instant,
    interval: Duration,
    /// `None`: nothing was sent since the peer was last heard.
    question: Option<Question>,
    /// Time at which the peer was first found to be silent for too long.
    suspected: Option<Instant>,
}

impl KeepAlive {
    pub(crate) fn new(config: KeepAliveConfig, now: Instant) -> Self {
        Self {
            liveness: Liveness::new(config.interval, config.timeout, now),
            trips: RttEstimator::new(config.measure_interval, config.late, now + config.measure_after),
            heard: now,
            interval: config.interval,
            question: None,
            suspected: None,
        }
    }

    /// Records that bytes have arrived. Returns whether the peer was overdue.
    pub(crate) fn on_heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.suspected = None;
        self.liveness.on_received(now);
        self.question.take().is_some_and(|question| question.overdue)
    }

    /// Records that something was sent: a living peer sends something before long, if only the answer to a ping.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.question.get_or_insert(Question { asked: now, pinged: false, overdue: false });
    }

    /// Queues the pings that are due. `Err`: the peer was silent for this time and is given up.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Outgoing) -> Result<Tick, Duration> {
        let number = self.trips.poll(now);
        if let Some(number) = number {
            out.send_ping(&number);
            self.on_pinged(now);
            self.liveness.on_ping_sent(now);
        }
        let (overdue, due) = self.poll_question(now, out);
        let tick = |next: Instant| Tick {
            next: due.map_or(next, |due| due.min(next)),
            measured: number.is_some(),
            overdue,
        };
        loop {
            match self.liveness.poll(now) {
                KeepAliveAction::Wait(until) => return Ok(tick(until.min(self.trips.next_ping()))),
                KeepAliveAction::Dead => {
                    let confirmed = *self.suspected.get_or_insert(now) + CONFIRM_TIMEOUT;
                    if now >= confirmed {
                        return Err(now.duration_since(self.heard));
                    }
                    return Ok(tick(confirmed));
                }
                KeepAliveAction::Ping => {
                    out.send_ping(&[]);
                    self.on_pinged(now);
                }
            }
        }
    }

    fn on_pinged(&mut self, now: Instant) {
        self.on_sent(now);
        if let Some(question) = &mut self.question {
            question.pinged = true;
        }
    }

    /// Pings a peer that owes an answer. Returns whether it has just become overdue, and when to look again.
    fn poll_question(&mut self, now: Instant, out: &mut Outgoing) -> (bool, Option<Instant>) {
        let round_trips = self.trips.last_trip().unwrap_or_default() * 2;
        let Some(question) = &mut self.question else { return (false, None) };
        let overdue_at = question.asked + (self.interval / OVERDUE_PART).max(round_trips);
        if question.overdue {
            return (false, None);
        }
        let ping_at = question.asked + self.interval / PROBE_PART;
        if !question.pinged && now >= ping_at {
            question.pinged = true;
            out.send_ping(&[]);
            self.liveness.on_ping_sent(now);
        }
        question.overdue = now >= overdue_at;
        let due = if question.pinged { overdue_at } else { ping_at };
        (question.overdue, (!question.overdue).then_some(due))
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

    /// Polls at each moment that the keep-alive asks for, until `end`. Returns when the peer became overdue.
    fn overdue_at(keepalive: &mut KeepAlive, from: Instant, end: Instant) -> Option<Duration> {
        let mut out = Outgoing::new(Role::Server, true);
        let mut now = from;
        while now < end {
            let tick = keepalive.poll(now, &mut out).ok()?;
            if tick.overdue {
                return Some(now.duration_since(from));
            }
            assert!(tick.next > now, "a keep-alive that waits for nothing");
            now = tick.next;
        }
        None
    }

    /// The time of round trips is measured: late in the table, so that no measuring ping asks in place of the message.
    fn measured(round_trip: Duration, start: Instant) -> KeepAlive {
        let mut keepalive = KeepAlive::new(CONFIG, start);
        let mut out = Outgoing::new(Role::Server, true);
        let number = keepalive.trips.poll(start);
        assert!(keepalive.poll(start, &mut out).is_ok() && number.is_some());
        keepalive.trips.on_pong(&number.unwrap_or_default(), start + round_trip);
        keepalive.on_heard(start + round_trip);
        keepalive
    }

    #[test]
    fn a_peer_that_was_asked_and_sends_nothing_is_overdue_within_a_part_of_the_interval() {
        let millis = Duration::from_millis;
        let (start, part) = (Instant::now(), CONFIG.interval / OVERDUE_PART);
        for (round_trip, expected) in [(0, part), (10, part), (83, part), (200, millis(400))] {
            let asked = start + millis(300);
            let mut keepalive = measured(millis(round_trip), start);
            keepalive.on_sent(asked);
            keepalive.on_sent(asked + millis(1));
            let found = overdue_at(&mut keepalive, asked, asked + millis(450));
            assert_eq!(found, Some(expected), "round trip {round_trip} ms");
            assert!(keepalive.on_heard(asked + millis(460)), "anything that comes says that it lives");
            assert!(!keepalive.on_heard(asked + millis(461)));
        }
    }

    #[test]
    fn a_peer_that_answers_or_was_not_asked_is_not_overdue() {
        let millis = Duration::from_millis;
        let start = Instant::now();
        let mut idle = measured(millis(1), start);
        assert_eq!(overdue_at(&mut idle, start + millis(10), start + millis(900)), None, "not asked");
        let mut answers = measured(millis(1), start);
        for asked in (10..900).step_by(100) {
            answers.on_sent(start + millis(asked));
            let answered = start + millis(asked + 99);
            assert_eq!(overdue_at(&mut answers, start + millis(asked), answered), None);
            assert!(!answers.on_heard(answered));
        }
    }

    #[test]
    fn a_ping_asks_where_the_message_needs_no_answer() {
        let start = Instant::now();
        let mut keepalive = measured(Duration::from_millis(1), start);
        let asked = start + Duration::from_millis(300);
        keepalive.on_sent(asked);
        let mut out = Outgoing::new(Role::Server, true);
        let probe = keepalive.poll(asked, &mut out).unwrap().next;
        assert_eq!(probe.duration_since(asked), CONFIG.interval / PROBE_PART);
        assert!(out.is_empty());
        assert!(keepalive.poll(probe, &mut out).is_ok() && !out.is_empty());
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
