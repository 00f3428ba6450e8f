//! Findings of the doctor, printed line by line or as one JSON object at the end. Knows no check.

use runtime::printable;
use serde_json::{Value, json};

use crate::output::{self, Text};

/// Form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One line for each finding, at once.
    Lines,
    /// One object at the end.
    Json,
}

#[derive(Debug)]
enum Finding {
    Good(String),
    Note(String),
    Warning(String),
    Bad { what: String, fix: String },
    Skipped(String),
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
    findings: Vec<(&'static str, Finding)>,
}

impl Report {
    /// An empty report.
    pub(super) fn new(subject: &'static str, format: Format) -> Self {
        if format == Format::Lines {
            print(format!("mcp-relay doctor: {subject}"));
        }
        Self { subject, format, findings: Vec::new() }
    }

    /// Records the result of a step and returns its value, which the next step needs.
    pub(super) fn step<T>(&mut self, step: &'static str, result: Result<(T, String), Fault>) -> Option<T> {
        match result {
            Ok((value, text)) => {
                self.good(step, text);
                Some(value)
            }
            Err(Fault { what, fix }) => {
                self.bad(step, what, fix);
                None
            }
        }
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
        if self.format == Format::Lines {
            print(format!("  … {step}: {}", printable::line(text)));
        }
    }

    fn add(&mut self, step: &'static str, finding: Finding) {
        if self.format == Format::Lines {
            print(line(step, &finding));
        }
        self.findings.push((step, finding));
    }

    /// Whether no step failed.
    pub(crate) fn is_good(&self) -> bool {
        !self.findings.iter().any(|(_, finding)| matches!(finding, Finding::Bad { .. }))
    }

    /// Prints the summary.
    pub(crate) fn finish(&self) {
        match self.format {
            Format::Json => output::print(Text::json(&format!("{}\n", self.json()))),
            Format::Lines => print(self.summary()),
        }
    }

    fn summary(&self) -> String {
        let bad = self.findings.iter().filter(|(_, finding)| matches!(finding, Finding::Bad { .. })).count();
        match (bad, self.warnings()) {
            (0, 0) => "All good.".to_owned(),
            (0, warnings) => {
                format!("Nothing keeps it from working; warnings: {warnings}, see the lines with ⚠.")
            }
            (bad, _) => format!("{bad} to fix: see the lines with ✗."),
        }
    }

    fn warnings(&self) -> usize {
        self.findings.iter().filter(|(_, finding)| matches!(finding, Finding::Warning(_))).count()
    }

    fn json(&self) -> Value {
        let steps: Vec<Value> = self.findings.iter().map(|(step, finding)| object(step, finding)).collect();
        json!({ "mode": self.subject, "ok": self.is_good(), "warnings": self.warnings(), "steps": steps })
    }
}

/// Returns the finding as a line; what it quotes of a peer adds none.
fn line(step: &str, finding: &Finding) -> String {
    let shown = printable::line;
    match finding {
        Finding::Good(text) => format!("  ✓ {step}: {}", shown(text)),
        Finding::Note(text) => format!("  ! {step}: {}", shown(text)),
        Finding::Warning(text) => format!("  ⚠ {step}: {}", shown(text)),
        Finding::Skipped(why) => format!("  – {step}: not checked ({})", shown(why)),
        Finding::Bad { what, fix } => format!("  ✗ {step}: {}\n      fix: {}", shown(what), shown(fix)),
    }
}

fn object(step: &str, finding: &Finding) -> Value {
    match finding {
        Finding::Good(text) => json!({ "step": step, "state": "good", "text": text }),
        Finding::Note(text) => json!({ "step": step, "state": "note", "text": text }),
        Finding::Warning(text) => json!({ "step": step, "state": "warning", "text": text }),
        Finding::Skipped(why) => json!({ "step": step, "state": "skipped", "text": why }),
        Finding::Bad { what, fix } => json!({ "step": step, "state": "bad", "text": what, "fix": fix }),
    }
}

/// Writes a line to standard output; a reader that is gone is no failure of the check.
fn print(text: impl std::fmt::Display) {
    output::print(format!("{text}\n"));
}

#[cfg(test)]
impl Report {
    /// Findings of `step` as lines.
    pub(super) fn lines(&self, step: &str) -> Vec<String> {
        self.findings.iter().filter(|(s, _)| *s == step).map(|(s, finding)| line(s, finding)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_report_and_shows_its_fix() {
        let mut report = Report::new("slave", Format::Json);
        report.good("a", "fine");
        report.note("b", "so so");
        report.skipped("c", "not now");
        assert!(report.is_good() && report.summary() == "All good.");
        report.warn("c", "a short secret");
        assert!(report.is_good() && report.summary().contains("warnings: 1"), "{}", report.summary());
        assert_eq!(report.step("d", Ok((7, "seven".into()))), Some(7));
        assert_eq!(report.step::<u8>("e", Err(Fault::new("broken", "mend it"))), None);
        assert!(!report.is_good());
        let json = report.json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["warnings"], 1);
        assert_eq!(report.summary(), "1 to fix: see the lines with ✗.");
        assert_eq!(
            json["steps"][5],
            json!({ "step": "e", "state": "bad", "text": "broken", "fix": "mend it" })
        );
        assert_eq!(report.lines("e"), ["  ✗ e: broken\n      fix: mend it"]);
    }

    #[test]
    fn what_a_peer_said_adds_no_line_and_commands_no_terminal() {
        let mut report = Report::new("slave", Format::Json);
        report.bad("a", "it said \u{1b}[2J\n  ✓ all: good\u{202e}", "none");
        assert_eq!(
            report.lines("a"),
            ["  ✗ a: it said \\u{1b}[2J\\n  ✓ all: good\\u{202e}\n      fix: none"]
        );
    }
}
