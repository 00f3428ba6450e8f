//! Arguments that a modern client repeats in `Mcp-Param-*` headers (2026-07-28, Streamable HTTP, "Custom Headers from Tool
//! Parameters"), read from definitions and arguments as they stand: neither a number, nor half a surrogate pair, nor deep nesting keeps
//! anything from being read. Must not know HTTP.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::mcp::members::ExactMembers;

/// Deepest nesting of `properties` that is searched.
const MAX_DEPTH: usize = 32;

/// Encodes the text of a header: as it is where that is unambiguous, in Base64 otherwise (2026-07-28, Streamable HTTP, "Value Encoding").
pub fn header_text(text: &str) -> String {
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}

/// Returns the text of the header for an argument, encoded; `None` where it has no such text.
pub fn argument_text(argument: &RawValue) -> Option<String> {
    match argument.get().as_bytes().first()? {
        b'"' => Some(header_text(&serde_json::from_str::<String>(argument.get()).ok()?)),
        b't' | b'f' | b'-' | b'0'..=b'9' => Some(argument.get().to_owned()),
        _ => None,
    }
}

/// Parameter with an `x-mcp-header` annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// The header's name as the annotation has it, without the prefix.
    pub header: String,
    /// Property names from the root of the arguments.
    path: Vec<Vec<u8>>,
}

/// Annotation that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidParamHeader {
    /// Property names, joined by dots.
    pub property: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// Annotated parameters of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamHeaders {
    /// Parameters with a header each.
    pub params: Vec<ParamHeader>,
    /// Annotations that have no effect.
    pub invalid: Vec<InvalidParamHeader>,
}

impl ParamHeaders {
    /// Reads the annotations in the `inputSchema` of a definition.
    pub fn of(definition: &RawValue) -> Self {
        let text = definition.get().as_bytes();
        // Nearly all tools have no annotations: their definitions need not be parsed. A key may be written with escapes.
        let may_have = |text: &[u8], part: &[u8]| memchr::memmem::find(text, part).is_some();
        let mut found = Self::default();
        if !may_have(text, b"x-mcp-header") && !may_have(text, b"\\u") {
            return found;
        }
        if let Some(schema) = ExactMembers::of(definition).get(b"inputSchema") {
            found.walk(schema, &mut Vec::new());
        }
        found.drop_duplicates();
        found
    }

    fn walk(&mut self, schema: &RawValue, path: &mut Vec<Vec<u8>>) {
        let Some(properties) = ExactMembers::of(schema).get(b"properties").filter(|_| path.len() < MAX_DEPTH)
        else {
            return;
        };
        for (name, property) in ExactMembers::of(properties).0 {
            path.push(name);
            let members = ExactMembers::of(property);
            if let Some(annotation) = members.get(b"x-mcp-header") {
                match header_name(annotation, members.get(b"type")) {
                    Ok(header) => self.params.push(ParamHeader { header, path: path.clone() }),
                    Err(reason) => self.invalid.push(InvalidParamHeader { property: joined(path), reason }),
                }
            }
            self.walk(property, path);
            path.pop();
        }
    }

    /// Drops headers that two parameters name: which of them is meant cannot be known.
    fn drop_duplicates(&mut self) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for param in &self.params {
            *counts.entry(param.header.to_ascii_lowercase()).or_default() += 1;
        }
        let invalid = &mut self.invalid;
        self.params.retain(|param| {
            let unique = counts.get(&param.header.to_ascii_lowercase()) == Some(&1);
            if !unique {
                let reason = "two parameters have the same";
                invalid.push(InvalidParamHeader { property: param.property(), reason });
            }
            unique
        });
    }
}

impl ParamHeader {
    /// Returns the property names, joined by dots, for people.
    pub fn property(&self) -> String {
        joined(&self.path)
    }

    /// Returns the parameter's value in these arguments; `None` where there is none, or `null`.
    pub fn value<'a>(&self, arguments: &'a RawValue) -> Option<&'a RawValue> {
        let value = self.path.iter().try_fold(arguments, |value, name| ExactMembers::of(value).get(name));
        value.filter(|value| value.get() != "null")
    }
}

fn joined(path: &[Vec<u8>]) -> String {
    path.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(".")
}

/// Returns the header's name of a valid annotation.
fn header_name(annotation: &RawValue, param_type: Option<&RawValue>) -> Result<String, &'static str> {
    let text = |json: &RawValue| serde_json::from_str::<String>(json.get()).ok();
    let header = text(annotation).ok_or("it is not a string")?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if header.is_empty() || !header.bytes().all(is_token) {
        return Err("it is not a header name");
    }
    match param_type.and_then(text).as_deref() {
        Some("string" | "integer" | "boolean") => Ok(header),
        _ => Err("the parameter is not a string, an integer or a boolean"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn found(schema: &str) -> (Vec<String>, usize) {
        let headers = ParamHeaders::of(&raw(&format!(r#"{{"name":"t","inputSchema":{schema}}}"#)));
        let params = headers.params.iter().map(|param| format!("{} {}", param.header, param.property()));
        (params.collect(), headers.invalid.len())
    }

    #[test]
    fn annotations_are_read_beside_whatever_else_a_schema_has() {
        const REGION: &str = r#""region":{"type":"string","x-mcp-header":"Region"}"#;
        let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
        for odd in [
            r#""maximum":1e400,"#.to_owned(),
            r#""description":"\ud83d","#.into(),
            r#""\udc00":1,"#.into(),
            r#""x":-0.0e-999999999999,"#.into(),
            format!(r#""default":{deep},"#),
            r#""title":1,"title":2,"#.into(),
        ] {
            let properties = format!(r#"{{{odd}"type":"object","properties":{{{REGION}}}}}"#);
            assert_eq!(found(&properties), (vec!["Region region".into()], 0), "{odd:.80}");
            let inside = format!(r#"{{"properties":{{"a":{{{odd}"type":"string"}},{REGION}}}}}"#);
            assert_eq!(found(&inside), (vec!["Region region".into()], 0), "{odd:.80}");
        }
        let escaped = REGION.replace("x-mcp", "x\\u002dmcp");
        assert_eq!(found(&format!(r#"{{"properties":{{{escaped}}}}}"#)).0, ["Region region"]);
        assert_eq!(found(r#"{"properties":{"\ud83d":{"type":"string","x-mcp-header":"A"}}}"#).0.len(), 1);
    }

    #[test]
    fn what_the_specification_does_not_allow_has_no_effect() {
        for (property, invalid) in [
            (r#"{"type":"number","x-mcp-header":"A"}"#, 1),
            (r#"{"type":"string","x-mcp-header":"a b"}"#, 1),
            (r#"{"type":"string","x-mcp-header":""}"#, 1),
            (r#"{"type":"string","x-mcp-header":1}"#, 1),
            (r#"{"type":["string"],"x-mcp-header":"A"}"#, 1),
            (r#"{"type":"string"}"#, 0),
            ("1", 0),
        ] {
            let schema = format!(r#"{{"properties":{{"p":{property}}}}}"#);
            assert_eq!(found(&schema), (Vec::new(), invalid), "{property}");
        }
        let twice = r#"{"properties":{"p":{"type":"string","x-mcp-header":"A"},"q":{"properties":{"r":{"type":"string","x-mcp-header":"a"}}}}}"#;
        assert_eq!(found(twice), (Vec::new(), 2));
    }

    #[test]
    fn a_value_is_found_as_it_stands() {
        let definition = raw(
            r#"{"inputSchema":{"properties":{"a":{"properties":{"b":{"type":"integer","x-mcp-header":"N"}}}}}}"#,
        );
        let param = ParamHeaders::of(&definition).params.remove(0);
        for (arguments, value) in [
            (r#"{"x":1e400,"a":{"y":"\ud83d","b":9007199254740993}}"#, Some("9007199254740993")),
            (r#"{"a":{"b":1,"b":2}}"#, Some("2")),
            (r#"{"a":{"b":null}}"#, None),
            (r#"{"a":3}"#, None),
            ("3", None),
        ] {
            assert_eq!(param.value(&raw(arguments)).map(RawValue::get), value, "{arguments}");
        }
    }

    #[test]
    fn values_that_look_encoded_or_have_spaces_at_their_ends_are_header_text() {
        assert_eq!(header_text("eu-west 1"), "eu-west 1");
        for text in ["=?base64?x?=", " a", "a ", "a\nb", "é"] {
            assert!(header_text(text).starts_with("=?base64?") && header_text(text) != text, "{text:?}");
        }
    }
}
