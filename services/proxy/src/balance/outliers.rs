//! Who fails again and again gets no calls for a while, and then a few to see whether it is well again.
//!
//! Counts for any set of members by their keys: the slaves of one tool, or all slaves. Knows neither calls nor links;
//! the time is an argument. While nobody fails, everything here costs one atomic load.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Calls that test a member after its time: more would be too many if it still fails, one could be unlucky.
const TRIALS: u32 = 3;

/// A member that fails its tests over and over is left alone for at most so many times the first time.
const MOST_DOUBLINGS: u32 = 5;

/// When a member is left out, and for how long at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// `EJECT_AFTER`: failures in a row; 0: never.
    pub(crate) after: u32,
    /// `EJECT_TIME`; doubled each time.
    pub(crate) base: Duration,
}

/// What a call says of the member that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answered.
    Good,
    /// It failed by its own fault, of this kind.
    Fault(&'static str),
    /// Nothing: the client went, or the call was refused before it began.
    Neither,
}

/// What changed for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It gets no calls for so long, after so many failures in a row; the last was of this kind.
    Ejected { time: Duration, failures: u32, last: &'static str },
    /// It is a member like others again.
    Readmitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Member,
    /// Gets no calls until then.
    Out(Instant),
    /// May have so many more calls that test it.
    Tested(u32),
}

#[derive(Clone, Copy, Debug)]
struct Record {
    standing: Standing,
    failures: u32,
    ejections: u32,
}

/// The records of those who failed lately.
#[derive(Debug)]
pub(crate) struct Outliers {
    policy: Policy,
    /// Records there are: none means that nothing need be looked up.
    watched: AtomicUsize,
    records: Mutex<HashMap<u64, Record>>,
}

impl Outliers {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, watched: AtomicUsize::new(0), records: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Record>> {
        self.records.lock()
    }

    fn is_quiet(&self) -> bool {
        self.watched.load(Ordering::Relaxed) == 0
    }

    /// Changes the records and keeps count of them.
    fn change<R>(&self, change: impl FnOnce(&mut HashMap<u64, Record>) -> R) -> R {
        let mut records = self.lock();
        let result = change(&mut records);
        self.watched.store(records.len(), Ordering::Relaxed);
        result
    }

    /// Whether this member gets no call now.
    pub(crate) fn bars(&self, key: u64, now: Instant) -> bool {
        if self.is_quiet() {
            return false;
        }
        match self.lock().get(&key).map(|record| record.standing) {
            Some(Standing::Out(until)) => now < until,
            Some(Standing::Tested(left)) => left == 0,
            Some(Standing::Member) | None => false,
        }
    }

    /// Until when this member gets no call, if that is so now.
    pub(crate) fn out_until(&self, key: u64, now: Instant) -> Option<Instant> {
        if self.is_quiet() {
            return None;
        }
        match self.lock().get(&key).map(|record| record.standing) {
            Some(Standing::Out(until)) => Some(until).filter(|until| now < *until),
            Some(Standing::Tested(_) | Standing::Member) | None => None,
        }
    }

    /// Whether anybody at all may be barred: else nobody need be asked for.
    pub(crate) fn may_bar(&self) -> bool {
        !self.is_quiet()
    }

    /// The member got a call: after its time that is a test.
    pub(crate) fn sent(&self, key: u64, now: Instant) {
        if self.is_quiet() {
            return;
        }
        if let Some(record) = self.lock().get_mut(&key) {
            record.standing = match record.standing {
                Standing::Out(until) if now >= until => Standing::Tested(TRIALS - 1),
                Standing::Tested(left) => Standing::Tested(left.saturating_sub(1)),
                other => other,
            };
        }
    }

    /// A call of this member ended.
    pub(crate) fn ended(&self, key: u64, verdict: Verdict, now: Instant) -> Option<Turn> {
        match verdict {
            Verdict::Good | Verdict::Neither if self.is_quiet() => None,
            Verdict::Good => self.change(|records| {
                let standing = records.get(&key)?.standing;
                // A call of before, that ends well now, says nothing of what came since.
                if matches!(standing, Standing::Out(_)) {
                    return None;
                }
                records.remove(&key);
                (standing != Standing::Member).then_some(Turn::Readmitted)
            }),
            Verdict::Neither => {
                // The test was none: it may be made again.
                if let Some(Record { standing: Standing::Tested(left), .. }) = self.lock().get_mut(&key) {
                    *left = (*left + 1).min(TRIALS);
                }
                None
            }
            Verdict::Fault(_) if self.policy.after == 0 => None,
            Verdict::Fault(last) => self.change(|records| self.fault(records, (key, last), now)),
        }
    }

    fn fault(
        &self,
        records: &mut HashMap<u64, Record>,
        (key, last): (u64, &'static str),
        now: Instant,
    ) -> Option<Turn> {
        let fresh = Record { standing: Standing::Member, failures: 0, ejections: 0 };
        let record = records.entry(key).or_insert(fresh);
        record.failures = record.failures.saturating_add(1);
        let over = match record.standing {
            Standing::Member => record.failures >= self.policy.after,
            Standing::Tested(_) => true,
            // What was under way when it was left out.
            Standing::Out(_) => false,
        };
        if !over {
            return None;
        }
        let time = self.policy.base * 2_u32.pow(record.ejections.min(MOST_DOUBLINGS));
        record.ejections = record.ejections.saturating_add(1);
        record.standing = Standing::Out(now + time);
        Some(Turn::Ejected { time, failures: record.failures, last })
    }

    /// Forgets members that are none any more.
    pub(crate) fn retain(&self, is_member: impl Fn(u64) -> bool) {
        if !self.is_quiet() {
            self.change(|records| records.retain(|key, _| is_member(*key)));
        }
    }

    /// How many are left out or tested now.
    pub(crate) fn out(&self) -> usize {
        if self.is_quiet() {
            return 0;
        }
        self.lock().values().filter(|record| record.standing != Standing::Member).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(10);
    const FAULT: Verdict = Verdict::Fault("timeout");

    fn outliers() -> (Outliers, Instant) {
        (Outliers::new(Policy { after: 3, base: BASE }), Instant::now())
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_in_between_does_not() {
        let (outliers, now) = outliers();
        for verdict in [FAULT, FAULT, Verdict::Good, FAULT, FAULT, Verdict::Neither] {
            assert_eq!(outliers.ended(1, verdict, now), None);
        }
        assert!(!outliers.bars(1, now));
        let turn = outliers.ended(1, FAULT, now);
        assert_eq!(turn, Some(Turn::Ejected { time: BASE, failures: 3, last: "timeout" }));
        assert!(outliers.bars(1, now) && !outliers.bars(2, now));
        assert_eq!(outliers.out(), 1);
        assert_eq!(outliers.ended(1, FAULT, now), None, "what was under way counts no further");
        assert_eq!(outliers.ended(1, Verdict::Good, now), None, "nor does it help");
        assert!(outliers.bars(1, now));
    }

    #[test]
    fn after_its_time_a_few_calls_test_it_and_one_success_is_enough() {
        let (outliers, start) = outliers();
        for _ in 0..3 {
            outliers.ended(1, FAULT, start);
        }
        let later = start + BASE;
        for _ in 0..TRIALS {
            assert!(!outliers.bars(1, later));
            outliers.sent(1, later);
        }
        assert!(outliers.bars(1, later), "no more before one of them has ended");
        assert_eq!(outliers.ended(1, Verdict::Neither, later), None);
        assert!(!outliers.bars(1, later), "a test that was none is made again");
        assert_eq!(outliers.ended(1, Verdict::Good, later), Some(Turn::Readmitted));
        assert_eq!((outliers.out(), outliers.may_bar()), (0, false));
    }

    #[test]
    fn each_failed_test_doubles_the_time_up_to_a_bound() {
        let (outliers, mut now) = outliers();
        for _ in 0..2 {
            outliers.ended(1, FAULT, now);
        }
        for doublings in [0, 1, 2, 3, 4, 5, 5, 5] {
            let expected = BASE * 2_u32.pow(doublings);
            let Some(Turn::Ejected { time, .. }) = outliers.ended(1, FAULT, now) else { panic!("ejected") };
            assert_eq!(time, expected);
            now += time;
            outliers.sent(1, now);
        }
    }

    #[test]
    fn off_means_never_and_whoever_is_gone_is_forgotten() {
        let off = Outliers::new(Policy { after: 0, base: BASE });
        for _ in 0..100 {
            assert_eq!(off.ended(1, FAULT, Instant::now()), None);
        }
        assert!(!off.may_bar());
        let (outliers, now) = outliers();
        outliers.ended(1, FAULT, now);
        outliers.retain(|key| key != 1);
        assert!(!outliers.may_bar());
    }
}
