//! Tables of series as Markdown, for docs/METRICS.md. Must not know the series.

use std::fmt::Write;

use super::table::{Appears, Kind, Label, Metric};

/// Returns one table under a heading.
pub fn markdown(title: &str, intro: &str, metrics: &[Metric]) -> String {
    let mut text =
        format!("## {title}\n\n{intro}\n\n| series | kind | labels | meaning |\n|---|---|---|---|\n");
    // Writing to a String cannot fail.
    for metric in metrics {
        let labels: Vec<String> = metric.labels.iter().map(label).collect();
        let unit = unit(metric);
        let from = match metric.appears {
            Appears::AtStart => "",
            Appears::WhenKnown => " Absent until it is known.",
        };
        let _ = writeln!(
            text,
            "| `{}` | {}{unit} | {} | {}{from} |",
            metric.name,
            metric.kind.name(),
            labels.join("; "),
            metric.help.replace('|', "\\|"),
        );
    }
    let histograms = metrics.iter().filter_map(|metric| match metric.kind {
        Kind::Histogram(buckets) => Some((metric.name, buckets)),
        Kind::Counter | Kind::Gauge => None,
    });
    for (at, (name, buckets)) in histograms.enumerate() {
        if at == 0 {
            text.push_str("\nBuckets:\n\n");
        }
        let bounds: Vec<String> = buckets.bounds.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "- `{name}`: {}. {}", bounds.join(", "), buckets.why);
    }
    text
}

fn unit(metric: &Metric) -> String {
    match metric.unit {
        metrics::Unit::Count => String::new(),
        unit => format!(", {}", unit.as_str()),
    }
}

fn label(label: &Label) -> String {
    let values: Vec<String> = label.values.iter().map(|value| format!("`{value}`")).collect();
    if values.is_empty() {
        format!("`{}`", label.name)
    } else {
        format!("`{}` ({})", label.name, values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Buckets;
    use super::*;

    const TABLE: &[Metric] = &[
        Metric::counter("a_total", &[Label::of("x", &["1", "2"]), Label::open("y")], "Counts a | b."),
        Metric::seconds("b_seconds", Buckets { bounds: &[0.5, 2.0], why: "For a test." }, &[], "Time.")
            .when_known(),
    ];

    #[test]
    fn a_row_has_all_that_is_declared() {
        let text = markdown("Title", "Intro.", TABLE);
        assert!(text.contains("| `a_total` | counter | `x` (`1`, `2`); `y` | Counts a \\| b. |\n"), "{text}");
        assert!(text.contains("| `b_seconds` | histogram, seconds |  | Time. Absent until it is known. |\n"));
        assert!(text.ends_with("Buckets:\n\n- `b_seconds`: 0.5, 2. For a test.\n"), "{text}");
    }
}
