//! A running child with its session and the tasks that serve its pipes. Must not know when it is started or stopped.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::mcp::failure::Failure;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;

use super::backend::StdioBackend;
use super::child::{self, ChildProcess, Pipes};
use super::reader::{OutputReader, ReadEnd};
use super::session::Session;
use super::stderr_log;
use crate::launcher;
use crate::metrics::Exit;

/// The time in which output that was written before a child ended is still read.
const STDERR_GRACE: Duration = Duration::from_secs(2);

/// Number of the next child.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A running child with the tasks that serve its pipes. Dropping it kills the child's process group.
pub(super) struct RunningProcess {
    pub(super) session: Arc<Session>,
    child: ChildProcess,
    reader: JoinHandle<ReadEnd>,
    writer: AbortHandle,
    tasks: JoinSet<()>,
    backend: Arc<StdioBackend>,
}

/// The reason why a child cannot be used any more.
pub(super) struct ExitReason {
    /// The reason in words. May quote the child.
    pub(super) text: String,
    /// The reason for the metric.
    pub(super) exit: Exit,
}

impl ExitReason {
    pub(super) fn new(text: impl Into<String>, exit: impl Into<Exit>) -> Self {
        Self { text: text.into(), exit: exit.into() }
    }

    fn of_status(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::new(format!("it exited with code {code}"), Exit::Code(code)),
            (None, Some(signal)) => {
                Self::new(format!("it was killed by signal {signal}"), Exit::Signal(signal))
            }
            (None, None) => Self::new("it ended", Exit::Other("exited")),
        }
    }
}

impl RunningProcess {
    /// Starts the backend's command and the tasks for its pipes.
    pub(super) fn start(backend: &Arc<StdioBackend>) -> io::Result<Self> {
        let (child, Pipes { stdin, stdout, stderr }) = child::spawn(&backend.server, &backend.launcher)?;
        backend.history.set_pid(child.pid());
        let other = stdin.as_fd().try_clone_to_owned().ok();
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let (session, messages) = Session::new(Arc::clone(&backend.name), other, generation);
        let mut tasks = JoinSet::new();
        let writer = tasks.spawn(child::write(stdin, messages));
        let logged = Arc::clone(backend);
        tasks.spawn(async move {
            stderr_log::log(&logged.name, stderr, &logged.redactor, &logged.history).await;
        });
        let (redactor, odd) = (backend.redactor.clone(), Arc::clone(&backend.odd));
        let reader = OutputReader::new(Arc::clone(&session), redactor, odd, backend.max_output)
            .with_watched(Arc::clone(&backend.watched))
            .with_streams(backend.streams.clone());
        let reader = tokio::spawn(reader.run(stdout));
        Ok(Self { session, child, reader, writer, tasks, backend: Arc::clone(backend) })
    }

    /// Resolves when the child cannot be used any more. Messages that it wrote before are delivered first.
    pub(super) async fn exited(&mut self) -> ExitReason {
        tokio::select! {
            status = self.child.wait() => {
                let _ = timeout(STDERR_GRACE, &mut self.reader).await;
                match status {
                    Ok(status) => self.reason_of(status).await,
                    Err(error) => ExitReason::new(format!("it cannot be waited for: {error}"), "closed"),
                }
            }
            end = &mut self.reader => match end {
                Ok(ReadEnd::Closed) => match timeout(STDERR_GRACE, self.child.wait()).await {
                    Ok(Ok(status)) => self.reason_of(status).await,
                    _ => ExitReason::new("it closed its standard output", "closed"),
                },
                Ok(ReadEnd::Failed(error)) => {
                    ExitReason::new(format!("its standard output cannot be read: {error}"), "closed")
                }
                Err(_) => ExitReason::new("its reader failed", "closed"),
            },
        }
    }

    /// Returns the reason of an exit: the launcher's, if it did not start the backend.
    async fn reason_of(&mut self, status: ExitStatus) -> ExitReason {
        if launcher::is_start_failure(status) {
            self.writer.abort();
            let _ = timeout(STDERR_GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
            if let Some(reason) = self.backend.history.start_error() {
                return ExitReason::new(reason, "start_failed");
            }
        }
        ExitReason::of_status(status)
    }

    /// Fails all requests that wait and ends the child; each step of ending it takes at most `grace`.
    pub(super) async fn stop(mut self, failure: &Failure, grace: Duration) {
        self.session.close(failure);
        self.reader.abort();
        // This closes standard input, which asks the child to end. Standard error is read to its end.
        self.writer.abort();
        self.child.stop(grace).await;
        let _ = timeout(STDERR_GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}
