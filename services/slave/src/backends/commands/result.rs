//! The result of a run: what a command wrote, as MCP has it. Must not know how it is run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::mcp::era::Era;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::schema::Schema;
use crate::call::Answer;

/// Bytes of the longest text of an error.
const MAX_ERROR_TEXT: usize = 8 * 1024;

/// Returns a result for the model to read, which says what went wrong.
pub(super) fn error(era: Era, text: &str) -> Answer {
    let from = text.ceil_char_boundary(text.len().saturating_sub(MAX_ERROR_TEXT));
    let (head, tail) = match from {
        0 => (text, ""),
        _ => (
            text.get(..text.floor_char_boundary(200)).unwrap_or_default(),
            text.get(from..).unwrap_or_default(),
        ),
    };
    let text = if tail.is_empty() { head.to_owned() } else { format!("{head} … {tail}") };
    answer(era, &json!([text_block(&text)]), Outcome::Error)
}

/// Returns the result of a command that writes text.
pub(super) fn text(era: Era, text: &str) -> Answer {
    answer(era, &json!([text_block(text)]), Outcome::Success(None))
}

/// Returns the result of a command that writes JSON, which stays as it was written.
///
/// # Errors
/// Why the text cannot be used, without quoting it.
pub(super) fn structured(era: Era, text: &str, schema: Option<&Schema>) -> Result<Answer, String> {
    let raw: &RawValue = serde_json::from_str(text.trim())
        .map_err(|error| format!("its standard output is no JSON: {}", position(&error)))?;
    if let Some(schema) = schema {
        let value: Value = serde_json::from_str(raw.get())
            .map_err(|error| format!("its standard output cannot be checked: {}", position(&error)))?;
        let unlike = |faults: Vec<String>| {
            format!("its standard output is not what its outputSchema says: {}", faults.join("; "))
        };
        schema.check(&value).map_err(unlike)?;
    }
    // Line ends outside of strings are white space, and within strings there is none.
    let line = raw.get().replace(['\n', '\r'], " ");
    let member = line.starts_with('{').then_some(line.as_str());
    Ok(answer(era, &json!([text_block(raw.get())]), Outcome::Success(member)))
}

/// Returns the result of a command that wrote a file.
pub(super) fn file(era: Era, uri: &str, content: Content) -> Answer {
    let block = match content {
        Content::Text(text) => text_block(&text),
        Content::Bytes { mime_type, bytes } => {
            let data = STANDARD.encode(bytes);
            match mime_type.split_once('/') {
                Some((kind @ ("image" | "audio"), _)) => {
                    json!({ "type": kind, "data": data, "mimeType": mime_type })
                }
                _ => json!({ "type": "resource",
                    "resource": { "uri": uri, "mimeType": mime_type, "blob": data } }),
            }
        }
    };
    answer(era, &json!([block]), Outcome::Success(None))
}

/// The content of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Text, without secrets.
    Text(String),
    /// Anything else.
    Bytes {
        /// Its media type.
        mime_type: String,
        /// The file.
        bytes: Vec<u8>,
    },
}

#[derive(Clone, Copy)]
enum Outcome<'a> {
    /// With the structured content, as JSON in one line.
    Success(Option<&'a str>),
    Error,
}

fn answer(era: Era, content: &Value, outcome: Outcome<'_>) -> Answer {
    let mut result = format!("{{\"content\":{content}");
    let tool_error = match outcome {
        Outcome::Success(structured) => {
            if let Some(json) = structured {
                result.push_str(",\"structuredContent\":");
                result.push_str(json);
            }
            false
        }
        Outcome::Error => {
            result.push_str(",\"isError\":true");
            true
        }
    };
    if era == Era::Modern {
        result.push_str(",\"resultType\":\"complete\"");
    }
    result.push('}');
    Answer { tool_error, ..Answer::result(result.into()) }
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn position(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(answer: &Answer) -> Value {
        assert!(!answer.payload.contains(&b'\n'), "a payload is one line");
        serde_json::from_slice(&answer.payload).unwrap()
    }

    #[test]
    fn json_stays_as_it_was_written() {
        let text = "{\n  \"n\": 9007199254740993,\r\n \"x\": 1e400, \"t\": \"a\\nb\" }\n";
        let answer = structured(Era::Modern, text, None).unwrap();
        let payload = String::from_utf8(answer.payload.to_vec()).unwrap();
        let expected = r#""structuredContent":{   "n": 9007199254740993,   "x": 1e400, "t": "a\nb" },"resultType":"complete"}"#;
        assert!(payload.ends_with(expected), "{payload}");
        let list = structured(Era::Legacy, "[1]", None).unwrap();
        assert_eq!(json(&list), json!({ "content": [{ "type": "text", "text": "[1]" }] }));
    }

    #[test]
    fn json_that_cannot_be_used_is_described_and_not_quoted() {
        let schema =
            Schema::compile(r#"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}"#);
        let schema = schema.unwrap();
        for (text, expected) in [
            ("", "is no JSON"),
            ("hush", "is no JSON: line 1"),
            ("{} hush", "is no JSON"),
            ("{}", "\"a\" is a required property"),
            (r#"{"a":"hush"}"#, "/a: the value is not of type \"integer\""),
            ("[\"hush\"]", "/: the value is not of type \"object\""),
            (r#"{"a":1e400}"#, "cannot be checked"),
        ] {
            let fault = structured(Era::Legacy, text, Some(&schema)).unwrap_err();
            assert!(fault.contains(expected) && !fault.contains("hush"), "{text}: {fault}");
        }
    }

    #[test]
    fn files_are_what_their_type_says() {
        let bytes = |mime: &str| Content::Bytes { mime_type: mime.into(), bytes: vec![0, 255] };
        for (content, expected) in [
            (Content::Text("a".into()), json!({ "type": "text", "text": "a" })),
            (bytes("image/png"), json!({ "type": "image", "data": "AP8=", "mimeType": "image/png" })),
            (bytes("audio/wav"), json!({ "type": "audio", "data": "AP8=", "mimeType": "audio/wav" })),
            (
                bytes("application/pdf"),
                json!({ "type": "resource", "resource":
                    { "uri": "u:x", "mimeType": "application/pdf", "blob": "AP8=" } }),
            ),
        ] {
            assert_eq!(json(&file(Era::Legacy, "u:x", content))["content"], json!([expected]));
        }
    }

    #[test]
    fn a_long_error_keeps_its_beginning_and_its_end() {
        let answer = error(Era::Modern, &format!("begin {} ümlaut end", "ü".repeat(20_000)));
        let found = json(&answer);
        let text = found["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("begin ü") && text.ends_with("ümlaut end") && text.len() < 10_000);
        assert!(answer.tool_error && found["isError"] == true && found["resultType"] == "complete");
    }
}
