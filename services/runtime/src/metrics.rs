//! The metrics recorder: installed once, rendered for `/metrics`, with the facts of this process.
//!
//! Knows no metric of a service by name; the caller brings the histograms' buckets.

mod process;

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Buckets (in seconds) of a histogram that names none. Without buckets a histogram would become a summary.
pub const DEFAULT_BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// How often drained histogram samples are folded in; bounds the memory between two scrapes.
const UPKEEP: Duration = Duration::from_millis(500);

/// One histogram's upper bounds, in the metric's own unit.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    /// Full metric name.
    pub name: &'static str,
    /// Upper bounds, ascending.
    pub buckets: &'static [f64],
}

/// The recorder cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A histogram has no buckets.
    #[error("metrics: {0}")]
    Build(#[from] BuildError),
    /// A recorder is installed already.
    #[error("metrics are set up already")]
    Twice,
}

/// Renders what was recorded. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes this process's recorder and starts its upkeep. Needs a tokio runtime; call once, before anything is
    /// recorded.
    pub fn install(histograms: &[Histogram]) -> Result<Self, MetricsError> {
        let recorder = builder(histograms)?.build_recorder();
        let metrics = Self { handle: recorder.handle() };
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Twice)?;
        tokio::spawn(metrics.clone().keep_up());
        Ok(metrics)
    }

    /// The text that Prometheus reads (exposition format 0.0.4), with the process's facts of now.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        text.push_str(&process::render());
        text
    }

    /// A recorder that is not installed: renders the process's facts only.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self { handle: PrometheusBuilder::new().build_recorder().handle() }
    }

    async fn keep_up(self) {
        let mut every = tokio::time::interval(UPKEEP);
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

fn builder(histograms: &[Histogram]) -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new().set_buckets(&DEFAULT_BUCKETS)?;
    for histogram in histograms {
        builder =
            builder.set_buckets_for_metric(Matcher::Full(histogram.name.to_owned()), histogram.buckets)?;
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn histograms_have_their_buckets_and_none_becomes_a_summary() {
        let metrics = Metrics::install(&[Histogram { name: "x_seconds", buckets: &[0.5, 2.0] }]).unwrap();
        metrics::histogram!("x_seconds").record(1.0);
        metrics::histogram!("y_seconds").record(0.002);
        metrics::counter!("z_total", "kind" => "a").increment(3);
        let text = metrics.render();
        assert!(text.contains("# TYPE x_seconds histogram"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"0.5\"} 0"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"2\"} 1"), "{text}");
        assert!(text.contains("y_seconds_bucket{le=\"0.0025\"} 1"), "{text}");
        assert!(text.contains("z_total{kind=\"a\"} 3"), "{text}");
        assert!(!text.contains("summary") && !text.contains("quantile"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(matches!(Metrics::install(&[]), Err(MetricsError::Twice)));
    }
}
