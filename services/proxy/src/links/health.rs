//! The health of a slave as this proxy sees it: a state with its reason. Must not know sockets or calls.
//!
//! A call reads it with one atomic load; reasons are behind a lock that only changes take.

use parking_lot::Mutex;
use runtime::printable;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::slave_state::SlaveState;

/// The link is up.
const LINKED: u16 = 1;
/// The slave announced that it shuts down.
const DRAINING: u16 = 2;
/// The slave has offered a tool at some time.
const OFFERED: u16 = 4;
/// The slave offers no tool at present.
const EMPTY: u16 = 8;
/// The slave answers pings late.
const LATE: u16 = 16;
/// The slave itself reports a fault.
const REPORTED: u16 = 32;
/// The slave is ejected: it failed several calls in a row by its own fault.
const EJECTED: u16 = 64;

/// The slave has sent nothing since something was sent to it, for a part of the ping interval. Not a state that is reported: it
/// lasts until the slave answers or its link is given up.
const OVERDUE: u16 = 128;

/// The slave can run no call at present, though it offers tools.
const UNAVAILABLE: u16 = 256;

/// An operator keeps new calls from the slave.
const HELD: u16 = 512;

/// All reasons for which a slave that is linked accepts no calls.
const CLOSED: u16 = DRAINING | HELD;

/// All reasons for which a slave that accepts calls is degraded.
const DEGRADED: u16 = LATE | REPORTED | EJECTED;

/// Characters of a slave's own report that are kept.
const MAX_REPORT_CHARS: usize = 300;

/// The health of a slave at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthSnapshot {
    pub(crate) state: SlaveState,
    /// Reason for the state, for operators; empty where the state needs none. Contains no secrets: slaves redact theirs.
    pub(crate) reason: String,
    /// The last measured round trip of the link.
    pub(crate) round_trip: Option<Duration>,
}

/// The causes of the state, and the state that was logged last.
struct HealthLog {
    round_trip: Option<Duration>,
    report: String,
    disconnect_reason: String,
    disconnect_kind: &'static str,
    ejection: String,
    logged: Logged,
}

/// The state that was logged last.
#[derive(Clone, Copy)]
struct Logged {
    state: SlaveState,
    /// The bits of [`DEGRADED`] that were set.
    causes: u16,
    since: Instant,
}

/// A change of health that is to be logged.
#[derive(Debug)]
pub(super) struct HealthChange {
    pub(super) now: HealthSnapshot,
    /// The state before.
    pub(super) before: SlaveState,
    /// Time that the state before lasted.
    pub(super) lasted: Duration,
}

/// The health of a slave.
pub(super) struct Health {
    bits: AtomicU16,
    log: Mutex<HealthLog>,
}

impl Health {
    /// The health of a slave that is not linked yet.
    pub(super) fn new() -> Self {
        let log = HealthLog {
            round_trip: None,
            report: String::new(),
            disconnect_reason: String::new(),
            disconnect_kind: "lost",
            ejection: String::new(),
            logged: Logged { state: SlaveState::Lost, causes: 0, since: Instant::now() },
        };
        Self { bits: AtomicU16::new(EMPTY), log: Mutex::new(log) }
    }

    fn bits(&self) -> u16 {
        self.bits.load(Ordering::Acquire)
    }

    /// Sets or clears bits. Returns whether that changed any.
    fn set(&self, bits: u16, on: bool) -> bool {
        let before = if on {
            self.bits.fetch_or(bits, Ordering::AcqRel)
        } else {
            self.bits.fetch_and(!bits, Ordering::AcqRel)
        };
        (before & bits != 0) != on
    }

    pub(super) fn is_linked(&self) -> bool {
        self.bits() & LINKED != 0
    }

    /// Returns whether calls can be sent to the slave, degraded or not.
    pub(super) fn accepts_calls(&self) -> bool {
        self.bits() & (LINKED | CLOSED) == LINKED
    }

    /// Returns whether calls can be sent to the slave, it offers a tool, and it can run calls.
    pub(super) fn is_ready(&self) -> bool {
        self.bits() & (LINKED | CLOSED | EMPTY | UNAVAILABLE) == LINKED
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.bits() & EJECTED != 0
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.bits() & (DEGRADED | OVERDUE) != 0
    }

    /// Returns whether the slave has not answered for so long that it may be paused.
    pub(super) fn is_overdue(&self) -> bool {
        self.bits() & OVERDUE != 0
    }

    /// Records that the slave owes an answer for too long.
    pub(super) fn on_overdue(&self) {
        self.set(OVERDUE, true);
    }

    /// Records that something came from a slave that was overdue.
    pub(super) fn on_answer(&self) {
        self.set(OVERDUE, false);
    }

    /// Records that a link is up. Lateness and draining of the link before are forgotten.
    pub(super) fn link_up(&self) {
        self.set(DRAINING | LATE | OVERDUE, false);
        self.set(LINKED, true);
    }

    pub(super) fn link_down(&self) {
        self.set(LINKED, false);
    }

    /// Records why the link ended: `kind` is the metric's label, `reason` is for operators.
    pub(super) fn on_disconnect(&self, kind: &'static str, reason: String) {
        let mut log = self.log.lock();
        log.disconnect_reason = reason;
        log.disconnect_kind = kind;
    }

    /// Returns why the last link ended, as the metric's label.
    pub(super) fn disconnect_kind(&self) -> &'static str {
        self.log.lock().disconnect_kind
    }

    pub(super) fn set_draining(&self) {
        self.set(DRAINING, true);
    }

    /// Returns whether the slave announced that it shuts down.
    pub(super) fn is_going_down(&self) -> bool {
        self.bits() & (LINKED | DRAINING) == LINKED | DRAINING
    }

    /// Records whether an operator keeps new calls from the slave, over all its links. Returns whether that is new.
    pub(super) fn set_held(&self, held: bool) -> bool {
        self.set(HELD, held)
    }

    /// Returns whether an operator keeps new calls from the slave.
    pub(super) fn is_held(&self) -> bool {
        self.bits() & HELD != 0
    }

    /// Records the number of tools that the slave offers, and the fault that it reports (empty: none).
    pub(super) fn set_offer(&self, tools: usize, report: &str) {
        let clean = |c: char| if printable::is_escaped(c) { ' ' } else { c };
        self.log.lock().report = report.chars().take(MAX_REPORT_CHARS).map(clean).collect();
        self.set(REPORTED, !report.is_empty());
        self.set_tools(tools);
    }

    /// Records whether the slave can run no call, though it offers tools.
    pub(super) fn set_unavailable(&self, unavailable: bool) {
        self.set(UNAVAILABLE, unavailable);
    }

    /// Records the number of tools that can be called.
    pub(super) fn set_tools(&self, tools: usize) {
        self.set(EMPTY, tools == 0);
        if tools > 0 {
            self.set(OFFERED, true);
        }
    }

    /// Records a round trip of the link and whether it is late. Returns whether lateness has changed.
    pub(super) fn record_round_trip(&self, trip: Option<Duration>, late: bool) -> bool {
        self.log.lock().round_trip = trip;
        self.set(LATE, late)
    }

    /// Records that the slave is ejected for this reason; an empty reason readmits it.
    pub(super) fn set_ejected(&self, reason: String) {
        let ejected = !reason.is_empty();
        self.log.lock().ejection = reason;
        self.set(EJECTED, ejected);
    }

    pub(super) fn state(&self) -> SlaveState {
        state_of(self.bits())
    }

    pub(super) fn snapshot(&self) -> HealthSnapshot {
        snapshot_of(self.bits(), &self.log.lock())
    }

    /// Returns the change since the last call, if the state or the set of reasons for it is another.
    pub(super) fn take_change(&self) -> Option<HealthChange> {
        let mut log = self.log.lock();
        let bits = self.bits();
        let (state, causes) = (state_of(bits), if bits & LINKED == 0 { 0 } else { bits & DEGRADED });
        let before = log.logged;
        if (state, causes) == (before.state, before.causes) {
            return None;
        }
        let now = Instant::now();
        log.logged = Logged { state, causes, since: now };
        Some(HealthChange {
            now: snapshot_of(bits, &log),
            before: before.state,
            lasted: now.saturating_duration_since(before.since),
        })
    }
}

fn state_of(bits: u16) -> SlaveState {
    match bits {
        bits if bits & LINKED == 0 => SlaveState::Lost,
        bits if bits & CLOSED != 0 => SlaveState::Draining,
        bits if bits & (EMPTY | UNAVAILABLE) != 0 => SlaveState::Connecting,
        bits if bits & DEGRADED != 0 => SlaveState::Degraded,
        _ => SlaveState::Ready,
    }
}

fn snapshot_of(bits: u16, log: &HealthLog) -> HealthSnapshot {
    let state = state_of(bits);
    let mut reasons: Vec<String> = Vec::new();
    match state {
        SlaveState::Connecting if bits & EMPTY == 0 => {
            reasons.push("no backend of it runs: see its log, or run mcp-relay doctor there".into());
        }
        SlaveState::Connecting => {
            let since = if bits & OFFERED == 0 { "yet" } else { "any more" };
            reasons.push(format!("it offers no tools {since}: see its log, or run mcp-relay doctor there"));
        }
        SlaveState::Lost => reasons.push(log.disconnect_reason.clone()),
        SlaveState::Draining if bits & DRAINING == 0 => {
            reasons
                .push("an operator drains it: this proxy sends it no new calls until that is undone".into());
        }
        SlaveState::Draining => reasons.push("it is going down".into()),
        SlaveState::Ready => {}
        SlaveState::Degraded => {
            if bits & LATE != 0 {
                let millis = log.round_trip.unwrap_or_default().as_millis();
                reasons.push(format!("it answers pings late ({millis} ms; LINK_LATE_MS)"));
            }
            if bits & EJECTED != 0 {
                reasons.push(log.ejection.clone());
            }
        }
    }
    if bits & REPORTED != 0 && matches!(state, SlaveState::Connecting | SlaveState::Degraded) {
        reasons.push(format!("it reports: {}", log.report));
    }
    HealthSnapshot { state, reason: reasons.join("; "), round_trip: log.round_trip }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(health: &Health) -> (SlaveState, String) {
        let snapshot = health.snapshot();
        assert_eq!(snapshot.state, health.state());
        (snapshot.state, snapshot.reason)
    }

    #[test]
    fn states_and_their_reasons_follow_what_is_recorded() {
        let health = Health::new();
        assert_eq!(state(&health).0, SlaveState::Lost);
        health.link_up();
        assert_eq!(state(&health).0, SlaveState::Connecting);
        assert!(health.accepts_calls() && !health.is_ready(), "linked, but there is nothing to call");
        health.set_offer(2, "");
        assert_eq!(state(&health), (SlaveState::Ready, String::new()));
        assert!(health.is_ready() && !health.is_degraded());
        health.record_round_trip(Some(Duration::from_millis(1234)), true);
        health.set_offer(1, "backend \"x\" is\ndown");
        let (now, reason) = state(&health);
        assert_eq!(now, SlaveState::Degraded);
        assert!(reason.contains("1234 ms") && reason.contains("reports: backend \"x\" is down"), "{reason}");
        assert!(health.is_ready() && health.is_degraded());
        health.set_offer(0, "");
        let (now, reason) = state(&health);
        assert!(now == SlaveState::Connecting && reason.contains("no tools any more"), "{now:?}: {reason}");
        assert!(!health.is_ready());
        health.set_offer(1, "backend \"x\" is down");
        health.set_unavailable(true);
        let (now, reason) = state(&health);
        assert!(
            now == SlaveState::Connecting && reason.contains("no backend of it runs"),
            "{now:?}: {reason}"
        );
        assert!(!health.is_ready() && health.accepts_calls(), "its calls wait for its backends");
        health.set_unavailable(false);
        assert!(health.set_held(true) && !health.set_held(true));
        let (now, reason) = state(&health);
        assert!(now == SlaveState::Draining && reason.contains("an operator drains it"), "{now:?}: {reason}");
        assert!(!health.accepts_calls() && !health.is_ready() && !health.is_going_down());
        health.link_down();
        health.link_up();
        assert_eq!(state(&health).0, SlaveState::Draining, "also over its next link");
        assert!(health.set_held(false) && health.is_ready());
        health.set_draining();
        assert_eq!(state(&health).0, SlaveState::Draining);
        assert!(health.is_going_down());
        health.on_disconnect("closed", "gone".into());
        health.link_down();
        assert_eq!(state(&health), (SlaveState::Lost, "gone".into()));
        health.set_offer(1, "");
        health.link_up();
        assert_eq!(state(&health).0, SlaveState::Ready, "the same process offers what it offered");
    }

    #[test]
    fn each_change_is_returned_once() {
        let health = Health::new();
        assert!(health.take_change().is_none());
        health.link_up();
        assert_eq!(health.take_change().unwrap().before, SlaveState::Lost);
        health.set_offer(1, "");
        assert_eq!(health.take_change().unwrap().now.state, SlaveState::Ready);
        health.record_round_trip(None, true);
        assert!(health.take_change().is_some() && health.take_change().is_none());
        health.set_offer(1, "bad");
        assert!(health.take_change().is_some(), "another reason");
        health.record_round_trip(Some(Duration::from_secs(2)), true);
        assert!(health.take_change().is_none(), "the same reason with other numbers");
    }
}
