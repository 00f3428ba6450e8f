//! Results and notifications of a call as text. Must not know where they come from.

use std::io::Write;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mcp::Message;

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Text blocks as they are, all other blocks as JSON.
    Text,
    /// The whole result as JSON, as received.
    Json,
}

/// The kind of a result, with its text.
pub(super) enum Answer {
    Result(String),
    ToolError(String),
    /// The tool asks the client for input first (2026-07-28, "Multi Round-Trip Requests").
    NeedsInput,
}

/// Reads the result of a response.
pub(super) fn answer(message: &Message, format: Format) -> Answer {
    let result = &message.value["result"];
    if result["resultType"] == "input_required" {
        return Answer::NeedsInput;
    }
    let text = match format {
        Format::Json => raw_result(&message.line) + "\n",
        Format::Text => lines(result),
    };
    if result["isError"] == true { Answer::ToolError(text) } else { Answer::Result(text) }
}

/// Returns the result with the bytes that the server sent.
fn raw_result(line: &str) -> String {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    let json = line.strip_prefix("data:").unwrap_or(line);
    serde_json::from_str::<Response<'_>>(json).map(|found| found.result.get().to_owned()).unwrap_or_default()
}

fn lines(result: &Value) -> String {
    let blocks = result["content"].as_array().filter(|blocks| !blocks.is_empty());
    let Some(blocks) = blocks else {
        let structured = result.get("structuredContent").unwrap_or(result);
        return format!("{structured}\n");
    };
    let line = |block: &Value| match block["text"].as_str() {
        Some(text) => format!("{text}\n"),
        None => format!("{block}\n"),
    };
    blocks.iter().map(line).collect()
}

/// Returns a list of tools with names and descriptions, or their definitions as JSON.
pub(super) fn tools(tools: &[Value], format: Format) -> String {
    if format == Format::Json {
        return format!("{}\n", Value::from(tools.to_vec()));
    }
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    let width = tools.iter().map(|tool| name(tool).chars().count()).max().unwrap_or_default();
    let line = |tool: &Value| {
        let about = tool["description"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        format!("{:width$}  {about}", name(tool)).trim_end().to_owned() + "\n"
    };
    tools.iter().map(line).collect()
}

/// Returns a notification as one line.
pub(super) fn notice(message: &Value) -> String {
    let params = &message["params"];
    match message["method"].as_str().unwrap_or_default() {
        "notifications/progress" => {
            let total = params.get("total").map(|total| format!(" of {total}")).unwrap_or_default();
            let message = params["message"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
            format!("progress {}{total}{message}", params["progress"])
        }
        "notifications/message" => {
            let data = params["data"].as_str().map_or_else(|| params["data"].to_string(), str::to_owned);
            format!("{}: {data}", params["level"].as_str().unwrap_or("log"))
        }
        other => other.to_owned(),
    }
}

/// Writes a line to standard error; a reader that is gone is no failure.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(line: &str, format: Format) -> (String, bool) {
        let json = line.strip_prefix("data: ").unwrap_or(line);
        let message = Message { line: line.into(), value: serde_json::from_str(json).unwrap() };
        match answer(&message, format) {
            Answer::Result(text) => (text, true),
            Answer::ToolError(text) => (text, false),
            Answer::NeedsInput => ("input".into(), false),
        }
    }

    #[test]
    fn results_are_printed_as_text_or_as_the_received_json() {
        let line = r#"data: {"id":1,"result":{"z":1,"content":[{"type":"text","text":"hi\nyou"},{"type":"image"}],"a":1.0}}"#;
        assert_eq!(shown(line, Format::Text), ("hi\nyou\n{\"type\":\"image\"}\n".into(), true));
        assert_eq!(
            shown(line, Format::Json).0,
            "{\"z\":1,\"content\":[{\"type\":\"text\",\"text\":\"hi\\nyou\"},{\"type\":\"image\"}],\"a\":1.0}\n"
        );
        let failed = r#"{"result":{"content":[{"type":"text","text":"no"}],"isError":true}}"#;
        assert_eq!(shown(failed, Format::Text), ("no\n".into(), false));
        let structured = r#"{"result":{"content":[],"structuredContent":{"n":1}}}"#;
        assert_eq!(shown(structured, Format::Text).0, "{\"n\":1}\n");
        assert_eq!(shown(r#"{"result":{"resultType":"input_required"}}"#, Format::Json).0, "input");
    }

    #[test]
    fn notifications_are_one_line() {
        let progress = json!({ "method": "notifications/progress", "params": { "progress": 1, "total": 4, "message": "on" } });
        assert_eq!(notice(&progress), "progress 1 of 4: on");
        let log =
            json!({ "method": "notifications/message", "params": { "level": "info", "data": { "a": 1 } } });
        assert_eq!(notice(&log), "info: {\"a\":1}");
        assert_eq!(notice(&json!({ "method": "notifications/x" })), "notifications/x");
    }

    #[test]
    fn tools_are_listed_by_name() {
        let list = [json!({ "name": "echo", "description": "Says.\nMore." }), json!({ "name": "sleeps" })];
        assert_eq!(tools(&list, Format::Text), "echo    Says.\nsleeps\n");
        assert!(tools(&list, Format::Json).starts_with('['));
    }
}
