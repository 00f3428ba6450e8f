//! One span, and what it takes from and gives to other processes. Knows no attribute by name but `error.type`.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Its side of what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It serves somebody's request.
    Server,
    /// It asks somebody.
    Client,
    /// It is between the two.
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

/// W3C trace context as text: how it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub traceparent: String,
    /// `tracestate`, if there is any.
    pub tracestate: Option<String>,
}

/// What a span hangs on.
#[derive(Clone, Debug)]
pub struct Parent(Context);

struct Texts<'a>(Option<&'a str>, Option<&'a str>);

impl Extractor for Texts<'_> {
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
    /// None: the span begins a trace.
    pub fn none() -> Self {
        Self(Context::new())
    }

    /// A span of another process, by its context; none, or one that cannot be read, begins a trace.
    pub fn remote(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let texts = Texts(traceparent, tracestate);
        Self(TraceContextPropagator::new().extract_with_context(&Context::new(), &texts))
    }
}

/// A span. It ends when it is dropped.
#[derive(Debug)]
pub struct Span(opentelemetry_sdk::trace::Span);

impl Span {
    /// Begins now; `None` where traces are off.
    pub fn start(name: impl Into<Cow<'static, str>>, kind: Kind, parent: &Parent) -> Option<Self> {
        Self::start_at(SystemTime::now(), name, kind, parent)
    }

    /// Began at `time`.
    pub fn start_at(
        time: SystemTime,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        parent: &Parent,
    ) -> Option<Self> {
        let tracer = super::tracer()?;
        let builder = tracer.span_builder(name).with_kind(kind.into()).with_start_time(time);
        Some(Self(tracer.build_with_context(builder, &parent.0)))
    }

    /// Begins a part of this one.
    pub fn start_child(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> Option<Self> {
        Self::start(name, kind, &self.as_parent())
    }

    /// What its children hang on.
    pub fn as_parent(&self) -> Parent {
        Parent(Context::new().with_remote_span_context(self.0.span_context().clone()))
    }

    /// The trace that it is part of, recorded or not.
    pub fn trace_id(&self) -> u128 {
        u128::from_be_bytes(self.0.span_context().trace_id().to_bytes())
    }

    /// Whether anybody will see what is said of it.
    pub fn is_recording(&self) -> bool {
        self.0.is_recording()
    }

    /// What another process is to hang its span on.
    pub fn context(&self) -> TraceContext {
        let context = self.0.span_context();
        let sampled = u8::from(context.is_sampled());
        let state = context.trace_state().header();
        TraceContext {
            traceparent: format!("00-{}-{}-{sampled:02x}", context.trace_id(), context.span_id()),
            tracestate: (!state.is_empty()).then_some(state),
        }
    }

    /// Names it anew.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.update_name(name);
    }

    /// Says something of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// It belongs to another span as well.
    pub fn add_link(&mut self, other: &Parent) {
        let context = other.0.span().span_context().clone();
        if context.is_valid() {
            self.0.add_link(context, Vec::new());
        }
    }

    /// It failed. `kind` is `error.type`, and must be one of few.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        let kind = kind.into();
        self.0.set_attribute(KeyValue::new("error.type", kind.clone()));
        self.0.set_status(Status::error(kind));
    }
}
