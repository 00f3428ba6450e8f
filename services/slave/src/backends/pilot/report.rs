//! The parser of the report in the CLI's standard output. Must not know how the CLI was run.
//!
//! Each field is read once, in the CLI's order, from its own line: whatever the acceptance criteria, the issues or the
//! remarks quote is no field. Lines may end with LF or CRLF and have colours. What cannot be read is told, not guessed.

mod ansi;
mod locate;
mod verdict;

use serde_json::Number;

pub(super) use ansi::strip_ansi;
use locate::unmarked;
pub(super) use verdict::GoalStatus;

const GOAL: &str = "Goal Status:";
const SCORE: &str = "Quality Score:";
const CRITERIA: &str = "Acceptance Criteria:";
const ISSUES: &str = "Potential Issues:";
const NO_ISSUES: &str = "No issues found";
const REMARKS: &str = "Remarks:";

/// The fields of a report.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    pub(super) goal_status: Option<GoalStatus>,
    /// 0 to 100.
    pub(super) score: Option<Number>,
    pub(super) issues: Vec<String>,
    pub(super) remarks: String,
    /// Why the goal status or the score cannot be read.
    pub(super) problems: Vec<String>,
    /// Whether the report has its end.
    pub(super) is_whole: bool,
}

/// Returns the report in an output; `None` if there is none. `criteria`: the acceptance criteria that the CLI was given,
/// which it prints in the report.
pub(super) fn parse(output: &str, criteria: Option<&str>) -> Option<Report> {
    let plain = strip_ansi(output);
    let lines: Vec<&str> = plain.lines().collect();
    let body = locate::body(&lines)?;
    let criteria = criteria.map(strip_ansi);
    let criteria: Option<Vec<&str>> = criteria.as_ref().map(|text| text.lines().collect());
    let summary = Summary::read(body.lines, criteria.as_deref());
    let rest = body.lines.get(summary.end..).unwrap_or_default();
    let remarks = remarks_heading(rest);
    let issues =
        if summary.has_issues { read_issues(rest.get(..remarks.unwrap_or(rest.len()))?) } else { Vec::new() };
    let mut problems = Vec::new();
    let goal_status = verdict::goal_status(summary.goal).map_err(|problem| problems.push(problem)).ok();
    let score = verdict::score(summary.score).map_err(|problem| problems.push(problem)).ok();
    Some(Report {
        goal_status,
        score,
        issues,
        remarks: remarks.and_then(|at| rest.get(at..)).map(read_remarks).unwrap_or_default(),
        problems,
        is_whole: body.is_whole,
    })
}

/// The part of a report above its issues and remarks.
#[derive(Default)]
struct Summary<'a> {
    goal: Option<&'a str>,
    score: Option<&'a str>,
    has_issues: bool,
    /// The number of lines up to the list of issues, its heading included.
    end: usize,
}

impl<'a> Summary<'a> {
    fn read(lines: &[&'a str], criteria: Option<&[&str]>) -> Self {
        let mut summary = Self::default();
        let headed = lines.iter().any(|line| is_issues(line) || is_no_issues(line));
        while let Some(line) = lines.get(summary.end) {
            let goes_on = summary.goal.is_none() && summary.score.is_none();
            if is_issues(line) || is_no_issues(line) {
                summary.has_issues = is_issues(line);
                summary.end += 1;
                break;
            } else if !headed && is_remarks(line) {
                break;
            } else if let Some(value) = field(line, GOAL).filter(|_| goes_on) {
                summary.goal = Some(value);
            } else if let Some(value) = field(line, SCORE).filter(|_| summary.score.is_none()) {
                summary.score = Some(value);
            } else if field(line, CRITERIA).is_some() {
                summary.end = after_criteria(lines, summary.end, criteria);
                continue;
            }
            summary.end += 1;
        }
        summary
    }
}

/// Returns the line below the acceptance criteria that begin at `at`: exactly those that the CLI was given, or, where it
/// printed something else, all up to the next heading below a blank line.
fn after_criteria(lines: &[&str], at: usize, criteria: Option<&[&str]>) -> usize {
    if let Some([first, more @ ..]) = criteria {
        let printed = lines.get(at).and_then(|line| field(line, CRITERIA)).map(str::trim);
        let rest = lines.get(at + 1..at + 1 + more.len()).unwrap_or_default();
        let same = |(a, b): (&&str, &&str)| a.trim_end() == b.trim_end();
        if printed == Some(first.trim()) && rest.len() == more.len() && rest.iter().zip(more).all(same) {
            return at + 1 + more.len();
        }
    }
    let heading = |at: &usize| {
        let line = lines.get(*at).copied().unwrap_or_default();
        let headed = is_issues(line) || is_no_issues(line);
        headed && lines.get(at - 1).is_some_and(|before| before.trim().is_empty())
    };
    let mut below = at + 1..lines.len();
    below.find(heading).unwrap_or(at + 1)
}

/// Returns the value of a line that is this field.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    unmarked(line).strip_prefix(name)
}

fn is_issues(line: &str) -> bool {
    field(line, ISSUES).is_some()
}

fn is_no_issues(line: &str) -> bool {
    field(line, NO_ISSUES).is_some_and(|rest| !rest.contains(char::is_alphanumeric))
}

/// Returns whether the line is the heading of the remarks; they may begin on the same line.
fn is_remarks(line: &str) -> bool {
    field(line, REMARKS).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Returns where the heading of the remarks stands: the first one below a blank line with nothing beside it, unless the
/// list of issues goes on below it and another follows; else the first that may be one.
fn remarks_heading(lines: &[&str]) -> Option<usize> {
    let alone = |line: &str| field(line, REMARKS).is_some_and(|rest| rest.trim().is_empty());
    let below_blank = |at: usize| at == 0 || lines.get(at - 1).is_some_and(|line| line.trim().is_empty());
    let all: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| is_remarks(line)).map(|(at, _)| at).collect();
    let is_alone = |at: &usize| lines.get(*at).is_some_and(|line| alone(line));
    let strict: Vec<usize> = all.iter().copied().filter(|at| is_alone(at) && below_blank(*at)).collect();
    let quoted = |pair: &[usize]| {
        let [at, next] = pair else { return false };
        goes_on(lines.get(..*at).unwrap_or_default(), lines.get(*at..*next).unwrap_or_default())
    };
    let skipped = strict.windows(2).rposition(quoted).map_or(0, |at| at + 1);
    let loose =
        || all.iter().copied().find(|at| below_blank(*at)).or_else(|| all.iter().copied().find(is_alone));
    strict.get(skipped).copied().or_else(loose)
}

/// Returns whether the numbered list above goes on below, with the next number at the same indentation.
fn goes_on(above: &[&str], below: &[&str]) -> bool {
    let Some(last) = Numbering::items(above).last() else { return false };
    let is_next = |item: Item<'_>| item.indent == last.indent && item.number == last.number + 1;
    below.iter().filter_map(|line| item(line)).any(is_next)
}

/// A line `   1. text`.
struct Item<'a> {
    indent: usize,
    number: u64,
    text: &'a str,
}

fn item(line: &str) -> Option<Item<'_>> {
    let inner = line.trim_start();
    let (number, text) = inner.split_once('.')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number)?;
    let is_item = text.is_empty() || text.starts_with(char::is_whitespace);
    is_item.then(|| Item { indent: line.len() - inner.len(), number, text: text.trim() })
}

/// The items of a list so far: the next one is numbered higher and indented as the first.
#[derive(Default)]
struct Numbering {
    indent: Option<usize>,
    last: u64,
}

impl Numbering {
    fn next<'a>(&mut self, line: &'a str) -> Option<Item<'a>> {
        let fits =
            |item: &Item<'_>| item.number > self.last && self.indent.is_none_or(|is| is == item.indent);
        let item = item(line).filter(fits)?;
        (self.indent, self.last) = (Some(item.indent), item.number);
        Some(item)
    }

    fn items<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = Item<'a>> {
        let mut numbering = Self::default();
        lines.iter().filter_map(move |line| numbering.next(line))
    }
}

/// Reads the issues: all lines that are no items belong to the issue above them.
fn read_issues(lines: &[&str]) -> Vec<String> {
    let (mut issues, mut numbering): (Vec<String>, _) = (Vec::new(), Numbering::default());
    for line in lines {
        if let Some(item) = numbering.next(line) {
            issues.push(item.text.to_owned());
        } else if let Some(issue) = issues.last_mut() {
            issue.push('\n');
            issue.push_str(line);
        }
    }
    issues.iter().map(|issue| dedent(issue, 6)).collect()
}

/// Reads the remarks from their heading on.
fn read_remarks(lines: &[&str]) -> String {
    let beside = lines.first().and_then(|line| field(line, REMARKS)).unwrap_or_default().trim();
    let below = lines.get(1..).unwrap_or_default().join("\n");
    if !beside.is_empty() {
        return format!("{beside}\n{below}").trim().to_owned();
    }
    let below = below.trim_matches('\n');
    let indent = below.len() - below.trim_start().len();
    dedent(below, indent)
}

/// Removes this indentation where all lines but the first have it (the CLI indents the first only), and the white space
/// around the text.
fn dedent(text: &str, indent: usize) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let spaces = |line: &str| line.bytes().take_while(|byte| *byte == b' ').count();
    let is_indented = lines.clone().all(|line| line.trim().is_empty() || spaces(line) >= indent);
    let cut = |line| if is_indented { str::get(line, indent..).unwrap_or_default() } else { line };
    let lines: Vec<&str> = std::iter::once(first).chain(lines.map(cut)).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests;
