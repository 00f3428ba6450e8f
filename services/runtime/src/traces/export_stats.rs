//! Counts the spans that reach the collector and those that do not, and logs the latter at intervals.
//!
//! The exporter's own queue does not count what it drops, so spans are counted in front of it. Nothing here blocks. Must
//! not know what is traced.

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

/// The series of exported spans.
pub const METRICS: &[Metric] = &[Metric::counter(
    SPANS,
    &[Label::of("outcome", &["exported", "failed", "dropped"])],
    "Spans by outcome: exported, failed (the collector did not accept their batch), dropped (the queue was full, OTEL_BSP_MAX_QUEUE_SIZE).",
)];

/// How often stats are logged at most.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Counters of the spans between their end and their export.
#[derive(Debug)]
pub(super) struct ExportStats {
    max_queued: usize,
    queued: AtomicUsize,
    /// Dropped since the last log line.
    dropped: AtomicUsize,
    /// Failed since the last log line.
    failed: AtomicUsize,
    failing: AtomicBool,
    logged_at: Mutex<Option<Instant>>,
    /// Why the last connection was not opened; `None`: it was.
    connection_fault: Mutex<Option<String>>,
}

impl ExportStats {
    pub(super) fn new(max_queued: usize) -> Arc<Self> {
        Arc::new(Self {
            max_queued,
            queued: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            logged_at: Mutex::new(None),
            connection_fault: Mutex::new(None),
        })
    }

    /// Counts a span that ended; whether it may be queued.
    fn try_enqueue(&self) -> bool {
        if self.queued.fetch_add(1, Ordering::Relaxed) < self.max_queued {
            return true;
        }
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        counter!(SPANS, "outcome" => "dropped").increment(1);
        false
    }

    /// Counts a batch that left the queue.
    fn record_dequeued(&self, spans: usize) {
        self.queued.fetch_sub(spans, Ordering::Relaxed);
    }

    /// Counts a batch that the collector accepted.
    fn record_exported(&self, spans: usize) {
        counter!(SPANS, "outcome" => "exported").increment(spans as u64);
        if self.failing.swap(false, Ordering::Relaxed) {
            let (failed, dropped) =
                (self.failed.swap(0, Ordering::Relaxed), self.dropped.swap(0, Ordering::Relaxed));
            tracing::info!(failed, dropped, "Spans reach the collector again");
        } else if self.dropped.load(Ordering::Relaxed) > 0 && self.may_log() {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::warn!(dropped, "Spans were dropped: more end than the collector takes");
        }
    }

    /// Keeps why a connection was not opened; `None`: it was.
    pub(super) fn record_connection(&self, fault: Option<String>) {
        *self.connection_fault.lock() = fault;
    }

    /// Returns why a batch was not accepted: the connection's reason, or what the exporter says of the answer.
    fn why(&self, error: &dyn std::fmt::Display) -> String {
        if let Some(fault) = self.connection_fault.lock().clone() {
            return fault;
        }
        let text = error.to_string();
        if ["transport error", "network error"].iter().any(|broken| text.contains(broken)) {
            return "the collector's answer cannot be read: see whether the port speaks the protocol of \
                    OTEL_EXPORTER_OTLP_PROTOCOL, and TLS (https://) or not"
                .to_owned();
        }
        text.strip_prefix("Operation failed: ").map(str::to_owned).unwrap_or(text)
    }

    /// Counts a batch that the collector did not accept.
    fn record_failed(&self, spans: usize, error: &dyn std::fmt::Display) {
        counter!(SPANS, "outcome" => "failed").increment(spans as u64);
        self.failed.fetch_add(spans, Ordering::Relaxed);
        self.failing.store(true, Ordering::Relaxed);
        if self.may_log() {
            let failed = self.failed.swap(0, Ordering::Relaxed);
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            let why = self.why(error);
            tracing::warn!(failed, dropped, "Spans do not reach the collector: {why}");
        }
    }

    fn may_log(&self) -> bool {
        let mut logged_at = self.logged_at.lock();
        let due = logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if due {
            *logged_at = Some(Instant::now());
        }
        due
    }
}

/// A span processor that counts the spans on their way into the queue.
#[derive(Debug)]
pub(super) struct CountingProcessor<P> {
    next: P,
    stats: Arc<ExportStats>,
}

impl<P> CountingProcessor<P> {
    pub(super) fn new(next: P, stats: Arc<ExportStats>) -> Self {
        Self { next, stats }
    }
}

impl<P: SpanProcessor> SpanProcessor for CountingProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.stats.try_enqueue() {
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

/// A span exporter that counts the batches on their way to the collector.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    next: E,
    stats: Arc<ExportStats>,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(next: E, stats: Arc<ExportStats>) -> Self {
        Self { next, stats }
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        self.stats.record_dequeued(spans);
        async move {
            let result = self.next.export(batch).await;
            match &result {
                Ok(()) => self.stats.record_exported(spans),
                Err(error) => self.stats.record_failed(spans, error),
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
        let stats = ExportStats::new(2);
        assert_eq!([stats.try_enqueue(), stats.try_enqueue(), stats.try_enqueue()], [true, true, false]);
        stats.record_dequeued(2);
        assert!(stats.try_enqueue());
        assert_eq!(stats.dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_reason_is_the_connections_where_there_is_one() {
        let stats = ExportStats::new(2);
        assert_eq!(stats.why(&"Operation failed: status 404"), "status 404");
        assert!(stats.why(&"gRPC code: Unavailable: transport error: h2").contains("https://"));
        stats.record_connection(Some("TLS failed".into()));
        assert_eq!(stats.why(&"HTTP export failed: network error"), "TLS failed");
        stats.record_connection(None);
        assert_eq!(stats.why(&"status 503"), "status 503");
    }

    #[test]
    fn losses_are_logged_at_most_once_an_interval() {
        let stats = ExportStats::new(2);
        stats.record_failed(5, &"down");
        assert_eq!(stats.failed.load(Ordering::Relaxed), 0, "the first is logged at once");
        stats.record_failed(7, &"down");
        assert_eq!(stats.failed.load(Ordering::Relaxed), 7, "the next is not logged");
        stats.record_exported(1);
        assert_eq!(stats.failed.load(Ordering::Relaxed), 0);
        assert!(!stats.failing.load(Ordering::Relaxed));
    }
}
