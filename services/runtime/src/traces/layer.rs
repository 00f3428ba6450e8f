//! Export of `tracing` spans by `tracing-opentelemetry`. Must not know what is traced.

use opentelemetry_sdk::trace::SdkTracer;
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
    tracer::get().cloned().map(with_tracer)
}

fn with_tracer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Only the attributes that the span names: none of the source, the thread or the time that it was entered.
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_filter(filter_fn(is_exported))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use parking_lot::Mutex;
    use tracing::field::Empty;
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// An exporter that keeps all spans.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
            self.0.lock().extend(batch);
            std::future::ready(Ok(()))
        }
    }

    #[test]
    fn spans_of_the_target_are_exported_with_their_own_attributes_only() {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let subscriber = tracing_subscriber::registry().with(with_tracer(provider.tracer("test")));
        tracing::subscriber::with_default(subscriber, || {
            let outer = info_span!(target: TARGET, "outer");
            let _entered = outer.enter();
            let span = info_span!(
                target: TARGET,
                parent: None,
                "link",
                "otel.kind" = "client",
                "server.port" = 7_i64,
                "mcp_relay.outcome" = Empty,
                "mcp_relay.dialect" = Empty,
                "otel.status_description" = Empty,
            );
            span.record("mcp_relay.outcome", "refused");
            span.record("otel.status_description", "refused");
            drop(span);
            drop(info_span!("other"));
            tracing::info!(target: TARGET, "an event");
        });
        let spans = kept.0.lock();
        let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["link", "outer"]);
        let link = &spans[0];
        assert_eq!((link.parent_span_id, &link.span_kind), (SpanId::INVALID, &SpanKind::Client));
        let attributes: Vec<String> =
            link.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        assert_eq!(attributes, ["server.port=7", "mcp_relay.outcome=refused"]);
        assert_eq!(link.status, Status::error("refused"));
        assert!(link.events.is_empty() && spans[1].events.is_empty());
    }
}
