//! The stdio servers of the file, and what becomes of them when it says something else. Must not know files.
//!
//! A changed entry's new server is started beside the old one and takes its place when it is ready; until then, and for
//! as long as it cannot start, the old one works on.

use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

use super::stdio::{self, StdioServer, Surroundings};
use crate::executor::SlotId;

/// How many entries a change was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// New names.
    pub added: usize,
    /// Names that are run in another way.
    pub changed: usize,
    /// Names that are there no more.
    pub removed: usize,
    /// Names that were not touched.
    pub unchanged: usize,
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, unchanged } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged")
    }
}

/// One entry.
struct Member {
    server: Arc<StdioServer>,
    slot: SlotId,
    /// What shall take its place, if that had not happened when last looked at.
    next: Option<(Arc<StdioServer>, SlotId)>,
}

/// All entries of the file.
pub(crate) struct Servers {
    around: Surroundings,
    members: Mutex<Vec<Member>>,
}

impl Servers {
    /// Starts these.
    pub(super) fn start(servers: Vec<StdioServer>, around: Surroundings) -> Self {
        let members = servers.into_iter().map(|server| Member::start(server, &around)).collect();
        Self { around, members: Mutex::new(members) }
    }

    /// Runs these in place of those of before.
    pub(crate) fn replace(&self, servers: Vec<StdioServer>) -> Replaced {
        let members = &mut *self.members.lock();
        let mut before = std::mem::take(members);
        let mut done = Replaced::default();
        for server in servers {
            let known = before.iter().position(|member| member.server.name == server.name);
            members.push(if let Some(index) = known {
                before.remove(index).become_same(server, &self.around, &mut done)
            } else {
                done.added += 1;
                tracing::info!(backend = server.name, "backend added");
                Member::start(server, &self.around)
            });
        }
        for gone in before {
            done.removed += 1;
            tracing::info!(backend = gone.server.name, "backend removed: it ends after its calls");
            gone.remove(&self.around);
        }
        let order: Vec<SlotId> = members.iter().flat_map(Member::slots).collect();
        self.around.registry.arrange(&order);
        done
    }
}

impl Member {
    fn start(server: StdioServer, around: &Surroundings) -> Self {
        let server = Arc::new(server);
        let slot = stdio::start(Arc::clone(&server), None, around);
        Self { server, slot, next: None }
    }

    fn become_same(mut self, server: StdioServer, around: &Surroundings, done: &mut Replaced) -> Self {
        let planned = self.next.as_ref().map_or(&self.server, |(next, _)| next);
        if planned.is_same(&server) {
            done.unchanged += 1;
            return self;
        }
        done.changed += 1;
        if let Some((next, slot)) = self.next.take()
            && !around.registry.withdraw(slot)
        {
            (self.server, self.slot) = (next, slot);
        }
        let name = &self.server.name;
        if self.server.is_same(&server) {
            tracing::info!(backend = name, "backend changed back: the running one stays");
            return self;
        }
        tracing::info!(
            backend = name,
            "backend changed: the new one is started, the old one works until it is ready"
        );
        let server = Arc::new(server);
        let slot = stdio::start(Arc::clone(&server), Some(self.slot), around);
        self.next = Some((server, slot));
        self
    }

    fn remove(self, around: &Surroundings) {
        // The successor first: it must not take a place that is given up.
        for slot in self.next.iter().map(|(_, slot)| *slot).chain([self.slot]) {
            around.registry.remove(slot);
        }
    }

    fn slots(&self) -> impl Iterator<Item = SlotId> {
        [self.slot].into_iter().chain(self.next.as_ref().map(|(_, slot)| *slot))
    }
}
