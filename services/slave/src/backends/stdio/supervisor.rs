//! The supervisor of one stdio server: starts it, runs the handshake, reads its lists, watches it, stops it, and starts it
//! again after a pause. Must not know calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;
use protocol::mcp::catalog::ListKind;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use super::backend::{ReadySession, StdioBackend};
use super::config::StdioTiming;
use super::era_probe::{EraMemory, EraProbe};
use super::handshake::{self, Opening, ServerInfo};
use super::request::RequestError;
use super::running::Running;
use super::session::Session;
use super::{health_check, lists, messages, resource_updates, task_updates};
use crate::backends::registration::{BackendReport, BackendState, Registration};
use crate::backends::shutdown::ShutdownGuard;
use crate::metrics::{self, Exit};
use crate::trace::BackendStart;

/// Time for which a changed list is not read again: servers that change several entries say so for each.
const CHANGE_DELAY: Duration = Duration::from_millis(100);

/// A child whose lists are offered.
struct Started {
    era: Era,
    version: Version,
    report: BackendReport,
}

/// The end of one process.
enum ProcessEnd {
    /// The backend is to end.
    Stopped,
    /// The process failed, for this reason.
    Failed(String),
    /// The process did not survive `server/discover`: it is started again with `initialize`.
    SecondTry,
}

/// The supervisor of one server.
pub(crate) struct Supervisor {
    /// The server.
    pub(crate) backend: Arc<StdioBackend>,
    /// The server's entry in the registry.
    pub(crate) registration: Box<dyn Registration>,
    /// The signal that the server is to end.
    pub(crate) shutdown: ShutdownGuard,
    /// Timeouts and pauses.
    pub(crate) timing: StdioTiming,
    /// What is known of the first messages of commands.
    pub(crate) eras: EraMemory,
}

impl Supervisor {
    /// Runs until the slave stops, or the backend has left the registry and its last call has ended. The child and its
    /// group are gone when it returns.
    pub(crate) async fn run(self) {
        let name = &*self.backend.name;
        let mut backoff = Backoff::new(self.timing.restart_first, self.timing.restart_cap);
        let mut era_probe = self.eras.probe(&self.backend.server);
        loop {
            let started = Instant::now();
            let reason = match self.run_process(&mut era_probe).await {
                ProcessEnd::Failed(reason) => reason,
                ProcessEnd::SecondTry => continue,
                ProcessEnd::Stopped => break,
            };
            if started.elapsed() >= self.timing.stable {
                backoff.reset();
            }
            let after = backoff.next(random());
            tracing::warn!(backend = name, "backend failed, started again in {after:.1?}: {reason}");
            self.registration.down(BackendState::Restarting { after, reason });
            tokio::select! {
                () = tokio::time::sleep(after) => metrics::record_backend_restart(name),
                () = self.shutdown.wait() => break,
            }
        }
        self.registration.down(BackendState::Stopped);
        tracing::info!(backend = name, "backend stopped");
    }

    /// Runs one process from its start to its end.
    async fn run_process(&self, era_probe: &mut EraProbe) -> ProcessEnd {
        let name = &self.backend.name;
        metrics::record_backend_start(name);
        self.backend.history.record_start();
        let mut start = BackendStart::start(name);
        let mut process = match Running::start(&self.backend) {
            Ok(process) => process,
            Err(error) => {
                metrics::record_backend_exit(name, "start_failed");
                start.end("start_failed");
                return ProcessEnd::Failed(error.to_string());
            }
        };
        let session = process.session();
        let (reason, exit) = tokio::select! {
            reason = self.serve(&session, &mut start, era_probe) => (reason, Exit::Other("unusable")),
            reason = process.exited() => (reason.text, reason.exit),
            () = self.shutdown.wait() => {
                metrics::record_backend_exit(name, "stopped");
                start.end("stopped");
                self.report_down(self.shutdown.reason());
                self.stop(process, self.shutdown.reason(), self.shutdown_grace()).await;
                return ProcessEnd::Stopped;
            }
        };
        let was_ready = self.backend.current.load().is_some();
        metrics::record_backend_exit(name, exit);
        start.end(exit.reason());
        // The reason may quote the child.
        let reason = self.backend.redactor.redact(&reason).into_owned();
        // A legacy server need not survive a request before `initialize`, nor answer it.
        let second = !was_ready && *era_probe == EraProbe::Discover && exit != Exit::Other("start_failed");
        if !was_ready {
            *era_probe = era_probe.next();
        }
        if !second {
            self.report_down(&reason);
            self.stop(process, &reason, self.timing.stop_grace).await;
            return ProcessEnd::Failed(reason);
        }
        tracing::info!(backend = &**name, "backend started again with initialize: {reason}");
        self.stop(process, &reason, self.timing.stop_grace).await;
        ProcessEnd::SecondTry
    }

    /// Runs the handshake, offers the lists and follows their changes. Returns only with a reason to give the process
    /// up.
    async fn serve(
        &self,
        session: &Arc<Session>,
        start: &mut BackendStart,
        era_probe: &mut EraProbe,
    ) -> String {
        let limit = self.timing.start;
        let starting = async {
            tokio::select! {
                report = self.start_serving(session, *era_probe) => report,
                never = self.report_slow_start() => never,
            }
        };
        let report = match tokio::time::timeout(limit, starting).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("it was not ready within {limit:?} (BACKEND_START_TIMEOUT)"),
        };
        start.ready(report.version);
        // The next start of a legacy server need not wait for an answer to `server/discover` again.
        *era_probe = EraProbe::of(report.era);
        self.eras.set(&self.backend.server, *era_probe);
        session.release_stdin();
        let era = report.era;
        let facts = report.report.facts.clone();
        let subscribe = async {
            if era == Era::Modern {
                lists::subscribe(session, &facts).await;
            }
        };
        let watched = &self.backend.watched;
        let updates = resource_updates::follow(session, era, &facts, watched);
        let tasks = task_updates::follow(session, era, &facts, &watched.tasks);
        tokio::select! {
            reason = async {
                tokio::join!(self.follow_lists(session, report), subscribe, updates, tasks).0
            } => reason,
            reason = self.check_health(session, era) => reason,
        }
    }

    /// Says that the start is slow, if it is. Never returns.
    async fn report_slow_start<T>(&self) -> T {
        let StdioTiming { slow, start, .. } = self.timing;
        tokio::time::sleep(slow).await;
        tracing::info!(
            backend = &*self.backend.name,
            "backend is not ready after {slow:?}: it is waited for up to {start:?} (BACKEND_START_TIMEOUT)"
        );
        std::future::pending().await
    }

    /// Runs the handshake, reads the lists and offers them.
    async fn start_serving(
        &self,
        session: &Arc<Session>,
        era_probe: EraProbe,
    ) -> Result<Started, RequestError> {
        let opening =
            Opening { first: era_probe, silence: self.timing.probe, capabilities: messages::CARRIED };
        let info = handshake::negotiate(session, &opening).await?;
        let ServerInfo { era, version, facts } = info;
        let lists = lists::all(session, era, &facts).await?;
        let report = BackendReport { lists, facts };
        let [tools, prompts, resources, templates] = ListKind::ALL.map(|kind| report.count(kind));
        tracing::info!(
            backend = &*self.backend.name,
            ?era,
            tools,
            prompts,
            resources,
            templates,
            "backend ready"
        );
        if report.facts.capability(&["logging"]).is_some() && era == Era::Legacy {
            session.log_level.set_settable();
        }
        self.backend.set_ready(ReadySession {
            session: Arc::clone(session),
            era,
            version,
            facts: Arc::new(report.facts.clone()),
        });
        self.registration.ready(report.clone());
        Ok(Started { era, version, report })
    }

    /// Reads lists again after each change. Changes that come together are one. Never returns.
    async fn follow_lists(&self, session: &Arc<Session>, started: Started) -> String {
        let Started { era, mut report, .. } = started;
        loop {
            session.changed_lists.wait().await;
            tokio::time::sleep(CHANGE_DELAY).await;
            lists::refresh(session, era, &mut report).await;
            self.registration.ready(report.clone());
        }
    }

    /// Runs health checks if they are configured. Returns only with a reason to give the process up.
    async fn check_health(&self, session: &Arc<Session>, era: Era) -> String {
        let Some(interval) = self.timing.check else { return std::future::pending().await };
        let on_change = |problem: Option<String>| {
            if let Some(problem) = &problem {
                tracing::warn!(backend = &*self.backend.name, "backend does not answer: {problem}");
            }
            self.registration.unhealthy(problem);
        };
        health_check::run(session, era, interval, on_change).await
    }

    /// Returns the time for each step of ending the process with the slave: closing standard input, SIGTERM, SIGKILL.
    fn shutdown_grace(&self) -> Duration {
        self.shutdown.grace().map_or(self.timing.stop_grace, |grace| grace / 3)
    }

    /// Sends no more calls to the process, and reports that it does not run.
    fn report_down(&self, reason: &str) {
        self.backend.current.store(None);
        self.backend.watched.reset();
        self.registration.down(BackendState::Restarting { after: Duration::ZERO, reason: reason.to_owned() });
    }

    /// Fails the calls that wait and ends the process group.
    async fn stop(&self, process: Running, reason: &str, grace: Duration) {
        let failure = Failure::BackendFailed {
            backend: self.backend.name.to_string(),
            reason: reason.to_owned(),
            retry_after: None,
        };
        process.stop(&failure, grace).await;
        self.backend.history.set_pid(None);
    }
}

/// Returns a random number for the pause; without randomness the number of the full pause, which is the safe one.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}
