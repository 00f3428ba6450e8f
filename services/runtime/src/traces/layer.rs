//! Export of `tracing` spans by `tracing-opentelemetry`. Must not know what is traced.

use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::tracer;

/// The target of `tracing` spans that are exported. Log lines never show them.
pub const TARGET: &str = "mcp_relay::traces";

/// Whether a span is to be exported.
pub(crate) fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET
}

/// Returns the layer that exports spans with [`TARGET`]; `None` while traces are off.
pub(crate) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let tracer = tracer::get()?.clone();
    // Only the attributes that the span names: none of the source, the thread or the time that it was entered.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false);
    Some(layer.with_filter(filter_fn(is_exported)))
}
