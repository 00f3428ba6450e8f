//! Spans of a call where it runs: a server span from its arrival to its end, and a client span for the backend, whose
//! context goes into the call's `_meta` (MCP servers) or the environment (commands). Knows neither links nor processes.

mod own;

use std::process::ExitStatus;

use front::metrics::Ended;
use front::spans;
use protocol::link::header::CallHeader;
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;
use runtime::traces::{self, Kind, Parent, Span, TraceContext};

use crate::call::{Answer, Request};
use crate::metrics;
pub(crate) use own::{BackendStart, LinkStart};

/// The server span of a call. Nothing while traces are off.
#[derive(Debug, Default)]
pub(crate) struct CallTrace(Option<Span>);

impl CallTrace {
    /// A call arrived by this protocol (`network.protocol.name`).
    pub(crate) fn of(header: &CallHeader, protocol: &'static str) -> Self {
        if !traces::is_on() {
            return Self(None);
        }
        let parent = Parent::remote(header.traceparent.as_deref(), header.tracestate.as_deref());
        let mut span = Span::begin(header.method.clone(), Kind::Server, &parent);
        if let Some(span) = &mut span {
            spans::about(span, header, ("tcp", protocol));
        }
        Self(span)
    }

    /// The trace that the call is part of, spans or not.
    pub(crate) fn id(&self, header: &CallHeader) -> Option<u128> {
        match &self.0 {
            Some(span) => Some(span.trace_id()),
            None => header.traceparent.as_deref().and_then(trace_id),
        }
    }

    /// The proxy's and this slave's common name of the call.
    pub(crate) fn named(&mut self, subject: LogContext) {
        if let Some(span) = &mut self.0 {
            span.set("mcp_relay.request_id", subject.request());
        }
    }

    /// The call's tool is in the catalog.
    pub(crate) fn admitted(&mut self, call: &mut Request) {
        let Some(span) = &mut self.0 else { return };
        spans::of_tool(span, &call.name);
        spans::request_id(span, &String::from_utf8_lossy(call.json(&call.id)));
        call.parent = Some(span.as_parent());
    }

    /// The call ended.
    pub(crate) fn ended(self, answer: &Result<Answer, Failure>) {
        let Some(mut span) = self.0 else { return };
        let ended = match answer {
            Ok(_) => metrics::ended(answer),
            Err(failure) => {
                span.set("mcp_relay.outcome", failure.spec().kind);
                Ended::Code(failure.spec().code.into())
            }
        };
        spans::ended(&mut span, ended);
    }
}

/// A question to a backend. One that is dropped before its answer was cancelled.
pub(crate) struct Asked(Option<Span>);

impl Asked {
    /// The backend is about to get the call under this id of ours.
    pub(crate) fn of(call: &Request, tool: &str, (backend, version, id): (&str, Version, u64)) -> Self {
        let span = call.parent.as_ref().and_then(|parent| Span::begin("tools/call", Kind::Client, parent));
        let Some(mut span) = span else { return Self(None) };
        if span.is_recording() {
            span.set("mcp.method.name", "tools/call");
            span.set("mcp.protocol.version", version.as_str());
            span.set("network.transport", "pipe");
            span.set("mcp_relay.backend", backend.to_owned());
            spans::of_tool(&mut span, tool);
            spans::request_id(&mut span, &id.to_string());
        }
        Self(Some(span))
    }

    /// A command, which is the backend too, is about to be run for the call (OpenTelemetry's conventions for command
    /// line programs).
    pub(crate) fn run(call: &Request, command: &'static str) -> Self {
        let span = call.parent.as_ref().and_then(|parent| Span::begin(command, Kind::Client, parent));
        let Some(mut span) = span else { return Self(None) };
        span.set("process.executable.name", command);
        span.set("mcp_relay.backend", command);
        Self(Some(span))
    }

    /// The command ended.
    pub(crate) fn exited(&mut self, status: ExitStatus) {
        if let (Some(span), Some(code)) = (&mut self.0, status.code()) {
            span.set("process.exit.code", i64::from(code));
        }
    }

    /// What the backend's own span is to hang on.
    pub(crate) fn carried(&self) -> Option<TraceContext> {
        self.0.as_ref().map(Span::carried)
    }

    /// The backend answered, or will not.
    pub(crate) fn answered(mut self, answer: &Result<Answer, Failure>) {
        if let Some(mut span) = self.0.take() {
            spans::ended(&mut span, metrics::ended(answer));
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(mut span) = self.0.take() {
            spans::ended(&mut span, Ended::Unanswered("cancelled"));
        }
    }
}
