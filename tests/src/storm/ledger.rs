//! The result of each call at its client, compared with the executions of the backend. Knows no fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fixture::Fixture;

/// Kinds of failure after which nothing was executed.
const NOT_EXECUTED: [&str; 6] =
    ["no_slave", "no_slave_for_tool", "unknown_tool", "busy", "rate_limited", "draining"];

/// Kinds of failure after which the execution is unknown.
const UNKNOWN: [&str; 3] = ["outcome_unknown", "timeout", "backend_failed"];

/// Result of a call at its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// The correct answer.
    Answered,
    /// A failure of this kind.
    Failed(String),
    /// An answer that broke off: the slave was lost while a result of several chunks was being sent.
    CutOff,
    /// No answer, since the proxy was killed.
    ProxyLost,
    /// An answer that no call may have.
    Wrong(String),
    /// No answer within the time limit.
    Hung,
}

impl CallResult {
    /// Whether the result says that nothing was executed, so that the client may retry.
    pub fn was_not_executed(&self) -> bool {
        matches!(self, Self::Failed(kind) if NOT_EXECUTED.contains(&kind.as_str()))
    }
}

/// Every call of a run.
#[derive(Debug)]
pub struct Ledger {
    /// Seed of all random choices.
    pub seed: u64,
    last: AtomicU64,
    result: Mutex<BTreeMap<u64, CallResult>>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(seed: u64) -> Self {
        Self { seed, last: AtomicU64::new(0), result: Mutex::default() }
    }

    /// Calls made so far.
    pub fn made(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Returns the id of the next call; `None` after `most` calls.
    pub(super) fn next(&self, most: u64) -> Option<u64> {
        let next = |last: u64| (last < most).then_some(last + 1);
        self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|last| last + 1)
    }

    pub(super) fn write(&self, id: u64, result: CallResult) {
        let twice = self.result.lock().unwrap().insert(id, result);
        assert_eq!(twice, None, "call {id} ended twice");
    }

    /// Number of calls by result.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for result in self.result.lock().unwrap().values() {
            let name = match result {
                CallResult::Answered => "answered",
                CallResult::Failed(kind) => kind,
                CallResult::CutOff => "cut_off",
                CallResult::ProxyLost => "proxy_lost",
                CallResult::Wrong(_) => "WRONG",
                CallResult::Hung => "HUNG",
            };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        counts
    }

    /// Returns the violations of "executed at most once, and as the client was told". All backends must be idle.
    pub fn faults(&self, fixture: &Fixture) -> Vec<String> {
        let runs = fixture.counts();
        let result = self.result.lock().unwrap();
        let mut faults = Vec::new();
        if result.len() as u64 != self.made() {
            faults.push(format!("{} calls were made and {} ended", self.made(), result.len()));
        }
        for (id, result) in &*result {
            let times = runs.get(id).copied().unwrap_or(0);
            let right = match result {
                CallResult::Answered | CallResult::CutOff => times == 1,
                CallResult::Failed(_) if result.was_not_executed() => times == 0,
                CallResult::ProxyLost => times <= 1,
                CallResult::Failed(kind) => UNKNOWN.contains(&kind.as_str()) && times <= 1,
                CallResult::Wrong(_) | CallResult::Hung => false,
            };
            if !right {
                faults.push(format!("call {id} was result {result:?} and executed {times} times"));
            }
        }
        let strange = runs.keys().filter(|id| !result.contains_key(id)).count();
        if strange > 0 {
            faults.push(format!("{strange} executions of calls that nobody made"));
        }
        faults
    }

    /// Returns the numbers as one line.
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
