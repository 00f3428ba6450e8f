//! The counts of calls whose lines are not written, by outcome, until somebody takes them. Must not know who writes them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// The outcome that nearly all calls have: counted without a lock.
const USUAL: &str = "ok";

/// Counts by outcome. No call is lost or counted twice, whoever takes the counts meanwhile.
#[derive(Debug, Default)]
pub(super) struct Counters {
    usual: AtomicU64,
    others: Mutex<BTreeMap<&'static str, u64>>,
    has_writer: AtomicBool,
}

impl Counters {
    /// Counts one.
    pub(super) fn add(&self, outcome: &'static str) {
        if outcome == USUAL {
            self.usual.fetch_add(1, Ordering::SeqCst);
        } else {
            *self.others.lock().entry(outcome).or_default() += 1;
        }
    }

    /// Takes the counts, the usual outcome first.
    pub(super) fn take(&self) -> Vec<(&'static str, u64)> {
        let usual = self.usual.swap(0, Ordering::SeqCst);
        let others = std::mem::take(&mut *self.others.lock());
        let usual = (usual > 0).then_some((USUAL, usual));
        usual.into_iter().chain(others).collect()
    }

    /// Returns whether the caller has to take the counts from now on, as nobody does.
    pub(super) fn take_writer(&self) -> bool {
        !self.has_writer.load(Ordering::SeqCst) && !self.has_writer.swap(true, Ordering::SeqCst)
    }

    /// Lets the writer go if nothing is left; returns whether it may.
    pub(super) fn dismiss_writer(&self) -> bool {
        if !self.is_empty() {
            return false;
        }
        self.has_writer.store(false, Ordering::SeqCst);
        // What was counted before the line above had found a writer.
        self.is_empty() || !self.take_writer()
    }

    fn is_empty(&self) -> bool {
        self.usual.load(Ordering::SeqCst) == 0 && self.others.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_while_they_are_taken() {
        let counters = Counters::default();
        let taken: u64 = std::thread::scope(|scope| {
            let add = |outcome| {
                let counters = &counters;
                move || (0..5000).for_each(|_| counters.add(outcome))
            };
            let adding = ["ok", "ok", "timeout", "busy"].map(|outcome| scope.spawn(add(outcome)));
            let mut taken = 0;
            while !adding.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                taken += counters.take().iter().map(|(_, count)| count).sum::<u64>();
            }
            taken
        });
        let rest: u64 = counters.take().iter().map(|(_, count)| count).sum();
        assert_eq!(taken + rest, 20_000);
    }

    #[test]
    fn there_is_one_writer_until_nothing_is_left() {
        let counters = Counters::default();
        counters.add("ok");
        counters.add("timeout");
        assert!(counters.take_writer() && !counters.take_writer() && !counters.dismiss_writer());
        assert_eq!(counters.take(), [("ok", 1), ("timeout", 1)]);
        assert!(counters.dismiss_writer() && counters.take_writer());
    }
}
