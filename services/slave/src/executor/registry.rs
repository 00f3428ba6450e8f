//! Which backend has which tool, under which name. Must not know how a backend runs anything.
//!
//! Names are deterministic: a name that two backends offer is namespaced for both (`backend__name`), also while one of
//! them is down, and a tool keeps its place in the list whatever comes and goes.

mod names;
mod slots;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use protocol::mcp::catalog::{Catalog, CatalogEntry};
use protocol::mcp::failure::Failure;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::param_headers::ParamHeaders;
use crate::backends::Backend;
use crate::backends::diary::{Diary, Page};
use crate::metrics::{self, ToolMeter};
use names::Named;
pub(crate) use slots::SlotId;
use slots::{Slot, Slots};

/// How a backend does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its first start is under way.
    Starting,
    /// Its tools are offered.
    Ready,
    /// It failed and is started again after a pause.
    Restarting {
        /// The pause, counted from the failure.
        after: Duration,
        /// What happened, without secrets.
        reason: String,
    },
    /// It cannot run as it is configured; nothing is tried again.
    Failed {
        /// What is wrong, without secrets.
        reason: String,
    },
    /// Stopped with the slave.
    Stopped,
}

/// One backend for people and status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendState {
    /// Its name in the configuration.
    pub name: String,
    /// How it does.
    pub state: State,
    /// Names of its tools as the catalog has them; while it is down, those it had.
    pub tools: Vec<String>,
}

/// One offered tool.
pub(crate) struct Route {
    /// Who runs it.
    pub(crate) backend: Arc<dyn Backend>,
    /// Its name.
    pub(crate) owner: String,
    /// The backend's own name of the tool.
    pub(crate) tool: String,
    /// Arguments that a modern client repeats in headers.
    pub(crate) param_headers: ParamHeaders,
    /// Its series.
    pub(crate) meters: Arc<ToolMeter>,
    /// Whoever holds the route keeps the backend: it does not end before.
    _user: TaskTrackerToken,
}

enum Entry {
    Up(Arc<Route>),
    Down { backend: String },
}

/// The backends of one slave.
pub(crate) struct Registry {
    slots: Mutex<Slots>,
    routes: ArcSwap<HashMap<String, Entry>>,
    catalog: watch::Sender<Arc<Catalog>>,
    changes: watch::Sender<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
            routes: ArcSwap::default(),
            catalog: watch::Sender::new(Arc::default()),
            changes: watch::Sender::new(0),
        }
    }
}

impl Registry {
    /// Adds a backend that has no tools yet. The order of adding is the order of the catalog, until [`Self::arrange`].
    pub(crate) fn add(&self, name: &str, backend: Arc<dyn Backend>) -> SlotId {
        self.lock().add(name, backend)
    }

    /// Adds a backend that takes the place of `instead_of` as soon as it is ready; at once if that one is not.
    pub(crate) fn stand_by(&self, name: &str, backend: Arc<dyn Backend>, instead_of: SlotId) -> SlotId {
        let slots = &mut *self.lock();
        let newcomer = slots.stand_by(name, backend, instead_of);
        self.changed(slots);
        newcomer
    }

    /// Takes back one that stands by. False: it has the place already, or is gone.
    pub(crate) fn withdraw(&self, slot: SlotId) -> bool {
        self.lock().withdraw(slot)
    }

    /// The backend's tools leave the catalog; calls that run go on.
    pub(crate) fn remove(&self, slot: SlotId) {
        let slots = &mut *self.lock();
        if let Some(gone) = slots.remove(slot) {
            metrics::set_backend_ready(&gone, false);
        }
        self.changed(slots);
    }

    /// These come first in the catalog, in this order; the others behind them as they were.
    pub(crate) fn arrange(&self, order: &[SlotId]) {
        let slots = &mut *self.lock();
        slots.arrange(order);
        self.changed(slots);
    }

    /// Closed when the backend was removed or replaced, empty when its last call has ended.
    pub(crate) fn users(&self, slot: SlotId) -> TaskTracker {
        self.lock().users(slot)
    }

    /// The backend is up and offers these tools, in place of what it offered before.
    pub(crate) fn ready(&self, slot: SlotId, tools: Vec<CatalogEntry>) {
        self.change(slot, |slot| {
            slot.state = State::Ready;
            slot.tools = tools;
            slot.ailing = None;
        });
    }

    /// The backend is down: its tools leave the catalog, their names stay known.
    pub(crate) fn down(&self, slot: SlotId, state: State) {
        self.change(slot, |slot| slot.state = state);
    }

    /// The backend runs and its tools stay, but this is wrong with it; `None`: no more.
    pub(crate) fn ailing(&self, slot: SlotId, what: Option<String>) {
        self.change(slot, |slot| slot.ailing = what);
    }

    /// Who runs the tool of this name. A known tool whose backend is down fails differently from an unknown one.
    pub(crate) fn route(&self, name: &str) -> Result<Arc<Route>, Failure> {
        match self.routes.load().get(name) {
            Some(Entry::Up(route)) => Ok(Arc::clone(route)),
            Some(Entry::Down { backend }) => Err(Failure::BackendFailed {
                backend: backend.clone(),
                reason: "it is not running at the moment".into(),
            }),
            None => Err(Failure::UnknownTool(name.to_owned())),
        }
    }

    /// What is offered, and its changes.
    pub(crate) fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// Every backend in order.
    pub(crate) fn states(&self) -> Vec<BackendState> {
        self.look().into_iter().map(|(state, _)| state).collect()
    }

    /// Every backend in order, with what is written down of its process.
    pub(crate) fn look(&self) -> Vec<(BackendState, Option<Page>)> {
        let slots = self.lock();
        let (named, _) = names::assign(slots.offers());
        let tools =
            |index| named.iter().filter(|one| one.backend == index).map(|one| one.name.clone()).collect();
        let state = |(index, slot): (usize, &Slot)| {
            let (name, state) = (slot.name.clone(), slot.state.clone());
            (BackendState { name, state, tools: tools(index) }, slot.backend.diary().map(Diary::page))
        };
        slots.list.iter().enumerate().map(state).collect()
    }

    /// Waits until no backend is in its first start. Cancel-safe.
    pub(crate) async fn settled(&self) {
        let mut changes = self.changes.subscribe();
        while self.lock().list.iter().any(|slot| slot.state == State::Starting) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn change(&self, slot: SlotId, change: impl FnOnce(&mut Slot)) {
        let slots = &mut *self.lock();
        if let Some(slot) = slots.change(slot, change) {
            metrics::set_backend_ready(&slot.name, slot.state == State::Ready);
        }
        self.changed(slots);
    }

    /// Published under the lock: two changes at once must not overtake each other.
    fn changed(&self, slots: &mut Slots) {
        let (named, problems) = names::assign(slots.offers());
        for problem in problems.iter().filter(|problem| !slots.reported.contains(*problem)) {
            tracing::warn!("{problem}");
        }
        slots.reported = problems.into_iter().collect();
        self.publish(&slots.list, named);
        self.changes.send_modify(|count| *count += 1);
    }

    fn publish(&self, slots: &[Slot], named: Vec<Named>) {
        let before = self.routes.load();
        let mut routes = HashMap::with_capacity(named.len());
        let mut tools = Vec::with_capacity(named.len());
        for one in named {
            let Some(slot) = slots.get(one.backend) else { continue };
            if slot.state != State::Ready {
                routes.insert(one.name, Entry::Down { backend: slot.name.clone() });
                continue;
            }
            let meters = match before.get(&one.name) {
                Some(Entry::Up(route)) if route.meters.is_of(&slot.name) => Arc::clone(&route.meters),
                _ => Arc::new(ToolMeter::new(&one.name, &slot.name)),
            };
            let route = Route {
                backend: Arc::clone(&slot.backend),
                owner: slot.name.clone(),
                tool: one.own_name,
                param_headers: ParamHeaders::of(&one.name, &one.definition),
                meters,
                _user: slot.users.token(),
            };
            routes.insert(one.name.clone(), Entry::Up(Arc::new(route)));
            tools.push(CatalogEntry { name: one.name, definition: one.definition });
        }
        self.routes.store(Arc::new(routes));
        self.offer(tools, degraded(slots));
    }

    /// Tells readers of the catalog only if it differs from what they have.
    fn offer(&self, tools: Vec<CatalogEntry>, degraded: Option<String>) {
        self.catalog.send_if_modified(|catalog| {
            let same =
                |(old, new): (&CatalogEntry, &CatalogEntry)| old.definition.get() == new.definition.get();
            let all = catalog.tools.len() == tools.len() && catalog.degraded == degraded;
            if all && catalog.tools.iter().zip(&tools).all(same) {
                return false;
            }
            *catalog = Arc::new(Catalog { tools, degraded, ..Catalog::default() });
            true
        });
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock()
    }
}

/// What is wrong with the backends, for proxies and people; `None`: nothing. Reasons are masked where they arise.
fn degraded(slots: &[Slot]) -> Option<String> {
    let wrong = |slot: &Slot| {
        let what = match &slot.state {
            State::Restarting { reason, .. } | State::Failed { reason } => reason,
            State::Ready => slot.ailing.as_ref()?,
            State::Starting | State::Stopped => return None,
        };
        Some(format!("backend {:?}: {what}", slot.name))
    };
    let wrong: Vec<String> = slots.iter().filter_map(wrong).collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}
