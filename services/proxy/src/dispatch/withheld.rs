//! The tools that are not offered at present only because all their slaves drain or are lost. Must not know calls.
//!
//! Such a tool is not unknown: its slaves are expected back, and a client that is told so keeps it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::kind::Kind;

use super::by_kind::ByKind;
use super::pool::Pool;

/// Largest number of tools that are remembered.
const MAX_TOOLS: usize = 10_000;

/// Tools by the clients' name.
#[derive(Default)]
pub(super) struct Withheld {
    /// When each is unknown again.
    until: HashMap<String, Instant>,
}

impl Withheld {
    /// Returns what is withheld now that `pools` are offered. `before` and `withheld_before` are those of the directory until now;
    /// `grace` is how long lost slaves are waited for.
    pub(super) fn after(
        pools: &ByKind<Arc<Pool>>,
        before: &ByKind<Arc<Pool>>,
        withheld_before: &Self,
        grace: Duration,
        now: Instant,
    ) -> Self {
        // A slave that takes calls and does not offer the tool any more has withdrawn it.
        let is_lost = |pool: &Pool| pool.members.iter().all(|slave| !slave.accepts_calls());
        let lost =
            before.entries(Kind::Tool).filter(|(_, pool)| is_lost(pool)).map(|(name, _)| (name, now + grace));
        let known = withheld_before.until.iter().filter(|(_, until)| **until > now);
        let known = known.map(|(name, until)| (name.as_str(), *until));
        let missing = known.chain(lost).filter(|(name, _)| pools.get(Kind::Tool, name).is_none());
        Self { until: missing.take(MAX_TOOLS).map(|(name, until)| (name.to_owned(), until)).collect() }
    }

    /// Returns whether the tool is withheld.
    pub(super) fn has(&self, tool: &str, now: Instant) -> bool {
        self.until.get(tool).is_some_and(|until| now < *until)
    }
}
