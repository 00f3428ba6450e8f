//! The `Mcp-Param-*` headers, in which a modern client repeats arguments (2026-07-28, Streamable HTTP, "Custom Headers from
//! Tool Parameters"). Knows no request.

use hyper::header::{HeaderName, HeaderValue};
use protocol::mcp::param_headers::{ParamHeader, ParamHeaders, argument_text};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Returns the headers that the tool's definition asks for, with the values of `arguments`.
pub(crate) fn param_headers(tool: &RawValue, arguments: &Value) -> Vec<(HeaderName, HeaderValue)> {
    let Ok(arguments) = to_raw_value(arguments) else { return Vec::new() };
    let header = |param: &ParamHeader| {
        let text = argument_text(param.value(&arguments)?)?;
        let name = HeaderName::try_from(format!("mcp-param-{}", param.header)).ok()?;
        Some((name, HeaderValue::from_str(&text).ok()?))
    };
    ParamHeaders::of(tool).params.iter().filter_map(header).collect()
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
}
