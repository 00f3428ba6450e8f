//! Spans with explicit parents, which may be of other processes. Must not know attributes, except `error.type`.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::tracer;

/// The role of a span's process in what the span covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process serves a request.
    Server,
    /// The process sends a request.
    Client,
    /// A step inside the process.
    Internal,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Internal => Self::Internal,
        }
    }
}

/// W3C trace context, as the values of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub traceparent: String,
    /// `tracestate`, if there is any.
    pub tracestate: Option<String>,
}

/// The parent of a span.
#[derive(Clone, Debug)]
pub struct Parent(Context);

/// `traceparent` and `tracestate` for the propagator.
struct Headers<'a>(Option<&'a str>, Option<&'a str>);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0,
            "tracestate" => self.1,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

impl Parent {
    /// Returns no parent: the span starts a trace.
    pub fn none() -> Self {
        Self(Context::new())
    }

    /// Returns a parent in another process. Without a valid `traceparent`, the span starts a trace.
    pub fn remote(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let headers = Headers(traceparent, tracestate);
        Self(TraceContextPropagator::new().extract_with_context(&Context::new(), &headers))
    }
}

/// A span, which ends when it is dropped.
#[derive(Debug)]
pub struct Span(opentelemetry_sdk::trace::Span);

impl Span {
    /// Starts a span now; `None` while traces are off.
    pub fn start(name: impl Into<Cow<'static, str>>, kind: Kind, parent: &Parent) -> Option<Self> {
        Self::start_at(SystemTime::now(), name, kind, parent)
    }

    /// Starts a span at `time`, which may be in the past; `None` while traces are off.
    pub fn start_at(
        time: SystemTime,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        parent: &Parent,
    ) -> Option<Self> {
        let tracer = tracer::get()?;
        let builder = tracer.span_builder(name).with_kind(kind.into()).with_start_time(time);
        Some(Self(tracer.build_with_context(builder, &parent.0)))
    }

    /// Starts a child of this span.
    pub fn start_child(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> Option<Self> {
        Self::start(name, kind, &self.as_parent())
    }

    /// Returns this span as the parent of others.
    pub fn as_parent(&self) -> Parent {
        Parent(Context::new().with_remote_span_context(self.0.span_context().clone()))
    }

    /// Returns the id of the trace, whether it is sampled or not.
    pub fn trace_id(&self) -> u128 {
        u128::from_be_bytes(self.0.span_context().trace_id().to_bytes())
    }

    /// Whether attributes are recorded: the trace is sampled.
    pub fn is_recording(&self) -> bool {
        self.0.is_recording()
    }

    /// Returns the context that other processes continue the trace with.
    pub fn context(&self) -> TraceContext {
        let context = self.0.span_context();
        let sampled = u8::from(context.is_sampled());
        let state = context.trace_state().header();
        TraceContext {
            traceparent: format!("00-{}-{}-{sampled:02x}", context.trace_id(), context.span_id()),
            tracestate: (!state.is_empty()).then_some(state),
        }
    }

    /// Replaces the name.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.update_name(name);
    }

    /// Sets an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Adds a link to another span.
    pub fn add_link(&mut self, other: &Parent) {
        let context = other.0.span().span_context().clone();
        if context.is_valid() {
            self.0.add_link(context, Vec::new());
        }
    }

    /// Marks the span as failed. `kind` becomes `error.type`; its values must be bounded.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        let kind = kind.into();
        self.0.set_attribute(KeyValue::new("error.type", kind.clone()));
        self.0.set_status(Status::error(kind));
    }
}
