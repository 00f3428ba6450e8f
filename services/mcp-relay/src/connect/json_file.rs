//! Members put into a JSON file as people have them, with comments and trailing commas. Must not know any client.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use serde_json::Value;

/// Returns the text with `value` as member `name` of the object `section` of its object; all else stays as it is.
///
/// # Errors
/// The text is not JSON, or something else stands where an object is expected: a text that says what.
pub(crate) fn with_member(text: &str, section: &str, name: &str, value: &Value) -> Result<String, String> {
    let root = object(text)?;
    let top = root.object_value_or_create().ok_or("expected a JSON object")?;
    let section =
        top.object_value_or_create(section).ok_or_else(|| format!("expected an object as {section:?}"))?;
    match section.get(name) {
        Some(member) => member.set_value(input(value)),
        None => {
            section.append(name, input(value));
        }
    }
    Ok(finished(&root))
}

/// Returns the text with `value` in the array `section` of its object, in place of the element that has the same `id`.
///
/// # Errors
/// As of [`with_member`].
pub(crate) fn with_element(text: &str, section: &str, value: &Value) -> Result<String, String> {
    let root = object(text)?;
    let top = root.object_value_or_create().ok_or("expected a JSON object")?;
    let array =
        top.array_value_or_create(section).ok_or_else(|| format!("expected an array as {section:?}"))?;
    let same = array
        .elements()
        .into_iter()
        .find(|element| element.to_serde_value().is_some_and(|element| element["id"] == value["id"]));
    if same.is_none() {
        array.append(input(value));
    }
    Ok(finished(&root))
}

fn object(text: &str) -> Result<CstRootNode, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| format!("not JSON: {error}"))
}

fn finished(root: &CstRootNode) -> String {
    let mut text = root.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(all) => CstInputValue::Array(all.iter().map(input).collect()),
        Value::Object(all) => {
            CstInputValue::Object(all.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_else_stays_as_it_is() {
        let text = "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\"}, // keep\n  },\n  \"n\": 1e400,\n}\n";
        let value = json!({ "url": "http://r/mcp" });
        let new = with_member(text, "mcpServers", "relay", &value).unwrap();
        for kept in ["// mine", "\"a\": {\"command\": \"x\"}", "// keep", "\"n\": 1e400"] {
            assert!(new.contains(kept), "{kept}:\n{new}");
        }
        assert!(new.contains("\"relay\""), "{new}");
        // Once more changes nothing.
        assert_eq!(with_member(&new, "mcpServers", "relay", &value).unwrap(), new);
        let other = with_member(&new, "mcpServers", "relay", &json!({ "url": "http://q/mcp" })).unwrap();
        assert!(other.contains("http://q/mcp") && !other.contains("http://r/mcp"), "{other}");
    }

    #[test]
    fn empty_files_become_objects_and_other_things_are_refused() {
        for text in ["", "\n", "{}", "\u{feff}{}", "// nothing yet\n"] {
            let new = with_member(text, "servers", "relay", &json!({ "a": [1, null, true] })).unwrap();
            let plain = object(&new).unwrap().to_serde_value().unwrap();
            assert_eq!(plain["servers"]["relay"], json!({ "a": [1, null, true] }), "{text:?} {new}");
        }
        for (text, word) in
            [("[]", "object"), ("{\"servers\":1}", "servers"), ("{", "not JSON"), ("{} x", "not JSON")]
        {
            let error = with_member(text, "servers", "relay", &json!({})).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn an_element_stands_once() {
        let value = json!({ "id": "key", "password": true });
        let once = with_element("{}", "inputs", &value).unwrap();
        assert_eq!(with_element(&once, "inputs", &value).unwrap(), once);
        let beside = with_element("{\"inputs\":[{\"id\":\"other\"}]}", "inputs", &value).unwrap();
        assert!(beside.contains("other") && beside.contains("\"key\""), "{beside}");
        assert!(with_element("{\"inputs\":{}}", "inputs", &value).is_err());
    }
}
