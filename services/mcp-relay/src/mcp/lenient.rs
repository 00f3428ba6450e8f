//! JSON as a [`Value`], also where a `Value` cannot hold all of it: 1e400, half a surrogate pair, deep nesting. Knows no message.

use protocol::mcp::members::ExactMembers;
use serde_json::Value;
use serde_json::value::RawValue;

/// Deepest nesting beyond which a value is left out, if a `Value` cannot hold it as it is.
const MAX_DEPTH: usize = 64;

/// Returns the value; `None` where the text is not JSON. A number that is too large is its text, half a surrogate pair is U+FFFD, and what
/// is nested too deeply is `null`.
pub(super) fn value(json: &str) -> Option<Value> {
    match serde_json::from_str(json) {
        Ok(value) => Some(value),
        Err(_) => serde_json::from_str(json).ok().map(|raw| part(raw, MAX_DEPTH)),
    }
}

fn part(raw: &RawValue, depth: usize) -> Value {
    let json = raw.get();
    if let Ok(value) = serde_json::from_str(json) {
        return value;
    }
    match json.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            let members = ExactMembers::of(raw).0.into_iter();
            let member = |(key, value): (Vec<u8>, &RawValue)| {
                (String::from_utf8_lossy(&key).into_owned(), part(value, depth - 1))
            };
            Value::Object(members.map(member).collect())
        }
        Some(b'[') if depth > 0 => {
            let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            items.into_iter().map(|item| part(item, depth - 1)).collect()
        }
        Some(b'"') => Value::String(text(json)),
        Some(b'{' | b'[') | None => Value::Null,
        Some(_) => Value::String(json.to_owned()),
    }
}

/// Returns a string with each half of a surrogate pair replaced: as the only key of an object its bytes can be read.
fn text(json: &str) -> String {
    let object = RawValue::from_string(format!("{{{json}:0}}")).unwrap_or_else(|_| RawValue::NULL.to_owned());
    let members = ExactMembers::of(&object).0;
    members.first().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_value_cannot_hold_spoils_nothing_beside_it() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let text = format!(r#"{{"a":[1e400,"x\ud83d",2],"\udc00":{{"b":true}},"deep":{deep},"n":1.5}}"#);
        let found = value(&text).unwrap();
        assert_eq!(found["a"], json!(["1e400", "x\u{fffd}\u{fffd}\u{fffd}", 2]));
        assert_eq!((&found["n"], found["deep"].is_array()), (&json!(1.5), true));
        assert_eq!(found["\u{fffd}\u{fffd}\u{fffd}"]["b"], json!(true));
        assert_eq!(value("{"), None);
        assert_eq!(value(r#"{"a":1}"#), Some(json!({ "a": 1 })));
    }
}
