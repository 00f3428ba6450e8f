//! Redaction of what was said, before it is written: by the names of members, and by what texts look like. Knows nothing
//! of where it is written.

use regex::{NoExpand, Regex, RegexBuilder};
use serde_json::Value;

/// Stands where something was.
const REDACTED: &str = "[redacted]";

/// Texts that are JSON again are looked into so many times.
const MOST_NESTED: u8 = 3;

/// What is not to be written.
#[derive(Debug)]
pub(super) struct Redaction {
    /// Members whose values go.
    names: Option<Regex>,
    /// Parts of texts that go.
    text: Option<Regex>,
}

impl Redaction {
    /// Members by these names, `*` standing for anything and case making no difference; parts of texts by this pattern.
    pub(super) fn new(names: &[String], text: Option<Regex>) -> Self {
        let any: Vec<String> = names.iter().map(|name| regex::escape(name).replace(r"\*", ".*")).collect();
        let pattern = format!("^(?:{})$", any.join("|"));
        // Escaped names are a pattern, whatever they are.
        let names =
            RegexBuilder::new(&pattern).case_insensitive(true).dot_matches_new_line(true).build().ok();
        Self { names, text }
    }

    pub(super) fn apply(&self, value: &mut Value) {
        self.nested(value, 0);
    }

    fn nested(&self, value: &mut Value, depth: u8) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if self.names.as_ref().is_none_or(|names| names.is_match(name)) {
                        *value = REDACTED.into();
                    } else {
                        self.nested(value, depth);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.nested(item, depth)),
            Value::String(text) => self.text(text, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Tools often answer JSON as a text.
    fn text(&self, text: &mut String, depth: u8) {
        if depth < MOST_NESTED
            && text.trim_start().starts_with(['{', '['])
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            self.nested(&mut inner, depth + 1);
            *text = inner.to_string();
        }
        if let Some(pattern) = &self.text
            && pattern.is_match(text)
        {
            *text = pattern.replace_all(text, NoExpand(REDACTED)).into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(names: &[&str], text: Option<&str>, mut value: Value) -> Value {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Redaction::new(&names, text.map(|text| Regex::new(text).unwrap())).apply(&mut value);
        value
    }

    #[test]
    fn members_go_by_name_wherever_they_are() {
        let value = json!({
            "API_Key": { "a": 1 }, "tokens": 3, "max.tokens": 3, "x": [{ "myPassword": "hush" }, "password"],
        });
        let seen = redacted(&["api_key", "*password*", "max.tok*"], None, value);
        let gone = "[redacted]";
        assert_eq!(
            seen,
            json!({ "API_Key": gone, "tokens": 3, "max.tokens": gone, "x": [{ "myPassword": gone }, "password"] })
        );
        assert_eq!(redacted(&["a.c"], None, json!({ "abc": 1 })), json!({ "abc": 1 }), "a dot is a dot");
    }

    #[test]
    fn json_in_texts_is_looked_into() {
        let inner = json!({ "token": "hush", "n": 1 }).to_string();
        let seen = redacted(&["token"], None, json!({ "content": [{ "type": "text", "text": inner }] }));
        assert_eq!(seen["content"][0]["text"], r#"{"n":1,"token":"[redacted]"}"#);
    }

    #[test]
    fn texts_go_by_what_they_look_like() {
        let seen = redacted(
            &[],
            Some(r"glpat-\w{3,20}|\d{16}"),
            json!(["use glpat-abc123, or 1234567812345678", 1]),
        );
        assert_eq!(seen, json!(["use [redacted], or [redacted]", 1]));
        let seen = redacted(&["a"], Some("(h)ush"), json!({ "text": "{\"b\":\"hush $1\"}" }));
        assert_eq!(seen["text"], r#"{"b":"[redacted] $1"}"#);
    }
}
