//! Redaction of payloads before they are written: by member names and by a pattern in texts. Knows no target.

use regex::{NoExpand, Regex, RegexBuilder};
use serde_json::Value;

/// The text that replaces redacted values.
const REDACTED: &str = "[redacted]";

/// Depth to which texts that contain JSON are parsed again.
const MAX_NESTED_JSON: u8 = 3;

/// Patterns of names and texts to redact.
#[derive(Debug)]
pub(super) struct Redaction {
    /// Pattern of the names of members whose values are replaced.
    names: Option<Regex>,
    /// Pattern of the parts of texts that are replaced.
    text: Option<Regex>,
}

impl Redaction {
    /// Creates a redaction of members with these names (`*` stands for any characters, case is ignored) and of text
    /// that `text` matches.
    pub(super) fn new(names: &[String], text: Option<Regex>) -> Self {
        let any: Vec<String> = names.iter().map(|name| regex::escape(name).replace(r"\*", ".*")).collect();
        let pattern = format!("^(?:{})$", any.join("|"));
        // Escaped names always make a valid pattern.
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

    /// Redacts a text. A text that is JSON itself, as tools often return, is redacted as JSON.
    fn text(&self, text: &mut String, depth: u8) {
        if depth < MAX_NESTED_JSON
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
    fn members_are_redacted_by_name_at_any_depth() {
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
    fn json_inside_texts_is_redacted() {
        let inner = json!({ "token": "hush", "n": 1 }).to_string();
        let seen = redacted(&["token"], None, json!({ "content": [{ "type": "text", "text": inner }] }));
        assert_eq!(seen["content"][0]["text"], r#"{"n":1,"token":"[redacted]"}"#);
    }

    #[test]
    fn texts_are_redacted_by_pattern() {
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
