//! Offer of a slave: the lists of each backend in order, and whether that is all. Must not know how it is sent.

use std::sync::Arc;

use protocol::mcp::catalog::{
    Catalog, CatalogEntry, CatalogServer, ListHints, ListKind, ServerFacts, SlaveState,
};
use protocol::mcp::entry_array::OwnedEntry;

/// What one backend offers.
#[derive(Clone, Debug)]
pub struct BackendOffer {
    /// The backend's name, unique among the slave's.
    pub name: String,
    /// Lists in the order of [`ListKind::ALL`], each in the backend's order; `None`: the backend has no such list, or does not run.
    pub lists: [Option<Vec<Arc<CatalogEntry>>>; 4],
    /// The backend's hints for caches of each list.
    pub hints: [ListHints; 4],
    /// What the backend says of itself.
    pub server: Arc<ServerFacts>,
}

/// What a slave offers.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Backends in the order of the configuration.
    pub backends: Vec<BackendOffer>,
    /// State of the whole slave.
    pub state: SlaveState,
}

impl Offer {
    /// Returns what all backends offer, in order.
    pub(crate) fn catalog(&self) -> Catalog {
        let list = |kind: ListKind| -> Vec<Arc<CatalogEntry>> {
            let lists = self.backends.iter().filter_map(|backend| backend.lists[kind as usize].as_deref());
            lists.flatten().cloned().collect()
        };
        let hints = ListKind::ALL.map(|kind| {
            let listed = self.backends.iter().filter(|backend| backend.lists[kind as usize].is_some());
            listed.map(|backend| backend.hints[kind as usize]).reduce(ListHints::with).unwrap_or_default()
        });
        let server = |backend: &BackendOffer| CatalogServer {
            backend: backend.name.clone(),
            facts: Arc::clone(&backend.server),
        };
        Catalog {
            tools: list(ListKind::Tools),
            prompts: list(ListKind::Prompts),
            resources: list(ListKind::Resources),
            resource_templates: list(ListKind::ResourceTemplates),
            hints,
            servers: self.backends.iter().map(server).collect(),
            degraded: self.state.degraded.clone(),
            unavailable: self.state.unavailable,
        }
    }

    /// Returns whether both offer the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |(one, two): (&BackendOffer, &BackendOffer)| one.is_same(two);
        self.state == other.state
            && self.backends.len() == other.backends.len()
            && self.backends.iter().zip(&other.backends).all(same)
    }
}

impl BackendOffer {
    /// Returns whether both offer the same under the same name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |kind: ListKind| match (&self.lists[kind as usize], &other.lists[kind as usize]) {
            (Some(one), Some(two)) => same_entries(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        self.name == other.name
            && self.hints == other.hints
            && self.server == other.server
            && ListKind::ALL.into_iter().all(same)
    }

    /// Returns the entries of a list.
    pub(crate) fn entries(&self, kind: ListKind) -> impl Iterator<Item = OwnedEntry<'_>> {
        let entries = self.lists[kind as usize].iter().flatten();
        entries.map(|entry| OwnedEntry {
            owner: &self.name,
            name: &entry.name,
            definition: entry.definition.get(),
        })
    }

    /// Returns the number of entries of a list.
    pub(crate) fn count(&self, kind: ListKind) -> usize {
        self.lists[kind as usize].as_ref().map_or(0, Vec::len)
    }
}

/// Returns whether both lists have the same definitions, byte for byte.
pub(super) fn same_entries(one: &[Arc<CatalogEntry>], two: &[Arc<CatalogEntry>]) -> bool {
    let same =
        |(one, two): (&Arc<CatalogEntry>, &Arc<CatalogEntry>)| one.definition.get() == two.definition.get();
    one.len() == two.len() && one.iter().zip(two).all(same)
}
