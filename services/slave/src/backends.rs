//! What a slave runs calls with, each kind in a file of its own. Must not know who reads a call.

mod demo;
pub mod diary;
pub mod environment;
mod group;
mod lines;
mod mask;
pub mod pilot;
mod servers;
pub mod servers_file;
pub mod stdio;
mod stopping;

use std::sync::Arc;

use bytes::Bytes;
use front::CallOutcome;
use futures_util::future::BoxFuture;
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;

use crate::executor::{CallSink, ExecutorConfig, Registry, ToolCall};
use crate::outcome::BackendOutcome;
use diary::Diary;
use mask::Mask;
pub use servers::Replaced;
pub(crate) use servers::Servers;
use stdio::Surroundings;
use stopping::Leaving;
pub(crate) use stopping::Stopping;

/// What a backend said in the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Raw JSON without newlines: the `result` value or the `error` object, as the client's era wants it.
    pub(crate) payload: Bytes,
    /// It is an error object.
    pub(crate) error: bool,
    /// The result says `isError: true`.
    pub(crate) tool_error: bool,
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

/// Something that runs tool calls.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Runs one call of the backend's own tool `tool`. Dropping the future cancels the call: the backend then frees
    /// everything that the call holds, processes and files included.
    fn call<'a>(
        &'a self,
        call: &'a ToolCall,
        tool: &'a str,
        events: &'a mut dyn CallSink,
    ) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// The version of MCP that is spoken with it at the moment, if it is any.
    fn speaks(&self) -> Option<Version> {
        None
    }

    /// What is written down of its process; `None`: it has none of its own.
    fn diary(&self) -> Option<&Diary> {
        None
    }
}

/// Puts every configured backend into the registry and begins to start it.
pub(crate) fn start_all(config: ExecutorConfig, registry: &Arc<Registry>) -> (Stopping, Servers) {
    let stopping = Stopping::default();
    let around = Surroundings {
        registry: Arc::clone(registry),
        stopping: stopping.clone(),
        mask: Mask::new(&config.secrets),
        max_output: config.max_output,
        pace: config.pace,
        lines: config.lines,
    };
    let probing = config.probe_tool.is_some();
    let servers = Servers::start(if probing { Vec::new() } else { config.servers }, around.clone());
    if let Some(name) = config.probe_tool {
        demo::start_probe(registry, &name, &stopping);
        return (stopping, servers);
    }
    pilot::start(config.pilot, &around);
    if config.demo_tools {
        demo::start(registry, &stopping);
    }
    (stopping, servers)
}
