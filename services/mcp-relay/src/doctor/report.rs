//! Findings of the doctor, printed line by line or as one JSON object at the end. Knows no check.

use std::time::{Duration, Instant};

use runtime::printable;
use serde_json::{Value, json};

use super::explain;
use crate::output::{self, Text};

/// Form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One line for each finding, at once.
    Lines,
    /// The same, each with what was tried, what it means and what to do.
    ExplainedLines,
    /// One object at the end.
    Json,
    /// The same with explanations.
    ExplainedJson,
}

impl Format {
    /// Returns the form that the options of the command line ask for.
    pub(crate) fn of(json: bool, explain: bool) -> Self {
        match (json, explain) {
            (false, false) => Self::Lines,
            (false, true) => Self::ExplainedLines,
            (true, false) => Self::Json,
            (true, true) => Self::ExplainedJson,
        }
    }

    fn is_lines(self) -> bool {
        matches!(self, Self::Lines | Self::ExplainedLines)
    }

    fn explains(self) -> bool {
        matches!(self, Self::ExplainedLines | Self::ExplainedJson)
    }
}

#[derive(Debug)]
enum Finding {
    Good(String),
    Note(String),
    Warning(String),
    Bad { what: String, fix: String },
    Skipped(String),
}

/// A finding with its step, and how long the step took where that is worth knowing.
#[derive(Debug)]
struct Entry {
    step: &'static str,
    finding: Finding,
    took: Option<Duration>,
}

/// The failure of a step: what was found and how to fix it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) fix: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// All findings of one examination, in order.
#[derive(Debug)]
pub(crate) struct Report {
    subject: &'static str,
    format: Format,
    findings: Vec<Entry>,
}

impl Report {
    /// An empty report.
    pub(super) fn new(subject: &'static str, format: Format) -> Self {
        if format.is_lines() {
            print(format!("mcp-relay doctor: {subject}"));
        }
        Self { subject, format, findings: Vec::new() }
    }

    /// Records the result of a step and returns its value, which the next step needs.
    pub(super) fn step<T>(&mut self, step: &'static str, result: Result<(T, String), Fault>) -> Option<T> {
        self.add_result(step, None, result)
    }

    /// Records the result of a step as [`Self::step`] does, with the time since `started`.
    pub(super) fn timed<T>(
        &mut self,
        step: &'static str,
        started: Instant,
        result: Result<(T, String), Fault>,
    ) -> Option<T> {
        self.add_result(step, Some(started.elapsed()), result)
    }

    fn add_result<T>(
        &mut self,
        step: &'static str,
        took: Option<Duration>,
        result: Result<(T, String), Fault>,
    ) -> Option<T> {
        let (value, finding) = match result {
            Ok((value, text)) => (Some(value), Finding::Good(text)),
            Err(Fault { what, fix }) => (None, Finding::Bad { what, fix }),
        };
        self.push(Entry { step, finding, took });
        value
    }

    pub(super) fn good(&mut self, step: &'static str, text: impl Into<String>) {
        self.add(step, Finding::Good(text.into()));
    }

    /// Records something that is no fault but worth knowing.
    pub(super) fn note(&mut self, step: &'static str, text: impl Into<String>) {
        self.add(step, Finding::Note(text.into()));
    }

    /// Records something that is allowed but probably not intended.
    pub(super) fn warn(&mut self, step: &'static str, text: impl Into<String>) {
        self.add(step, Finding::Warning(text.into()));
    }

    pub(super) fn bad(&mut self, step: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(step, Finding::Bad { what: what.into(), fix: fix.into() });
    }

    pub(super) fn skipped(&mut self, step: &'static str, why: impl Into<String>) {
        self.add(step, Finding::Skipped(why.into()));
    }

    /// Says during a long step what it waits for; no finding, and nothing in JSON.
    pub(super) fn progress(&self, step: &str, text: &str) {
        if self.format.is_lines() {
            print(format!("  … {step}: {}", printable::line(text)));
        }
    }

    fn add(&mut self, step: &'static str, finding: Finding) {
        self.push(Entry { step, finding, took: None });
    }

    fn push(&mut self, entry: Entry) {
        if self.format.is_lines() {
            print(line(&entry));
        }
        if self.format == Format::ExplainedLines {
            print(explanation(&entry));
        }
        self.findings.push(entry);
    }

    /// Whether no step failed.
    pub(crate) fn is_good(&self) -> bool {
        !self.findings.iter().any(|entry| matches!(entry.finding, Finding::Bad { .. }))
    }

    /// Prints the summary.
    pub(crate) fn finish(&self) {
        match self.format {
            Format::Json | Format::ExplainedJson => output::print(Text::json(&format!("{}\n", self.json()))),
            Format::Lines | Format::ExplainedLines => print(self.summary()),
        }
    }

    fn summary(&self) -> String {
        let bad = self.findings.iter().filter(|entry| matches!(entry.finding, Finding::Bad { .. })).count();
        match (bad, self.warnings()) {
            (0, 0) => "All good.".to_owned(),
            (0, warnings) => {
                format!("Nothing keeps it from working; warnings: {warnings}, see the lines with ⚠.")
            }
            (bad, _) => format!("{bad} to fix: see the lines with ✗."),
        }
    }

    fn warnings(&self) -> usize {
        self.findings.iter().filter(|entry| matches!(entry.finding, Finding::Warning(_))).count()
    }

    /// Returns the report as one object.
    pub(crate) fn json(&self) -> Value {
        let explains = self.format.explains();
        let steps: Vec<Value> = self.findings.iter().map(|entry| object(entry, explains)).collect();
        json!({ "mode": self.subject, "ok": self.is_good(), "warnings": self.warnings(), "steps": steps })
    }
}

/// Returns the finding as a line; what it quotes of a peer adds none.
fn line(Entry { step, finding, .. }: &Entry) -> String {
    let shown = printable::line;
    match finding {
        Finding::Good(text) => format!("  ✓ {step}: {}", shown(text)),
        Finding::Note(text) => format!("  ! {step}: {}", shown(text)),
        Finding::Warning(text) => format!("  ⚠ {step}: {}", shown(text)),
        Finding::Skipped(why) => format!("  – {step}: not checked ({})", shown(why)),
        Finding::Bad { what, fix } => format!("  ✗ {step}: {}\n      fix: {}", shown(what), shown(fix)),
    }
}

/// Returns what was tried, what it means where it is not good, what to do, and where more is written.
fn explanation(Entry { step, finding, took }: &Entry) -> String {
    let explanation = explain::of(step);
    let mut rows = vec![("tried", explanation.tried.to_owned())];
    rows.extend(took.map(|took| ("took", format!("{} ms", millis(took)))));
    if matches!(finding, Finding::Bad { .. } | Finding::Warning(_)) {
        rows.extend([("means", explanation.means.to_owned()), ("do", explanation.advice.to_owned())]);
    }
    rows.push(("see", explain::page(step)));
    rows.iter().map(|(name, text)| format!("      {name}: {text}")).collect::<Vec<_>>().join("\n")
}

fn object(Entry { step, finding, took }: &Entry, explains: bool) -> Value {
    let mut object = match finding {
        Finding::Good(text) => json!({ "step": step, "state": "good", "text": text }),
        Finding::Note(text) => json!({ "step": step, "state": "note", "text": text }),
        Finding::Warning(text) => json!({ "step": step, "state": "warning", "text": text }),
        Finding::Skipped(why) => json!({ "step": step, "state": "skipped", "text": why }),
        Finding::Bad { what, fix } => json!({ "step": step, "state": "bad", "text": what, "fix": fix }),
    };
    if let Some(took) = took {
        object["ms"] = millis(*took).into();
    }
    if explains {
        let explanation = explain::of(step);
        object["tried"] = explanation.tried.into();
        object["means"] = explanation.means.into();
        object["do"] = explanation.advice.into();
        object["see"] = explain::page(step).into();
    }
    object
}

/// Returns milliseconds with three digits behind the point.
pub(crate) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

/// Writes a line to standard output; a reader that is gone is no failure of the check.
fn print(text: impl std::fmt::Display) {
    output::print(format!("{text}\n"));
}

#[cfg(test)]
impl Report {
    /// Findings of `step` as lines.
    pub(super) fn lines(&self, step: &str) -> Vec<String> {
        self.findings.iter().filter(|entry| entry.step == step).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_report_and_shows_its_fix() {
        let mut report = Report::new("slave", Format::Json);
        report.good("configuration", "fine");
        report.note("TLS", "so so");
        report.skipped("slave codes", "not now");
        assert!(report.is_good() && report.summary() == "All good.");
        report.warn("slave codes", "a short secret");
        assert!(report.is_good() && report.summary().contains("warnings: 1"), "{}", report.summary());
        assert_eq!(report.step("name", Ok((7, "seven".into()))), Some(7));
        assert_eq!(report.step::<u8>("TCP", Err(Fault::new("broken", "mend it"))), None);
        assert!(!report.is_good());
        let json = report.json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["warnings"], 1);
        assert_eq!(report.summary(), "1 to fix: see the lines with ✗.");
        assert_eq!(
            json["steps"][5],
            json!({ "step": "TCP", "state": "bad", "text": "broken", "fix": "mend it" })
        );
        assert_eq!(report.lines("TCP"), ["  ✗ TCP: broken\n      fix: mend it"]);
    }

    #[test]
    fn an_explained_report_says_what_was_tried_and_what_to_do() {
        let mut report = Report::new("slave", Format::ExplainedJson);
        let started = Instant::now().checked_sub(Duration::from_millis(20)).unwrap();
        report.timed::<u8>("TCP", started, Err(Fault::new("refused", "start it")));
        let step = &report.json()["steps"][0];
        assert!(step["ms"].as_f64().unwrap() >= 20.0, "{step}");
        for member in ["tried", "means", "do"] {
            assert!(!step[member].as_str().unwrap().is_empty(), "{step}");
        }
        assert_eq!(step["see"], "docs/operate/diagnose.md#tcp");
        let lines = explanation(&report.findings[0]);
        for row in
            ["      tried: ", "\n      took: 2", "\n      means: ", "\n      do: ", "\n      see: docs/"]
        {
            assert!(lines.contains(row), "{row}: {lines}");
        }
    }

    #[test]
    fn what_a_peer_said_adds_no_line_and_commands_no_terminal() {
        let mut report = Report::new("slave", Format::Json);
        report.bad("WebSocket", "it said \u{1b}[2J\n  ✓ all: good\u{202e}", "none");
        assert_eq!(
            report.lines("WebSocket"),
            ["  ✗ WebSocket: it said \\u{1b}[2J\\n  ✓ all: good\\u{202e}\n      fix: none"]
        );
    }
}
