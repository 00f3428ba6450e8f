//! The parser of the report in the CLI's standard output. Must not know how the CLI was run.
//!
//! Any text may stand before and after the report, lines may end with LF or CRLF and have colours, and a field that cannot
//! be read is left out rather than guessed.

use serde::Serialize;
use serde_json::Number;

/// Titles of a report.
const TITLES: [&str; 2] = ["MR REVIEW REPORT", "PR REVIEW REPORT"];

/// Number of `=` of the shortest rule.
const MIN_RULE_LEN: usize = 3;

/// Whether the change meets its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GoalStatus {
    Met,
    PartiallyMet,
    Unmet,
}

/// The fields of a report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) goal_status: Option<GoalStatus>,
    /// 0 to 100.
    pub(super) score: Option<Number>,
    pub(super) issues: Vec<String>,
    pub(super) remarks: String,
}

/// Returns the report in an output; `None` if there is none.
pub(super) fn parse(output: &str) -> Option<Report> {
    let plain = strip_ansi(output);
    let lines: Vec<&str> = plain.lines().map(str::trim_end).collect();
    let (rule, body) = body(&lines)?;
    let mut report = Report::default();
    let mut section = Section::Summary;
    for line in body {
        if let Some(next) = section.next(line) {
            section = next;
            // Remarks may begin on the line of their heading.
            if let (Section::Remarks, Some((_, rest))) = (section, line.split_once("Remarks:")) {
                report.remarks.push_str(rest.trim());
            }
            continue;
        }
        match section {
            Section::Summary => read_summary(&mut report, line),
            Section::Issues => read_issue(&mut report.issues, line),
            Section::Remarks if rule_length(line) == Some(rule) => break,
            Section::Remarks => {
                report.remarks.push('\n');
                report.remarks.push_str(line);
            }
        }
    }
    report.remarks = dedent(&report.remarks);
    Some(report)
}

/// Returns the length of the report's rules and the lines below its title.
fn body<'a>(lines: &'a [&'a str]) -> Option<(usize, &'a [&'a str])> {
    lines.windows(3).enumerate().find_map(|(at, window)| {
        let [above, title, below] = window else { return None };
        let rule = rule_length(above)?;
        let is_title = TITLES.iter().any(|text| title.contains(text));
        (is_title && rule_length(below).is_some()).then(|| (rule, lines.get(at + 3..).unwrap_or_default()))
    })
}

/// Returns the number of `=` of a line of nothing else.
fn rule_length(line: &str) -> Option<usize> {
    (line.len() >= MIN_RULE_LEN && line.bytes().all(|b| b == b'=')).then_some(line.len())
}

/// The section of a report that a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Summary,
    Issues,
    Remarks,
}

impl Section {
    /// Returns the section that begins with this line, if there is one.
    fn next(self, line: &str) -> Option<Self> {
        if self == Self::Remarks || item(line).is_some() {
            return None;
        }
        if line.contains("Remarks:") {
            return Some(Self::Remarks);
        }
        (self == Self::Summary && line.contains("Potential Issues:")).then_some(Self::Issues)
    }
}

fn read_summary(report: &mut Report, line: &str) {
    if let Some((_, value)) = line.split_once("Goal Status:") {
        report.goal_status = goal_status(value);
    } else if let Some((_, value)) = line.split_once("Quality Score:") {
        report.score = score(value);
    }
}

fn goal_status(value: &str) -> Option<GoalStatus> {
    let words: Vec<String> = value
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["met", ..] => Some(GoalStatus::Met),
        ["partially", "met", ..] => Some(GoalStatus::PartiallyMet),
        ["unmet", ..] | ["not", "met", ..] => Some(GoalStatus::Unmet),
        _ => None,
    }
}

fn score(value: &str) -> Option<Number> {
    let number = value.split('/').next()?.trim_matches(|c: char| !c.is_ascii_digit() && c != '-' && c != '.');
    let score: Number = serde_json::from_str(number).ok()?;
    (0.0..=100.0).contains(&score.as_f64()?).then_some(score)
}

/// Returns the text of a line `   1. text`.
fn item(line: &str) -> Option<&str> {
    let (number, text) = line.trim_start().split_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (is_number && text.starts_with(char::is_whitespace)).then(|| text.trim())
}

fn read_issue(issues: &mut Vec<String>, line: &str) {
    if let Some(text) = item(line) {
        issues.push(text.to_owned());
    } else if let (Some(last), false) = (issues.last_mut(), line.trim().is_empty()) {
        // A further line of the issue before.
        last.push('\n');
        last.push_str(line.trim());
    }
}

/// Removes the indentation that all lines but the first share (the first may stand beside its heading), and the empty
/// lines around the text.
fn dedent(text: &str) -> String {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let shared = text
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| indent(&line))
        .min()
        .unwrap_or(0);
    let line = |(at, line): (usize, &'_ str)| {
        if at == 0 { line.to_owned() } else { line.get(shared..).unwrap_or("").to_owned() }
    };
    let lines: Vec<String> = text.lines().enumerate().map(line).collect();
    lines.join("\n").trim().to_owned()
}

/// Removes ANSI escape sequences (`ESC [ ... letter`).
pub(super) fn strip_ansi(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == '?'));
        rest = end.and_then(|end| after.get(end..)).map_or("", |tail| {
            let mut tail = tail.chars();
            tail.next();
            tail.as_str()
        });
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "============================================================";

    fn report(title: &str, body: &str) -> String {
        format!("Fetching...\nAnalyzing with LLM...\n\n{RULE}\n{title}\n{RULE}\n\n{body}\n{RULE}\n\nDone.\n")
    }

    const FULL: &str = "Goal Status: PARTIALLY_MET\nQuality Score: 72/100\nAcceptance Criteria: 3 of 4\n\n\
        \u{26a0}\u{fe0f}  Potential Issues:\n   1. First issue\n   2. Second: a.b\n   10. Tenth\n\n\
        \u{1f4dd} Remarks:\n   Looks good.\n     - indented more\n\n   Last line.";

    #[test]
    fn every_field_of_a_report_is_read() {
        for title in ["\u{1f4cb} MR REVIEW REPORT", "PR REVIEW REPORT", "   PR REVIEW REPORT (GitHub)"] {
            let found = parse(&report(title, FULL)).unwrap();
            assert_eq!(found.goal_status, Some(GoalStatus::PartiallyMet));
            assert_eq!(found.score, Some(72.into()));
            assert_eq!(found.issues, ["First issue", "Second: a.b", "Tenth"]);
            assert_eq!(found.remarks, "Looks good.\n  - indented more\n\nLast line.");
        }
    }

    #[test]
    fn line_ends_and_colours_make_no_difference() {
        let text = report("MR REVIEW REPORT", FULL);
        let expected = parse(&text).unwrap();
        assert_eq!(parse(&text.replace('\n', "\r\n")).unwrap(), expected);
        let coloured = text
            .replace("Goal Status: ", "\u{1b}[1mGoal Status:\u{1b}[0m \u{1b}[33m")
            .replace(RULE, &format!("\u{1b}[36m{RULE}\u{1b}[39m"));
        assert_eq!(parse(&coloured).unwrap(), expected);
    }

    #[test]
    fn a_report_without_issues_has_none() {
        let body = "Goal Status: MET\nQuality Score: 95/100\n\n\u{2705} No issues found\n\nRemarks:\n   Fine: \"Potential Issues:\" none.\n   1. not an issue";
        let found = parse(&report("MR REVIEW REPORT", body)).unwrap();
        assert_eq!(found.goal_status, Some(GoalStatus::Met));
        assert!(found.issues.is_empty());
        assert_eq!(found.remarks, "Fine: \"Potential Issues:\" none.\n1. not an issue");
    }

    #[test]
    fn issues_may_have_several_lines_and_quote_headings() {
        let body = "Goal Status: UNMET\nQuality Score: 5/100\n\nPotential Issues:\n   1. One\n      goes on\n   2. \"Remarks:\" is missing\n\nRemarks:\n   R";
        let found = parse(&report("MR REVIEW REPORT", body)).unwrap();
        assert_eq!(found.issues, ["One\ngoes on", "\"Remarks:\" is missing"]);
        assert_eq!(found.remarks, "R");
        assert_eq!(found.goal_status, Some(GoalStatus::Unmet));
    }

    #[test]
    fn remarks_may_hold_rules_of_another_length_and_nothing_follows_the_last_rule() {
        let body = "Goal Status: MET\nQuality Score: 50.5/100\n\nNo issues found\n\nRemarks: first\n   Title\n   =====\n====\nunindented";
        let found = parse(&report("MR REVIEW REPORT", body)).unwrap();
        assert_eq!(found.score, Number::from_f64(50.5));
        assert_eq!(found.remarks, "first\n   Title\n   =====\n====\nunindented");
        let cut = format!("{RULE}\nMR REVIEW REPORT\n{RULE}\nRemarks:\n   no end");
        assert_eq!(parse(&cut).unwrap().remarks, "no end");
    }

    #[test]
    fn unreadable_fields_are_left_out() {
        for (body, status, score) in [
            ("Goal Status: maybe\nQuality Score: n/a", None, None::<u32>),
            ("Goal Status:\nQuality Score: 101/100", None, None),
            (
                "\u{2705} Goal Status: \u{2705} MET\nQuality Score: **88**/100",
                Some(GoalStatus::Met),
                Some(88),
            ),
            ("Goal Status: Partially Met\nQuality Score: 0/100", Some(GoalStatus::PartiallyMet), Some(0)),
            ("Goal Status: NOT_MET\nQuality Score: -3/100", Some(GoalStatus::Unmet), None),
            ("Quality Score: \u{2b50} 7", None, Some(7)),
        ] {
            let found = parse(&report("MR REVIEW REPORT", body)).unwrap();
            assert_eq!((found.goal_status, found.score), (status, score.map(Number::from)), "{body}");
        }
    }

    #[test]
    fn output_without_a_report_gives_none() {
        for output in [
            "",
            "MR REVIEW REPORT",
            "==\nMR REVIEW REPORT\n==",
            &format!("{RULE}\nMR REVIEW REPORT\nGoal Status: MET"),
            &format!("{RULE}\nREPORT\n{RULE}"),
        ] {
            assert_eq!(parse(output), None, "{output}");
        }
    }

    #[test]
    fn only_escape_sequences_are_removed() {
        assert_eq!(strip_ansi("a\u{1b}[1;31mb\u{1b}[0mc\u{1b}[?25ld [x] \u{1b}["), "abcd [x] ");
        assert_eq!(strip_ansi("\u{1b}[31\u{e9}x"), "x");
    }

    proptest::proptest! {
        #[test]
        fn no_output_makes_the_parser_panic(parts in proptest::collection::vec(
            "(={3,5}|MR REVIEW REPORT|Goal Status:|Quality Score:|Potential Issues:|Remarks:|  1\\. |\u{1b}\\[|\\PC{0,5}|\n)", 0..60,
        )) {
            let output = parts.concat();
            if let Some(report) = parse(&output) {
                proptest::prop_assert!(report.remarks.len() <= output.len());
            }
        }
    }
}
