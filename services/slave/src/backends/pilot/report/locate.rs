//! Finding the report in the CLI's output. Must not know its fields.
//!
//! The CLI writes its report once, after the line that says that the analysis is complete. Other texts in the output are
//! not its own and may look like a report, or like any other line of it:
//!
//! - with `debug`, and only then, the change's description and the whole prompt stand *before* that line, and the model's
//!   raw answer between it and the report;
//! - acceptance criteria, issues and remarks stand *inside* of the report.

/// Titles of a report.
const TITLES: [&str; 2] = ["MR REVIEW REPORT", "PR REVIEW REPORT"];

/// Number of `=` of the shortest rule.
const MIN_RULE_LEN: usize = 3;

/// The line after which the report comes.
const ANALYSED: &str = "Analysis complete";

/// The headings of the sections that the CLI writes with `debug`.
const DEBUG: &str = "DEBUG - ";
const RAW_ANSWER: &str = "DEBUG - Raw LLM Response:";
const COMMENT: &str = "DEBUG - Comment to be posted:";

/// Beginnings of the lines that the CLI writes after a report.
const AFTERWARDS: [&str; 6] =
    ["Posting comment", "Comment posted", "Retrying", "Request timed out", "Server error", "Rate limit"];

/// A report's lines, below its title and above its last rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body<'a> {
    pub(super) lines: &'a [&'a str],
    /// Whether the last rule is there.
    pub(super) is_whole: bool,
}

/// Returns the report's body; `None` if there is no report.
pub(super) fn body<'a>(lines: &'a [&'a str]) -> Option<Body<'a>> {
    let headers: Vec<usize> = (0..lines.len()).filter(|at| is_header(lines, *at)).collect();
    let first_mark = lines.iter().position(|line| is_mark(line));
    let header = match first_mark {
        Some(first) => {
            let is_debug = lines.iter().take(first).any(|line| unmarked(line).starts_with(DEBUG));
            let mark = if is_debug { last_mark(lines).unwrap_or(first) } else { first };
            after_mark(lines, &headers, mark)
        }
        None => last_outermost(lines, &headers),
    }?;
    let rule = lines.get(header).and_then(|line| rule_length(line))?;
    let below = lines.get(header + 3..).unwrap_or_default();
    let end = last_rule(below, rule);
    Some(Body { lines: below.get(..end.unwrap_or(below.len()))?, is_whole: end.is_some() })
}

fn is_mark(line: &str) -> bool {
    // Quoted lines of a diff or a list begin with other symbols.
    !line.starts_with(['+', '-', ' ', '>', '*']) && unmarked(line).trim_end() == ANALYSED
}

/// Returns whether a rule, a title and a rule begin at this line.
fn is_header(lines: &[&str], at: usize) -> bool {
    let Some([above, title, below]) = lines.get(at..at + 3) else { return false };
    rule_length(above).is_some()
        && rule_length(below).is_some()
        && TITLES.iter().any(|text| title.contains(text))
}

/// Returns the number of `=` of a line of nothing else.
fn rule_length(line: &str) -> Option<usize> {
    let line = line.trim_end();
    let is_rule = line.len() >= MIN_RULE_LEN && line.bytes().all(|byte| byte == b'=');
    is_rule.then_some(line.len())
}

/// Returns the last mark that is followed by what follows it with `debug`: descriptions and prompts stand before it, and
/// what the report quotes is followed by something else.
fn last_mark(lines: &[&str]) -> Option<usize> {
    let marks = || lines.iter().enumerate().filter(|(_, line)| is_mark(line)).map(|(at, _)| at);
    let before_answer =
        |at: &usize| next_text(lines, at + 1).is_some_and(|next| is_headed(lines, next, RAW_ANSWER));
    let before_report = |at: &usize| next_text(lines, at + 1).is_some_and(|next| is_header(lines, next));
    marks().rfind(before_answer).or_else(|| marks().rfind(before_report))
}

/// Returns whether the line is this heading.
fn is_headed(lines: &[&str], at: usize, heading: &str) -> bool {
    lines.get(at).is_some_and(|line| unmarked(line).starts_with(heading))
}

/// Returns the first header after the mark. A header within the model's raw answer stands neither directly below the mark
/// nor below the line of dashes that ends the answer.
fn after_mark(lines: &[&str], headers: &[usize], mark: usize) -> Option<usize> {
    let mut after = headers.iter().copied().filter(|at| *at > mark);
    let first = after.clone().next()?;
    let is_free = |at: &usize| {
        let before = lines.iter().take(*at).rposition(|line| !line.trim().is_empty());
        before.is_some_and(|at| {
            let line = lines.get(at).copied().unwrap_or_default();
            at == mark || (!line.is_empty() && line.trim_end().chars().all(|c| c == '\u{2500}'))
        })
    };
    after.find(is_free).or(Some(first))
}

/// Returns the header of the last report that is not quoted by another, where no line says when the analysis was
/// complete. A header opens a report and any other rule closes one.
fn last_outermost(lines: &[&str], headers: &[usize]) -> Option<usize> {
    let (mut open, mut found) = (0_usize, None);
    let mut at = 0;
    while at < lines.len() {
        if headers.contains(&at) {
            found = if open == 0 { Some(at) } else { found };
            open += 1;
            at += 3;
            continue;
        }
        if lines.get(at).is_some_and(|line| rule_length(line).is_some()) {
            open = open.saturating_sub(1);
        }
        at += 1;
    }
    found
}

/// Returns where the report's last rule stands: remarks may have rules of the same length.
fn last_rule(below: &[&str], length: usize) -> Option<usize> {
    let is_rule = |line: &&str| rule_length(line) == Some(length);
    let rules = || below.iter().enumerate().filter(|(_, line)| is_rule(line)).map(|(at, _)| at);
    let before_comment =
        |at: &usize| next_text(below, at + 1).is_some_and(|next| is_headed(below, next, COMMENT));
    let only_afterwards = |at: &usize| {
        let mut rest = below.iter().skip(at + 1).filter(|line| !line.trim().is_empty());
        rest.all(|line| AFTERWARDS.iter().any(|text| unmarked(line).starts_with(text)))
    };
    rules().find(before_comment).or_else(|| rules().find(only_afterwards)).or_else(|| rules().next_back())
}

/// Returns the first line from here that is not blank.
fn next_text(lines: &[&str], from: usize) -> Option<usize> {
    lines.iter().enumerate().skip(from).find(|(_, line)| !line.trim().is_empty()).map(|(at, _)| at)
}

/// Returns the line without the symbol in front of it.
pub(super) fn unmarked(line: &str) -> &str {
    line.trim_start_matches(|c: char| !c.is_alphanumeric())
}
