//! The tool's result: a review, or an error for the model to read. Must not know how the review is made.

use protocol::mcp::era::Era;
use serde::Serialize;
use serde_json::{Value, json};

use super::report::{GoalStatus, Report};
use crate::backends::redactor::Redactor;
use crate::call::Answer;

/// The structured result; its schema is in `definition.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    /// Whether there is a review whose verdict can be read.
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal_status: Option<GoalStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<serde_json::Number>,
    issues: Vec<String>,
    remarks: String,
    comment_posted: bool,
    /// What went wrong beside the review.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What became of the comment on the change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommentOutcome {
    NotAsked,
    Posted,
    /// The text says why, and holds no secret.
    Failed(String),
}

impl Review {
    /// Returns the review of a report.
    pub(super) fn of(report: &Report, comment: CommentOutcome, redactor: &Redactor) -> Self {
        let redact = |text: &String| redactor.redact(text).into_owned();
        let mut warnings: Vec<String> = report.problems.iter().map(redact).collect();
        let comment_posted = comment == CommentOutcome::Posted;
        if let CommentOutcome::Failed(reason) = comment {
            warnings.push(format!(
                "The review is complete, but posting it as a comment failed: {reason} If the platform did not answer in time, the comment may be there: look before you ask for it again."
            ));
        }
        Self {
            success: report.problems.is_empty(),
            goal_status: report.goal_status,
            score: report.score.clone(),
            issues: report.issues.iter().map(redact).collect(),
            remarks: redact(&report.remarks),
            comment_posted,
            warnings,
        }
    }

    /// Returns the result of a run that printed no report; `remarks` say so.
    pub(super) fn missing(remarks: String) -> Self {
        Self {
            success: false,
            goal_status: None,
            score: None,
            issues: Vec::new(),
            remarks,
            comment_posted: false,
            warnings: Vec::new(),
        }
    }

    /// Returns the review as structured content, and as pretty JSON in a text block.
    pub(super) fn answer(&self, era: Era) -> Result<Answer, serde_json::Error> {
        let text = serde_json::to_string_pretty(self)?;
        let result = json!({ "content": [{ "type": "text", "text": text }], "structuredContent": self });
        Ok(Answer::result(with_result_type(result, era).to_string().into()))
    }
}

/// Returns a text block with `isError`. Without a review there is no structured content.
pub(super) fn error_result(era: Era, text: &str) -> Answer {
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true });
    Answer::tool_error(with_result_type(result, era).to_string().into())
}

fn with_result_type(mut result: Value, era: Era) -> Value {
    if era == Era::Modern {
        result["resultType"] = "complete".into();
    }
    result
}
