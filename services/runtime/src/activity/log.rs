//! The calls under way and those that ended last. Must not know where they run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::call::ActiveCall;
use super::history::{EndedCall, History};
use super::labels::Explain;

/// Number of tables, each with its own lock, that the calls under way are spread over.
const SHARDS: usize = 16;

/// Calls under way that are listed.
pub(super) const MAX_LISTED: usize = 200;

type Shard = Mutex<HashMap<u64, Arc<ActiveCall>>>;

/// The log of calls.
pub(super) struct CallLog {
    next_key: AtomicU64,
    active: [Shard; SHARDS],
    history: Mutex<History>,
}

impl CallLog {
    pub(super) fn new() -> Self {
        let history = Mutex::new(History::new(Instant::now()));
        Self { next_key: AtomicU64::new(0), active: Default::default(), history }
    }

    /// Adds a call. Returns its key.
    pub(super) fn insert(&self, call: &Arc<ActiveCall>) -> u64 {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        self.shard(key).lock().insert(key, Arc::clone(call));
        key
    }

    /// Moves a call to the history.
    pub(super) fn finish(&self, key: u64, call: EndedCall, now: Instant) {
        self.shard(key).lock().remove(&key);
        self.history.lock().add(call, now);
    }

    fn shard(&self, key: u64) -> &Shard {
        &self.active[usize::try_from(key).unwrap_or_default() % SHARDS]
    }

    /// Returns calls under way, oldest first, the last ones that ended, newest first, and counts of the last seconds.
    pub(super) fn to_json(&self, worker: &str, explain: Explain) -> Value {
        let now = Instant::now();
        let mut active: Vec<(u64, Arc<ActiveCall>)> = Vec::new();
        for shard in &self.active {
            active.extend(shard.lock().iter().map(|(key, call)| (*key, Arc::clone(call))));
        }
        active.sort_unstable_by_key(|(key, _)| *key);
        let listed = active.iter().take(MAX_LISTED).map(|(_, call)| call.to_json(worker, now));
        let listed: Vec<Value> = listed.collect();
        let history = self.history.lock();
        json!({
            "enabled": true,
            "live": { "total": active.len(), "list": listed },
            "recent": history.recent_to_json(worker, explain),
            "rates": history.rates_to_json(now),
        })
    }
}
