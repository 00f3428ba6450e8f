//! The check of arguments that a modern client repeats in `Mcp-Param-*` headers (2026-07-28, Streamable HTTP, "Custom
//! Headers from Tool Parameters") against the request's body. Must not know HTTP: headers come decoded.

use protocol::mcp::failure::Failure;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::Request;

/// The prefix of the headers' names, as call headers have them.
const PREFIX: &str = "mcp-param-";

/// The deepest nesting of `properties` that is searched.
const MAX_DEPTH: usize = 32;

/// The annotated parameters of one tool.
#[derive(Debug, Default)]
pub(crate) struct ParamHeaders {
    annotated: Vec<Annotated>,
}

/// A parameter with an `x-mcp-header` annotation.
#[derive(Debug)]
struct Annotated {
    /// The header's name in lower case, without the prefix.
    header: String,
    /// The property names from the root of the arguments.
    path: Vec<String>,
}

impl ParamHeaders {
    /// Reads the annotations of a tool's `inputSchema`. An annotation that the specification does not allow is ignored with
    /// a warning: conforming clients drop the tool by themselves.
    pub(crate) fn parse(tool: &str, definition: &RawValue) -> Self {
        let text = definition.get();
        // Nearly all tools have no annotations: their definitions need not be parsed.
        if memchr::memmem::find(text.as_bytes(), b"\"x-mcp-header\"").is_none() {
            return Self::default();
        }
        let schema = serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|mut tool| tool.get_mut("inputSchema").map(Value::take));
        let mut found = Self::default();
        found.walk(tool, &schema.unwrap_or_default(), &mut Vec::new());
        found.drop_duplicates(tool);
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
                match header_name(annotation, property) {
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

    /// Drops headers that two parameters name: which of them is meant cannot be known.
    fn drop_duplicates(&mut self, tool: &str) {
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

    /// Compares the headers of a call with its arguments.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Failure> {
        if self.annotated.is_empty() {
            return Ok(());
        }
        let arguments: Value = serde_json::from_slice(request.arguments_json()).map_err(|_| {
            let text = "\"arguments\" holds a number, a text or a nesting that cannot be compared with the Mcp-Param headers";
            Failure::InvalidParams(text.into())
        })?;
        for one in &self.annotated {
            let value = one
                .path
                .iter()
                .try_fold(&arguments, |value, name| value.get(name))
                .filter(|value| !value.is_null());
            let sent = request
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

/// Returns the header's name of a valid annotation, in lower case.
fn header_name(annotation: &Value, property: &Value) -> Result<String, &'static str> {
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
            (Some(value), Some(sent)) if agrees(value, sent) => return Ok(()),
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

/// Returns whether an argument and a header agree. Integers are compared as numbers, as the specification recommends
/// ("42.0" is 42).
fn agrees(value: &Value, sent: &str) -> bool {
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
    use super::*;
    use crate::call::testing::{header, request};
    use bytes::Bytes;
    use protocol::mcp::era::Era;

    const TOOL: &str = r#"{"name":"t","inputSchema":{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
        "flag":{"type":"boolean","x-mcp-header":"Flag"},
        "one":{"type":"string","x-mcp-header":"Twice"},"two":{"type":"string","x-mcp-header":"TWICE"},
        "real":{"type":"number","x-mcp-header":"Real"},
        "bad":{"type":"string","x-mcp-header":"a b"}}}}"#;

    fn check(arguments: &str, headers: &[(&str, &str)]) -> Result<(), Failure> {
        let tool = RawValue::from_string(TOOL.into()).unwrap();
        let message = format!(r#"{{"id":1,"params":{{"name":"t","arguments":{arguments}}}}}"#);
        let mut header = header(Era::Modern);
        header.param_headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ParamHeaders::parse("t", &tool).check(&Request::parse(header, Bytes::from(message)).unwrap())
    }

    #[test]
    fn headers_that_agree_with_the_arguments_pass() {
        check("{}", &[]).unwrap();
        check(r#"{"region":null}"#, &[]).unwrap();
        check(
            r#"{"region":"é","deep":{"n":42},"flag":true}"#,
            &[("mcp-param-region", "é"), ("n", "42.0"), ("flag", "true")],
        )
        .unwrap();
        check(r#"{"one":"x","real":1,"bad":"y"}"#, &[("other", "z")]).unwrap();
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
            let failure = check(arguments, headers).unwrap_err();
            assert!(failure.to_string().contains(word), "{failure}");
            assert_eq!(failure.status(Era::Modern), 400);
            assert_eq!(failure.spec().code, -32020);
        }
    }

    #[test]
    fn tools_without_annotations_need_no_headers() {
        let tool = RawValue::from_string(r#"{"name":"t"}"#.into()).unwrap();
        let any = request(Era::Modern, r#"{"id":1,"params":{"name":"t","arguments":3}}"#);
        ParamHeaders::parse("t", &tool).check(&any).unwrap();
    }
}
