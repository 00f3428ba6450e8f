//! Results and notifications of a call as text. Must not know where they come from.

use runtime::printable;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mcp::Message;
use crate::output::Text;
pub(super) use crate::output::note;

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Text blocks without characters that command a terminal or hide, all other blocks as JSON.
    Text,
    /// Text blocks as they are, all other blocks as JSON.
    Raw,
    /// The whole result as JSON, as received, but for characters that JSON can escape.
    Json,
}

/// The kind of a result, with its text.
pub(super) enum Answer {
    Result(Text),
    ToolError(Text),
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
        Format::Json => Text::json(&(raw_result(&message.line) + "\n")),
        Format::Raw => Text::raw(lines(result)),
        Format::Text => lines(result).into(),
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
        return printable::json(&format!("{structured}\n")).into_owned();
    };
    let line = |block: &Value| match block["text"].as_str() {
        Some(text) => format!("{text}\n"),
        None => printable::json(&format!("{block}\n")).into_owned(),
    };
    blocks.iter().map(line).collect()
}

/// Returns the definitions of tools as JSON, each as the server wrote it.
pub(super) fn definitions(tools: &[Box<RawValue>]) -> Text {
    let definitions: Vec<&str> = tools.iter().map(|tool| tool.get()).collect();
    Text::json(&format!("[{}]\n", definitions.join(",")))
}

/// Returns a list of tools with names and descriptions.
pub(super) fn tools(tools: &[Value], format: Format) -> Text {
    let shown =
        |text: &str| if format == Format::Raw { text.to_owned() } else { printable::line(text).into_owned() };
    let name = |tool: &Value| shown(tool["name"].as_str().unwrap_or_default());
    let width = tools.iter().map(|tool| name(tool).chars().count()).max().unwrap_or_default();
    let line = |tool: &Value| {
        let about = tool["description"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        format!("{:width$}  {}", name(tool), shown(about)).trim_end().to_owned() + "\n"
    };
    let lines: String = tools.iter().map(line).collect();
    if format == Format::Raw { Text::raw(lines) } else { lines.into() }
}

/// Returns a notification as one line.
pub(super) fn notice(message: &Value) -> String {
    printable::line(&described(message)).into_owned()
}

fn described(message: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(line: &str, format: Format) -> (String, bool) {
        let json = line.strip_prefix("data: ").unwrap_or(line);
        let message = Message { line: line.into(), value: serde_json::from_str(json).unwrap() };
        match answer(&message, format) {
            Answer::Result(text) => (text.as_str().to_owned(), true),
            Answer::ToolError(text) => (text.as_str().to_owned(), false),
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
    fn hostile_characters_are_escaped_unless_raw_text_is_asked_for() {
        let line = r#"{"result":{"content":[{"type":"text","text":"a\u001b[2J\u202e\r\n\tb"},{"type":"x","y":"@"}]}}"#
            .replace('@', "\u{202e}");
        let text = "a\\u{1b}[2J\\u{202e}\n\tb\n{\"type\":\"x\",\"y\":\"\\u202e\"}\n";
        assert_eq!(shown(&line, Format::Text).0, text);
        assert!(shown(&line, Format::Raw).0.starts_with("a\u{1b}[2J\u{202e}\r\n\tb\n"));
        let json = shown(&line, Format::Json).0;
        assert!(!json.contains('\u{202e}') && json.contains(r#""y":"\u202e""#), "{json}");
        let log = json!({ "method": "notifications/message", "params": { "data": "a\u{1b}\nb" } });
        assert_eq!(notice(&log), "log: a\\u{1b}\\nb");
        let list = [json!({ "name": "e\u{9b}", "description": "Says\u{7}." })];
        assert_eq!(tools(&list, Format::Text).as_str(), "e\\u{9b}  Says\\u{7}.\n");
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
        assert_eq!(tools(&list, Format::Text).as_str(), "echo    Says.\nsleeps\n");
        let raw = RawValue::from_string(r#"{"name":"a", "n":[1e400]}"#.into()).unwrap();
        assert_eq!(definitions(&[raw.clone(), raw]).as_str().matches(r#""n":[1e400]"#).count(), 2);
    }
}
