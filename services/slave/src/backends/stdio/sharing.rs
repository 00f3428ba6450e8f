//! How the clients of an entry share its processes (`sessions`, `maxChildren` and `idle` of the entry). Must not know processes.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Processes that an entry may have for sessions or clients, unless `maxChildren` says otherwise.
pub(crate) const DEFAULT_MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// Time without a call after which such a process ends, unless `idle` says otherwise.
pub(crate) const DEFAULT_IDLE: Duration = Duration::from_mins(10);

/// How clients share the processes of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// One process for all.
    #[default]
    Shared,
    /// A process for each session or client, beside the one that is asked for the lists.
    Apart(ChildRules),
}

/// Whom a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildOwner {
    /// One session of a legacy client; one client, where it has no sessions.
    Session,
    /// One client: a key, else a session, else an address.
    Client,
}

/// Rules for the processes of sessions or clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildRules {
    /// Whom each is for.
    pub owner: ChildOwner,
    /// The largest number of them.
    pub most: NonZeroUsize,
    /// Time without a call after which one ends.
    pub idle: Duration,
}
