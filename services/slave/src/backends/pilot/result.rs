//! The tool's result: a review, or an error for the model to read. Must not know how the review is made.

use protocol::mcp::era::Era;
use serde::Serialize;
use serde_json::{Value, json};

use super::report::GoalStatus;
use crate::call::Answer;

/// The structured result; its schema is in `definition.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    pub(super) success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) goal_status: Option<GoalStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<serde_json::Number>,
    pub(super) issues: Vec<String>,
    pub(super) remarks: String,
    pub(super) comment_posted: bool,
}

impl Review {
    /// Returns the review as structured content, and as pretty JSON in a text block.
    pub(super) fn answer(&self, era: Era) -> Result<Answer, serde_json::Error> {
        let text = serde_json::to_string_pretty(self)?;
        let result = json!({ "content": [{ "type": "text", "text": text }], "structuredContent": self });
        Ok(Answer {
            payload: with_result_type(result, era).to_string().into(),
            error: false,
            tool_error: false,
        })
    }
}

/// Returns a text block with `isError`. Without a review there is no structured content.
pub(super) fn error_result(era: Era, text: &str) -> Answer {
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true });
    Answer { payload: with_result_type(result, era).to_string().into(), error: false, tool_error: true }
}

fn with_result_type(mut result: Value, era: Era) -> Value {
    if era == Era::Modern {
        result["resultType"] = "complete".into();
    }
    result
}
