//! A session with a server that is reached over HTTP. Must not know the transport.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::failure::Failure;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::backend::StdioBackend;
use super::incoming::Incoming;
use super::process::ExitReason;
use super::reader::OutputReader;
use super::session::Session;
use crate::backends::mcp_http::{self, HttpServer, Inbox, Upstream, UpstreamSettings};

/// A session and the task that carries its messages. Dropping it ends all exchanges.
pub(super) struct RemoteSession {
    pub(super) session: Arc<Session>,
    upstream: Arc<Upstream>,
    carrier: JoinHandle<String>,
}

/// The session as the transport sees it.
struct SessionInbox {
    session: Arc<Session>,
    reader: Mutex<OutputReader>,
}

impl Inbox for SessionInbox {
    fn message(&self, of: Option<u64>, message: Bytes) {
        self.reader.lock().take(of, message);
    }

    fn failed(&self, id: u64, failure: Failure) {
        self.session.complete(id, Incoming::Failed(failure));
    }

    fn waits(&self, id: u64) -> bool {
        self.session.waits(id)
    }
}

impl RemoteSession {
    /// Begins to carry messages. The first one opens the connection.
    pub(super) fn start(backend: &Arc<StdioBackend>, server: &HttpServer) -> io::Result<Self> {
        let (session, messages) = Session::new(Arc::clone(&backend.name), None, 0);
        let (redactor, odd) = (backend.redactor.clone(), Arc::clone(&backend.odd));
        let reader = OutputReader::new(Arc::clone(&session), redactor, odd, backend.max_output)
            .with_watched(Arc::clone(&backend.watched))
            .with_streams(backend.streams.clone());
        let inbox = SessionInbox { session: Arc::clone(&session), reader: Mutex::new(reader) };
        let name = Arc::clone(&backend.name);
        let settings = UpstreamSettings {
            max_message: backend.max_output,
            ways: backend.ways.clone(),
            tokens: backend.tokens.clone(),
        };
        let upstream = Upstream::new(name, server.clone(), settings, Box::new(inbox));
        let upstream = Arc::new(upstream.map_err(io::Error::other)?);
        let of_task = Arc::clone(&upstream);
        let carrier = tokio::spawn(async move { mcp_http::run(&of_task, messages).await });
        Ok(Self { session, upstream, carrier })
    }

    /// Resolves when the server cannot be reached any more.
    pub(super) async fn ended(&mut self) -> ExitReason {
        let reason = (&mut self.carrier).await;
        ExitReason::new(reason.unwrap_or_else(|_| "its reader failed".to_owned()), "closed")
    }

    /// Fails all requests that wait, and tells the server that the session is over; waits at most `grace` for its answer.
    pub(super) async fn stop(self, failure: &Failure, grace: Duration) {
        self.session.close(failure);
        self.carrier.abort();
        let _ = timeout(grace, self.upstream.end_session()).await;
    }
}

impl Drop for RemoteSession {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}
