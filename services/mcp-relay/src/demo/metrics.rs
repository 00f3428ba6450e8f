//! The samples of `/metrics` at one moment, and the changes between two moments. Knows no metric.

use std::collections::BTreeMap;

/// Values by series, as `/metrics` writes them.
pub(super) struct MetricsSnapshot(BTreeMap<String, String>);

impl MetricsSnapshot {
    /// Reads the Prometheus text format without its comments.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        Self(series.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Lines `series  before -> after` of what changed. Metrics of the process and single buckets are left out.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<String> {
        let shown = |name: &str| {
            !name.contains("_bucket{") && !name.starts_with("process_") && !name.starts_with("tokio_")
        };
        let mut lines = Vec::new();
        for (name, value) in self.0.iter().filter(|(name, _)| shown(name)) {
            let old = before.0.get(name).map_or("-", String::as_str);
            // A series that is new and still 0 is no change.
            if old != value && !(old == "-" && value == "0") {
                lines.push(format!("{name}  {old} -> {value}"));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_series_of_the_relay_that_changed_are_listed() {
        let before =
            MetricsSnapshot::parse("# HELP a x\na{b=\"c d\"} 1\nsame 5\nprocess_cpu_seconds_total 1\n");
        let after = MetricsSnapshot::parse(
            "a{b=\"c d\"} 2\nsame 5\nnew 3\nzero 0\nprocess_cpu_seconds_total 2\nh_bucket{le=\"1\"} 4\n",
        );
        assert_eq!(after.changed_since(&before), ["a{b=\"c d\"}  1 -> 2", "new  - -> 3"]);
    }
}
