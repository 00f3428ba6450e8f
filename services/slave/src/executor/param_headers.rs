//! Arguments that a modern client repeats in `Mcp-Param-*` headers (2026-07-28, Streamable HTTP, "Custom Headers from
//! Tool Parameters"): whoever reads the body holds them against it. Must not know HTTP: headers come decoded.

use protocol::mcp::failure::Failure;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ToolCall;

/// Beginning of the headers' names, as call headers have them.
const PREFIX: &str = "mcp-param-";

/// Deepest nesting of `properties` that is looked into.
const MAX_DEPTH: usize = 32;

/// What one tool's schema asks for.
#[derive(Debug, Default)]
pub(crate) struct ParamHeaders {
    annotated: Vec<Annotated>,
}

#[derive(Debug)]
struct Annotated {
    /// Lower case, without the prefix.
    header: String,
    /// Property names from the root of the arguments.
    path: Vec<String>,
}

impl ParamHeaders {
    /// Reads the annotations of a tool's `inputSchema`. One that the specification does not allow is left aside with
    /// a warning: conforming clients drop the tool by themselves.
    pub(crate) fn of(tool: &str, definition: &RawValue) -> Self {
        let text = definition.get();
        // Nearly all tools have none: their definitions need not be parsed.
        if memchr::memmem::find(text.as_bytes(), b"\"x-mcp-header\"").is_none() {
            return Self::default();
        }
        let schema = serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|mut tool| tool.get_mut("inputSchema").map(Value::take));
        let mut found = Self::default();
        found.walk(tool, &schema.unwrap_or_default(), &mut Vec::new());
        found.drop_doubles(tool);
        found
    }

    fn walk(&mut self, tool: &str, schema: &Value, path: &mut Vec<String>) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        if path.len() >= MAX_DEPTH {
            return;
        }
        for (name, property) in properties {
            path.push(name.clone());
            if let Some(annotation) = property.get("x-mcp-header") {
                match usable(annotation, property) {
                    Ok(header) => self.annotated.push(Annotated { header, path: path.clone() }),
                    Err(reason) => {
                        tracing::warn!(tool, property = path.join("."), "x-mcp-header is ignored: {reason}");
                    }
                }
            }
            self.walk(tool, property, path);
            path.pop();
        }
    }

    /// Names are unique in a valid schema; which of two parameters a doubled one means cannot be known.
    fn drop_doubles(&mut self, tool: &str) {
        let names: Vec<String> = self.annotated.iter().map(|one| one.header.clone()).collect();
        self.annotated.retain(|one| {
            let unique = names.iter().filter(|name| **name == one.header).count() == 1;
            if !unique {
                tracing::warn!(
                    tool,
                    header = one.header,
                    "x-mcp-header is ignored: two parameters have the same"
                );
            }
            unique
        });
    }

    /// Holds the headers of a call against its arguments.
    pub(crate) fn check(&self, call: &ToolCall) -> Result<(), Failure> {
        if self.annotated.is_empty() {
            return Ok(());
        }
        let arguments: Value = call.arguments().map_err(|error| Failure::InvalidParams(error.to_string()))?;
        for one in &self.annotated {
            let value = one
                .path
                .iter()
                .try_fold(&arguments, |value, name| value.get(name))
                .filter(|value| !value.is_null());
            let sent = call
                .header
                .param_headers
                .iter()
                .find(|(name, _)| is_header(name, &one.header))
                .map(|(_, sent)| sent);
            one.compare(value, sent.map(String::as_str))?;
        }
        Ok(())
    }
}

fn usable(annotation: &Value, property: &Value) -> Result<String, &'static str> {
    let header = annotation.as_str().ok_or("it is not a string")?.to_ascii_lowercase();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if header.is_empty() || !header.bytes().all(is_token) {
        return Err("it is not a header name");
    }
    match property.get("type").and_then(Value::as_str) {
        Some("string" | "integer" | "boolean") => Ok(header),
        _ => Err("the parameter is not a string, an integer or a boolean"),
    }
}

fn is_header(name: &str, wanted: &str) -> bool {
    name.strip_prefix(PREFIX).unwrap_or(name) == wanted
}

impl Annotated {
    fn compare(&self, value: Option<&Value>, sent: Option<&str>) -> Result<(), Failure> {
        let fault = match (value, sent) {
            (None, None) => return Ok(()),
            (Some(value), Some(sent)) if same(value, sent) => return Ok(()),
            (Some(_), Some(_)) => "differs from the argument",
            (Some(_), None) => "is missing, and the argument is there",
            (None, Some(_)) => "is there, and the argument is not",
        };
        Err(Failure::HeaderMismatch(format!(
            "header Mcp-Param-{} {fault} {:?}",
            self.header,
            self.path.join(".")
        )))
    }
}

/// Integers are compared as numbers, as the specification recommends ("42.0" is 42).
fn same(value: &Value, sent: &str) -> bool {
    match value {
        Value::String(text) => text == sent,
        Value::Bool(truth) => sent == if *truth { "true" } else { "false" },
        Value::Number(number) => {
            number.to_string() == sent
                || matches!((number.as_f64(), sent.parse::<f64>()), (Some(a), Ok(b)) if a.to_bits() == b.to_bits())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{call, header};
    use super::*;
    use bytes::Bytes;
    use protocol::mcp::era::Era;

    const TOOL: &str = r#"{"name":"t","inputSchema":{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
        "flag":{"type":"boolean","x-mcp-header":"Flag"},
        "one":{"type":"string","x-mcp-header":"Twice"},"two":{"type":"string","x-mcp-header":"TWICE"},
        "real":{"type":"number","x-mcp-header":"Real"},
        "bad":{"type":"string","x-mcp-header":"a b"}}}}"#;

    fn checked(arguments: &str, headers: &[(&str, &str)]) -> Result<(), Failure> {
        let tool = RawValue::from_string(TOOL.into()).unwrap();
        let message = format!(r#"{{"id":1,"params":{{"name":"t","arguments":{arguments}}}}}"#);
        let mut header = header(Era::Modern);
        header.param_headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ParamHeaders::of("t", &tool).check(&ToolCall::parse(header, Bytes::from(message)).unwrap())
    }

    #[test]
    fn headers_that_match_pass() {
        checked("{}", &[]).unwrap();
        checked(r#"{"region":null}"#, &[]).unwrap();
        checked(
            r#"{"region":"é","deep":{"n":42},"flag":true}"#,
            &[("mcp-param-region", "é"), ("n", "42.0"), ("flag", "true")],
        )
        .unwrap();
        checked(r#"{"one":"x","real":1,"bad":"y"}"#, &[("other", "z")]).unwrap();
    }

    #[test]
    fn missing_differing_and_surplus_headers_are_refused() {
        for (arguments, headers, word) in [
            (r#"{"region":"a"}"#, &[][..], "missing"),
            (r#"{"region":"a"}"#, &[("region", "A")][..], "differs"),
            (r#"{"deep":{"n":1}}"#, &[("n", "one")][..], "differs"),
            (r#"{"deep":{}}"#, &[("n", "1")][..], "argument is not"),
            (r#"{"flag":true}"#, &[("flag", "True")][..], "differs"),
        ] {
            let failure = checked(arguments, headers).unwrap_err();
            assert!(failure.to_string().contains(word), "{failure}");
            assert_eq!(failure.status(Era::Modern), 400);
            assert_eq!(failure.spec().code, -32020);
        }
    }

    #[test]
    fn tools_without_annotations_ask_for_nothing() {
        let tool = RawValue::from_string(r#"{"name":"t"}"#.into()).unwrap();
        let any = call(Era::Modern, r#"{"id":1,"params":{"name":"t","arguments":3}}"#);
        ParamHeaders::of("t", &tool).check(&any).unwrap();
    }
}
