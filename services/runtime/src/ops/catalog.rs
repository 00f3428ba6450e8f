//! The catalog as JSON: each tool, prompt, resource and template with its definition and its calls. Of bounded size. Must not know who offers
//! what.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::metrics::CallStats;

/// Largest number of entries of all lists.
const MAX_ENTRIES: usize = 2000;

/// Bytes of all definitions that are written; of further entries there are only names.
const MAX_DEFINITIONS: usize = 4 * 1024 * 1024;

/// Writer of the document.
#[derive(Debug, Default)]
pub struct CatalogDocument {
    /// Entries as JSON, with commas between them.
    list: String,
    listed: usize,
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
        if self.listed >= MAX_ENTRIES {
            return;
        }
        let CatalogItem { kind, name, definition, stats } = item;
        let text = definition.get();
        self.definitions = self.definitions.saturating_add(text.len());
        let is_written = self.definitions <= MAX_DEFINITIONS;
        let read: Option<Value> = is_written.then(|| serde_json::from_str(text).ok()).flatten();
        let member = |name: &str| read.as_ref().and_then(|value| value.get(name)).cloned();
        let mut object = members();
        for (name, value) in [("title", member("title")), ("description", member("description"))] {
            object.insert(name.into(), value.filter(Value::is_string).into());
        }
        object.insert("key".into(), format!("{kind} {name}").into());
        object.insert("kind".into(), kind.into());
        object.insert("name".into(), name.into());
        if let Some(stats) = stats {
            object.insert("calls".into(), stats.calls.into());
            object.insert("errors".into(), stats.errors.into());
            for (name, quantile) in [("p50Ms", 0.5), ("p99Ms", 0.99)] {
                object.insert(name.into(), stats.quantile(quantile).map(millis).into());
            }
        }
        // A definition passes as it is written: forms have the order of its members. What no reader of JSON takes is shown as text.
        let definition = match (is_written, read) {
            (false, _) => "null".into(),
            (true, None) => Value::from(text).to_string().into(),
            (true, Some(_)) => Cow::Borrowed(text),
        };
        if self.listed > 0 {
            self.list.push(',');
        }
        self.list.push_str(&with_member(object, "definition", &definition));
        self.listed += 1;
    }

    /// Returns the document: these members, and the entries.
    pub fn to_json(self, members: Map<String, Value>) -> String {
        let entries = format!("{{\"total\":{},\"list\":[{}]}}", self.total, self.list);
        with_member(members, "entries", &entries)
    }
}

/// Returns a JSON object of these members and one more, whose value is `json` as it stands.
fn with_member(members: Map<String, Value>, name: &str, json: &str) -> String {
    let mut text = Value::Object(members).to_string();
    text.pop();
    let comma = if text.len() > 1 { "," } else { "" };
    text + comma + "\"" + name + "\":" + json + "}"
}

/// Milliseconds, rounded to hundredths.
fn millis(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The entries of a document without members of its own.
    fn entries(document: CatalogDocument) -> Value {
        let json: Value = serde_json::from_str(&document.to_json(Map::new())).unwrap();
        json["entries"].clone()
    }

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
        let json = entries(document);
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
    fn a_definition_is_written_as_it_stands() {
        let text = r#"{"name":"a", "inputSchema":{"properties":{"b":{},"a":{"default":1.50}}}}"#;
        let definition = raw(text);
        let mut document = CatalogDocument::default();
        document.add(item("a", &definition), Map::new);
        let members = Map::from_iter([("schema".to_owned(), json!(1))]);
        let written = document.to_json(members);
        assert!(written.starts_with(r#"{"schema":1,"entries":{"total":1,"list":[{"#), "{written}");
        assert!(written.contains(&format!("\"definition\":{text}}}")), "{written}");
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
        let json = entries(document);
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
