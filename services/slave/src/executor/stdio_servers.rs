//! The stdio servers of the configuration, and their replacement when it changes. Must not know files.
//!
//! A changed entry's new server is started beside the old one and replaces it when it is ready; until then, and for as
//! long as it cannot start, the old one works on.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::registry::{BackendId, BackendRegistry, NewBackend};
use crate::backends::stdio::{
    EraMemory, PooledBackend, Sharing, StdioBackend, StdioServer, StdioTiming, Supervisor,
};
use crate::backends::{BackendContext, ShutdownGuard};
use crate::call::Backend;

/// The numbers of entries that a reload added, changed, removed and left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadSummary {
    /// Entries with new names.
    pub added: usize,
    /// Entries that are run in another way.
    pub changed: usize,
    /// Entries that the configuration has no more.
    pub removed: usize,
    /// Entries that were not touched.
    pub unchanged: usize,
}

impl fmt::Display for ReloadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, unchanged } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged")
    }
}

/// An entry of the configuration.
struct ServerEntry {
    server: Arc<StdioServer>,
    id: BackendId,
    /// The server that is to replace it, if that had not happened at the last reload.
    successor: Option<(Arc<StdioServer>, BackendId)>,
}

/// The stdio servers of the configuration.
pub(super) struct StdioServers {
    launcher: Launcher,
    entries: Mutex<Vec<ServerEntry>>,
}

impl StdioServers {
    /// Returns an empty set.
    pub(super) fn new(registry: Arc<BackendRegistry>, context: BackendContext, timing: StdioTiming) -> Self {
        let eras = EraMemory::default();
        Self { launcher: Launcher { registry, context, timing, eras }, entries: Mutex::default() }
    }

    /// Starts the first servers.
    pub(super) fn start(&self, servers: Vec<StdioServer>) {
        let started = servers.into_iter().map(|server| self.launcher.start(Arc::new(server)));
        self.entries.lock().extend(started);
    }

    /// Runs these servers in place of those before, except for those of the names in `kept`.
    pub(super) fn replace(&self, servers: Vec<StdioServer>, kept: &[String]) -> ReloadSummary {
        let entries = &mut *self.entries.lock();
        let mut before = std::mem::take(entries);
        let mut summary = ReloadSummary::default();
        for server in servers {
            let known = before.iter().position(|entry| entry.server.name == server.name);
            entries.push(if let Some(index) = known {
                self.launcher.update(before.remove(index), server, &mut summary)
            } else {
                summary.added += 1;
                tracing::info!(backend = server.name, "backend added");
                self.launcher.start(Arc::new(server))
            });
        }
        for gone in before {
            if kept.contains(&gone.server.name) {
                summary.unchanged += 1;
                tracing::warn!(
                    backend = gone.server.name,
                    "backend runs on as before: its new entry cannot be used"
                );
                entries.push(gone);
                continue;
            }
            summary.removed += 1;
            tracing::info!(backend = gone.server.name, "backend removed: it ends after its running calls");
            self.launcher.remove(&gone);
        }
        let order: Vec<BackendId> = entries.iter().flat_map(ServerEntry::ids).collect();
        self.launcher.registry.reorder(&order);
        summary
    }
}

impl ServerEntry {
    fn ids(&self) -> impl Iterator<Item = BackendId> {
        [self.id].into_iter().chain(self.successor.as_ref().map(|(_, id)| *id))
    }
}

/// The services that starting a server takes.
struct Launcher {
    registry: Arc<BackendRegistry>,
    context: BackendContext,
    timing: StdioTiming,
    eras: EraMemory,
}

impl Launcher {
    fn start(&self, server: Arc<StdioServer>) -> ServerEntry {
        let id = self.spawn(&server, None);
        ServerEntry { server, id, successor: None }
    }

    /// Registers a server and starts its supervisor. It takes the place of `replaces` as soon as it is ready.
    fn spawn(&self, server: &Arc<StdioServer>, replaces: Option<BackendId>) -> BackendId {
        let backend = Arc::new(StdioBackend::new(Arc::clone(server), &self.context, self.timing));
        let history = Some(backend.history());
        let pooled = match server.sharing {
            Sharing::Shared => None,
            Sharing::Apart(rules) => Some(Arc::new(PooledBackend::new(Arc::clone(&backend), rules))),
        };
        let calls: Arc<dyn Backend> = match &pooled {
            Some(pooled) => Arc::clone(pooled) as _,
            None => Arc::clone(&backend) as _,
        };
        let new = NewBackend {
            name: server.name.clone(),
            backend: calls,
            history,
            curation: server.curation.clone(),
        };
        let id = match replaces {
            Some(old) => self.registry.prepare(new, old),
            None => self.registry.add(new),
        };
        let guard = ShutdownGuard::new(self.context.shutdown.clone(), self.registry.users(id));
        if let Some(pooled) = pooled {
            pooled.open(self.context.shutdown.clone(), guard.clone(), self.timing);
        }
        let supervisor = Supervisor {
            backend,
            registration: Box::new(self.registry.registration(id)),
            shutdown: guard,
            timing: self.timing,
            eras: self.eras.clone(),
        };
        self.context.shutdown.spawn(supervisor.run());
        id
    }

    /// Makes an entry run `server`.
    fn update(
        &self,
        mut entry: ServerEntry,
        server: StdioServer,
        summary: &mut ReloadSummary,
    ) -> ServerEntry {
        let planned = entry.successor.as_ref().map_or(&entry.server, |(successor, _)| successor);
        if planned.is_same(&server) {
            summary.unchanged += 1;
            return entry;
        }
        summary.changed += 1;
        if let Some((successor, id)) = entry.successor.take()
            && !self.registry.cancel(id)
        {
            (entry.server, entry.id) = (successor, id);
        }
        let name = &entry.server.name;
        if entry.server.is_same(&server) {
            tracing::info!(backend = name, "backend changed back: the running one stays");
            return entry;
        }
        tracing::info!(
            backend = name,
            "backend changed: the new one is started, the old one runs calls until the new one is ready"
        );
        let server = Arc::new(server);
        let id = self.spawn(&server, Some(entry.id));
        entry.successor = Some((server, id));
        entry
    }

    fn remove(&self, entry: &ServerEntry) {
        // The successor goes first: it must not take the place that is given up.
        for id in entry.successor.iter().map(|(_, id)| *id).chain([entry.id]) {
            self.registry.remove(id);
        }
    }
}
