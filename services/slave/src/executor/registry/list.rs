//! The list of backends in their order, and of those that are prepared to replace one. Must not know what is published.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::mcp::catalog::{CatalogEntry, ListHints, ListKind, MAX_BACKEND_NAME, ServerFacts};
use tokio_util::task::TaskTracker;

use crate::backends::history::ProcessHistory;
use crate::backends::{BackendReport, BackendState, Curated, Curation};
use crate::call::Backend;
use crate::executor::offer::BackendOffer;

/// The id of a registered backend; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::executor) struct BackendId(u64);

/// A backend that is to be registered.
pub(in crate::executor) struct NewBackend {
    /// The name in the configuration.
    pub(in crate::executor) name: String,
    /// The backend itself.
    pub(in crate::executor) backend: Arc<dyn Backend>,
    /// The history of its process; `None` for backends without a process of their own.
    pub(in crate::executor) history: Option<Arc<ProcessHistory>>,
    /// What of it is offered, and how.
    pub(in crate::executor) curation: Curation,
}

/// Hints for caches of lists in which a backend's entries are missing.
const MISSING: ListHints = ListHints { ttl_ms: Some(0), private: false };

/// A registered backend.
pub(super) struct RegisteredBackend {
    id: BackendId,
    pub(super) name: String,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) history: Option<Arc<ProcessHistory>>,
    pub(super) state: BackendState,
    pub(super) curation: Curation,
    /// Its lists as clients see them, in the order of [`ListKind::ALL`].
    pub(super) lists: [Option<Vec<Curated>>; 4],
    /// Its hints for caches of each list.
    pub(super) hints: [ListHints; 4],
    pub(super) facts: Arc<ServerFacts>,
    /// The problem of a backend that runs.
    pub(super) unhealthy: Option<String>,
    /// The calls that may use the backend; closed when it leaves the list.
    pub(super) users: TaskTracker,
}

impl RegisteredBackend {
    /// Takes what the backend reports. An entry that cannot be read is left out with a warning.
    pub(super) fn take(&mut self, report: BackendReport) {
        self.state = BackendState::Ready;
        self.unhealthy = None;
        self.hints =
            report.lists.each_ref().map(|list| list.as_ref().map(|list| list.hints).unwrap_or_default());
        let carries = self.backend.carries(&report.facts);
        self.facts = Arc::new(ServerFacts { carries, ..report.facts_with_meta() });
        let (name, curation) = (&self.name, &self.curation);
        let curated = |kind: ListKind, entry: CatalogEntry| {
            let unreadable = |error: &serde_json::Error| {
                tracing::warn!(
                    backend = name,
                    list = kind.name(),
                    "an entry is left out: it cannot be read: {error}"
                );
            };
            curation.apply(kind, entry).inspect_err(unreadable).ok().flatten()
        };
        let mut kinds = ListKind::ALL.into_iter();
        self.lists = report.lists.map(|list| {
            let kind = kinds.next()?;
            Some(list?.entries.into_iter().filter_map(|entry| curated(kind, entry)).collect())
        });
    }

    /// Returns a list as clients see it; an empty one where the backend has none.
    pub(super) fn list(&self, kind: ListKind) -> &[Curated] {
        self.lists[kind as usize].as_deref().unwrap_or_default()
    }

    /// Returns whether what the backend offers is expected and not known yet: it has never run.
    fn is_missing(&self) -> bool {
        let is_expected = matches!(self.state, BackendState::Starting | BackendState::Restarting { .. });
        is_expected && !self.is_listed()
    }

    /// Returns whether calls may be given to the backend: it runs, or is started again and lets them wait.
    pub(super) fn can_run(&self) -> bool {
        matches!(self.state, BackendState::Ready | BackendState::Starting | BackendState::Restarting { .. })
    }

    /// Returns whether the backend offers anything, or did when it ran.
    pub(super) fn has_entries(&self) -> bool {
        ListKind::ALL.into_iter().any(|kind| !self.list(kind).is_empty())
    }

    /// Returns whether what the backend offers is in the catalog. What one offers that is started again stays there: its calls wait, and
    /// proxies prefer other slaves, since this one is degraded.
    pub(super) fn is_listed(&self) -> bool {
        match self.state {
            BackendState::Ready => true,
            BackendState::Starting | BackendState::Restarting { .. } => self.has_entries(),
            BackendState::Failed { .. } | BackendState::Stopped => false,
        }
    }
}

/// The list of backends.
#[derive(Default)]
pub(super) struct BackendList {
    pub(super) backends: Vec<RegisteredBackend>,
    /// Prepared backends, each with the predecessor that it replaces when it is ready.
    prepared: Vec<(BackendId, RegisteredBackend)>,
    last_id: u64,
    /// Whether every backend of the configuration was added.
    pub(super) all_added: bool,
    /// Whether every backend had reported or failed at some time.
    complete: bool,
    /// Problems with names that were logged already.
    pub(super) reported: HashSet<String>,
}

impl BackendList {
    /// Adds a backend at the end.
    pub(super) fn add(&mut self, new: NewBackend) -> BackendId {
        let backend = self.register(new);
        let id = backend.id;
        self.backends.push(backend);
        id
    }

    /// Adds a backend that replaces `predecessor` when it is ready; at once if that one is not ready.
    pub(super) fn prepare(&mut self, new: NewBackend, predecessor: BackendId) -> BackendId {
        let mut backend = self.register(new);
        let id = backend.id;
        let old = self.backends.iter().find(|old| old.id == predecessor);
        if let Some(old) = old.filter(|old| old.state != BackendState::Ready) {
            // The old names stay known until the new backend reports its own.
            backend.lists.clone_from(&old.lists);
            self.replace(predecessor, backend);
        } else {
            self.prepared.push((predecessor, backend));
        }
        id
    }

    /// Removes a prepared backend. Returns false if it is not prepared (any more).
    pub(super) fn cancel(&mut self, id: BackendId) -> bool {
        let Some(index) = self.prepared.iter().position(|(_, backend)| backend.id == id) else {
            return false;
        };
        self.prepared.remove(index).1.users.close();
        true
    }

    /// Removes a backend, and returns its name if it was in the list.
    pub(super) fn remove(&mut self, id: BackendId) -> Option<String> {
        self.cancel(id);
        let index = self.backends.iter().position(|backend| backend.id == id)?;
        let gone = self.backends.remove(index);
        gone.users.close();
        Some(gone.name)
    }

    /// Moves these backends to the front, in this order.
    pub(super) fn reorder(&mut self, order: &[BackendId]) {
        self.backends
            .sort_by_key(|backend| order.iter().position(|id| *id == backend.id).unwrap_or(usize::MAX));
    }

    /// Returns the tracker of a backend's users; an empty, closed one if the backend is gone.
    pub(super) fn users(&self, id: BackendId) -> TaskTracker {
        let all = self.backends.iter().chain(self.prepared.iter().map(|(_, backend)| backend));
        let gone = || {
            let tracker = TaskTracker::new();
            tracker.close();
            tracker
        };
        all.into_iter().find(|backend| backend.id == id).map_or_else(gone, |backend| backend.users.clone())
    }

    /// Changes a backend, and returns it if it is in the list then: a prepared one enters the list when it is ready.
    pub(super) fn update(
        &mut self,
        id: BackendId,
        change: impl FnOnce(&mut RegisteredBackend),
    ) -> Option<&RegisteredBackend> {
        if let Some(index) = self.prepared.iter().position(|(_, backend)| backend.id == id) {
            let (_, backend) = &mut self.prepared[index];
            change(backend);
            if backend.state != BackendState::Ready {
                return None;
            }
            let (predecessor, backend) = self.prepared.remove(index);
            tracing::info!(backend = backend.name, "the changed backend is ready and replaces the old one");
            self.replace(predecessor, backend);
        } else {
            self.backends.iter_mut().find(|backend| backend.id == id).map(change)?;
        }
        self.backends.iter().find(|backend| backend.id == id)
    }

    /// Returns the names of all backends, with their lists of this kind, in order.
    pub(super) fn offers(&self, kind: ListKind) -> impl Iterator<Item = (&str, &[Curated])> {
        self.backends.iter().map(move |backend| (backend.name.as_str(), backend.list(kind)))
    }

    /// Returns whether every backend of the configuration has reported its lists once or failed. It stays so, whatever is
    /// added later.
    pub(super) fn is_complete(&mut self) -> bool {
        let starting = || self.backends.iter().any(|backend| backend.state == BackendState::Starting);
        self.complete = self.complete || (self.all_added && !starting());
        self.complete
    }

    /// Returns every backend with its entries in the catalog, given in the order of the backends.
    pub(super) fn offered(&self, lists: Vec<[Vec<Arc<CatalogEntry>>; 4]>) -> Vec<BackendOffer> {
        let mut taken = HashSet::new();
        let offer = |(backend, entries): (&RegisteredBackend, [Vec<Arc<CatalogEntry>>; 4])| {
            let mut name = wire_name(&backend.name);
            if !taken.insert(name.clone()) {
                name = format!("#{}", backend.id.0);
                taken.insert(name.clone());
            }
            let (listed, missing) = (backend.is_listed(), backend.is_missing());
            let mut own = backend.lists.iter();
            let lists = entries.map(|list| {
                let is_there = own.next().is_some_and(|own| listed && own.is_some());
                if is_there { Some(list) } else { missing.then(Vec::new) }
            });
            // Lists without what is missing are not to be kept by clients.
            let hints = if missing { [MISSING; 4] } else { backend.hints };
            BackendOffer { name, lists, hints, server: Arc::clone(&backend.facts) }
        };
        self.backends.iter().zip(lists).map(offer).collect()
    }

    /// Returns whether a backend runs that offers anything: what one offers that is started again stays listed.
    pub(super) fn any_runs(&self) -> bool {
        self.backends.iter().any(|backend| backend.state == BackendState::Ready && backend.has_entries())
    }

    /// Returns what is wrong with the backends, without secrets; `None` if nothing is.
    pub(super) fn problems(&self) -> Option<String> {
        let problem = |backend: &RegisteredBackend| {
            let problem = match &backend.state {
                BackendState::Restarting { reason, .. } | BackendState::Failed { reason } => reason,
                BackendState::Ready => backend.unhealthy.as_ref()?,
                BackendState::Starting | BackendState::Stopped => return None,
            };
            Some(format!("backend {:?}: {problem}", backend.name))
        };
        let problems: Vec<String> = self.backends.iter().filter_map(problem).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn register(&mut self, new: NewBackend) -> RegisteredBackend {
        let NewBackend { name, backend, history, curation } = new;
        self.last_id += 1;
        RegisteredBackend {
            id: BackendId(self.last_id),
            name,
            backend,
            history,
            state: BackendState::Starting,
            curation,
            lists: [const { None }; 4],
            hints: [ListHints::default(); 4],
            facts: Arc::default(),
            unhealthy: None,
            users: TaskTracker::new(),
        }
    }

    /// Puts a backend in the place of its predecessor; at the end if that one is gone.
    fn replace(&mut self, predecessor: BackendId, backend: RegisteredBackend) {
        if let Some(old) = self.backends.iter_mut().find(|old| old.id == predecessor) {
            std::mem::replace(old, backend).users.close();
        } else {
            self.backends.push(backend);
        }
    }
}

/// Returns a backend's name as parts of the catalog may have it.
fn wire_name(name: &str) -> String {
    let mut fitting = String::new();
    for c in name.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if fitting.len() + c.len_utf8() > MAX_BACKEND_NAME {
            break;
        }
        fitting.push(c);
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Answer, Exchange, Request};
    use futures_util::future::BoxFuture;
    use protocol::mcp::failure::Failure;

    /// A backend that fails every call.
    struct Failing;

    impl Backend for Failing {
        fn call<'a>(
            &'a self,
            _: &'a str,
            _: Request,
            _: &'a mut Exchange,
        ) -> BoxFuture<'a, Result<Answer, Failure>> {
            Box::pin(std::future::ready(Err(Failure::Internal)))
        }
    }

    fn new(name: &str) -> NewBackend {
        NewBackend {
            name: name.into(),
            backend: Arc::new(Failing),
            history: None,
            curation: Curation::default(),
        }
    }

    fn order(list: &BackendList) -> Vec<BackendId> {
        list.backends.iter().map(|backend| backend.id).collect()
    }

    #[test]
    fn a_successor_replaces_its_predecessor_once_it_is_ready() {
        let mut list = BackendList::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| list.add(new(name)));
        list.update(a, |backend| backend.state = BackendState::Ready);
        let old = list.users(a);
        let next = list.prepare(new("a"), a);
        list.reorder(&[b, a, next]);
        assert_eq!(order(&list), [b, a, c]);
        assert!(list.update(next, |backend| backend.unhealthy = Some("late".into())).is_none());
        assert!(!old.is_closed());
        assert!(list.update(next, |backend| backend.state = BackendState::Ready).is_some());
        assert_eq!(order(&list), [b, next, c]);
        assert!(old.is_closed() && !list.users(next).is_closed());
        assert!(!list.cancel(next), "it has replaced its predecessor");
        // A backend that does not run is replaced at once.
        let next_b = list.prepare(new("b"), b);
        assert_eq!(order(&list), [next_b, next, c]);
        let prepared = list.prepare(new("a"), next);
        assert!(list.cancel(prepared) && list.users(prepared).is_closed());
        assert_eq!(list.remove(next).as_deref(), Some("a"));
        assert_eq!(order(&list), [next_b, c]);
    }
}
