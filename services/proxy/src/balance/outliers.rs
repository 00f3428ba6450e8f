//! Outlier detection: a host that fails several calls in a row is ejected for a while, then a few trial calls decide
//! whether it is readmitted.
//!
//! Hosts are known by keys only: the slaves of one tool, or all slaves. Must not know calls or links; the time is an
//! argument. While no host fails, every function here costs one atomic load.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::config::EjectionPolicy;

/// Trial calls after an ejection. More would be too many for a host that still fails; a single one could fail by chance.
const TRIAL_CALLS: u32 = 3;

/// Largest number of times that the ejection time is doubled.
const MAX_DOUBLINGS: u32 = 5;

/// The outcome of a call, as far as the host that ran it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The host answered.
    Success,
    /// The host failed by its own fault; the kind is a label of the metric.
    Failure(&'static str),
    /// Nothing: the client left, or the call was refused before it began.
    Neutral,
}

/// A change of a host's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// The host gets no calls for `time`, after `failures` in a row, the last of this kind.
    Ejected { time: Duration, failures: u32, last: &'static str },
    /// The host gets calls like any other again.
    Readmitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostState {
    Healthy,
    /// Gets no calls until this time; the next call after it is a trial.
    Ejected(Instant),
    /// May get this many more trial calls.
    OnTrial(u32),
}

#[derive(Clone, Copy, Debug)]
struct Record {
    state: HostState,
    failures: u32,
    ejections: u32,
}

/// Detects outliers among a set of hosts.
#[derive(Debug)]
pub(crate) struct OutlierDetector {
    policy: EjectionPolicy,
    /// Number of records: with none, nothing need be looked up.
    recorded: AtomicUsize,
    /// Hosts that failed lately, by key.
    records: Mutex<HashMap<u64, Record>>,
}

impl OutlierDetector {
    /// A detector that knows of no failure yet.
    pub(crate) fn new(policy: EjectionPolicy) -> Self {
        Self { policy, recorded: AtomicUsize::new(0), records: Mutex::default() }
    }

    fn is_quiet(&self) -> bool {
        self.recorded.load(Ordering::Relaxed) == 0
    }

    /// Changes the records and updates their number.
    fn update<R>(&self, change: impl FnOnce(&mut HashMap<u64, Record>) -> R) -> R {
        let mut records = self.records.lock();
        let result = change(&mut records);
        self.recorded.store(records.len(), Ordering::Relaxed);
        result
    }

    /// Returns whether this host gets no call now.
    pub(crate) fn is_ejected(&self, key: u64, now: Instant) -> bool {
        if self.is_quiet() {
            return false;
        }
        match self.records.lock().get(&key).map(|record| record.state) {
            Some(HostState::Ejected(until)) => now < until,
            Some(HostState::OnTrial(left)) => left == 0,
            Some(HostState::Healthy) | None => false,
        }
    }

    /// Returns until when this host gets no call, if it is ejected now.
    pub(crate) fn ejected_until(&self, key: u64, now: Instant) -> Option<Instant> {
        if self.is_quiet() {
            return None;
        }
        match self.records.lock().get(&key).map(|record| record.state) {
            Some(HostState::Ejected(until)) => Some(until).filter(|until| now < *until),
            Some(HostState::OnTrial(_) | HostState::Healthy) | None => None,
        }
    }

    /// Returns whether any host may be ejected: if not, [`Self::is_ejected`] need not be asked.
    pub(crate) fn may_eject(&self) -> bool {
        !self.is_quiet()
    }

    /// Records that the host got a call: after an ejection that is a trial call.
    pub(crate) fn record_sent(&self, key: u64, now: Instant) {
        if self.is_quiet() {
            return;
        }
        if let Some(record) = self.records.lock().get_mut(&key) {
            record.state = match record.state {
                HostState::Ejected(until) if now >= until => HostState::OnTrial(TRIAL_CALLS - 1),
                HostState::OnTrial(left) => HostState::OnTrial(left.saturating_sub(1)),
                other => other,
            };
        }
    }

    /// Records the outcome of a call of this host; the clock is read for a failure only. Returns how that changed the host's state.
    pub(crate) fn record_outcome(
        &self,
        key: u64,
        outcome: Outcome,
        now: impl FnOnce() -> Instant,
    ) -> Option<Transition> {
        match outcome {
            Outcome::Success | Outcome::Neutral if self.is_quiet() => None,
            Outcome::Success => self.update(|records| {
                let state = records.get(&key)?.state;
                // A call from before the ejection says nothing of what came since.
                if matches!(state, HostState::Ejected(_)) {
                    return None;
                }
                records.remove(&key);
                (state != HostState::Healthy).then_some(Transition::Readmitted)
            }),
            Outcome::Neutral => {
                // The trial call told nothing: another one may be made.
                if let Some(Record { state: HostState::OnTrial(left), .. }) =
                    self.records.lock().get_mut(&key)
                {
                    *left = (*left + 1).min(TRIAL_CALLS);
                }
                None
            }
            Outcome::Failure(_) if self.policy.after == 0 => None,
            Outcome::Failure(last) => self.update(|records| self.record_failure(records, key, last, now())),
        }
    }

    fn record_failure(
        &self,
        records: &mut HashMap<u64, Record>,
        key: u64,
        kind: &'static str,
        now: Instant,
    ) -> Option<Transition> {
        let fresh = Record { state: HostState::Healthy, failures: 0, ejections: 0 };
        let record = records.entry(key).or_insert(fresh);
        record.failures = record.failures.saturating_add(1);
        let ejected = match record.state {
            HostState::Healthy => record.failures >= self.policy.after,
            HostState::OnTrial(_) => true,
            // Calls that were in flight at the ejection.
            HostState::Ejected(_) => false,
        };
        if !ejected {
            return None;
        }
        let time = self.policy.base * 2_u32.pow(record.ejections.min(MAX_DOUBLINGS));
        record.ejections = record.ejections.saturating_add(1);
        record.state = HostState::Ejected(now + time);
        Some(Transition::Ejected { time, failures: record.failures, last: kind })
    }

    /// Forgets the hosts for which `is_known` is false.
    pub(crate) fn retain(&self, is_known: impl Fn(u64) -> bool) {
        if !self.is_quiet() {
            self.update(|records| records.retain(|key, _| is_known(*key)));
        }
    }

    /// Returns the number of hosts that are ejected or on trial.
    pub(crate) fn ejected_count(&self) -> usize {
        if self.is_quiet() {
            return 0;
        }
        self.records.lock().values().filter(|record| record.state != HostState::Healthy).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(10);
    const FAILURE: Outcome = Outcome::Failure("timeout");

    fn detector() -> (OutlierDetector, Instant) {
        (OutlierDetector::new(EjectionPolicy { after: 3, base: BASE }), Instant::now())
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_in_between_does_not() {
        let (detector, now) = detector();
        for outcome in [FAILURE, FAILURE, Outcome::Success, FAILURE, FAILURE, Outcome::Neutral] {
            assert_eq!(detector.record_outcome(1, outcome, || now), None);
        }
        assert!(!detector.is_ejected(1, now));
        let transition = detector.record_outcome(1, FAILURE, || now);
        assert_eq!(transition, Some(Transition::Ejected { time: BASE, failures: 3, last: "timeout" }));
        assert!(detector.is_ejected(1, now) && !detector.is_ejected(2, now));
        assert_eq!(detector.ejected_count(), 1);
        assert_eq!(
            detector.record_outcome(1, FAILURE, || now),
            None,
            "calls in flight at the ejection do not count"
        );
        assert_eq!(
            detector.record_outcome(1, Outcome::Success, || now),
            None,
            "a success among them does not count either"
        );
        assert!(detector.is_ejected(1, now));
    }

    #[test]
    fn after_an_ejection_one_successful_trial_call_readmits_the_host() {
        let (detector, start) = detector();
        for _ in 0..3 {
            detector.record_outcome(1, FAILURE, || start);
        }
        let later = start + BASE;
        for _ in 0..TRIAL_CALLS {
            assert!(!detector.is_ejected(1, later));
            detector.record_sent(1, later);
        }
        assert!(detector.is_ejected(1, later), "no more calls before a trial call has ended");
        assert_eq!(detector.record_outcome(1, Outcome::Neutral, || later), None);
        assert!(!detector.is_ejected(1, later), "a trial call that told nothing is replaced");
        assert_eq!(detector.record_outcome(1, Outcome::Success, || later), Some(Transition::Readmitted));
        assert_eq!((detector.ejected_count(), detector.may_eject()), (0, false));
    }

    #[test]
    fn each_failed_trial_doubles_the_ejection_time_up_to_a_bound() {
        let (detector, mut now) = detector();
        for _ in 0..2 {
            detector.record_outcome(1, FAILURE, || now);
        }
        for doublings in [0, 1, 2, 3, 4, 5, 5, 5] {
            let expected = BASE * 2_u32.pow(doublings);
            let Some(Transition::Ejected { time, .. }) = detector.record_outcome(1, FAILURE, || now) else {
                panic!("ejected")
            };
            assert_eq!(time, expected);
            now += time;
            detector.record_sent(1, now);
        }
    }

    #[test]
    fn a_policy_of_zero_never_ejects_and_unknown_hosts_are_forgotten() {
        let off = OutlierDetector::new(EjectionPolicy { after: 0, base: BASE });
        for _ in 0..100 {
            assert_eq!(off.record_outcome(1, FAILURE, Instant::now), None);
        }
        assert!(!off.may_eject());
        let (detector, now) = detector();
        detector.record_outcome(1, FAILURE, || now);
        detector.retain(|key| key != 1);
        assert!(!detector.may_eject());
    }
}
