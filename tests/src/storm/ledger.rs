//! What clients were told of each call, held against what was executed. The judge of a storm.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fixture::Fixture;

/// Kinds of failure that say that nothing was executed.
const DENIALS: [&str; 6] =
    ["no_slave", "no_slave_for_tool", "unknown_tool", "busy", "rate_limited", "draining"];

/// Kinds of failure that leave open whether it was.
const OPEN: [&str; 3] = ["outcome_unknown", "timeout", "backend_failed"];

/// What a client was told in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The right answer.
    Answered,
    /// A failure of this kind.
    Failed(String),
    /// Its answer broke off: the slave was lost while a result longer than one chunk was already on its way.
    CutOff,
    /// Nothing: its proxy was killed.
    ProxyLost,
    /// Something that no call may end with.
    Wrong(String),
    /// Nothing in time.
    Hung,
}

impl Told {
    /// Whether it says that nothing was executed: the client may try again.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Failed(kind) if DENIALS.contains(&kind.as_str()))
    }
}

/// Every call of a run.
#[derive(Debug)]
pub struct Ledger {
    /// What all random choices come from.
    pub seed: u64,
    last: AtomicU64,
    told: Mutex<BTreeMap<u64, Told>>,
}

impl Ledger {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self { seed, last: AtomicU64::new(0), told: Mutex::default() }
    }

    /// Calls made so far.
    pub fn made(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// The id of another call; `None` when there are so many already.
    pub(super) fn next(&self, most: u64) -> Option<u64> {
        let next = |last: u64| (last < most).then_some(last + 1);
        self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|last| last + 1)
    }

    pub(super) fn write(&self, id: u64, told: Told) {
        let twice = self.told.lock().unwrap().insert(id, told);
        assert_eq!(twice, None, "call {id} ended twice");
    }

    /// How often each thing was told.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for told in self.told.lock().unwrap().values() {
            let name = match told {
                Told::Answered => "answered",
                Told::Failed(kind) => kind,
                Told::CutOff => "cut_off",
                Told::ProxyLost => "proxy_lost",
                Told::Wrong(_) => "WRONG",
                Told::Hung => "HUNG",
            };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        counts
    }

    /// What must not be; empty if all is well. Call when every slave's backend has ended or is at rest.
    pub fn faults(&self, fixture: &Fixture) -> Vec<String> {
        let runs = fixture.counts();
        let told = self.told.lock().unwrap();
        let mut faults = Vec::new();
        if told.len() as u64 != self.made() {
            faults.push(format!("{} calls were made and {} ended", self.made(), told.len()));
        }
        for (id, told) in &*told {
            let times = runs.get(id).copied().unwrap_or(0);
            let right = match told {
                Told::Answered | Told::CutOff => times == 1,
                Told::Failed(_) if told.is_denial() => times == 0,
                Told::ProxyLost => times <= 1,
                Told::Failed(kind) => OPEN.contains(&kind.as_str()) && times <= 1,
                Told::Wrong(_) | Told::Hung => false,
            };
            if !right {
                faults.push(format!("call {id} was told {told:?} and executed {times} times"));
            }
        }
        let strange = runs.keys().filter(|id| !told.contains_key(id)).count();
        if strange > 0 {
            faults.push(format!("{strange} executions of calls that nobody made"));
        }
        faults
    }

    /// The numbers of the claim, for people.
    pub fn summary(&self, fixture: &Fixture) -> String {
        let runs = fixture.counts();
        let mut text = format!("{} calls", self.made());
        for (what, count) in self.counts() {
            let _ = write!(text, ", {count} {what}");
        }
        let twice = runs.values().filter(|times| **times > 1).count();
        let _ = write!(text, "; {} executions, {twice} calls executed twice", runs.values().sum::<u32>());
        text
    }
}
