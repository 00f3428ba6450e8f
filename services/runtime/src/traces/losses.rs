//! Counts the spans that reach the collector and those that do not, and says the latter once in a while.
//!
//! The queue is counted in front of the exporter's own, which keeps no number of what it drops. Nothing here waits.

use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::metrics::{Label, Metric};
use metrics::counter;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

const SPANS: &str = "mcp_relay_trace_spans_total";

/// What is counted of spans.
pub const METRICS: &[Metric] = &[Metric::counter(
    SPANS,
    &[Label::of("outcome", &["exported", "failed", "dropped"])],
    "Spans by what became of them: exported, failed (the collector did not take their batch), dropped (too many waited, OTEL_BSP_MAX_QUEUE_SIZE).",
)];

/// How often losses are logged at most.
const PAUSE: Duration = Duration::from_mins(1);

/// What is known of the spans on their way.
#[derive(Debug)]
pub(super) struct ExportStats {
    most: usize,
    waiting: AtomicUsize,
    /// Since the last line about it.
    dropped: AtomicUsize,
    lost: AtomicUsize,
    failing: AtomicBool,
    told: Mutex<Option<Instant>>,
}

impl ExportStats {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            waiting: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            told: Mutex::new(None),
        })
    }

    /// Whether one more may wait.
    fn admit(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.most {
            return true;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        counter!(SPANS, "outcome" => "dropped").increment(1);
        false
    }

    /// A batch is on its way.
    fn taken(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }

    fn exported(&self, spans: usize) {
        counter!(SPANS, "outcome" => "exported").increment(spans as u64);
        if self.failing.swap(false, Ordering::Relaxed) {
            let (failed, dropped) =
                (self.lost.swap(0, Ordering::Relaxed), self.dropped.swap(0, Ordering::Relaxed));
            tracing::info!(failed, dropped, "Spans reach the collector again");
        } else if self.dropped.load(Ordering::Relaxed) > 0 && self.may_tell() {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::warn!(dropped, "Spans were dropped: more end than the collector takes");
        }
    }

    fn failed(&self, spans: usize, error: &dyn std::fmt::Display) {
        counter!(SPANS, "outcome" => "failed").increment(spans as u64);
        self.lost.fetch_add(spans, Ordering::Relaxed);
        self.failing.store(true, Ordering::Relaxed);
        if self.may_tell() {
            let failed = self.lost.swap(0, Ordering::Relaxed);
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::warn!(failed, dropped, "Spans do not reach the collector: {error}");
        }
    }

    fn may_tell(&self) -> bool {
        let mut told = self.told.lock();
        let due = told.is_none_or(|at| at.elapsed() >= PAUSE);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}

/// The queue, with spans counted on their way in.
#[derive(Debug)]
pub(super) struct CountingProcessor<P> {
    next: P,
    losses: Arc<ExportStats>,
}

impl<P> CountingProcessor<P> {
    pub(super) fn new(next: P, losses: Arc<ExportStats>) -> Self {
        Self { next, losses }
    }
}

impl<P: SpanProcessor> SpanProcessor for CountingProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.losses.admit() {
            self.next.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// The exporter, with batches counted on their way out.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    next: E,
    losses: Arc<ExportStats>,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(next: E, losses: Arc<ExportStats>) -> Self {
        Self { next, losses }
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        self.losses.taken(spans);
        async move {
            let result = self.next.export(batch).await;
            match &result {
                Ok(()) => self.losses.exported(spans),
                Err(error) => self.losses.failed(spans, error),
            }
            result
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_beyond_the_queue_are_dropped_until_a_batch_leaves() {
        let losses = ExportStats::new(2);
        assert_eq!([losses.admit(), losses.admit(), losses.admit()], [true, true, false]);
        losses.taken(2);
        assert!(losses.admit());
        assert_eq!(losses.dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn losses_are_told_once_in_a_while() {
        let losses = ExportStats::new(2);
        losses.failed(5, &"down");
        assert_eq!(losses.lost.load(Ordering::Relaxed), 0, "the first is told at once");
        losses.failed(7, &"down");
        assert_eq!(losses.lost.load(Ordering::Relaxed), 7, "the next is not");
        losses.exported(1);
        assert_eq!(losses.lost.load(Ordering::Relaxed), 0);
        assert!(!losses.failing.load(Ordering::Relaxed));
    }
}
