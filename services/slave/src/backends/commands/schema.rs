//! JSON schemas of arguments and results. Must not know tools. What is wrong with a value is said without the value.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use jsonschema::{PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Faults of one value that are named.
const MAX_FAULTS: usize = 8;

/// Characters of one fault's text.
const MAX_FAULT: usize = 500;

/// A schema, compiled.
#[derive(Debug)]
pub(super) struct Schema(Validator);

/// What a schema of arguments says of one of them.
#[derive(Debug, Default)]
pub(super) struct Property {
    /// The value of an absent argument.
    pub(super) default: Option<Arc<RawValue>>,
    /// Whether it must be there.
    pub(super) required: bool,
}

/// The members of an object schema that say which arguments there are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectSchema<'a> {
    #[serde(borrow)]
    properties: BTreeMap<String, &'a RawValue>,
    required: Vec<String>,
}

#[derive(Deserialize)]
struct WithDefault {
    #[serde(default)]
    default: Option<Box<RawValue>>,
}

/// The refusal of everything that a schema refers to outside of itself.
struct NothingElse;

impl Retrieve for NothingElse {
    fn retrieve(&self, _uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Err("a schema may refer to nothing outside of itself".into())
    }
}

impl Schema {
    /// Compiles a schema of an object, whose dialect is 2020-12 unless `$schema` names another. Patterns are run in linear time, and
    /// `format` is checked.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn compile(json: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(json).map_err(|error| format!("a JSON schema ({error})"))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("a JSON schema with \"type: object\"".to_owned());
        }
        let options = jsonschema::options()
            .with_retriever(NothingElse)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex());
        options.build(&schema).map(Self).map_err(|error| {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { String::new() } else { format!("{at}: ") };
            format!("a JSON schema that can be used ({at}{error}; patterns have no look-around)")
        })
    }

    /// Checks a value.
    ///
    /// # Errors
    /// Each fault with its path and what was expected.
    pub(super) fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let faults: Vec<String> =
            self.0.iter_errors(value).take(MAX_FAULTS).map(|error| describe(&error)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn describe(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let text = format!("{path}: {}", error.masked_with("the value"));
    text.chars().take(MAX_FAULT).collect()
}

/// Returns what a schema says of each argument in its `properties`.
pub(super) fn properties(json: &str) -> BTreeMap<String, Property> {
    let ObjectSchema { properties, required } = serde_json::from_str(json).unwrap_or_default();
    let property = |(name, schema): (String, &RawValue)| {
        let default = serde_json::from_str::<WithDefault>(schema.get()).ok().and_then(|found| found.default);
        let default = default.filter(|raw| raw.get() != "null").map(Arc::from);
        let required = required.contains(&name);
        (name, Property { default, required })
    };
    properties.into_iter().map(property).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["path"],"properties":{
        "path":{"type":"string","pattern":"^[a-z/]+$","maxLength":20},"depth":{"type":"integer","minimum":1,"default":3},
        "mode":{"enum":["fast","slow"]},"at":{"type":"string","format":"date-time"},"tags":{"type":"array","items":{"type":"string"}}}}"#;

    #[test]
    fn faults_name_path_and_expectation_and_never_the_value() {
        let schema = Schema::compile(SCHEMA).unwrap();
        schema.check(&json!({ "path": "a/b", "depth": 2, "tags": ["x"] })).unwrap();
        for (value, expected) in [
            (json!({}), "/: \"path\" is a required property"),
            (json!({ "path": 7331 }), "/path: the value is not of type \"string\""),
            (json!({ "path": "S3CRET" }), "/path: the value does not match \"^[a-z/]+$\""),
            (json!({ "path": "a", "depth": 0 }), "/depth: the value is less than the minimum of 1"),
            (json!({ "path": "a", "mode": "S3CRET" }), "/mode: the value is not one of "),
            (json!({ "path": "a", "at": "S3CRET" }), "/at: the value is not a \"date-time\""),
            (json!({ "path": "a", "tags": ["x", 7331] }), "/tags/1: the value is not of type \"string\""),
            (
                json!({ "path": "a", "more": 1 }),
                "/: Additional properties are not allowed ('more' was unexpected)",
            ),
        ] {
            let faults = schema.check(&value).unwrap_err().join("; ");
            assert!(faults.starts_with(expected), "{value}: {faults}");
            assert!(!faults.contains("S3CRET") && !faults.contains("7331"), "{faults}");
        }
        let all = schema.check(&json!({ "path": 1, "depth": "x", "mode": 2 })).unwrap_err();
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused() {
        for bad in [
            "3",
            "true",
            "{}",
            r#"{"type":"string"}"#,
            r#"{"type":"object","properties":{"a":{"type":"text"}}}"#,
            r#"{"type":"object","properties":{"a":{"pattern":"("}}}"#,
            r#"{"type":"object","properties":{"a":{"pattern":"(?=x)y"}}}"#,
            r#"{"type":"object","properties":{"a":{"$ref":"http://127.0.0.1:1/x.json"}}}"#,
            r#"{"type":"object","properties":{"a":{"$ref":"file:///etc/passwd"}}}"#,
            r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/none"}}}"##,
        ] {
            assert!(Schema::compile(bad).is_err(), "{bad}");
        }
        let own =
            r##"{"type":"object","$defs":{"p":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/p"}}}"##;
        Schema::compile(own).unwrap().check(&json!({ "a": 1 })).unwrap_err();
    }

    #[test]
    fn properties_tell_what_is_required_and_what_stands_for_the_absent() {
        let found = properties(SCHEMA);
        assert!(found["path"].required && !found["depth"].required);
        assert_eq!(found["depth"].default.as_ref().map(|raw| raw.get()), Some("3"));
        assert!(found["mode"].default.is_none());
        assert!(properties(r#"{"properties":{"a":true}}"#).contains_key("a"));
        assert!(properties(r#"{"properties":3}"#).is_empty());
    }
}
