//! What a server runs as: a child process, or a session with a server that is reached over HTTP. Must not know when it is started or
//! stopped.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::failure::Failure;

use super::backend::StdioBackend;
use super::process::{ExitReason, RunningProcess};
use super::remote::RemoteSession;
use super::session::Session;

/// A running server. Dropping it ends it.
pub(super) enum Running {
    /// A child process.
    Process(Box<RunningProcess>),
    /// A server that runs elsewhere.
    Remote(RemoteSession),
}

impl Running {
    /// Starts the backend's command, or opens its session.
    pub(super) fn start(backend: &Arc<StdioBackend>) -> io::Result<Self> {
        match &backend.server.remote {
            Some(remote) => Ok(Self::Remote(RemoteSession::start(backend, remote)?)),
            None => Ok(Self::Process(Box::new(RunningProcess::start(backend)?))),
        }
    }

    /// Returns its session.
    pub(super) fn session(&self) -> Arc<Session> {
        match self {
            Self::Process(process) => Arc::clone(&process.session),
            Self::Remote(remote) => Arc::clone(&remote.session),
        }
    }

    /// Resolves when it cannot be used any more. Messages that came before are delivered first.
    pub(super) async fn exited(&mut self) -> ExitReason {
        match self {
            Self::Process(process) => process.exited().await,
            Self::Remote(remote) => remote.ended().await,
        }
    }

    /// Fails all requests that wait and ends it; each step of ending it takes at most `grace`.
    pub(super) async fn stop(self, failure: &Failure, grace: Duration) {
        match self {
            Self::Process(process) => process.stop(failure, grace).await,
            Self::Remote(remote) => remote.stop(failure, grace).await,
        }
    }
}
