//! The interface through which a backend reports its state and what it offers. Must not know what is done with them.

use std::time::Duration;

use protocol::mcp::catalog::{CatalogEntry, ListHints, ListKind, ServerFacts};
use serde_json::value::RawValue;

/// The state of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// The first start is under way.
    Starting,
    /// The backend runs and its tools are offered.
    Ready,
    /// The backend failed and is started again after a pause.
    Restarting {
        /// The pause, counted from the failure.
        after: Duration,
        /// The reason of the failure, without secrets.
        reason: String,
    },
    /// The backend cannot run as it is configured; it is not started again.
    Failed {
        /// The problem, without secrets.
        reason: String,
    },
    /// The backend was stopped with the slave, or removed.
    Stopped,
}

/// A list of a backend, in its order, and its hints for caches.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryList {
    /// The definitions.
    pub(crate) entries: Vec<CatalogEntry>,
    /// How long the list may be kept, and for whom.
    pub(crate) hints: ListHints,
    /// `_meta` of the list, an object; `None`: nothing that is the list's own.
    pub(crate) meta: Option<Box<RawValue>>,
}

/// What a backend that runs offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct BackendReport {
    /// Its lists in the order of [`ListKind::ALL`]; `None`: it has no such list, or none that could be read.
    pub(crate) lists: [Option<EntryList>; 4],
    /// What it says of itself.
    pub(crate) facts: ServerFacts,
}

impl BackendReport {
    /// Returns a report of a backend that has tools only.
    pub(crate) fn of_tools(entries: Vec<CatalogEntry>) -> Self {
        let capabilities = RawValue::from_string(r#"{"tools":{}}"#.to_owned()).ok();
        Self {
            lists: [Some(EntryList { entries, ..EntryList::default() }), None, None, None],
            facts: ServerFacts { capabilities, ..ServerFacts::default() },
        }
    }

    /// Returns what the backend says of itself, with the `_meta` of its lists. These are left out where they make it too long for a catalog.
    pub(crate) fn facts_with_meta(&self) -> ServerFacts {
        let member = |kind: ListKind| {
            let meta = self.lists[kind as usize].as_ref()?.meta.as_ref()?;
            Some(format!("{:?}:{}", kind.name(), meta.get()))
        };
        let members: Vec<String> = ListKind::ALL.into_iter().filter_map(member).collect();
        if members.is_empty() {
            return self.facts.clone();
        }
        let list_meta = RawValue::from_string(format!("{{{}}}", members.join(","))).ok();
        let facts = ServerFacts { list_meta, ..self.facts.clone() };
        if facts.is_bounded() {
            return facts;
        }
        tracing::warn!(
            "\"_meta\" of the backend's lists is left out: with it, what the backend says of itself is too long"
        );
        self.facts.clone()
    }

    /// Returns the number of entries of a list.
    pub(crate) fn count(&self, kind: ListKind) -> usize {
        self.lists[kind as usize].as_ref().map_or(0, |list| list.entries.len())
    }
}

/// A backend's entry in the registry, as the backend reports to it.
pub(crate) trait Registration: Send + Sync + 'static {
    /// Reports that the backend runs and offers this, in place of what it offered before.
    fn ready(&self, report: BackendReport);

    /// Reports that the backend does not run: what it offered leaves the catalog, the names stay known.
    fn down(&self, state: BackendState);

    /// Reports a problem of a backend that runs and keeps what it offers; `None`: the problem is over.
    fn unhealthy(&self, problem: Option<String>);
}
