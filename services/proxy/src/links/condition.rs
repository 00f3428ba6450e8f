//! How a slave does, as this proxy sees it: one of five states, with the reason. Knows no sockets and no calls.
//!
//! What a call asks is one atomic load; reasons stand behind a lock that only changes take.

use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::slave_state::SlaveState;

/// Its link is up.
const LINKED: u8 = 1;
/// It said that it goes down.
const DRAINING: u8 = 2;
/// It has offered a tool at some time.
const OFFERED: u8 = 4;
/// It offers no tool now.
const EMPTY: u8 = 8;
/// It answers pings late.
const LATE: u8 = 16;
/// It reports itself that something is wrong.
const REPORTED: u8 = 32;

/// It failed calls by its own fault, again and again.
const EJECTED: u8 = 64;

/// Everything that makes a slave that takes calls worse than another.
const AILING: u8 = LATE | REPORTED | EJECTED;

/// Characters of a slave's own reason that are kept.
const MOST_REASON: usize = 300;

/// How a slave does at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// Where it stands.
    pub(crate) state: SlaveState,
    /// Why, for people; empty where the state says it all. No secrets: slaves mask theirs.
    pub(crate) reason: String,
    /// The last measured round trip of its link.
    pub(crate) round_trip: Option<Duration>,
}

struct Notes {
    round_trip: Option<Duration>,
    report: String,
    departure: String,
    departure_kind: &'static str,
    ejection: String,
    /// What was logged last, and since when it has been so.
    told: (SlaveState, u8, Instant),
}

/// A change of state that is to be logged.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) health: Health,
    /// How long the state before had lasted.
    pub(super) before: (SlaveState, Duration),
}

/// How one slave does.
pub(super) struct Condition {
    bits: AtomicU8,
    notes: Mutex<Notes>,
}

impl Condition {
    pub(super) fn new() -> Self {
        let told = (SlaveState::Lost, 0, Instant::now());
        let notes = Notes {
            round_trip: None,
            report: String::new(),
            departure: String::new(),
            departure_kind: "lost",
            ejection: String::new(),
            told,
        };
        Self { bits: AtomicU8::new(EMPTY), notes: Mutex::new(notes) }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Each change is one assignment: a panic elsewhere spoils none.
        self.notes.lock()
    }

    fn bits(&self) -> u8 {
        self.bits.load(Ordering::Acquire)
    }

    fn set(&self, bit: u8, on: bool) -> bool {
        let before = if on {
            self.bits.fetch_or(bit, Ordering::AcqRel)
        } else {
            self.bits.fetch_and(!bit, Ordering::AcqRel)
        };
        (before & bit != 0) != on
    }

    pub(super) fn is_linked(&self) -> bool {
        self.bits() & LINKED != 0
    }

    pub(super) fn takes_calls(&self) -> bool {
        self.bits() & (LINKED | DRAINING) == LINKED
    }

    /// Whether calls can be sent to it and it offers something to call.
    pub(super) fn is_useful(&self) -> bool {
        self.bits() & (LINKED | DRAINING | EMPTY) == LINKED
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.bits() & AILING != 0
    }

    /// A link is up: what was said of the one before is history, but for what the slave offers.
    pub(super) fn link_up(&self) {
        self.set(DRAINING | LATE, false);
        self.set(LINKED, true);
    }

    pub(super) fn link_down(&self) {
        self.set(LINKED, false);
    }

    /// Why the link went, in a word for the metric and for people.
    pub(super) fn departed(&self, kind: &'static str, why: String) {
        let mut notes = self.notes();
        notes.departure = why;
        notes.departure_kind = kind;
    }

    /// Why the last link went, in a word.
    pub(super) fn departure(&self) -> &'static str {
        self.notes().departure_kind
    }

    pub(super) fn draining(&self) {
        self.set(DRAINING, true);
    }

    /// It offers so many tools now, and says this of itself (empty: all is well).
    pub(super) fn offers(&self, tools: usize, report: &str) {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        self.notes().report = report.chars().take(MOST_REASON).map(clean).collect();
        self.set(REPORTED, !report.is_empty());
        self.has_tools(tools);
    }

    /// So many tools of it can be called.
    pub(super) fn has_tools(&self, tools: usize) {
        self.set(EMPTY, tools == 0);
        if tools > 0 {
            self.set(OFFERED, true);
        }
    }

    /// A round trip of the link, and whether that is late. Returns whether lateness has changed.
    pub(super) fn round_trip(&self, trip: Option<Duration>, late: bool) -> bool {
        self.notes().round_trip = trip;
        self.set(LATE, late)
    }

    /// It gets no calls for this reason; empty: it gets them again.
    pub(super) fn ejected(&self, why: String) {
        let out = !why.is_empty();
        self.notes().ejection = why;
        self.set(EJECTED, out);
    }

    pub(super) fn state(&self) -> SlaveState {
        state_of(self.bits())
    }

    pub(super) fn health(&self) -> Health {
        health_of(self.bits(), &self.notes())
    }

    /// What changed since this was asked last, if that is another state or another reason for it.
    pub(super) fn news(&self) -> Option<Change> {
        let mut notes = self.notes();
        let bits = self.bits();
        let (state, why) = (state_of(bits), if bits & LINKED == 0 { 0 } else { bits & AILING });
        let (before, old_why, since) = notes.told;
        if (state, why) == (before, old_why) {
            return None;
        }
        let now = Instant::now();
        notes.told = (state, why, now);
        Some(Change {
            health: health_of(bits, &notes),
            before: (before, now.saturating_duration_since(since)),
        })
    }
}

fn state_of(bits: u8) -> SlaveState {
    match bits {
        bits if bits & LINKED == 0 => SlaveState::Lost,
        bits if bits & DRAINING != 0 => SlaveState::Draining,
        bits if bits & EMPTY != 0 => SlaveState::Connecting,
        bits if bits & AILING != 0 => SlaveState::Degraded,
        _ => SlaveState::Ready,
    }
}

fn health_of(bits: u8, notes: &Notes) -> Health {
    let state = state_of(bits);
    let mut reasons: Vec<String> = Vec::new();
    match state {
        SlaveState::Connecting => {
            let since = if bits & OFFERED == 0 { "yet" } else { "any more" };
            reasons.push(format!("it offers no tools {since}"));
            if bits & REPORTED != 0 {
                reasons.push(format!("it reports: {}", notes.report));
            }
        }
        SlaveState::Lost => reasons.push(notes.departure.clone()),
        SlaveState::Draining => reasons.push("it is going down".into()),
        SlaveState::Ready => {}
        SlaveState::Degraded => {
            if bits & LATE != 0 {
                let millis = notes.round_trip.unwrap_or_default().as_millis();
                reasons.push(format!("it answers pings late ({millis} ms; LINK_LATE_MS)"));
            }
            if bits & EJECTED != 0 {
                reasons.push(notes.ejection.clone());
            }
            if bits & REPORTED != 0 {
                reasons.push(format!("it reports: {}", notes.report));
            }
        }
    }
    Health { state, reason: reasons.join("; "), round_trip: notes.round_trip }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(condition: &Condition) -> (SlaveState, String) {
        let health = condition.health();
        assert_eq!(health.state, condition.state());
        (health.state, health.reason)
    }

    #[test]
    fn a_slave_goes_through_its_states_with_reasons() {
        let condition = Condition::new();
        assert_eq!(state(&condition).0, SlaveState::Lost);
        condition.link_up();
        assert_eq!(state(&condition).0, SlaveState::Connecting);
        assert!(condition.takes_calls() && !condition.is_useful(), "linked, but there is nothing to call");
        condition.offers(2, "");
        assert_eq!(state(&condition), (SlaveState::Ready, String::new()));
        assert!(condition.is_useful() && !condition.is_degraded());
        condition.round_trip(Some(Duration::from_millis(1234)), true);
        condition.offers(1, "backend \"x\" is\ndown");
        let (now, reason) = state(&condition);
        assert_eq!(now, SlaveState::Degraded);
        assert!(reason.contains("1234 ms") && reason.contains("reports: backend \"x\" is down"), "{reason}");
        assert!(condition.is_useful() && condition.is_degraded());
        condition.offers(0, "");
        let (now, reason) = state(&condition);
        assert!(now == SlaveState::Connecting && reason.contains("no tools any more"), "{now:?}: {reason}");
        assert!(!condition.is_useful());
        condition.draining();
        assert_eq!(state(&condition).0, SlaveState::Draining);
        condition.departed("closed", "gone".into());
        condition.link_down();
        assert_eq!(state(&condition), (SlaveState::Lost, "gone".into()));
        condition.offers(1, "");
        condition.link_up();
        assert_eq!(state(&condition).0, SlaveState::Ready, "the same process offers what it offered");
    }

    #[test]
    fn each_change_is_news_once() {
        let condition = Condition::new();
        assert!(condition.news().is_none());
        condition.link_up();
        assert_eq!(condition.news().unwrap().before.0, SlaveState::Lost);
        condition.offers(1, "");
        assert_eq!(condition.news().unwrap().health.state, SlaveState::Ready);
        condition.round_trip(None, true);
        assert!(condition.news().is_some() && condition.news().is_none());
        condition.offers(1, "bad");
        assert!(condition.news().is_some(), "another reason");
        condition.round_trip(Some(Duration::from_secs(2)), true);
        assert!(condition.news().is_none(), "the same reason with other numbers");
    }
}
