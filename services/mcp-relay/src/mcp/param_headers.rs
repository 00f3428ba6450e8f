//! The `Mcp-Param-*` headers, in which a modern client repeats arguments (2026-07-28, Streamable HTTP, "Custom Headers from
//! Tool Parameters"). Knows no request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

/// Deepest nesting of `properties` that is read.
const MAX_DEPTH: usize = 32;

/// Returns the headers that the tool's definition asks for, with the values of `arguments`.
pub(crate) fn param_headers(tool: &Value, arguments: &Value) -> Vec<(HeaderName, HeaderValue)> {
    let mut found = Vec::new();
    walk(&tool["inputSchema"], arguments, MAX_DEPTH, &mut |annotation, value| {
        let text = match value {
            Value::String(text) => encoded(text),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return,
        };
        let name = HeaderName::try_from(format!("mcp-param-{annotation}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&text)) {
            found.push((name, value));
        }
    });
    found
}

fn walk(schema: &Value, arguments: &Value, depth: usize, take: &mut dyn FnMut(&str, &Value)) {
    let Some(properties) = schema["properties"].as_object().filter(|_| depth > 0) else { return };
    for (name, property) in properties {
        if let Some(annotation) = property["x-mcp-header"].as_str() {
            take(annotation, &arguments[name]);
        }
        walk(property, &arguments[name], depth - 1, take);
    }
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
        let tool = json!({ "inputSchema": { "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "properties": { "n": { "type": "integer", "x-mcp-header": "N" } } },
            "absent": { "type": "string", "x-mcp-header": "Absent" },
            "plain": { "type": "string" },
        } } });
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
