//! The metrics recorder: installed once, and rendered for `/metrics` with the series of the process. Must not know metrics
//! of services: callers bring their [`table`]s.

mod bounded;
mod calls;
mod document;
mod process;
mod table;

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use bounded::BoundedValues;
pub use calls::CallStats;
pub use document::markdown;
pub use process::METRICS as PROCESS;
pub use table::{Appears, Buckets, Kind, Label, Metric, faults};

/// Buckets, in seconds, of histograms that are in no table. Without buckets a histogram would become a summary.
const DEFAULT_BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// How often samples of histograms are aggregated, which bounds the memory between two scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Why the recorder cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A histogram has no buckets.
    #[error("metrics: {0}")]
    Build(#[from] BuildError),
    /// A recorder is installed already.
    #[error("metrics are set up already")]
    Twice,
}

/// Function that sets gauges before a scrape.
type Sample = Box<dyn Fn() + Send + Sync>;

/// The recorder of this process. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Metrics {
    /// Returns what a counter with the labels `tool` and `outcome` and a histogram with `tool` say of each tool.
    pub fn calls_by_tool(&self, counter: &str, histogram: &str) -> HashMap<String, CallStats> {
        calls::read(&self.handle.render(), counter, histogram)
    }

    /// Installs the recorder of this process and announces the series of these tables. `role` is what this process is, say
    /// `proxy`. Must be called once, in a tokio runtime, before anything is recorded.
    pub fn install(role: &'static str, tables: &[&[Metric]]) -> Result<Self, MetricsError> {
        let recorder = builder(tables)?.build_recorder();
        let metrics = Self { handle: recorder.handle(), samples: Arc::default() };
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Twice)?;
        tables.iter().copied().flatten().for_each(Metric::announce);
        process::announce(role);
        tokio::spawn(metrics.clone().run_upkeep());
        Ok(metrics)
    }

    /// Calls `sample` before each rendering, to set gauges that cost nothing between scrapes. It must not block.
    pub fn before_each_scrape(&self, sample: impl Fn() + Send + Sync + 'static) {
        self.samples.lock().push(Box::new(sample));
    }

    /// Renders all series in the exposition format 0.0.4 of Prometheus.
    pub fn render(&self) -> String {
        for sample in &*self.samples.lock() {
            sample();
        }
        let mut text = self.handle.render();
        text.push_str(&process::render());
        text
    }

    /// A recorder that is not installed, and renders the series of the process only.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self { handle: PrometheusBuilder::new().build_recorder().handle(), samples: Arc::default() }
    }

    async fn run_upkeep(self) {
        let mut every = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            every.tick().await;
            self.handle.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn builder(tables: &[&[Metric]]) -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new().set_buckets(&DEFAULT_BUCKETS)?;
    for metric in tables.iter().copied().flatten() {
        if let Kind::Histogram(Buckets { bounds, .. }) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Metric] = &[
        Metric::seconds("x_seconds", Buckets { bounds: &[0.5, 2.0], why: "A test." }, &[], "How long."),
        Metric::counter("w_total", &[Label::of("kind", &["a", "b"])], "How many."),
        Metric::gauge("v", &[], "How much.").when_known(),
    ];

    #[tokio::test]
    async fn histograms_have_their_buckets_and_none_is_a_summary() {
        let metrics = Metrics::install("test", &[TABLE]).unwrap();
        let text = metrics.render();
        assert!(text.contains("# HELP w_total How many.\n# TYPE w_total counter\n"), "{text}");
        assert!(text.contains("w_total{kind=\"b\"} 0") && text.contains("x_seconds_count 0"), "{text}");
        assert!(!text.contains("\nv "), "{text}");
        metrics.before_each_scrape(|| metrics::gauge!("v").set(7));
        metrics::histogram!("x_seconds").record(1.0);
        metrics::histogram!("y_seconds").record(0.002);
        metrics::counter!("z_total", "kind" => "a").increment(3);
        let text = metrics.render();
        assert!(text.contains("# TYPE x_seconds histogram"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"0.5\"} 0"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"2\"} 1"), "{text}");
        assert!(text.contains("y_seconds_bucket{le=\"0.0025\"} 1"), "{text}");
        assert!(text.contains("z_total{kind=\"a\"} 3") && text.contains("\nv 7\n"), "{text}");
        assert!(!text.contains("summary") && !text.contains("quantile"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("mcp_relay_build_info{") && text.contains("role=\"test\""), "{text}");
        assert!(matches!(Metrics::install("test", &[]), Err(MetricsError::Twice)));
    }
}
