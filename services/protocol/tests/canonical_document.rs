//! Checks of docs/PROTOCOL.md: the canonical forms and digests of definitions are those of the code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use protocol::mcp::canonical;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/PROTOCOL.md")).unwrap()
}

/// Definitions that the document shows with their canonical form and digest.
const DEFINITIONS: [&str; 7] = [
    "{}",
    r#"{"name":"t","inputSchema":{"type":"object"}}"#,
    r#"{ "inputSchema": {"type": "object"}, "name": "\u0074" }"#,
    "[0.0, -0, 100, 1e2, 0.010, -12.50, 1e400, 1E9999999999999999]",
    r#"["\/\n\u001F\"\\", "\uD83D\uDE00\ud83d", "é\u00e9"]"#,
    r#"{"b":1,"a!":2,"a":3,"\"":4,"é":5,"Z":6}"#,
    r#"{"a":1,"\u0061":2}"#,
];

#[test]
fn the_canonical_forms_are_those_of_the_code() {
    let document = document();
    for definition in DEFINITIONS {
        let raw = serde_json::value::RawValue::from_string(definition.to_owned()).unwrap();
        let form = canonical::canonical(&raw).map_or("none".to_owned(), |form| format!("`{form}`"));
        let digest = canonical::digest(&raw).map_or("none".to_owned(), |digest| format!("`{digest}`"));
        let row = format!("| `{definition}` | {form} | {digest} |\n");
        assert!(document.contains(&row), "the document lacks this row:\n{row}");
    }
}

/// Schemas that the document shows with their form without wording.
const SCHEMAS: [(&str, &str); 4] = [
    (
        r#"{"type":"object","title":"T","properties":{"description":{"type":"string","description":"D"}}}"#,
        r#"{"properties":{"description":{"type":"string"}},"type":"object"}"#,
    ),
    (
        r#"{"anyOf":[{"title":"A","const":{"title":"A"}},true],"$comment":"C","x-note":{"title":"N"}}"#,
        r#"{"anyOf":[{"const":{"title":"A"}},true],"x-note":{"title":"N"}}"#,
    ),
    (
        r#"{"description":{"type":"string"},"items":[{"title":"T"},"other"]}"#,
        r#"{"description":{"type":"string"},"items":[{"title":"T"},"other"]}"#,
    ),
    (r#"{"description":"anything","examples":[1]}"#, "{}"),
];

#[test]
fn the_schemas_without_wording_are_those_of_the_code() {
    let document = document();
    let raw = |text: String| serde_json::value::RawValue::from_string(text).unwrap();
    for (schema, form) in SCHEMAS {
        let definition = raw(format!(r#"{{"inputSchema":{schema}}}"#));
        let expected = canonical::digest(&raw(form.to_owned()));
        assert_eq!(canonical::schema_digest(&definition, "inputSchema"), expected, "{schema}");
        let row = format!("| `{schema}` | `{form}` |\n");
        assert!(document.contains(&row), "the document lacks this row:\n{row}");
    }
}
