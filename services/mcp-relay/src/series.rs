//! All metrics of the program as Markdown, for `--metrics-help` and docs/METRICS.md. Declares no metric.

use runtime::metrics::{Metric, PROCESS, markdown};

/// One table of the document.
struct Chapter {
    title: &'static str,
    intro: &'static str,
    series: &'static [Metric],
}

/// All tables, in the order of the document.
const CHAPTERS: [Chapter; 9] = [
    Chapter {
        title: "Proxy: calls",
        intro: "Tool calls of clients, by tool and outcome.",
        series: proxy::metrics::CALLS,
    },
    Chapter {
        title: "Proxy: slaves and links",
        intro: "Slaves, their links, and the traffic on the links.",
        series: proxy::metrics::LINKS,
    },
    Chapter {
        title: "Proxy: codes, certificates, files",
        intro: "Expiry of codes and certificates, and reloads of files.",
        series: proxy::metrics::CONFIGURATION,
    },
    Chapter {
        title: "Proxy: OAuth broker",
        intro: "Sign-ins, tokens and refusals, where `OAUTH_BROKER` is on.",
        series: broker::METRICS,
    },
    Chapter {
        title: "Slave and standalone server",
        intro: "Calls that a slave runs, its backends, and its links to proxies.",
        series: slave::metrics::METRICS,
    },
    Chapter {
        title: "Every MCP port",
        intro: "The MCP port of a proxy, and that of a slave or standalone server.",
        series: front::metrics::METRICS,
    },
    Chapter {
        title: "Audit of every process",
        intro: "The audit stream, where `AUDIT_LOG` is set.",
        series: runtime::audit::METRICS,
    },
    Chapter {
        title: "Traces of every process",
        intro: "The trace exporter, where `OTEL_EXPORTER_OTLP_ENDPOINT` is set.",
        series: runtime::traces::METRICS,
    },
    Chapter {
        title: "Every process",
        intro: "The process, by the names that Prometheus client libraries use.",
        series: PROCESS,
    },
];

const INTRO: &str = "\
<!-- Generated: cargo run -q -p mcp-relay -- --metrics-help > docs/METRICS.md -->

# Metrics

Proxies, slaves and the standalone server answer `/metrics` with Prometheus text. This page lists every series.
[Dashboards and alerts](operate/dashboards.md) and [Runbooks](operate/runbooks.md) say what to do with them.

- Labels in parentheses have these values and no others. Series whose label values are all known beforehand start at 0; the others appear with their first event.
- Other labels are bounded: the first 1,000 tools, slaves, codes and rules keep their names, later ones are counted as `other`. No label holds an argument, a result, a client's address or any part of a code or key.
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
