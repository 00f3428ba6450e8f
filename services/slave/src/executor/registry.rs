//! The registry of backends: which backend has which tool, prompt or resource, under which name. Must not know how a backend runs anything.
//!
//! Names are deterministic: a name that two backends offer is namespaced for both (`backend__name`), also while one of
//! them is down, and a tool keeps its position in the list whatever backends come and go.

mod interfaces;
mod list;
mod names;
mod route;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::catalog::{Catalog, ListKind, SlaveState};
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::offer::{Offer, same_entries};
use crate::backends::history::{HistorySnapshot, ProcessHistory};
use crate::backends::{BackendReport, BackendState, Registration};
use crate::call::{Backend, Request};
use crate::metrics::{self, ToolMeter};
pub(super) use list::{BackendId, NewBackend};
use list::{BackendList, RegisteredBackend};
pub(super) use route::Route;
use route::Routes;

/// A backend with its state, for status pages and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSnapshot {
    /// The name in the configuration.
    pub name: String,
    /// The state.
    pub state: BackendState,
    /// The names of the tools in the catalog; while the backend is down, of those that it had.
    pub tools: Vec<String>,
    /// Number of entries of the lists in the order of [`ListKind::ALL`]; while the backend is down, of those that it had.
    pub counts: [usize; ListKind::ALL.len()],
}

/// The backends of one slave.
pub(super) struct BackendRegistry {
    list: Mutex<BackendList>,
    routes: ArcSwap<Routes>,
    offer: watch::Sender<Arc<Offer>>,
    /// The offer as one catalog.
    catalog: watch::Sender<Arc<Catalog>>,
    /// The number of changes.
    changes: watch::Sender<u64>,
}

impl Default for BackendRegistry {
    fn default() -> Self {
        Self {
            list: Mutex::default(),
            routes: ArcSwap::default(),
            offer: watch::Sender::new(Arc::default()),
            catalog: watch::Sender::new(Arc::default()),
            changes: watch::Sender::new(0),
        }
    }
}

impl BackendRegistry {
    /// Adds a backend without tools. The order of adding is the order of the catalog, until [`Self::reorder`].
    pub(super) fn add(&self, backend: NewBackend) -> BackendId {
        self.list.lock().add(backend)
    }

    /// Records that every backend of the configuration was added: the offer is complete once all have reported or failed.
    pub(super) fn all_added(&self) {
        let list = &mut *self.list.lock();
        list.all_added = true;
        self.on_change(list);
    }

    /// Adds a backend that replaces `predecessor` as soon as it is ready; at once if that one is not ready.
    pub(super) fn prepare(&self, backend: NewBackend, predecessor: BackendId) -> BackendId {
        let list = &mut *self.list.lock();
        let id = list.prepare(backend, predecessor);
        self.on_change(list);
        id
    }

    /// Removes a prepared backend. Returns false if it has replaced its predecessor already, or is gone.
    pub(super) fn cancel(&self, id: BackendId) -> bool {
        self.list.lock().cancel(id)
    }

    /// Removes a backend: its tools leave the catalog; calls that run go on.
    pub(super) fn remove(&self, id: BackendId) {
        let list = &mut *self.list.lock();
        if let Some(name) = list.remove(id) {
            metrics::set_backend_ready(&name, false);
        }
        self.on_change(list);
    }

    /// Moves these backends to the front of the catalog, in this order; the others follow in their old order.
    pub(super) fn reorder(&self, order: &[BackendId]) {
        let list = &mut *self.list.lock();
        list.reorder(order);
        self.on_change(list);
    }

    /// Returns the tracker of the calls that may use the backend. The tracker is closed once the backend is removed or
    /// replaced, and empty once its last call has ended.
    pub(super) fn users(&self, id: BackendId) -> TaskTracker {
        self.list.lock().users(id)
    }

    /// Returns the interface through which the backend reports.
    pub(super) fn registration(self: &Arc<Self>, id: BackendId) -> RegistryEntry {
        RegistryEntry { registry: Arc::clone(self), id }
    }

    /// Returns the route of a request; what nobody offers, and what a backend that is down had, fail differently.
    pub(super) fn route(&self, request: &Request) -> Result<Arc<Route>, Failure> {
        let (routes, name) = (self.routes.load(), request.name.as_str());
        let found = match request.kind {
            Some(Kind::Resource | Kind::Template) => routes.resource(name),
            Some(kind) => routes.exact(kind, name),
            None => routes.of_method(&request.header.method),
        };
        found.unwrap_or_else(|| {
            Err(match request.kind {
                Some(Kind::Resource | Kind::Template) => Failure::UnknownResource(name.to_owned()),
                Some(Kind::Prompt) => Failure::UnknownPrompt(name.to_owned()),
                Some(Kind::Task) => Failure::UnknownTask(name.to_owned()),
                Some(Kind::Tool) => Failure::UnknownTool(name.to_owned()),
                None => Failure::MethodNotFound(request.header.method.clone()),
            })
        })
    }

    /// Returns the route to the backend whose name has this digest.
    pub(super) fn of_digest(&self, owner: &str) -> Result<Arc<Route>, Failure> {
        let found = self.routes.load().of_digest(owner);
        found.unwrap_or_else(|| Err(Failure::UnknownTask("its backend is gone".into())))
    }

    /// Returns the backend's own name of a tool of the catalog, where it is this backend's; `None`: it is not, at present.
    pub(super) fn own_tool_name(&self, backend: &str, tool: &str) -> Option<String> {
        let route =
            self.routes.load().exact(Kind::Tool, tool)?.ok().filter(|route| route.owner == backend)?;
        Some(route.own_name.clone().unwrap_or_else(|| tool.to_owned()))
    }

    /// Returns the route to a resource; `None` where no backend that can run has it.
    pub(super) fn resource(&self, uri: &str) -> Option<Arc<Route>> {
        self.routes.load().resource(uri)?.ok()
    }

    /// Returns the changes of routes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells all backends that a client ended its session.
    pub(super) fn end_session(&self, session: &str) {
        for backend in self.backends() {
            backend.end_session(session);
        }
    }

    /// Passes a notification of a session's client to all backends.
    pub(super) fn notify(&self, session: &str, message: &Bytes) {
        for backend in self.backends() {
            backend.notify(session, message);
        }
    }

    /// Returns the backends with their names, in order.
    pub(super) fn named_backends(&self) -> Vec<(String, Arc<dyn Backend>)> {
        let list = self.list.lock();
        list.backends.iter().map(|one| (one.name.clone(), Arc::clone(&one.backend))).collect()
    }

    fn backends(&self) -> Vec<Arc<dyn Backend>> {
        self.list.lock().backends.iter().map(|one| Arc::clone(&one.backend)).collect()
    }

    /// Returns the metrics of a tool of the catalog.
    pub(super) fn meters(&self, tool: &str) -> Option<Arc<ToolMeter>> {
        let route = self.routes.load().exact(Kind::Tool, tool)?.ok()?;
        Some(Arc::clone(&route.meters))
    }

    /// Returns the route of a request, as [`Self::route`] does. Waits for backends that are in their first start, which may bring what it
    /// names: at most `limit`. Cancel-safe.
    pub(super) async fn find(&self, request: &Request, limit: Duration) -> Result<Arc<Route>, Failure> {
        let is_unknown = |found: &Result<Arc<Route>, Failure>| found.as_ref().is_err_and(Failure::is_unknown);
        let found = self.route(request);
        if !is_unknown(&found) {
            return found;
        }
        let wait = async {
            let mut changes = self.changes.subscribe();
            loop {
                // In this order: a backend's report changes both at once.
                let starting = self.is_starting();
                let found = self.route(request);
                if !is_unknown(&found) || !starting || changes.changed().await.is_err() {
                    return found;
                }
            }
        };
        let unknown = |_| Failure::NoSlaveForTool { name: request.name.clone(), wanted: None };
        tokio::time::timeout(limit, wait).await.map_err(unknown)?
    }

    /// Returns whether a backend is in its first start.
    fn is_starting(&self) -> bool {
        self.list.lock().backends.iter().any(|backend| backend.state == BackendState::Starting)
    }

    /// Returns the catalog and its changes.
    pub(super) fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// Returns the offer and its changes.
    pub(super) fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.offer.subscribe()
    }

    /// Returns every backend in order.
    pub(super) fn states(&self) -> Vec<BackendSnapshot> {
        self.snapshots().into_iter().map(|(backend, _)| backend).collect()
    }

    /// Returns every backend in order, with the history of its process.
    pub(super) fn snapshots(&self) -> Vec<(BackendSnapshot, Option<HistorySnapshot>)> {
        let list = self.list.lock();
        let (named, _) = names::assign(ListKind::Tools, list.offers(ListKind::Tools));
        let tools =
            |index| named.iter().filter(|tool| tool.backend == index).map(|tool| tool.name.clone()).collect();
        let snapshot = |(index, backend): (usize, &RegisteredBackend)| {
            let (name, state) = (backend.name.clone(), backend.state.clone());
            let history = backend.history.as_deref().map(ProcessHistory::snapshot);
            let counts = ListKind::ALL.map(|kind| backend.list(kind).len());
            (BackendSnapshot { name, state, tools: tools(index), counts }, history)
        };
        list.backends.iter().enumerate().map(snapshot).collect()
    }

    /// Waits until no backend is in its first start. Cancel-safe.
    pub(super) async fn settled(&self) {
        let mut changes = self.changes.subscribe();
        while self.is_starting() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn update(&self, id: BackendId, change: impl FnOnce(&mut RegisteredBackend)) {
        let list = &mut *self.list.lock();
        if let Some(backend) = list.update(id, change) {
            metrics::set_backend_ready(&backend.name, backend.state == BackendState::Ready);
        }
        self.on_change(list);
    }

    /// Publishes routes and catalog. Called under the lock: two changes must not overtake each other.
    fn on_change(&self, list: &mut BackendList) {
        let (mut named, mut problems) = (Vec::new(), Vec::new());
        for kind in ListKind::ALL {
            let (of_kind, of_names) = names::assign(kind, list.offers(kind));
            named.extend(of_kind);
            problems.extend(of_names);
        }
        let (interfaces, of_interfaces) = interfaces::assign(&list.backends);
        problems.extend(of_interfaces);
        for problem in problems.iter().filter(|problem| !list.reported.contains(*problem)) {
            tracing::warn!("{problem}");
        }
        list.reported = problems.into_iter().collect();
        let (routes, lists) = route::build(&list.backends, named, interfaces, &self.routes.load());
        self.routes.store(Arc::new(routes));
        let degraded = list.problems();
        let unavailable = degraded.is_some() && !list.any_runs();
        let state = SlaveState { complete: list.is_complete(), degraded, unavailable };
        self.publish(Offer { backends: list.offered(lists), state });
        self.changes.send_modify(|count| *count += 1);
    }

    /// Publishes the offer if it differs from the last one.
    fn publish(&self, offer: Offer) {
        if self.offer.borrow().is_same(&offer) {
            return;
        }
        let catalog = offer.catalog();
        self.catalog.send_if_modified(|before| {
            let lists = ListKind::ALL.into_iter();
            let same = before.degraded == catalog.degraded
                && before.servers == catalog.servers
                && lists.into_iter().all(|kind| same_entries(before.list(kind), catalog.list(kind)));
            *before = Arc::new(catalog);
            !same
        });
        self.offer.send_replace(Arc::new(offer));
    }
}

/// A backend's entry in the registry.
pub(super) struct RegistryEntry {
    registry: Arc<BackendRegistry>,
    id: BackendId,
}

impl Registration for RegistryEntry {
    fn ready(&self, report: BackendReport) {
        self.registry.update(self.id, |backend| backend.take(report));
    }

    fn down(&self, state: BackendState) {
        self.registry.update(self.id, |backend| backend.state = state);
    }

    fn unhealthy(&self, problem: Option<String>) {
        self.registry.update(self.id, |backend| backend.unhealthy = problem);
    }
}
