//! The tool's result: a review, or an error for the model to read. Must not know where the review comes from.

use protocol::mcp::era::Era;
use serde::Serialize;
use serde_json::{Value, json};

use super::report::GoalStatus;
use crate::backends::Answer;

/// The structured result; `definition.json` has its schema.
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
    /// The structured part, and the same as pretty JSON in a text block.
    pub(super) fn answer(&self, era: Era) -> Result<Answer, serde_json::Error> {
        let text = serde_json::to_string_pretty(self)?;
        let result = json!({ "content": [{ "type": "text", "text": text }], "structuredContent": self });
        Ok(Answer { payload: typed(result, era).to_string().into(), error: false, tool_error: false })
    }
}

/// A text block with `isError`: without a review there is nothing that the output schema asks for.
pub(super) fn refused(era: Era, text: &str) -> Answer {
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true });
    Answer { payload: typed(result, era).to_string().into(), error: false, tool_error: true }
}

fn typed(mut result: Value, era: Era) -> Value {
    if era == Era::Modern {
        result["resultType"] = "complete".into();
    }
    result
}
