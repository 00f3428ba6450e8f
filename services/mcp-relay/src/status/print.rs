//! The status document as lines for a terminal. Must not know where the document comes from, and does not trust it: names
//! may come from anybody, so each is shown as one line without control characters.

use std::borrow::Cow;
use std::fmt::Write;

use runtime::printable;
use serde_json::Value;

/// Most calls, and most lines of standard error, that are shown.
const MAX_ROWS: usize = 20;

/// Longest text of a cell, in characters.
const MAX_CELL_WIDTH: usize = 60;

/// Fewest columns that a table leaves a cell, where it is cut to fit the terminal.
const MIN_CELL_WIDTH: usize = 6;

/// The text under way, and the columns that it may have.
struct Sheet {
    text: String,
    width: Option<usize>,
}

/// Returns the whole text, with tables of at most `width` columns where that is possible.
pub(super) fn lines(from: &str, found: &Value, width: Option<usize>) -> String {
    let mut text = Sheet { text: String::new(), width };
    head(&mut text, from, found);
    if found["role"] == "proxy" {
        proxy(&mut text, found);
    } else {
        slave(&mut text, found);
    }
    calls(&mut text, found);
    text.text
}

impl Write for Sheet {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        self.text.push_str(part);
        Ok(())
    }
}

fn head(text: &mut Sheet, from: &str, found: &Value) {
    let readiness = if found["readiness"]["ready"] == true {
        "ready".to_owned()
    } else {
        format!("not ready: {}", cell(&found["readiness"]["reason"]))
    };
    let name = found["name"].as_str().map(|_| format!(" {}", cell(&found["name"]))).unwrap_or_default();
    let up = seconds(found["uptimeSeconds"].as_f64().unwrap_or_default());
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}{name} {} at {} · up {up} · {readiness}",
        cell(&found["role"]),
        cell(&found["version"]),
        printable::line(from),
    );
    if found["access"]["warning"].is_string() {
        let _ = writeln!(text, "warning: {}", whole(&found["access"]["warning"]));
    }
    let mut access = Vec::new();
    for (title, states) in [("access", &found["access"]), ("TLS", &found["tls"])] {
        let ports: Vec<String> = ["clients", "slaves", "operators"]
            .into_iter()
            .filter(|port| states[*port].is_string())
            .map(|port| format!("{port} {}", cell(&states[port])))
            .collect();
        if !ports.is_empty() {
            access.push(format!("{title}: {}", ports.join(", ")));
        }
    }
    if !access.is_empty() {
        let _ = writeln!(text, "{}", access.join(" · "));
    }
}

fn proxy(text: &mut Sheet, found: &Value) {
    let slaves = &found["slaves"];
    let states = ["ready", "degraded", "connecting", "draining", "lost"]
        .map(|state| format!("{} {state}", slaves["byState"][state].as_u64().unwrap_or_default()));
    let _ = writeln!(
        text,
        "{} slaves ({}) · {} proxies known",
        cell(&slaves["total"]),
        states.join(", "),
        cell(&found["proxies"]["total"])
    );
    let rows = list(&slaves["list"]).map(|slave| {
        let capacity = slave["capacity"].as_u64().map_or_else(|| "∞".into(), |most| most.to_string());
        [
            cell(&slave["name"]),
            cell(&slave["state"]),
            millis(&slave["roundTripMs"]),
            format!("{}/{capacity}", cell(&slave["inFlight"])),
            cell(&slave["toolCount"]),
            cell(&slave["agent"]),
            cell(&slave["peer"]),
            pairs(&slave["labels"]),
            cell(&slave["reason"]),
        ]
    });
    table(
        text,
        "slaves",
        ["NAME", "STATE", "ROUND TRIP", "CALLS", "TOOLS", "VERSION", "ADDRESS", "LABELS", "REASON"],
        rows,
    );
    let mut conflicts = list(&found["tools"]["conflicts"]).peekable();
    if conflicts.peek().is_some() {
        let rows = conflicts.map(|conflict| {
            let shown: Vec<String> = list(&conflict["shown"]).map(cell).collect();
            let of = conflict["exclusive"].as_str().map(|_| format!(" {}", cell(&conflict["exclusive"])));
            let reason = format!("{}{}", cell(&conflict["reason"]), of.unwrap_or_default());
            [cell(&conflict["name"]), reason, shown.join(", ")]
        });
        table(text, "names in conflict", ["NAME", "REASON", "CLIENTS SEE"], rows);
    }
}

fn slave(text: &mut Sheet, found: &Value) {
    let links = &found["links"];
    if links["enabled"] == true {
        let problem = links["problem"].as_str().map(|_| format!(" · {}", cell(&links["problem"])));
        let (up, wanted) = (cell(&links["total"]), cell(&links["wanted"]));
        let _ = writeln!(text, "linked to {up} of {wanted} proxies{}", problem.unwrap_or_default());
        let rows = list(&links["list"]).map(|link| {
            ["url", "state", "address", "dialect", "agent", "since"].map(|name| cell(&link[name]))
        });
        table(text, "links", ["PROXY", "STATE", "ADDRESS", "DIALECT", "VERSION", "SINCE"], rows);
    }
    let backends = &found["backends"]["list"];
    let rows = list(backends).map(|backend| {
        ["name", "state", "pid", "restarts", "toolCount", "reason"].map(|name| cell(&backend[name]))
    });
    table(text, "backends", ["NAME", "STATE", "PROCESS", "RESTARTS", "TOOLS", "REASON"], rows);
    let stderr: Vec<[String; 3]> = list(backends)
        .flat_map(|backend| {
            list(&backend["stderr"])
                .map(move |line| [cell(&backend["name"]), cell(&line["at"]), whole(&line["text"])])
        })
        .collect();
    let from = stderr.len().saturating_sub(MAX_ROWS);
    table(text, "standard error", ["BACKEND", "TIME", "LINE"], stderr.into_iter().skip(from));
}

fn calls(text: &mut Sheet, found: &Value) {
    let calls = &found["calls"];
    if calls["enabled"] != true {
        let _ = writeln!(text, "\ncalls are not written down (UI=1)");
        return;
    }
    let column = if found["role"] == "proxy" { "slave" } else { "backend" };
    live_calls(text, &calls["live"], column);
    recent_calls(text, &calls["recent"], column);
}

fn live_calls(text: &mut Sheet, live: &Value, column: &str) {
    let rows = list(&live["list"]).take(MAX_ROWS).map(|call| {
        let progress = &call["progress"];
        let progress = match (progress["done"].as_f64(), progress["total"].as_f64()) {
            (Some(done), Some(total)) => format!("{done} of {total}"),
            (Some(done), None) => done.to_string(),
            (None, _) => "–".into(),
        };
        let age = millis(&call["ageMs"]);
        [cell(&call["tool"]), cell(&call["state"]), cell(&call[column]), cell(&call["client"]), progress, age]
    });
    let total = live["total"].as_u64().unwrap_or_default();
    let title = if total == 0 { "running calls".to_owned() } else { format!("running calls ({total})") };
    table(text, &title, ["TOOL", "STATE", "AT", "FROM", "PROGRESS", "AGE"], rows);
}

fn recent_calls(text: &mut Sheet, recent: &Value, column: &str) {
    let rows = list(recent).take(MAX_ROWS).map(|call| {
        let took = millis(&call["durationMs"]);
        [
            cell(&call["tool"]),
            cell(&call["outcome"]),
            cell(&call[column]),
            cell(&call["client"]),
            took,
            cell(&call["id"]),
            whole(&call["error"]["text"]),
        ]
    });
    table(text, "recent calls", ["TOOL", "OUTCOME", "AT", "FROM", "TOOK", "ID", "ERROR"], rows);
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn whole(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) if text.is_empty() => "–".into(),
        Value::String(text) => printable::line(text).into_owned(),
        other => printable::line(&other.to_string()).into_owned(),
    }
}

fn cell(value: &Value) -> String {
    cut(&whole(value), MAX_CELL_WIDTH).into_owned()
}

/// The text with at most `width` characters; an ellipsis stands for what is cut.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().nth(width).is_none() {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(format!("{kept}…"))
}

fn pairs(value: &Value) -> String {
    let pair = |(key, value): (&String, &Value)| format!("{}={}", printable::line(key), cell(value));
    let pairs: Vec<String> = value.as_object().into_iter().flatten().map(pair).collect();
    if pairs.is_empty() { "–".into() } else { pairs.join(",") }
}

fn millis(value: &Value) -> String {
    match value.as_f64() {
        None => "–".into(),
        Some(ms) if ms < 10.0 => format!("{ms:.2} ms"),
        Some(ms) if ms < 1000.0 => format!("{ms:.0} ms"),
        Some(ms) => seconds(ms / 1000.0),
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

/// Takes columns from the widest cells until the table fits, but for [`MIN_CELL_WIDTH`] each.
fn fit(widths: &mut [usize], available: Option<usize>) {
    let Some(available) = available else { return };
    // Each cell has a blank on both sides, and the line one more at its beginning.
    while widths.iter().sum::<usize>() + 2 * widths.len() > available {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > MIN_CELL_WIDTH) else { return };
        *widest -= 1;
    }
}

/// Writes a table with columns as wide as their cells, or as the terminal allows.
fn table<const N: usize>(
    text: &mut Sheet,
    title: &str,
    names: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let rows: Vec<[String; N]> = rows.collect();
    let _ = writeln!(text, "\n{title}{}", if rows.is_empty() { ": none" } else { "" });
    if rows.is_empty() {
        return;
    }
    let mut widths = names.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    fit(&mut widths, text.width);
    for row in std::iter::once(names.map(str::to_owned)).chain(rows) {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, " {:width$} ", cut(cell, width));
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proxy_is_shown_with_its_slaves_and_calls() {
        let found = json!({
            "role": "proxy", "version": "1", "uptimeSeconds": 61,
            "readiness": { "ready": false, "reason": "draining" },
            "access": { "clients": "everyone", "operators": "own keys", "warning": "no keys" },
            "tls": { "clients": "on", "slaves": "off", "operators": "on" },
            "proxies": { "total": 2 },
            "slaves": { "total": 1, "byState": { "ready": 1 }, "list": [{
                "name": "one", "state": "ready", "roundTripMs": 0.4, "inFlight": 2, "capacity": null,
                "toolCount": 3, "labels": { "a": "b" }, "reason": "",
            }] },
            "calls": { "enabled": true,
                "live": { "total": 1, "list": [{ "tool": "sleep", "state": "running", "slave": "one", "ageMs": 1500,
                    "progress": { "done": 1, "total": 4 } }] },
                "recent": [{ "tool": "echo", "outcome": "timeout", "error": { "text": "Too long.", "advice": "Wait." } }] },
        });
        let text = lines("http://here", &found, None);
        for part in [
            "proxy 1 at http://here · up 1 min 1 s · not ready: draining",
            "1 slaves (1 ready,",
            "2/∞",
            "a=b",
            "1 of 4",
            "1.5 s",
            "warning: no keys",
            "access: clients everyone, operators own keys · TLS: clients on, slaves off, operators on",
            "running calls (1)",
            "Too long.",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn a_slave_is_shown_with_its_backends_lines_and_without_control_characters() {
        let found = json!({
            "role": "slave", "name": "one\u{1b}[2J", "readiness": { "ready": true },
            "links": { "enabled": true, "total": 0, "wanted": 1, "problem": "refused\r\u{7}", "list": [] },
            "backends": { "list": [{ "name": "fs", "state": "ready", "pid": 7, "stderr": [
                { "at": "now", "text": "\u{1b}]0;title\u{7}\u{202e}said" }] }] },
            "calls": { "enabled": false },
        });
        let text = lines("here", &found, None);
        assert!(!text.chars().any(|c| printable::is_escaped(c) && c != '\n'), "{text:?}");
        for part in ["linked to 0 of 1 proxies", "said", "UI=1", "not written down"] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn a_document_of_another_form_is_shown_without_a_panic() {
        for found in
            [json!({}), json!([1]), json!({ "role": "proxy", "slaves": 3, "calls": { "enabled": true } })]
        {
            assert!(lines("here", &found, None).contains("at here"));
        }
    }

    #[test]
    fn tables_fit_the_terminal_where_they_can() {
        let name = "a-slave-with-a-long-name".repeat(2);
        let slave = json!({ "name": name, "state": "ready", "agent": "mcp-relay/0.1.0", "peer": "[2001:db8::1]:40000",
            "reason": "the slave has not answered a ping for a while, and is asked again" });
        let found = json!({ "role": "proxy", "slaves": { "list": [slave] }, "calls": { "enabled": false } });
        let widest = |width| {
            lines("here", &found, width)
                .lines()
                .skip(3)
                .map(|line| line.chars().count())
                .max()
                .unwrap_or_default()
        };
        assert!(widest(None) > 150);
        for width in [80, 100, 120] {
            assert!(widest(Some(width)) <= width, "{}", lines("here", &found, Some(width)));
        }
        // As narrow as that, every cell keeps a few characters.
        assert!(lines("here", &found, Some(10)).contains("a-sla…"));
    }
}
