//! Spans of a call where it runs: a server span from its arrival to its end, and a client span for the backend.
//!
//! The context of the client span goes into the call's `_meta` (MCP servers) or the environment (commands). Must not
//! know executors or backends.

use std::process::ExitStatus;

use front::CallOutcome;
use front::trace::semconv;
use protocol::link::header::CallHeader;
use protocol::mcp::era::Version;
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;
use runtime::traces::{self, Kind, Parent, Span, TraceContext};

use crate::outcome::BackendOutcome;

/// The server span of a call. Empty while traces are off.
#[derive(Debug, Default)]
pub(crate) struct CallTrace(Option<Span>);

impl CallTrace {
    /// Starts the span of a call that arrived by `protocol` (`network.protocol.name`).
    pub(crate) fn start(header: &CallHeader, protocol: &'static str) -> Self {
        if !traces::is_on() {
            return Self(None);
        }
        let parent = Parent::remote(header.traceparent.as_deref(), header.tracestate.as_deref());
        let mut span = Span::start(header.method.clone(), Kind::Server, &parent);
        if let Some(span) = &mut span {
            semconv::set_message(span, header, "tcp", protocol);
        }
        Self(span)
    }

    /// Returns the id of the trace that the call is part of, also where there is no span.
    pub(crate) fn id(&self, header: &CallHeader) -> Option<u128> {
        match &self.0 {
            Some(span) => Some(span.trace_id()),
            None => header.traceparent.as_deref().and_then(trace_id),
        }
    }

    /// Sets the id by which the logs of proxy and slave name the call.
    pub(crate) fn set_log_context(&mut self, context: LogContext) {
        if let Some(span) = &mut self.0 {
            span.set("mcp_relay.request_id", context.request());
        }
    }

    /// Sets the tool, which must be of the catalog, and the JSON-RPC id. Returns the parent of the backend's span.
    pub(crate) fn set_tool(&mut self, tool: &str, request_id: &[u8]) -> Option<Parent> {
        let span = self.0.as_mut()?;
        semconv::set_tool(span, tool);
        semconv::set_request_id(span, &String::from_utf8_lossy(request_id));
        Some(span.as_parent())
    }

    /// Ends the span.
    pub(crate) fn finish(self, outcome: BackendOutcome) {
        let Some(mut span) = self.0 else { return };
        if let BackendOutcome::Failed { kind, .. } = outcome {
            span.set("mcp_relay.outcome", kind);
        }
        semconv::set_outcome(&mut span, outcome.of_server());
    }
}

/// A request to a backend that speaks MCP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackendRequest<'a> {
    /// The backend's name.
    pub(crate) backend: &'a str,
    /// The backend's own name of the tool.
    pub(crate) tool: &'a str,
    /// The version of MCP that is spoken with it.
    pub(crate) version: Version,
    /// The JSON-RPC id of the request.
    pub(crate) id: u64,
}

/// The client span of a request to a backend. Dropped before [`Self::finish`], the request was cancelled.
pub(crate) struct BackendSpan(Option<Span>);

impl BackendSpan {
    /// Starts the span of a request that is about to be sent.
    pub(crate) fn start(parent: Option<&Parent>, request: BackendRequest<'_>) -> Self {
        let span = parent.and_then(|parent| Span::start("tools/call", Kind::Client, parent));
        let Some(mut span) = span else { return Self(None) };
        if span.is_recording() {
            span.set("mcp.method.name", "tools/call");
            span.set("mcp.protocol.version", request.version.as_str());
            span.set("network.transport", "pipe");
            span.set("mcp_relay.backend", request.backend.to_owned());
            semconv::set_tool(&mut span, request.tool);
            semconv::set_request_id(&mut span, &request.id.to_string());
        }
        Self(Some(span))
    }

    /// Starts the span of a command that is run for the call (OpenTelemetry's conventions for command line programs).
    pub(crate) fn start_command(parent: Option<&Parent>, backend: &'static str, executable: &str) -> Self {
        let span = parent.and_then(|parent| Span::start(executable.to_owned(), Kind::Client, parent));
        let Some(mut span) = span else { return Self(None) };
        span.set("process.executable.name", executable.to_owned());
        span.set("mcp_relay.backend", backend);
        Self(Some(span))
    }

    /// Sets the exit code of the command.
    pub(crate) fn set_exit(&mut self, status: ExitStatus) {
        if let (Some(span), Some(code)) = (&mut self.0, status.code()) {
            span.set("process.exit.code", i64::from(code));
        }
    }

    /// Returns the context that the backend gets, for its own spans.
    pub(crate) fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(Span::context)
    }

    /// Ends the span: the backend answered, or will not.
    pub(crate) fn finish(mut self, outcome: BackendOutcome) {
        if let Some(mut span) = self.0.take() {
            semconv::set_outcome(&mut span, outcome.of_client());
        }
    }
}

impl Drop for BackendSpan {
    fn drop(&mut self) {
        if let Some(mut span) = self.0.take() {
            semconv::set_outcome(&mut span, CallOutcome::Unanswered("cancelled"));
        }
    }
}
