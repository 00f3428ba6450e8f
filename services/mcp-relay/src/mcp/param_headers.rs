//! The `Mcp-Param-*` headers, in which a modern client repeats arguments (2026-07-28, Streamable HTTP, "Custom Headers from
//! Tool Parameters"). Knows no request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use protocol::mcp::param_headers::{ParamHeader, ParamHeaders};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Returns the headers that the tool's definition asks for, with the values of `arguments`.
pub(crate) fn param_headers(tool: &RawValue, arguments: &Value) -> Vec<(HeaderName, HeaderValue)> {
    let Ok(arguments) = to_raw_value(arguments) else { return Vec::new() };
    let header = |param: &ParamHeader| {
        let text = match serde_json::from_str(param.value(&arguments)?.get()).ok()? {
            Value::String(text) => encoded(&text),
            value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
            _ => return None,
        };
        let name = HeaderName::try_from(format!("mcp-param-{}", param.header)).ok()?;
        Some((name, HeaderValue::from_str(&text).ok()?))
    };
    ParamHeaders::of(tool).params.iter().filter_map(header).collect()
}

/// Encodes a header value: as it is where that is unambiguous, in Base64 otherwise.
pub(super) fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotated_arguments_become_headers() {
        const TOOL: &str = r#"{"inputSchema":{"maximum":1e400,"title":"\ud83d","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "absent":{"type":"string","x-mcp-header":"Absent"},
            "plain":{"type":"string"}}}}"#;
        let tool = RawValue::from_string(TOOL.into()).unwrap();
        let found = param_headers(&tool, &json!({ "region": "Zürich", "deep": { "n": 42 }, "plain": "x" }));
        let mut found: Vec<String> =
            found.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        found.sort();
        assert_eq!(found, ["mcp-param-n: 42", "mcp-param-region: =?base64?WsO8cmljaA==?="]);
    }

    #[test]
    fn values_that_look_encoded_or_have_spaces_at_their_ends_are_encoded() {
        assert_eq!(encoded("eu-west 1"), "eu-west 1");
        for text in ["=?base64?x?=", " a", "a ", "a\nb", "é"] {
            assert!(encoded(text).starts_with("=?base64?") && encoded(text) != text, "{text:?}");
        }
    }
}
