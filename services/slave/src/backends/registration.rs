//! The interface through which a backend reports its state and its tools. Must not know what is done with them.

use std::time::Duration;

use protocol::mcp::catalog::{CatalogEntry, ListHints};

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

/// The tools of a backend, in its order, and its hints for caches of their list.
#[derive(Debug, Default)]
pub(crate) struct ToolList {
    /// The definitions.
    pub(crate) entries: Vec<CatalogEntry>,
    /// How long the list may be kept, and for whom.
    pub(crate) hints: ListHints,
}

impl ToolList {
    /// Returns the number of tools.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl From<Vec<CatalogEntry>> for ToolList {
    fn from(entries: Vec<CatalogEntry>) -> Self {
        Self { entries, hints: ListHints::default() }
    }
}

/// A backend's entry in the registry, as the backend reports to it.
pub(crate) trait Registration: Send + Sync + 'static {
    /// Reports that the backend runs and offers these tools, in place of those that it offered before.
    fn ready(&self, tools: ToolList);

    /// Reports that the backend does not run: its tools leave the catalog, their names stay known.
    fn down(&self, state: BackendState);

    /// Reports a problem of a backend that runs and keeps its tools; `None`: the problem is over.
    fn unhealthy(&self, problem: Option<String>);
}
