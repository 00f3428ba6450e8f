//! The two fields of a report that are a verdict: goal status and score. Must not know where they stand.

use serde::Serialize;
use serde_json::Number;

/// Characters of a value that a problem shows.
const MAX_SHOWN_CHARS: usize = 80;

/// Whether the change meets its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GoalStatus {
    Met,
    PartiallyMet,
    Unmet,
}

/// Returns the goal status of a field's text, or the problem with it. Only the exact words count: `MET IN PART` is not
/// `MET`.
pub(super) fn goal_status(field: Option<&str>) -> Result<GoalStatus, String> {
    let Some(value) = field else { return Err("The report has no goal status.".into()) };
    let words: Vec<String> = bare(value)
        .split(|c: char| c == '_' || c == '-' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["met"] => Ok(GoalStatus::Met),
        ["partially", "met"] => Ok(GoalStatus::PartiallyMet),
        ["unmet"] | ["not", "met"] => Ok(GoalStatus::Unmet),
        _ => {
            let shown = shown(value);
            Err(format!(
                "The report's goal status is {shown}, which is none of MET, PARTIALLY_MET and UNMET."
            ))
        }
    }
}

/// Returns the score of a field's text (`72/100`), or the problem with it.
pub(super) fn score(field: Option<&str>) -> Result<Number, String> {
    let Some(value) = field else { return Err("The report has no quality score.".into()) };
    let mut parts = value.split('/').map(bare);
    let number = parts.next().and_then(|text| serde_json::from_str::<Number>(text).ok());
    // The CLI writes "/100" after whatever the model said, which may be "72/100" by itself.
    let out_of_100 = parts.all(|part| part == "100");
    let in_range =
        number.filter(|number| number.as_f64().is_some_and(|score| (0.0..=100.0).contains(&score)));
    in_range.filter(|_| out_of_100).ok_or_else(|| {
        let shown = shown(value);
        format!("The report's quality score is {shown}, which is no number from 0 to 100.")
    })
}

/// Returns the text without the symbols around it (emoji, asterisks, percent signs); a sign stays with its number.
fn bare(text: &str) -> &str {
    let symbol = |c: char| !c.is_alphanumeric() && c != '-' && c != '.';
    text.trim_start_matches(symbol).trim_end_matches(|c: char| !c.is_alphanumeric())
}

fn shown(value: &str) -> String {
    let value: String = value.trim().chars().take(MAX_SHOWN_CHARS).collect();
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_status_is_one_of_three() {
        for (value, expected) in [
            ("MET", GoalStatus::Met),
            (" \u{2705} MET ", GoalStatus::Met),
            ("**met**", GoalStatus::Met),
            ("PARTIALLY_MET", GoalStatus::PartiallyMet),
            ("Partially Met.", GoalStatus::PartiallyMet),
            ("partially-met", GoalStatus::PartiallyMet),
            ("UNMET", GoalStatus::Unmet),
            ("NOT_MET", GoalStatus::Unmet),
        ] {
            assert_eq!(goal_status(Some(value)), Ok(expected), "{value}");
        }
        for value in [
            "",
            "MAYBE",
            "MOSTLY_MET",
            "MET/UNMET",
            "MET BUT NOT ALL",
            "PARTIALLY_UNMET",
            "\u{672a} MET",
            "UNDEFINED",
            "MET | PARTIALLY_MET | UNMET",
        ] {
            let problem = goal_status(Some(value)).unwrap_err();
            assert!(problem.contains(&format!("{value:?}")), "{value}: {problem}");
        }
        assert!(goal_status(None).unwrap_err().contains("no goal status"));
    }

    #[test]
    fn a_score_is_a_number_from_0_to_100() {
        for (value, expected) in [
            ("72/100", 72.0),
            ("0/100", 0.0),
            ("100/100", 100.0),
            (" \u{2b50} 7", 7.0),
            ("**88**/100", 88.0),
            ("50.5/100", 50.5),
            ("85%/100", 85.0),
            ("85/100/100", 85.0),
            ("1e2/100", 100.0),
        ] {
            assert_eq!(score(Some(value)).unwrap().as_f64(), Some(expected), "{value}");
        }
        for value in [
            "101/100",
            "-3/100",
            "1000/100",
            "100.5/100",
            "undefined/100",
            "N/A/100",
            "8/10/100",
            "8/10",
            "/100",
            "",
            "1e400/100",
            "NaN/100",
            "99 of 1000/100",
            "null/100",
        ] {
            let problem = score(Some(value)).unwrap_err();
            assert!(problem.contains(&format!("{value:?}")), "{value}: {problem}");
        }
        assert!(score(None).unwrap_err().contains("no quality score"));
    }
}
