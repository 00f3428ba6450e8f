//! The samples of `/metrics` at one moment. Knows no metric.

/// One sample: the series with its labels, and its value.
struct Sample {
    series: String,
    value: f64,
}

/// The samples of one scrape.
pub(super) struct MetricsSnapshot(Vec<Sample>);

impl MetricsSnapshot {
    /// Reads the Prometheus text format without its comments.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some(Sample { series: series.to_owned(), value: value.parse().ok()? })
        });
        Self(samples.collect())
    }

    /// Sum of the metric `name` over its series with all of `labels` (`name="value"` each).
    pub(super) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let asked = |sample: &&Sample| {
            let (found, has) = sample.series.split_once('{').unwrap_or((&sample.series, ""));
            found == name && labels.iter().all(|label| has.contains(label))
        };
        self.0.iter().filter(asked).map(|sample| sample.value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_metric_are_summed_by_labels() {
        let text = "# HELP a x\na{b=\"1\",c=\"x y\"} 1\na{b=\"2\",c=\"x y\"} 2.5\na_count 7\nplain 3\n";
        let snapshot = MetricsSnapshot::parse(text);
        let rows: [(&str, &[&str], f64); 5] = [
            ("a", &[], 3.5),
            ("a", &["b=\"1\""], 1.0),
            ("a", &["b=\"2\"", "c=\"x y\""], 2.5),
            ("plain", &[], 3.0),
            ("absent", &[], 0.0),
        ];
        for (name, labels, sum) in rows {
            assert!((snapshot.sum(name, labels) - sum).abs() < 1e-9, "{name} {labels:?}");
        }
    }
}
