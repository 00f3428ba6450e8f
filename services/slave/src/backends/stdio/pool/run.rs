//! The run of a child: started with its client's capabilities, ended when it is idle, when its session ends, or with the entry. It is not
//! started again: the next call starts another. Must not know calls.

use std::sync::Arc;

use protocol::mcp::era::Era;
use tokio::time::{Instant, sleep_until, timeout};

use super::child::{Child, ChildState};
use super::key::ChildKey;
use super::leases::Idle;
use super::state::{ChildServices, Counted, PoolState};
use crate::backends::stdio::StdioTiming;
use crate::backends::stdio::backend::ReadySession;
use crate::backends::stdio::era_probe::EraProbe;
use crate::backends::stdio::handshake::{self, Opening};
use crate::backends::stdio::health_check;
use crate::backends::stdio::running::Running;
use crate::backends::stdio::session::Session;
use crate::metrics::{self, ChildEnd};

/// The end of a child, and the reason in words.
struct Ended {
    why: ChildEnd,
    reason: String,
}

impl Ended {
    fn new(why: ChildEnd, reason: impl Into<String>) -> Self {
        Self { why, reason: reason.into() }
    }

    fn of(why: ChildEnd) -> Self {
        Self::new(
            why,
            match why {
                ChildEnd::SessionEnded => "the session has ended",
                ChildEnd::Stopped => "it is not configured any more",
                _ => "its process for this client has ended",
            },
        )
    }
}

/// The run of one child.
pub(super) struct ChildRun {
    pub(super) pool: Arc<PoolState>,
    pub(super) key: ChildKey,
    pub(super) child: Arc<Child>,
    /// The capabilities with which it is initialized, a JSON object.
    pub(super) capabilities: String,
}

impl ChildRun {
    /// Runs until the child has ended. Its process group is gone when it returns.
    pub(super) async fn run(self) {
        let Some(services) = self.pool.services.get() else { return };
        let name = &*self.child.backend.name;
        // One that gave way may still be on its way out.
        let permit = tokio::select! {
            permit = Arc::clone(&self.pool.processes).acquire_owned() => permit.ok(),
            why = self.told() => return self.finish(Ended::of(why)),
            () = services.guard.wait() => return self.finish(Ended::new(ChildEnd::Stopped, services.guard.reason())),
        };
        let counted = Counted::new(&self.pool);
        let backend = &self.child.backend;
        match Running::start(backend) {
            Ok(mut process) => {
                let ended = self.watch(services, &mut process).await;
                // The reason may quote the child.
                let reason = backend.redactor.redact(&ended.reason).into_owned();
                let failure = self.pool.failure(&reason, None);
                self.finish(Ended::new(ended.why, reason));
                let grace = services.guard.grace().map_or(services.timing.stop_grace, |grace| grace / 3);
                process.stop(&failure, grace).await;
            }
            Err(error) => self.finish(Ended::new(ChildEnd::StartFailed, error.to_string())),
        }
        tracing::debug!(backend = name, "the process of a session is gone");
        drop((counted, permit));
    }

    /// Takes the child out of the pool, counts its end, and fails the calls that wait for its start.
    fn finish(&self, ended: Ended) {
        let Ended { why, reason } = ended;
        let _ = self.pool.leases.lock().remove(&self.key, self.child.number);
        let name = &*self.child.backend.name;
        metrics::record_child_end(name, why);
        if matches!(why, ChildEnd::StartFailed | ChildEnd::Exited) {
            tracing::warn!(backend = name, "the process of a session ended: {reason}");
        } else {
            tracing::debug!(backend = name, why = why.label(), "the process of a session ends");
        }
        self.child.state.send_replace(ChildState::Ended(self.pool.failure(&reason, None)));
    }

    async fn told(&self) -> ChildEnd {
        self.child.told().await
    }

    /// Serves the child until something ends it.
    async fn watch(&self, services: &ChildServices, process: &mut Running) -> Ended {
        let session = process.session();
        let ended = tokio::select! {
            reason = self.serve(&session, services.timing) => Ended::new(ChildEnd::Exited, reason),
            exit = process.exited() => Ended::new(ChildEnd::Exited, exit.text),
            why = self.told() => return Ended::of(why),
            () = self.idle() => return Ended::of(ChildEnd::Idle),
            () = services.guard.wait() => return Ended::new(ChildEnd::Stopped, services.guard.reason()),
        };
        let was_ready = self.child.backend.current.load().is_some();
        if was_ready { ended } else { Ended { why: ChildEnd::StartFailed, ..ended } }
    }

    /// Runs the handshake and lets calls come. Returns only with a reason to give the process up.
    async fn serve(&self, session: &Arc<Session>, timing: StdioTiming) -> String {
        let first =
            self.pool.version().map_or(EraProbe::DiscoverSlowly, |version| EraProbe::of(version.era()));
        let opening = Opening { first, silence: timing.probe, capabilities: &self.capabilities };
        let info = match timeout(timing.start, handshake::negotiate(session, &opening)).await {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("it was not ready within {:?} (BACKEND_START_TIMEOUT)", timing.start),
        };
        session.release_stdin();
        let (era, version) = (info.era, info.version);
        if info.facts.capability(&["logging"]).is_some() && era == Era::Legacy {
            session.log_level.set_settable();
        }
        *self.pool.version.lock() = Some(version);
        let facts = Arc::new(info.facts);
        self.child.backend.set_ready(ReadySession { session: Arc::clone(session), era, version, facts });
        self.child.state.send_replace(ChildState::Ready);
        match timing.check {
            Some(interval) => health_check::run(session, era, interval, |_| {}).await,
            None => std::future::pending().await,
        }
    }

    /// Resolves when no call has used the child for the idle time, since it was ready: a start may take longer than that.
    async fn idle(&self) {
        let mut state = self.child.state.subscribe();
        if state.wait_for(|state| !matches!(state, ChildState::Starting)).await.is_err() {
            return;
        }
        self.pool.leases.lock().touch(&self.key, self.child.number, Instant::now());
        loop {
            let now = Instant::now();
            let idle = self.pool.leases.lock().expire(&self.key, self.child.number, now);
            match idle {
                Idle::NotBefore(at) => sleep_until(at).await,
                Idle::Over => return,
                // Whoever took it out says why.
                Idle::Gone => std::future::pending().await,
            }
        }
    }
}
