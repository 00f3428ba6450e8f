//! Parts of one slave's catalog, as they add up: each message replaces what it names. Must not know who pays for the memory of a
//! list, which is what `L` stands for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::entry::{CatalogEntry, ListKind};
use super::error::CatalogError;
use super::hints::ListHints;
use super::limits::MAX_BACKENDS;
use super::merged::{Catalog, CatalogServer};
use super::part::SlaveState;
use super::server::ServerFacts;

/// List of one backend as its holder keeps it.
pub trait HeldList {
    /// Returns the definitions in the backend's order.
    fn entries(&self) -> &[Arc<CatalogEntry>];
}

impl HeldList for Vec<Arc<CatalogEntry>> {
    fn entries(&self) -> &[Arc<CatalogEntry>] {
        self
    }
}

impl<L: HeldList> HeldList for Arc<L> {
    fn entries(&self) -> &[Arc<CatalogEntry>] {
        (**self).entries()
    }
}

#[derive(Clone, Debug)]
struct BackendLists<L> {
    position: u32,
    lists: [Option<L>; 4],
    /// Hints of each list; those of a list that is not there mean nothing.
    hints: [ListHints; 4],
    server: Option<Arc<ServerFacts>>,
    /// Whether a part named the backend since the link came up.
    named: bool,
}

/// Catalog of one slave in parts.
#[derive(Clone, Debug)]
pub struct CatalogParts<L> {
    /// Boxed: a map has room for eleven, and nearly all slaves have one.
    backends: BTreeMap<String, Box<BackendLists<L>>>,
    state: SlaveState,
}

/// Result of [`CatalogParts::merge`].
#[derive(Debug, Default)]
pub struct MergedCatalog {
    /// All parts as one catalog.
    pub catalog: Catalog,
    /// Names that several backends have: the first backend's entry stands, the others are left out.
    pub repeated: Vec<String>,
}

impl<L> Default for CatalogParts<L> {
    fn default() -> Self {
        Self { backends: BTreeMap::new(), state: SlaveState::default() }
    }
}

impl<L: HeldList> CatalogParts<L> {
    /// Begins a new link: what was there stays until the slave has sent its catalog again.
    pub fn begin(&mut self) {
        self.state.complete = false;
        self.backends.values_mut().for_each(|backend| backend.named = false);
    }

    /// Returns the slave's state.
    pub fn state(&self) -> &SlaveState {
        &self.state
    }

    /// Returns a list of a backend.
    pub fn list(&self, backend: &str, kind: ListKind) -> Option<&L> {
        self.backends.get(backend).and_then(|backend| backend.lists[kind as usize].as_ref())
    }

    /// Returns whether the backend is there.
    pub fn has(&self, backend: &str) -> bool {
        self.backends.contains_key(backend)
    }

    /// Returns whether this position is another than that of a backend with lists.
    pub fn moves(&self, backend: &str, position: Option<u32>) -> bool {
        let known = self.backends.get(backend);
        known.zip(position).is_some_and(|(known, position)| {
            position != known.position && known.lists.iter().any(Option::is_some)
        })
    }

    /// Names a backend, and sets its place if `position` says so.
    ///
    /// # Errors
    /// There are [`MAX_BACKENDS`] others.
    pub fn place(&mut self, backend: &str, position: Option<u32>) -> Result<(), CatalogError> {
        if let Some(known) = self.backends.get_mut(backend) {
            known.named = true;
            known.position = position.unwrap_or(known.position);
            return Ok(());
        }
        if self.backends.len() >= MAX_BACKENDS {
            return Err(CatalogError::TooManyBackends);
        }
        let new = BackendLists {
            position: position.unwrap_or(0),
            lists: [None, None, None, None],
            hints: [ListHints::default(); 4],
            server: None,
            named: true,
        };
        self.backends.insert(backend.to_owned(), Box::new(new));
        Ok(())
    }

    /// Replaces or removes a list of a backend that is there, and returns the list that was there.
    pub fn set(&mut self, backend: &str, kind: ListKind, list: Option<L>) -> Option<L> {
        let lists = &mut self.backends.get_mut(backend)?.lists;
        std::mem::replace(&mut lists[kind as usize], list)
    }

    /// Returns the hints for caches of a list.
    pub fn hints(&self, backend: &str, kind: ListKind) -> ListHints {
        self.backends.get(backend).map(|backend| backend.hints[kind as usize]).unwrap_or_default()
    }

    /// Sets the hints for caches of a list of a backend that is there.
    pub fn set_hints(&mut self, backend: &str, kind: ListKind, hints: ListHints) {
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.hints[kind as usize] = hints;
        }
    }

    /// Returns what a backend says of itself.
    pub fn server(&self, backend: &str) -> Option<&ServerFacts> {
        self.backends.get(backend)?.server.as_deref()
    }

    /// Sets what a backend that is there says of itself.
    pub fn set_server(&mut self, backend: &str, facts: Option<ServerFacts>) {
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.server = facts.map(Arc::new);
        }
    }

    /// Removes a backend with its lists. Returns whether it had any.
    pub fn remove(&mut self, backend: &str) -> bool {
        let gone = self.backends.remove(backend);
        gone.is_some_and(|backend| backend.lists.iter().any(Option::is_some))
    }

    /// Removes all backends.
    pub fn clear(&mut self) {
        self.backends.clear();
    }

    /// Sets the slave's state. With the first complete one on a link, backends that no part named on it are removed.
    pub fn set_state(&mut self, state: SlaveState) {
        if state.complete && !self.state.complete {
            self.backends.retain(|_, backend| backend.named);
        }
        self.state = state;
    }

    /// Puts the parts together: backends by position, then by name; definitions in the backends' order.
    pub fn merge(&self) -> MergedCatalog {
        let mut merged = MergedCatalog::default();
        merged.catalog.degraded.clone_from(&self.state.degraded);
        merged.catalog.unavailable = self.state.unavailable;
        let mut backends: Vec<(&String, &BackendLists<L>)> =
            self.backends.iter().map(|(name, backend)| (name, &**backend)).collect();
        backends.sort_by_key(|(_, backend)| backend.position);
        let server = |(name, backend): &(&String, &BackendLists<L>)| {
            let facts = Arc::clone(backend.server.as_ref()?);
            Some(CatalogServer { backend: (*name).clone(), facts })
        };
        merged.catalog.servers = backends.iter().filter_map(server).collect();
        let backends: Vec<&BackendLists<L>> = backends.into_iter().map(|(_, backend)| backend).collect();
        for kind in ListKind::ALL {
            let listed = backends.iter().filter(|backend| backend.lists[kind as usize].is_some());
            let hints = listed.map(|backend| backend.hints[kind as usize]).reduce(ListHints::with);
            merged.catalog.hints[kind as usize] = hints.unwrap_or_default();
            let lists = backends.iter().filter_map(|backend| backend.lists[kind as usize].as_ref());
            let mut seen = HashSet::new();
            for entry in lists.flat_map(HeldList::entries) {
                if kind.has_names() && !seen.insert(entry.name.as_str()) {
                    merged.repeated.push(entry.name.clone());
                } else {
                    merged.catalog.list_mut(kind).push(Arc::clone(entry));
                }
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = CatalogParts<Vec<Arc<CatalogEntry>>>;

    fn list(names: &[&str]) -> Vec<Arc<CatalogEntry>> {
        let json = serde_json::json!({ "tools": names.iter().map(|name| serde_json::json!({ "name": name })).collect::<Vec<_>>() });
        Catalog::decode(json.to_string().as_bytes()).unwrap().tools
    }

    fn tools(parts: &Parts) -> Vec<String> {
        parts.merge().catalog.tools.iter().map(|tool| tool.name.clone()).collect()
    }

    fn state(complete: bool) -> SlaveState {
        SlaveState { complete, ..SlaveState::default() }
    }

    #[test]
    fn backends_stand_by_position_and_the_first_of_a_name_stands() {
        let mut parts = Parts::default();
        parts.place("b", Some(1)).unwrap();
        parts.place("a", Some(2)).unwrap();
        parts.set("a", ListKind::Tools, Some(list(&["one", "two"])));
        parts.set("b", ListKind::Tools, Some(list(&["two", "three"])));
        assert_eq!(tools(&parts), ["two", "three", "one"]);
        assert_eq!(parts.merge().repeated, ["two"]);
        assert!(parts.moves("a", Some(0)) && !parts.moves("a", Some(2)) && !parts.moves("a", None));
        parts.place("a", Some(0)).unwrap();
        assert_eq!(tools(&parts), ["one", "two", "three"]);
        assert!(parts.remove("b") && !parts.remove("b"));
        assert_eq!(tools(&parts), ["one", "two"]);
        let hints = |ttl| ListHints { ttl_ms: Some(ttl), private: ttl == 1 };
        for (backend, ttl) in [("a", 7), ("b", 1)] {
            parts.place(backend, None).unwrap();
            parts.set_hints(backend, ListKind::Tools, hints(ttl));
        }
        assert_eq!(parts.merge().catalog.hints[0], hints(7), "b has no list");
        parts.set("b", ListKind::Tools, Some(list(&[])));
        assert_eq!(parts.merge().catalog.hints[0], hints(1));
        assert!(parts.remove("b"));
        assert!(parts.set("gone", ListKind::Tools, Some(list(&["x"]))).is_none() && !parts.has("gone"));
    }

    #[test]
    fn a_new_link_keeps_what_was_there_until_the_slave_says_that_it_is_complete() {
        let mut parts = Parts::default();
        for backend in ["a", "b"] {
            parts.place(backend, None).unwrap();
            parts.set(backend, ListKind::Tools, Some(list(&[backend])));
        }
        parts.set_state(state(true));
        parts.begin();
        parts.place("a", None).unwrap();
        parts.set_state(SlaveState { degraded: Some("why".into()), ..state(false) });
        assert_eq!(
            (tools(&parts), parts.merge().catalog.degraded.as_deref()),
            (vec!["a".into(), "b".into()], Some("why"))
        );
        parts.set_state(state(true));
        assert_eq!(tools(&parts), ["a"]);
    }

    #[test]
    fn the_number_of_backends_is_bounded() {
        let mut parts = Parts::default();
        (0..MAX_BACKENDS).for_each(|n| assert!(parts.place(&n.to_string(), None).is_ok()));
        assert!(matches!(parts.place("more", None), Err(CatalogError::TooManyBackends)));
        assert!(parts.place("0", Some(7)).is_ok());
    }
}
