//! The tools, prompts and resources that are not offered at present only because all their slaves drain or are lost. Must not know calls.
//!
//! Such an entry is not unknown: its slaves are expected back, and a client that is told so keeps it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::kind::Kind;

use super::by_kind::ByKind;
use super::pool::Pool;

/// Largest number of entries that are remembered.
const MAX_ENTRIES: usize = 10_000;

/// Entries by kind and the clients' name.
#[derive(Default)]
pub(super) struct Withheld {
    /// When each is unknown again.
    until: HashMap<(Kind, String), Instant>,
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
        // A slave that takes calls and does not offer the entry any more has withdrawn it.
        let is_lost = |pool: &Pool| pool.members.iter().all(|slave| !slave.accepts_calls());
        let entries =
            Kind::ALL.into_iter().flat_map(|kind| before.entries(kind).map(move |entry| (kind, entry)));
        let lost = entries
            .filter(|(_, (_, pool))| is_lost(pool))
            .map(|(kind, (name, _))| ((kind, name), now + grace));
        let known = withheld_before.until.iter().filter(|(_, until)| **until > now);
        let known = known.map(|((kind, name), until)| ((*kind, name.as_str()), *until));
        let missing = known.chain(lost).filter(|((kind, name), _)| pools.get(*kind, name).is_none());
        let owned = |((kind, name), until): ((Kind, &str), Instant)| ((kind, name.to_owned()), until);
        Self { until: missing.take(MAX_ENTRIES).map(owned).collect() }
    }

    /// Returns whether the entry is withheld.
    pub(super) fn has(&self, kind: Kind, name: &str, now: Instant) -> bool {
        // The key is made only for names that nobody offers.
        self.until.get(&(kind, name.to_owned())).is_some_and(|until| now < *until)
    }
}
