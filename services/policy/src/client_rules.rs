//! What the rules say of one client, worked out once and kept. Must not know what is asked for.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::requester::Requester;
use crate::rule_set::RuleSet;

/// Clients that are kept; when there are more, all are worked out anew.
const MAX_KEPT: usize = 4096;

/// A client as rules see it. Clients that no rule tells apart are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientRules {
    /// Rules that are about the client.
    pub(crate) who: RuleSet,
    /// Rules whose scopes the client has.
    pub(crate) scoped: RuleSet,
}

/// A client with one request: what calls that wait are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clearance {
    /// Number of the policy, which no other policy of this process has.
    pub generation: u64,
    /// The client.
    pub client_rules: Arc<ClientRules>,
    /// The client's rules whose conditions on arguments hold; `None`: no rule asked for the arguments.
    pub arguments: Option<RuleSet>,
}

/// The clients that asked lately.
#[derive(Debug, Default)]
pub(crate) struct KnownClients {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    count: usize,
    by_hash: std::collections::HashMap<u64, Vec<(Requester<'static>, Arc<ClientRules>)>>,
}

impl KnownClients {
    /// Returns what is kept of a client, else what `make` returns.
    pub(crate) fn get(&self, client: &Requester<'_>, make: impl FnOnce() -> ClientRules) -> Arc<ClientRules> {
        let hash = self.hasher.hash_one(client);
        let mut kept = self.kept.lock();
        let same = kept.by_hash.get(&hash).and_then(|all| all.iter().find(|(known, _)| known == client));
        if let Some((_, client_rules)) = same {
            return Arc::clone(client_rules);
        }
        if kept.count >= MAX_KEPT {
            *kept = Kept::default();
        }
        let client_rules = Arc::new(make());
        kept.count += 1;
        kept.by_hash.entry(hash).or_default().push((client.clone().into_owned(), Arc::clone(&client_rules)));
        client_rules
    }
}
