//! The catalog as JSON: each tool, prompt, resource and template with its definition and its calls. Of bounded size. Must not know who offers
//! what.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::metrics::CallStats;

/// Largest number of entries of all lists.
const MAX_ENTRIES: usize = 2000;

/// Bytes of all definitions that are written; of further entries there are only names.
const MAX_DEFINITIONS: usize = 4 * 1024 * 1024;

/// Writer of the document.
#[derive(Debug, Default)]
pub struct CatalogDocument {
    list: Vec<Value>,
    total: usize,
    definitions: usize,
}

/// An entry of the catalog.
#[derive(Clone, Copy, Debug)]
pub struct CatalogItem<'a> {
    /// `tool`, `prompt`, `resource` or `template`.
    pub kind: &'static str,
    /// Name, URI or URI template.
    pub name: &'a str,
    /// The definition as clients get it.
    pub definition: &'a RawValue,
    /// Calls of a tool; `None`: none are counted by this name.
    pub stats: Option<&'a CallStats>,
}

impl CatalogDocument {
    /// Adds an entry with these members of the service beside the common ones. `members` is called only if the entry is listed.
    pub fn add(&mut self, item: CatalogItem<'_>, members: impl FnOnce() -> Map<String, Value>) {
        self.total += 1;
        if self.list.len() >= MAX_ENTRIES {
            return;
        }
        let CatalogItem { kind, name, definition, stats } = item;
        self.definitions = self.definitions.saturating_add(definition.get().len());
        let text = definition.get();
        // What no reader of JSON takes is shown as text.
        let definition = (self.definitions <= MAX_DEFINITIONS)
            .then(|| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
        let member = |name: &str| definition.as_ref().and_then(|value: &Value| value.get(name)).cloned();
        let mut object = members();
        for (name, value) in [("title", member("title")), ("description", member("description"))] {
            object.insert(name.into(), value.filter(Value::is_string).into());
        }
        object.insert("key".into(), format!("{kind} {name}").into());
        object.insert("kind".into(), kind.into());
        object.insert("name".into(), name.into());
        object.insert("definition".into(), definition.into());
        if let Some(stats) = stats {
            object.insert("calls".into(), stats.calls.into());
            object.insert("errors".into(), stats.errors.into());
            for (name, quantile) in [("p50Ms", 0.5), ("p99Ms", 0.99)] {
                object.insert(name.into(), stats.quantile(quantile).map(millis).into());
            }
        }
        self.list.push(Value::Object(object));
    }

    /// Returns the document.
    pub fn to_json(self) -> Value {
        json!({ "total": self.total, "list": self.list })
    }
}

/// Milliseconds, rounded to hundredths.
fn millis(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn item<'a>(name: &'a str, definition: &'a RawValue) -> CatalogItem<'a> {
        CatalogItem { kind: "tool", name, definition, stats: None }
    }

    #[test]
    fn an_entry_has_its_text_definition_and_calls() {
        let definition = raw(r#"{"name":"a","title":1,"description":"does it","inputSchema":{}}"#);
        let mut stats = CallStats::default();
        (stats.calls, stats.errors) = (3, 1);
        let mut document = CatalogDocument::default();
        document.add(CatalogItem { stats: Some(&stats), ..item("a", &definition) }, || {
            Map::from_iter([("slaves".to_owned(), json!(["one"]))])
        });
        let json = document.to_json();
        assert_eq!(
            json["list"][0],
            json!({
                "key": "tool a", "kind": "tool", "name": "a", "title": null, "description": "does it",
                "definition": { "name": "a", "title": 1, "description": "does it", "inputSchema": {} },
                "calls": 3, "errors": 1, "p50Ms": null, "p99Ms": null, "slaves": ["one"],
            })
        );
    }

    #[test]
    fn what_cannot_be_read_is_text_and_too_much_is_left_out() {
        let (deep, long) = (
            raw(&("[".repeat(200) + &"]".repeat(200))),
            raw(&format!("\"{}\"", "x".repeat(MAX_DEFINITIONS))),
        );
        let small = raw("{}");
        let mut document = CatalogDocument::default();
        document.add(item("deep", &deep), Map::new);
        document.add(item("long", &long), Map::new);
        for _ in 0..MAX_ENTRIES {
            document.add(item("more", &small), Map::new);
        }
        let json = document.to_json();
        assert_eq!(json["list"][0]["definition"], deep.get());
        assert_eq!(
            (&json["list"][1]["definition"], &json["list"][1]["name"]),
            (&Value::Null, &json!("long"))
        );
        assert_eq!(
            (&json["total"], json["list"].as_array().unwrap().len()),
            (&json!(MAX_ENTRIES + 2), MAX_ENTRIES)
        );
    }
}
