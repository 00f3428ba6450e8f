//! The check of arguments that a modern client repeats in `Mcp-Param-*` headers (2026-07-28, Streamable HTTP, "Custom
//! Headers from Tool Parameters") against the request's body. Must not know HTTP: headers come decoded.

use protocol::mcp::canonical::canonical;
use protocol::mcp::failure::Failure;
use protocol::mcp::param_headers::{self, ParamHeader};
use serde_json::value::RawValue;

use crate::call::Request;

/// The prefix of the headers' names, as call headers have them.
const PREFIX: &str = "mcp-param-";

/// The annotated parameters of one tool.
#[derive(Debug, Default)]
pub(crate) struct ParamHeaders {
    /// Headers' names in lower case.
    params: Vec<ParamHeader>,
}

impl ParamHeaders {
    /// Reads the annotations of a tool's `inputSchema`. An annotation that the specification does not allow is ignored with
    /// a warning: conforming clients drop the tool by themselves.
    pub(crate) fn parse(tool: &str, definition: &RawValue) -> Self {
        let mut found = param_headers::ParamHeaders::of(definition);
        for invalid in &found.invalid {
            let (property, reason) = (&invalid.property, invalid.reason);
            tracing::warn!(tool, property, "x-mcp-header is ignored: {reason}");
        }
        found.params.iter_mut().for_each(|param| param.header.make_ascii_lowercase());
        Self { params: found.params }
    }

    /// Compares the headers of a call with its arguments.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Failure> {
        if self.params.is_empty() {
            return Ok(());
        }
        let arguments: &RawValue = serde_json::from_slice(request.arguments_json()).map_err(|_| {
            let text =
                "\"arguments\" cannot be read, so that the Mcp-Param headers cannot be compared with it";
            Failure::InvalidParams(text.into())
        })?;
        for param in &self.params {
            let sent = request
                .header
                .param_headers
                .iter()
                .find(|(name, _)| is_header(name, &param.header))
                .map(|(_, sent)| sent.as_str());
            compare(param, param.value(arguments), sent)?;
        }
        Ok(())
    }
}

fn is_header(name: &str, wanted: &str) -> bool {
    name.strip_prefix(PREFIX).unwrap_or(name) == wanted
}

fn compare(param: &ParamHeader, value: Option<&RawValue>, sent: Option<&str>) -> Result<(), Failure> {
    let fault = match (value, sent) {
        (None, None) => return Ok(()),
        (Some(value), Some(sent)) if agrees(value, sent) => return Ok(()),
        (Some(_), Some(_)) => "differs from the argument",
        (Some(_), None) => "is missing, and the argument is there",
        (None, Some(_)) => "is there, and the argument is not",
    };
    let (header, property) = (&param.header, param.property());
    Err(Failure::HeaderMismatch(format!("header Mcp-Param-{header} {fault} {property:?}")))
}

/// Returns whether an argument and a header agree. Numbers are compared by their exact values, as the specification recommends
/// ("42.0" is 42).
fn agrees(value: &RawValue, sent: &str) -> bool {
    match value.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(value.get()).is_ok_and(|text| text == sent),
        Some(b't' | b'f') => sent == value.get(),
        Some(b'-' | b'0'..=b'9') => {
            let is_number = sent.starts_with(|first: char| first == '-' || first.is_ascii_digit());
            let sent = RawValue::from_string(sent.to_owned()).ok().filter(|_| is_number);
            sent.is_some_and(|sent| canonical(&sent).is_some_and(|sent| canonical(value) == Some(sent)))
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

    const TOOL: &str = r#"{"name":"t","title":"\ud83d","inputSchema":{"type":"object","maxProperties":1e400,"properties":{
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
        // What stands beside an annotated argument has no part in it.
        check(r#"{"region":"a","x":[1e400,"\ud83d"]}"#, &[("region", "a")]).unwrap();
        for (number, sent) in [("-0", "0"), ("1e2", "100"), ("9007199254740993", "9007199254740993")] {
            check(&format!(r#"{{"deep":{{"n":{number}}}}}"#), &[("n", sent)]).unwrap();
        }
    }

    #[test]
    fn missing_differing_and_surplus_headers_are_refused() {
        for (arguments, headers, word) in [
            (r#"{"region":"a"}"#, &[][..], "missing"),
            (r#"{"region":"a"}"#, &[("region", "A")][..], "differs"),
            (r#"{"region":"\ud83d"}"#, &[("region", "\u{fffd}")][..], "differs"),
            (r#"{"region":["a"]}"#, &[("region", "[\"a\"]")][..], "differs"),
            (r#"{"deep":{"n":1}}"#, &[("n", "one")][..], "differs"),
            (r#"{"deep":{"n":9007199254740993}}"#, &[("n", "9007199254740992")][..], "differs"),
            (r#"{"deep":{"n":1e400}}"#, &[("n", "1e401")][..], "differs"),
            (r#"{"deep":{"n":1}}"#, &[("n", "")][..], "differs"),
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
