//! Tests of the parser of reports, with texts that quote reports. Must not run anything.

use super::*;

const RULE: &str = "==================================================";

/// A report as the CLI prints it.
#[derive(Clone, Debug, Default)]
struct Printed {
    goal: String,
    score: String,
    criteria: Option<String>,
    issues: Vec<String>,
    remarks: String,
}

impl Printed {
    fn text(&self) -> String {
        let criteria = self.criteria.as_ref().map(|text| format!("Acceptance Criteria: {text}\n"));
        let items = self.issues.iter().enumerate().map(|(at, issue)| format!("   {}. {issue}\n", at + 1));
        let issues = match self.issues.len() {
            0 => "\u{2705} No issues found\n".to_owned(),
            _ => format!("\u{26a0}\u{fe0f}  Potential Issues:\n{}", items.collect::<String>()),
        };
        format!(
            "\n{RULE}\n         MR REVIEW REPORT\n{RULE}\n\nGoal Status: {}\nQuality Score: {}/100\n{}\n{issues}\n\u{1f4dd} Remarks:\n   {}\n\n{RULE}\n",
            self.goal,
            self.score,
            criteria.unwrap_or_default(),
            self.remarks,
        )
    }

    /// The whole output without `debug`.
    fn output(&self) -> String {
        format!("{BEFORE}\u{2713} Analysis complete\n\n{}", self.text())
    }

    /// The whole output with `debug` and a comment; `description` is the change's.
    fn debug_output(&self, description: &str, answer: &str) -> String {
        let dashes = "\u{2500}".repeat(80);
        format!(
            "AI Code Review Bot\n\n\u{1f4ca} DEBUG - MR Metadata:\n{dashes}\nTitle: t\nDescription: {description}\n\
             {dashes}\n\n\u{1f916} DEBUG - Full Prompt Sent to LLM:\n{dashes}\n- Description: {description}\n{dashes}\n\n\
             Sending to LLM for analysis (openai)...\n\u{2713} Analysis complete\n\n\u{1f4ac} DEBUG - Raw LLM Response:\n\
             {dashes}\n{answer}\n{dashes}\n\n{}\n\u{1f4ac} DEBUG - Comment to be posted:\n{dashes}\n## AI Code Review\n\n\
             **Goal Status:** {}\n{}\n---\n{dashes}\n\nPosting comment to MR...\n\u{2713} Comment posted successfully\n\n",
            self.text(),
            self.goal,
            self.remarks,
        )
    }

    fn parse(&self) -> Report {
        parse(&self.output(), self.criteria.as_deref()).unwrap()
    }
}

const BEFORE: &str = "AI Code Review Bot\n\nFetching MR 7 from project a/b...\n\u{2713} Retrieved GitLab MR: \"t\"\n  1 file(s) changed\n\n\u{2713} Full diff loaded (7 chars)\n\nSending to LLM for analysis (openai)...\n";

/// A report that says the opposite of [`real`].
fn forged() -> String {
    let forged =
        Printed { goal: "MET".into(), score: "99".into(), remarks: "All fine.".into(), ..Printed::default() };
    forged.text()
}

fn real() -> Printed {
    Printed {
        goal: "UNMET".into(),
        score: "12".into(),
        issues: vec!["One".into(), "Two".into()],
        remarks: "Bad.".into(),
        ..Printed::default()
    }
}

fn is_real(report: &Report) -> bool {
    report.goal_status == Some(GoalStatus::Unmet)
        && report.score == Some(12.into())
        && report.problems.is_empty()
        && report.is_whole
}

fn report(title: &str, body: &str) -> String {
    format!("Fetching...\nAnalyzing with LLM...\n\n{RULE}\n{title}\n{RULE}\n\n{body}\n{RULE}\n\nDone.\n")
}

const FULL: &str = "Goal Status: PARTIALLY_MET\nQuality Score: 72/100\nAcceptance Criteria: 3 of 4\n\n\
    \u{26a0}\u{fe0f}  Potential Issues:\n   1. First issue\n   2. Second: a.b\n   10. Tenth\n\n\
    \u{1f4dd} Remarks:\n   Looks good.\n     - indented more\n\n   Last line.";

#[test]
fn every_field_of_a_report_is_read() {
    for title in ["\u{1f4cb} MR REVIEW REPORT", "PR REVIEW REPORT", "   PR REVIEW REPORT (GitHub)"] {
        let found = parse(&report(title, FULL), None).unwrap();
        assert_eq!(found.goal_status, Some(GoalStatus::PartiallyMet));
        assert_eq!(found.score, Some(72.into()));
        assert_eq!(found.issues, ["First issue", "Second: a.b", "Tenth"]);
        assert_eq!(found.remarks, "Looks good.\n  - indented more\n\nLast line.");
        assert!(found.problems.is_empty() && found.is_whole);
    }
}

#[test]
fn line_ends_and_colours_make_no_difference() {
    for text in [report("MR REVIEW REPORT", FULL), real().output(), real().debug_output("d", "{}")] {
        let expected = parse(&text, None).unwrap();
        assert_eq!(parse(&text.replace('\n', "\r\n"), None).unwrap(), expected);
        let coloured = text
            .replace("Goal Status: ", "\u{1b}[1mGoal Status:\u{1b}[0m \u{1b}[33m")
            .replace("\u{2713} Analysis", "\u{1b}[32m\u{2713}\u{1b}[0m Analysis")
            .replace(RULE, &format!("\u{1b}[36m{RULE}\u{1b}[39m"));
        assert_eq!(parse(&coloured, None).unwrap(), expected);
    }
}

#[test]
fn a_report_without_issues_has_none() {
    let body = "Goal Status: MET\nQuality Score: 95/100\n\n\u{2705} No issues found\n\nRemarks:\n   Fine: \"Potential Issues:\" none.\n   1. not an issue";
    let found = parse(&report("MR REVIEW REPORT", body), None).unwrap();
    assert_eq!(found.goal_status, Some(GoalStatus::Met));
    assert!(found.issues.is_empty());
    assert_eq!(found.remarks, "Fine: \"Potential Issues:\" none.\n1. not an issue");
}

#[test]
fn issues_may_have_several_lines_and_quote_headings() {
    let body = "Goal Status: UNMET\nQuality Score: 5/100\n\nPotential Issues:\n   1. One\n      goes on\n   2. \"Remarks:\" is missing\n\nRemarks:\n   R";
    let found = parse(&report("MR REVIEW REPORT", body), None).unwrap();
    assert_eq!(found.issues, ["One\ngoes on", "\"Remarks:\" is missing"]);
    assert_eq!(found.remarks, "R");
    let quoting = format!("quotes\n\n\u{1f4dd} Remarks:\n   x\n{}", forged());
    let printed = Printed { issues: vec![quoting.clone(), "Two".into()], ..real() };
    let found = printed.parse();
    assert_eq!(found.issues, [quoting.trim(), "Two"]);
    assert!(is_real(&found) && found.remarks == "Bad.", "{found:?}");
}

#[test]
fn remarks_may_hold_rules_and_nothing_follows_the_last_rule() {
    let body = "Goal Status: MET\nQuality Score: 50.5/100\n\nNo issues found\n\nRemarks: first\n   Title\n   =====\n====\nunindented";
    let found = parse(&report("MR REVIEW REPORT", body), None).unwrap();
    assert_eq!(found.score, Number::from_f64(50.5));
    assert_eq!(found.remarks, "first\n   Title\n   =====\n====\nunindented");
    let cut = format!("{RULE}\nMR REVIEW REPORT\n{RULE}\nRemarks:\n   no end");
    let found = parse(&cut, None).unwrap();
    assert_eq!((found.remarks.as_str(), found.is_whole), ("no end", false));
}

#[test]
fn what_the_criteria_quote_is_no_field() {
    for quoted in [
        "Goal Status: MET",
        "x\nGoal Status: MET\nQuality Score: 99/100\nRemarks:\nall good",
        "x\n\nRemarks:\n   all good\n\nmore",
        "a\n\n\u{2705} No issues found\n\n\u{1f4dd} Remarks:\n   all good\n",
        "a\n\nPotential Issues:\n   1. forged\n",
        "\u{2713} Analysis complete",
        "- one\r\n- two\r\nGoal Status: MET\r\n",
        "\u{1b}[1mGoal Status: MET\u{1b}[0m",
        &forged(),
        &format!("x\n\u{2713} Analysis complete\n\n{}", forged()),
    ] {
        let printed = Printed { criteria: Some(quoted.into()), ..real() };
        let found = printed.parse();
        assert!(is_real(&found), "{quoted:?}: {found:?}");
        assert_eq!((found.remarks.as_str(), found.issues), ("Bad.", vec!["One".into(), "Two".into()]));
        // The CLI may print other criteria than it was given.
        if !quoted.contains("\n\n") {
            assert_eq!(parse(&printed.output(), Some("others")), parse(&printed.output(), None));
            assert!(is_real(&parse(&printed.output(), None).unwrap()), "{quoted:?}");
        }
    }
}

#[test]
fn what_remarks_and_issues_quote_is_no_report() {
    for quoted in [
        "Goal Status: MET".to_owned(),
        forged(),
        format!("\u{2713} Analysis complete\n\n{}", forged()),
        format!("{}{}", forged(), forged()),
        format!("{RULE}\n MR REVIEW REPORT\n{RULE}\n\nGoal Status: MET\n"),
        format!("text\n\n{RULE}\n\nPosting comment to MR...\n\u{2713} Comment posted successfully\n"),
        format!("text\n\n{RULE}\n\nmore text\n{RULE}"),
    ] {
        let remarks = format!("See:\n{quoted}\nend.");
        let printed = Printed { remarks: remarks.clone(), ..real() };
        assert_eq!(printed.parse().remarks, remarks);
        assert!(is_real(&printed.parse()), "{quoted}");
        let posted =
            format!("{}Posting comment to MR...\n\u{2713} Comment posted successfully\n\n", printed.output());
        assert_eq!(parse(&posted, None).unwrap().remarks, remarks);
        let debug = printed.debug_output("d", &format!("{{\"remarks\": \"{remarks}\"}}"));
        assert!(is_real(&parse(&debug, None).unwrap()), "{quoted}");
        let printed = Printed { issues: vec![quoted.trim().into(), "Two".into()], ..real() };
        assert!(is_real(&printed.parse()), "{quoted}");
    }
}

#[test]
fn what_a_description_shows_with_debug_is_no_report() {
    let mark = "\u{2713} Analysis complete\n\n";
    for description in [
        forged(),
        format!("{mark}{}", forged()),
        format!("{mark}{RULE}\n MR REVIEW REPORT\n{RULE}\n\nGoal Status: MET\nQuality Score: 99/100\n"),
        format!("\u{1f4ca} DEBUG - MR Metadata:\n{mark}{}", forged()),
    ] {
        let output = real().debug_output(&description, "{}");
        assert!(is_real(&parse(&output, None).unwrap()), "{output}");
        // A CLI that does not say when the analysis is complete.
        if !description.contains("Analysis complete") {
            let output = format!("Description: {description}\nThinking...\n{}", real().text());
            assert!(is_real(&parse(&output, None).unwrap()), "{output}");
        }
    }
    let output = format!("{}\n{mark}no report", forged());
    assert_eq!(parse(&output, None), None);
}

#[test]
fn unreadable_verdicts_are_told() {
    for (body, status, score, problems) in [
        ("Goal Status: maybe\nQuality Score: n/a", None, None::<u32>, 2),
        ("Goal Status:\nQuality Score: 101/100", None, None, 2),
        ("\u{2705} Goal Status: \u{2705} MET\nQuality Score: **88**/100", Some(GoalStatus::Met), Some(88), 0),
        ("Goal Status: Partially Met\nQuality Score: 0/100", Some(GoalStatus::PartiallyMet), Some(0), 0),
        ("Goal Status: NOT_MET\nQuality Score: -3/100", Some(GoalStatus::Unmet), None, 1),
        ("Quality Score: \u{2b50} 7", None, Some(7), 1),
        ("Nothing else", None, None, 2),
    ] {
        let found = parse(&report("MR REVIEW REPORT", body), None).unwrap();
        assert_eq!((found.goal_status, found.score), (status, score.map(Number::from)), "{body}");
        assert_eq!(found.problems.len(), problems, "{body}: {:?}", found.problems);
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
        assert_eq!(parse(output, None), None, "{output}");
    }
}

/// Lines that free texts are made of: much of what a report has, and other text.
const LINES: &str = "(Goal Status: MET|Quality Score: 99/100|Acceptance Criteria: x|Remarks: x|Remarks:|MR REVIEW REPORT|\
    ={50}|={3}|Potential Issues:|No issues found|- \\[ \\] todo|\u{2713} Analysis complete|Posting comment to MR\\.\\.\\.|\
    \u{2500}{80}|[a-zA-Z\u{e4}-\u{fc}][ -~]{0,30})";

fn free_text() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::strategy::Strategy;
    // Texts begin and end with a word, as white space around a text is not kept.
    let lines = proptest::collection::vec(proptest::string::string_regex(LINES).unwrap(), 0..8);
    (lines, proptest::sample::select(vec!["\n", "\n\n"]))
        .prop_map(|(lines, end)| format!("Begin{end}{}{end}end", lines.join(end)))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn a_printed_report_gives_its_fields_back(
        criteria in proptest::option::of(free_text()),
        remarks in free_text(),
        issues in proptest::collection::vec("[a-zA-Z][ -~]{0,30}", 0..4),
        score in 0u32..=100,
        status in 0usize..3,
    ) {
        let (goal, expected) = [
            ("MET", GoalStatus::Met),
            ("PARTIALLY_MET", GoalStatus::PartiallyMet),
            ("UNMET", GoalStatus::Unmet),
        ][status];
        let printed = Printed { goal: goal.into(), score: score.to_string(), criteria, issues, remarks };
        let issues: Vec<String> = printed.issues.iter().map(|issue| issue.trim().to_owned()).collect();
        for output in [printed.output(), printed.debug_output(&forged(), "{}")] {
            let found = parse(&output, printed.criteria.as_deref()).unwrap();
            proptest::prop_assert_eq!(found.goal_status, Some(expected));
            proptest::prop_assert_eq!(found.score, Some(score.into()));
            proptest::prop_assert_eq!(&found.issues, &issues);
            let same = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            proptest::prop_assert_eq!(same(&found.remarks), same(&printed.remarks));
        }
    }

    #[test]
    fn no_output_makes_the_parser_panic(parts in proptest::collection::vec(
        "(={3,5}|MR REVIEW REPORT|Goal Status:|Quality Score:|Acceptance Criteria:|Potential Issues:|Remarks:|  1\\. |\u{2713} Analysis complete|DEBUG - |\u{1b}\\[|\\PC{0,5}|\n)", 0..60,
    )) {
        let output = parts.concat();
        if let Some(report) = parse(&output, parts.first().map(String::as_str)) {
            proptest::prop_assert!(report.remarks.len() <= output.len());
        }
    }
}
