//! Capabilities with which a child is initialized for one client: what the client declared, as far as the relay carries it. Must not know
//! children.

use protocol::mcp::apps::APPS;
use serde_json::{Map, Value};

/// Longest declaration of the extension that is passed on, in bytes of JSON.
const MAX_APPS: usize = 4096;

/// Returns the capabilities as a JSON object. `declared` is the client's object; `None`: it declared none. `told`: whether the client's
/// notifications reach the child.
pub(super) fn carried(declared: Option<&[u8]>, told: bool) -> String {
    let declared: Value = declared.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
    let mut carried = Map::new();
    if let Some(elicitation) = object(&declared, "elicitation") {
        let mut modes = kept(elicitation, &["form", "url"]);
        if modes.is_empty() {
            // An empty `elicitation` means forms, as in the versions that had only those.
            modes.insert("form".into(), Value::Object(Map::new()));
        }
        carried.insert("elicitation".into(), modes.into());
    }
    if let Some(sampling) = object(&declared, "sampling") {
        carried.insert("sampling".into(), kept(sampling, &["context", "tools"]).into());
    }
    if let Some(roots) = object(&declared, "roots") {
        let tells = roots.get("listChanged").filter(|tells| told && tells.as_bool() == Some(true));
        let tells = tells.map(|tells| ("listChanged".to_owned(), tells.clone()));
        carried.insert("roots".into(), Map::from_iter(tells).into());
    }
    let apps = declared.get("extensions").and_then(|all| all.get(APPS)).filter(|apps| apps.is_object());
    if let Some(apps) = apps.filter(|apps| apps.to_string().len() <= MAX_APPS) {
        carried.insert("extensions".into(), Map::from_iter([(APPS.to_owned(), apps.clone())]).into());
    }
    Value::Object(carried).to_string()
}

fn object<'a>(of: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    of.get(name).and_then(Value::as_object)
}

/// Returns the members of these names that are objects, each as an empty object.
fn kept(of: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let known = names.iter().filter(|name| of.get(**name).is_some_and(Value::is_object));
    known.map(|name| ((*name).to_owned(), Value::Object(Map::new()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_child_learns_what_its_client_declared_and_the_relay_carries() {
        let all = json!({"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"context":{},"tools":{}}});
        for (declared, expected) in [
            (json!(null), json!({})),
            (json!({}), json!({})),
            (json!([]), json!({})),
            (json!({"elicitation":{}}), json!({"elicitation":{"form":{}}})),
            (json!({"elicitation":{"form":{"x":1}}}), json!({"elicitation":{"form":{}}})),
            (json!({"elicitation":{"url":{}}}), json!({"elicitation":{"url":{}}})),
            (json!({"elicitation":null,"sampling":true,"roots":[]}), json!({})),
            (json!({"sampling":{}}), json!({"sampling":{}})),
            (json!({"sampling":{"tools":{},"other":{}}}), json!({"sampling":{"tools":{}}})),
            (json!({"roots":{"listChanged":true}}), json!({"roots":{"listChanged":true}})),
            (json!({"roots":{"listChanged":1}}), json!({"roots":{}})),
            (json!({"experimental":{"a":{}},"tasks":{},"extensions":{"a/b":{}}}), json!({})),
            (
                json!({"extensions":{APPS:{"mimeTypes":["text/html"]},"a/b":{}}}),
                json!({"extensions":{APPS:{"mimeTypes":["text/html"]}}}),
            ),
            (json!({"extensions":{APPS:{"x":"y".repeat(MAX_APPS)}}}), json!({})),
            (all.clone(), all),
        ] {
            let found: Value =
                serde_json::from_str(&carried(Some(declared.to_string().as_bytes()), true)).unwrap();
            assert_eq!(found, expected, "{declared}");
        }
        let roots = br#"{"roots":{"listChanged":true}}"#;
        assert_eq!(carried(Some(roots), false), r#"{"roots":{}}"#, "nobody would tell the child");
        for unreadable in [None, Some(&b"{"[..])] {
            assert_eq!(carried(unreadable, true), "{}");
        }
    }
}
