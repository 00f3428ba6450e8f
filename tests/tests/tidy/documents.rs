//! Documents that must agree with the code.

use protocol::link::frame::FrameKind;
use protocol::link::handshake::close;
use protocol::mcp::failure::Failure;

use crate::source::{self, read};

#[test]
fn the_protocol_document_names_every_frame_kind() {
    let text = read("docs/PROTOCOL.md");
    for kind in FrameKind::ALL {
        let row = text.lines().any(|line| {
            line.contains(&format!("`{}`", kind.name())) && line.contains(&(kind as u8).to_string())
        });
        assert!(row, "docs/PROTOCOL.md has no line with `{}` and its code {}", kind.name(), kind as u8);
    }
}

#[test]
fn the_protocol_document_names_every_close_code() {
    let text = read("docs/PROTOCOL.md");
    let codes = [
        close::NO_AUTH,
        close::REPLACED,
        close::AUTH_FAILED,
        close::NOT_AUTH,
        close::PROTOCOL_ERROR,
        close::GOING_AWAY,
    ];
    for code in codes {
        assert!(text.contains(&code.to_string()), "docs/PROTOCOL.md does not name close code {code}");
    }
}

#[test]
fn the_page_of_failures_lists_every_failure_as_it_is() {
    let text = read("docs/reference/failures.md");
    for failure in Failure::examples() {
        let row = failure.spec();
        let line =
            text.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{}`", row.kind)));
        let line = line.unwrap_or_else(|| panic!("docs/reference/failures.md has no row for `{}`", row.kind));
        for number in [row.code.to_string(), row.legacy.to_string(), row.modern.to_string()] {
            assert!(
                line.contains(&number),
                "docs/reference/failures.md, `{}`: no {number} in {line:?}",
                row.kind
            );
        }
        assert!(
            line.contains(row.advice),
            "docs/reference/failures.md, `{}`: the advice is {:?}",
            row.kind,
            row.advice
        );
    }
}

/// Text in quotes that looks like the name of one of our metrics.
fn metric_names() -> Vec<String> {
    let mut names = Vec::new();
    for file in source::all().iter().filter(|file| file.path.starts_with("services/")) {
        for piece in file.text.split('"') {
            let ours = piece.starts_with("mcp_relay_") && !piece.ends_with('_');
            if ours && piece.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                names.push(piece.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_document_of_metrics_names_every_metric() {
    let text = read("docs/METRICS.md");
    let names = metric_names();
    assert!(names.len() > 5, "metrics are declared somewhere: {names:?}");
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "docs/METRICS.md does not name the metric `{name}`");
    }
}

/// Names of our series in a dashboard or rule, as they are declared; those that rules record begin with `job:`.
fn series_in(text: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| c.is_ascii_lowercase() || c == '_' || c == ':';
    let words =
        text.split(move |c| !word(c)).filter(|word| word.starts_with("mcp_relay_") && !word.ends_with('_'));
    words.map(|word| {
        ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word)
    })
}

#[test]
fn dashboards_and_alerts_use_existing_metrics() {
    let document = read("docs/METRICS.md");
    let mut seen = 0;
    for path in ["dashboards/overview.json", "dashboards/links.json", "dashboards/tools.json"]
        .into_iter()
        .chain(["dashboards/backends.json", "alerts/proxy.yaml", "alerts/slave.yaml"])
    {
        for name in series_in(&read(&format!("grafana/{path}"))) {
            seen += 1;
            assert!(document.contains(&format!("| `{name}` |")), "grafana/{path}: there is no metric {name}");
        }
    }
    assert!(seen > 100, "the dashboards have moved");
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 120, "README.md has {lines} lines, at most 120");
}
