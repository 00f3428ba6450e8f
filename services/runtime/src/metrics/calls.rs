//! What the series say of the calls of each tool: how many, how many failed, and how long they took. Read from the rendered text, so that a
//! call costs nothing more. Must not know tools.

use std::collections::HashMap;
use std::time::Duration;

/// The label that names the tool.
const TOOL: &str = "tool";

/// Values of the label `outcome` of calls that did not fail.
const NOT_FAILED: [&str; 3] = ["ok", "cancelled", "abandoned"];

/// The calls of one tool since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallStats {
    /// Calls that ended.
    pub calls: u64,
    /// Those of them that failed; the tool's own errors count.
    pub errors: u64,
    /// Upper bounds of the buckets in seconds, and the number of calls up to each, in the order of the bounds.
    buckets: Vec<(f64, f64)>,
}

impl CallStats {
    /// Estimates a quantile, 0 to 1, of the durations, as Prometheus does: linear within a bucket. Longer ones than the last bound count as
    /// that bound. `None`: no call has ended.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let total = self.buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = quantile * total;
        let mut below = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank {
                if bound.is_infinite() {
                    break;
                }
                let share = if *count > below.1 { (rank - below.1) / (count - below.1) } else { 1.0 };
                return Some(Duration::from_secs_f64((bound - below.0).mul_add(share, below.0)));
            }
            if bound.is_finite() {
                below = (*bound, *count);
            }
        }
        Some(Duration::from_secs_f64(below.0))
    }
}

/// Reads what a counter with the labels `tool` and `outcome` and a histogram with `tool` say of each tool.
pub(super) fn read(text: &str, counter: &str, histogram: &str) -> HashMap<String, CallStats> {
    let bucket = format!("{histogram}_bucket");
    let mut all: HashMap<String, CallStats> = HashMap::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        if name != counter && name != bucket {
            continue;
        }
        let Some((labels, value)) = labels(rest) else { continue };
        let get = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        // Requests that call no tool have an empty name.
        let Some(tool) = get(TOOL).filter(|tool| !tool.is_empty()) else { continue };
        let value = value.trim();
        let stats = all.entry(tool.clone()).or_default();
        if name == counter {
            let failed = get("outcome").is_none_or(|outcome| !NOT_FAILED.contains(&outcome.as_str()));
            let Ok(value) = value.parse::<u64>() else { continue };
            stats.calls += value;
            stats.errors += if failed { value } else { 0 };
            continue;
        }
        let Ok(value) = value.parse::<f64>() else { continue };
        if let Some(bound) = get("le").and_then(|bound| bound.replace("+Inf", "inf").parse().ok()) {
            stats.buckets.push((bound, value));
        }
    }
    for stats in all.values_mut() {
        stats.buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    all
}

/// Labels of a series.
type Labels<'a> = Vec<(&'a str, String)>;

/// Reads labels up to the closing brace, and returns them with what follows it.
fn labels(text: &str) -> Option<(Labels<'_>, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((found, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        found.push((name, value));
        rest = after;
    }
}

/// Reads the value of a label up to its closing quote, and returns it with what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP c_total Calls.
c_total{method="tools/call",tool="a",outcome="ok"} 90
c_total{method="tools/call",tool="a",outcome="tool_error"} 7
c_total{method="tools/call",tool="a",outcome="cancelled"} 3
c_total{method="tools/call",tool="x\"}\\ y",outcome="timeout"} 1
c_total{method="prompts/get",tool="",outcome="ok"} 5
c_total_other{tool="a",outcome="ok"} 1000
d_seconds_bucket{method="tools/call",tool="a",le="0.1"} 50
d_seconds_bucket{method="tools/call",tool="a",le="0.2"} 90
d_seconds_bucket{method="tools/call",tool="a",le="1"} 98
d_seconds_bucket{method="tools/call",tool="a",le="+Inf"} 100
d_seconds_sum{method="tools/call",tool="a"} 7
d_seconds_count{method="tools/call",tool="a"} 100
d_seconds_bucket{tool="none",le="+Inf"} 0
broken{tool="a
"#;

    #[test]
    fn calls_errors_and_quantiles_of_each_tool_are_read() {
        let all = read(TEXT, "c_total", "d_seconds");
        let a = &all["a"];
        assert_eq!((a.calls, a.errors), (100, 7));
        let millis = |quantile: f64| a.quantile(quantile).unwrap().as_millis();
        assert_eq!((millis(0.25), millis(0.5), millis(0.7)), (50, 100, 150));
        assert_eq!((millis(0.98), millis(0.99), millis(1.0)), (1000, 1000, 1000), "beyond the last bound");
        assert_eq!((all["x\"}\\ y"].calls, all["x\"}\\ y"].errors), (1, 1));
        assert_eq!((all["none"].calls, all["none"].quantile(0.5)), (0, None));
        assert_eq!(all.len(), 3, "neither an empty name nor another series: {all:?}");
    }
}
