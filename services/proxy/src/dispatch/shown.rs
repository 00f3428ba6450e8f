//! The definition that clients are shown of a pool: the owner's, under its shown name. Must not know slaves.

use protocol::mcp::canonical;
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::kind::Kind;
use protocol::mcp::members::{self, ExactMembers};
use serde_json::value::RawValue;

/// Member that is shown only where all slaves of a pool have the same.
const OUTPUT_SCHEMA: &str = "outputSchema";

/// Annotations by which a client may repeat a call: shown only where all slaves of a pool say so.
const ALLOW_REPEATS: [&str; 2] = ["readOnlyHint", "idempotentHint"];

/// Returns the first member's definition with another name, without an output schema that not all members have, its wording apart, and
/// without annotations that allow repeats where not all members do.
///
/// # Errors
/// The definition is not a JSON object.
pub(super) fn definition(
    kind: Kind,
    entries: &[&CatalogEntry],
    name: &str,
) -> Result<Box<RawValue>, serde_json::Error> {
    let Some(first) = entries.first() else { return Ok(RawValue::NULL.to_owned()) };
    if matches!(kind, Kind::Resource | Kind::Template) {
        return Ok(first.definition.clone());
    }
    let mut shown = members::with_name(&first.definition, name)?.unwrap_or_else(|| first.definition.clone());
    if !agree_on_output(entries)
        && let Some(without) = members::without(&shown, OUTPUT_SCHEMA)?
    {
        shown = without;
    }
    for hint in ALLOW_REPEATS {
        if says(&shown, hint)
            && !entries.iter().all(|entry| says(&entry.definition, hint))
            && let Some(annotations) = annotations(&shown)
            && let Some(left) = members::without(annotations, hint)?
            && let Some(changed) = members::with_value(&shown, "annotations", &left)?
        {
            shown = changed;
        }
    }
    Ok(shown)
}

fn annotations(definition: &RawValue) -> Option<&RawValue> {
    ExactMembers::of(definition).get(b"annotations")
}

/// Returns whether a definition has this annotation with the value `true`.
fn says(definition: &RawValue, hint: &str) -> bool {
    let hint = annotations(definition).and_then(|all| ExactMembers::of(all).get(hint.as_bytes()));
    hint.is_some_and(|value| value.get() == "true")
}

fn agree_on_output(entries: &[&CatalogEntry]) -> bool {
    let Some((first, others)) = entries.split_first() else { return true };
    let mut others = others.iter().filter(|entry| !entry.has_definition_of(first)).peekable();
    if others.peek().is_none() {
        return true;
    }
    let output = canonical::schema_digest(&first.definition, OUTPUT_SCHEMA);
    others.all(|entry| canonical::schema_digest(&entry.definition, OUTPUT_SCHEMA) == output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> CatalogEntry {
        CatalogEntry::named(&RawValue::from_string(text.to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn the_first_member_s_text_is_shown_with_another_name_and_otherwise_unchanged() {
        let entry = entry(r#"{"z":1.0,"name":"a","inputSchema":{"name":"a"},"outputSchema":{}}"#);
        let shown = definition(Kind::Tool, &[&entry], "b").unwrap();
        assert_eq!(shown.get(), r#"{"z":1.0,"name":"b","inputSchema":{"name":"a"},"outputSchema":{}}"#);
        assert_eq!(definition(Kind::Tool, &[&entry], "a").unwrap().get(), entry.definition.get());
    }

    #[test]
    fn an_output_schema_is_shown_only_where_all_have_the_same() {
        let one = entry(r#"{"name":"a","outputSchema":{"x":1,"y":2}}"#);
        let reworded =
            entry(r#"{"name":"a","description":"new","outputSchema":{"y":2,"x":1,"title":"New"}}"#);
        let other = entry(r#"{"name":"a","outputSchema":{"x":1}}"#);
        let none = entry(r#"{"name":"a"}"#);
        assert_eq!(definition(Kind::Tool, &[&one, &reworded], "a").unwrap().get(), one.definition.get());
        assert_eq!(definition(Kind::Tool, &[&one, &other], "a").unwrap().get(), r#"{"name":"a"}"#);
        assert_eq!(definition(Kind::Tool, &[&one, &none], "a").unwrap().get(), r#"{"name":"a"}"#);
        assert_eq!(definition(Kind::Tool, &[&none, &one], "a").unwrap().get(), r#"{"name":"a"}"#);
    }

    #[test]
    fn annotations_that_allow_repeats_are_shown_only_where_all_say_so() {
        let entry =
            |annotations: &str| entry(&format!(r#"{{"name":"a","annotations":{annotations},"x":1.0}}"#));
        let both = entry(r#"{"readOnlyHint":true, "title":"t","idempotentHint":true}"#);
        let (one, none) = (entry(r#"{"idempotentHint":true}"#), entry("{}"));
        let shown =
            |entries: &[&CatalogEntry]| definition(Kind::Tool, entries, "a").unwrap().get().to_owned();
        assert_eq!(shown(&[&both, &both]), both.definition.get());
        assert_eq!(
            shown(&[&both, &one]),
            r#"{"name":"a","annotations":{ "title":"t","idempotentHint":true},"x":1.0}"#
        );
        assert_eq!(shown(&[&both, &none]), r#"{"name":"a","annotations":{ "title":"t"},"x":1.0}"#);
        assert_eq!(shown(&[&none, &both]), none.definition.get());
    }
}
