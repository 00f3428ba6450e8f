//! An entry with processes of its own for sessions or clients (`sessions` of the entry) as a [`Backend`]: a call runs on the child of its
//! session or client, which its first call starts. Must not know how a child is run, nor who the clients are.
//!
//! The entry's first process, which every entry has, is asked for the lists, is watched and tells of updates of resources. It runs no calls.

mod capabilities;
mod child;
mod key;
mod leases;
mod run;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::catalog::{CARRIES_EXTENSIONS, ServerFacts};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use tokio::time::Instant;

use super::backend::StdioBackend;
use super::config::StdioTiming;
use super::messages;
use super::sharing::ChildRules;
use super::tasks;
use crate::backends::shutdown::{ShutdownGroup, ShutdownGuard};
use crate::call::{Answer, Backend, Exchange, Request, TaskPages};
use crate::metrics::ChildEnd;
use crate::subscriptions::WatchedResources;
use child::Child;
use key::ChildKey;
use leases::Taken;
use run::ChildRun;
use state::{ChildServices, PoolState};

/// Seconds after which a call that found all children with calls is worth another try.
const RETRY_AFTER: u32 = 1;

/// A configured server with a process for each session or client.
pub(crate) struct PooledBackend(Arc<PoolState>);

impl PooledBackend {
    /// Returns an entry without children. `first` is its first process.
    pub(crate) fn new(first: Arc<StdioBackend>, rules: ChildRules) -> Self {
        Self(Arc::new(PoolState::new(first, rules)))
    }

    /// Lets calls start children from now on. `guard` says when all have to end.
    pub(crate) fn open(&self, group: ShutdownGroup, guard: ShutdownGuard, timing: StdioTiming) {
        let _ = self.0.services.set(ChildServices { group, guard, timing });
    }

    /// Takes the child of a call; starts it, if this is its first one.
    fn take(&self, request: &Request) -> Result<Lease, Failure> {
        let pool = &self.0;
        let starting = || pool.failure("it is being started", Some(RETRY_AFTER));
        let services = pool.services.get().ok_or_else(starting)?;
        let key = ChildKey::of(&request.header, pool.rules.owner);
        let new = |number| Arc::new(Child::new(number, pool.first.beside(key.addressee())));
        // The guard is dropped before anything else happens.
        let taken = pool.leases.lock().take(&key, Instant::now(), new);
        let child = match taken {
            Taken::Running(child) => child,
            Taken::New { child, gives_way } => {
                if let Some(gone) = gives_way {
                    gone.tell_to_end(ChildEnd::GaveWay);
                }
                let capabilities = capabilities::carried(request.declared_capabilities(), key.is_session());
                let run = ChildRun {
                    pool: Arc::clone(pool),
                    key: key.clone(),
                    child: Arc::clone(&child),
                    capabilities,
                };
                services.group.spawn(run.run());
                child
            }
            Taken::Full => return Err(self.busy()),
        };
        Ok(Lease { pool: Arc::clone(pool), key, child })
    }

    fn busy(&self) -> Failure {
        let (name, most) = (&self.0.first.name, self.0.rules.most);
        Failure::Busy {
            what: format!(
                "backend {name:?} runs a process for each of {most} sessions (maxChildren), and all of them have calls"
            ),
            retry_after: RETRY_AFTER,
        }
    }
}

/// A child that a call uses. Dropping it gives the child back.
struct Lease {
    pool: Arc<PoolState>,
    key: ChildKey,
    child: Arc<Child>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let ended = self.pool.leases.lock().give_back(&self.key, self.child.number, Instant::now());
        if let Some(child) = ended {
            child.tell_to_end(ChildEnd::Idle);
        }
    }
}

impl Backend for PooledBackend {
    fn call<'a>(
        &'a self,
        tool: &'a str,
        request: Request,
        exchange: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let lease = self.take(&request)?;
            lease.child.ready(self.0.first.wait).await?;
            lease.child.backend.run(tool, &request, exchange).await
        })
    }

    fn may_ask(&self) -> bool {
        self.0.version().is_none_or(|version| version.era() == Era::Legacy)
    }

    fn version(&self) -> Option<Version> {
        self.0.version()
    }

    fn has_own_processes(&self) -> bool {
        true
    }

    fn carries(&self, facts: &ServerFacts) -> Vec<String> {
        let notifies = (facts.era == Some(Era::Legacy)).then(|| CARRIES_EXTENSIONS.to_owned());
        tasks::carried(facts).into_iter().chain(notifies).collect()
    }

    fn tasks<'a>(&'a self, header: &'a CallHeader, deadline: Instant) -> BoxFuture<'a, TaskPages> {
        Box::pin(async move {
            let key = ChildKey::of(header, self.0.rules.owner);
            let child = self.0.leases.lock().get(&key);
            match child {
                Some(child) => child.backend.list_tasks(deadline).await,
                None => TaskPages::default(),
            }
        })
    }

    fn watched_resources(&self) -> Option<&Arc<WatchedResources>> {
        Some(&self.0.first.watched)
    }

    fn notify(&self, session: &str, message: &Bytes) {
        let children = self.0.leases.lock().of_session(session);
        for ready in children.iter().filter_map(|child| child.backend.current.load_full()) {
            if ready.era == Era::Legacy {
                ready.session.post(messages::passed(message));
            }
        }
    }

    fn end_session(&self, session: &str) {
        let ended = self.0.leases.lock().end_session(session);
        for child in ended {
            child.tell_to_end(ChildEnd::SessionEnded);
        }
    }
}
