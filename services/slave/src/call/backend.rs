//! The interface of a backend: what runs a call. Must not know any particular backend.

use std::sync::Arc;

use bytes::Bytes;
use front::CallOutcome;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::catalog::ServerFacts;
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use protocol::mcp::result_marks::ResultMarks;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::request::Request;
use crate::outcome::BackendOutcome;
use crate::subscriptions::WatchedResources;

/// The final answer of a backend to one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Raw JSON without newlines: the `result` value or the `error` object, in the form of the client's era.
    pub(crate) payload: Bytes,
    /// Whether `payload` is an error object.
    pub(crate) error: bool,
    /// Whether the result has `isError: true`.
    pub(crate) tool_error: bool,
    /// What the result may have.
    pub(crate) marks: ResultMarks,
}

impl Answer {
    /// Returns a result of which nothing is known, and which is no tool's error.
    pub(crate) fn result(payload: Bytes) -> Self {
        Self { payload, error: false, tool_error: false, marks: ResultMarks::ANY }
    }

    /// Returns a result that has `isError: true`.
    pub(crate) fn tool_error(payload: Bytes) -> Self {
        Self { tool_error: true, ..Self::result(payload) }
    }

    /// Returns an error.
    pub(crate) fn error(payload: Bytes) -> Self {
        Self { error: true, ..Self::result(payload) }
    }
}

impl From<&Result<Answer, Failure>> for BackendOutcome {
    fn from(answer: &Result<Answer, Failure>) -> Self {
        match answer {
            Ok(Answer { error: true, payload, .. }) => Self::Error(CallOutcome::from_error_object(payload)),
            Ok(Answer { tool_error: true, .. }) => Self::ToolError,
            Ok(_) => Self::Success,
            Err(failure) => {
                let spec = failure.spec();
                Self::Failed { kind: spec.kind, code: spec.code.into() }
            }
        }
    }
}

/// The tasks of one process of a backend.
#[derive(Debug, Default)]
pub(crate) struct TaskPages {
    /// Number of the process; 0: it is none of this slave's.
    pub(crate) generation: u64,
    /// `result` values of `tasks/list`.
    pub(crate) pages: Vec<Bytes>,
}

/// A program or built-in tool set that runs tool calls.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Runs one call of `tool`, the backend's own name of it. Events go to `exchange`; the answer is returned.
    ///
    /// Dropping the future cancels the call: the backend then frees everything that the call holds, processes and
    /// files included.
    fn call<'a>(
        &'a self,
        tool: &'a str,
        request: Request,
        exchange: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Whether the backend may ask the client while a call runs, as legacy MCP servers do.
    fn may_ask(&self) -> bool {
        false
    }

    /// The MCP version that the backend speaks at the moment; `None` for backends that do not speak MCP.
    fn version(&self) -> Option<Version> {
        None
    }

    /// Whether sessions or clients have processes of their own, each with tasks of its own.
    fn has_own_processes(&self) -> bool {
        false
    }

    /// What the slave carries of the backend, which says these things of itself, beside what every slave does ([`ServerFacts::carries`]).
    fn carries(&self, _facts: &ServerFacts) -> Vec<String> {
        Vec::new()
    }

    /// Lists the tasks that the backend has for the session or the client of this header, whoever created them there. Ends at the deadline at the latest, with what has come until then. Starts no process.
    fn tasks<'a>(&'a self, _header: &'a CallHeader, _deadline: Instant) -> BoxFuture<'a, TaskPages> {
        Box::pin(std::future::ready(TaskPages::default()))
    }

    /// Takes a notification of a session's client, where it has a process for this session alone.
    fn notify(&self, _session: &str, _message: &Bytes) {}

    /// Learns that a client ended its session: what the backend keeps for it may go.
    fn end_session(&self, _session: &str) {}

    /// Its resources of which clients want to learn the updates; `None` for backends that cannot tell of any.
    fn watched_resources(&self) -> Option<&Arc<WatchedResources>> {
        None
    }
}
