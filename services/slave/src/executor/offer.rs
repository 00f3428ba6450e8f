//! Offer of a slave: the tools of each backend in order, and whether that is all. Must not know how it is sent.

use std::sync::Arc;

use protocol::mcp::catalog::{Catalog, CatalogEntry, ListHints, SlaveState};

/// Tools of one backend.
#[derive(Clone, Debug)]
pub struct BackendOffer {
    /// The backend's name, unique among the slave's.
    pub name: String,
    /// Tools in the backend's order; `None` while the backend does not run.
    pub tools: Option<Vec<Arc<CatalogEntry>>>,
    /// The backend's hints for caches of the tools' list.
    pub hints: ListHints,
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
    /// Returns the tools of all backends in order.
    pub(crate) fn catalog(&self) -> Catalog {
        let tools = self.backends.iter().filter_map(|backend| backend.tools.as_deref());
        let listed = self.backends.iter().filter(|backend| backend.tools.is_some());
        let tool_hints = listed.map(|backend| backend.hints).reduce(ListHints::with).unwrap_or_default();
        Catalog {
            hints: [tool_hints, ListHints::default(), ListHints::default(), ListHints::default()],
            tools: tools.flatten().cloned().collect(),
            degraded: self.state.degraded.clone(),
            unavailable: self.state.unavailable,
            ..Catalog::default()
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
        let tools = match (&self.tools, &other.tools) {
            (Some(one), Some(two)) => same_tools(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        tools && self.name == other.name && self.hints == other.hints
    }
}

/// Returns whether both lists have the same definitions, byte for byte.
pub(super) fn same_tools(one: &[Arc<CatalogEntry>], two: &[Arc<CatalogEntry>]) -> bool {
    let same =
        |(one, two): (&Arc<CatalogEntry>, &Arc<CatalogEntry>)| one.definition.get() == two.definition.get();
    one.len() == two.len() && one.iter().zip(two).all(same)
}
