//! All metrics of the program as Markdown, for `--metrics-help` and docs/METRICS.md. Declares no metric.

use runtime::metrics::{Metric, PROCESS, markdown};

/// One table of the document.
struct Chapter {
    title: &'static str,
    intro: &'static str,
    series: &'static [Metric],
}

/// All tables, in the order of the document.
const CHAPTERS: [Chapter; 8] = [
    Chapter {
        title: "Proxy: calls",
        intro: "What becomes of clients' tool calls.",
        series: proxy::metrics::CALLS,
    },
    Chapter { title: "Proxy: slaves and links", intro: "Who runs them.", series: proxy::metrics::LINKS },
    Chapter {
        title: "Proxy: codes, certificates, files",
        intro: "What runs out, and what was read.",
        series: proxy::metrics::CONFIGURATION,
    },
    Chapter {
        title: "Slave and standalone server",
        intro: "Calls where they run, the backends that run them, and the links that bring them.",
        series: slave::metrics::METRICS,
    },
    Chapter {
        title: "Every MCP port",
        intro: "Of proxies, and of slaves' and standalone servers' own ports.",
        series: front::metrics::METRICS,
    },
    Chapter {
        title: "Audit of every process",
        intro: "Where `AUDIT_LOG` is set.",
        series: runtime::audit::METRICS,
    },
    Chapter {
        title: "Traces of every process",
        intro: "Where `OTEL_EXPORTER_OTLP_ENDPOINT` is set.",
        series: runtime::traces::METRICS,
    },
    Chapter { title: "Every process", intro: "As Prometheus's own clients name them.", series: PROCESS },
];

const INTRO: &str = "\
<!-- Generated: cargo run -q -p mcp-relay -- --metrics-help > docs/METRICS.md -->

# Metrics

Proxies, slaves and the standalone server answer `/metrics` with Prometheus text. This is every series that there is.
[OPERATIONS](OPERATIONS.md) has dashboards, alerts and what to do about them.

- Labels in parentheses have these values and no others. Series whose labels are all known beforehand are there from the start, with 0; the others appear with their first event.
- Open labels are bounded: the first 1,000 tools, slaves, codes and rules have their names, later ones are `other`. No label holds an argument, a result, a client's address or any part of a code or key.
- Histograms only, no summaries: `_bucket`, `_sum` and `_count` of several processes can be added up.
- `mcp_server_operation_duration_seconds` and `mcp_client_operation_duration_seconds` are OpenTelemetry's conventions for MCP (`mcp.server.operation.duration`, `mcp.client.operation.duration`) with their attributes as labels. An attribute that does not apply is empty.
";

/// The text of docs/METRICS.md.
pub(crate) fn document() -> String {
    let mut text = INTRO.to_owned();
    for Chapter { title, intro, series } in CHAPTERS {
        text.push('\n');
        text.push_str(&markdown(title, intro, series));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == document(),
            "docs/METRICS.md differs from the code; regenerate it with\n  \
             cargo run -q -p mcp-relay -- --metrics-help > docs/METRICS.md"
        );
    }

    #[test]
    fn the_document_contains_every_table_of_every_service() {
        let text = document();
        let tables = [proxy::metrics::TABLES, slave::metrics::TABLES, &[PROCESS]];
        for metric in tables.into_iter().flatten().copied().flatten() {
            assert!(text.contains(&format!("\n| `{}` |", metric.name)), "{} is missing", metric.name);
        }
        let chapters = CHAPTERS.map(|chapter| chapter.series);
        assert_eq!(runtime::metrics::faults(&chapters), Vec::<String>::new());
    }
}
