//! Tables and properties of the form without wording.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::{canonical, schema_digest};
use super::*;
use crate::mcp::canonical::tokens;

fn form(schema: &str) -> Option<String> {
    let flat = tokens::normalize(schema).unwrap();
    flat.ordered()?;
    String::from_utf8(without_wording(&flat, 0..flat.text.len())?).ok()
}

fn definition(schema: &str) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"name":"t","inputSchema":{schema}}}"#)).unwrap()
}

#[test]
fn wording_is_left_out_where_a_schema_stands() {
    let words = r#""title":"T","description":"D","$comment":"C","examples":[{"title":1},[]]"#;
    for (schema, expected) in [
        (r"{W}", r"{}"),
        (r#"{"type":"object",W}"#, r#"{"type":"object"}"#),
        (r#"{W,"z":1}"#, r#"{"z":1e0}"#),
        (
            r#"{"properties":{"a":{W},"b":{"type":"string",W}}}"#,
            r#"{"properties":{"a":{},"b":{"type":"string"}}}"#,
        ),
        (r#"{"patternProperties":{"^x":{W}}}"#, r#"{"patternProperties":{"^x":{}}}"#),
        (r##"{"$defs":{"A":{W}},"$ref":"#/$defs/A"}"##, r##"{"$defs":{"A":{}},"$ref":"#/$defs/A"}"##),
        (r#"{"definitions":{"A":{W}}}"#, r#"{"definitions":{"A":{}}}"#),
        (r#"{"dependentSchemas":{"a":{W}}}"#, r#"{"dependentSchemas":{"a":{}}}"#),
        (r#"{"dependencies":{"a":{W},"b":["c"]}}"#, r#"{"dependencies":{"a":{},"b":["c"]}}"#),
        (r#"{"items":{W}}"#, r#"{"items":{}}"#),
        (r#"{"items":[{W},true,{W}]}"#, r#"{"items":[{},true,{}]}"#),
        (r#"{"prefixItems":[false,{W}]}"#, r#"{"prefixItems":[false,{}]}"#),
        (r#"{"anyOf":[{W},{"allOf":[{"oneOf":[{W}]}]}]}"#, r#"{"anyOf":[{},{"allOf":[{"oneOf":[{}]}]}]}"#),
        (r#"{"anyOf":[]}"#, r#"{"anyOf":[]}"#),
        (
            r#"{"if":{W},"then":{W},"else":{W},"not":{W},"contains":{W},"propertyNames":{W},"contentSchema":{W}}"#,
            r#"{"contains":{},"contentSchema":{},"else":{},"if":{},"not":{},"propertyNames":{},"then":{}}"#,
        ),
        (
            r#"{"additionalProperties":{W},"unevaluatedProperties":{W},"additionalItems":{W},"unevaluatedItems":{W}}"#,
            r#"{"additionalItems":{},"additionalProperties":{},"unevaluatedItems":{},"unevaluatedProperties":{}}"#,
        ),
        (
            r#"{"properties":{"a":{"items":{"additionalProperties":{"anyOf":[{"properties":{"b":{W}}}]}}}}}"#,
            r#"{"properties":{"a":{"items":{"additionalProperties":{"anyOf":[{"properties":{"b":{}}}]}}}}}"#,
        ),
        (r#"{"\u0064escription":"\ud83d","\u0074itle":""}"#, r"{}"),
    ] {
        assert_eq!(form(&schema.replace('W', words)).as_deref(), Some(expected), "{schema}");
    }
}

#[test]
fn what_is_no_wording_stands() {
    for schema in [
        // Names.
        r#"{"properties":{"$comment":{},"description":{"type":"string"},"examples":[],"title":"x"}}"#,
        r#"{"properties":{"properties":{"properties":{"description":{}}}}}"#,
        r#"{"patternProperties":{"description":true}}"#,
        r#"{"$defs":{"description":{},"examples":["x"]}}"#,
        r#"{"definitions":{"title":{}}}"#,
        r#"{"dependentSchemas":{"title":{}}}"#,
        r#"{"dependencies":{"title":["x"]}}"#,
        r#"{"dependentRequired":{"title":["x"]}}"#,
        r#"{"required":["description","title"]}"#,
        // Values.
        r#"{"const":{"description":"x"}}"#,
        r#"{"enum":[{"description":"x"},"title"]}"#,
        r#"{"default":{"properties":{"a":{"description":"x"}},"title":"x"}}"#,
        // Other annotations.
        r#"{"$anchor":"x","$id":"x","$schema":"x","deprecated":true,"format":"x","readOnly":true}"#,
        // Unknown keywords, and what stands in them.
        r#"{"Description":"x","example":"x","x-mcp-header":"X","x-schema":{"description":"x"}}"#,
        r#"{"x":[{"title":"x"}]}"#,
        r#"{"x":{"properties":{"a":{"title":"x"}}}}"#,
        // Values of another type than the keyword's.
        r#"{"$comment":[],"description":{"type":"string"},"examples":{},"title":null}"#,
        r#"{"allOf":{"title":"x"}}"#,
        r#"{"anyOf":[[{"title":"x"}],{"title":"x"}]}"#,
        r#"{"anyOf":[{"title":"x"},"a"]}"#,
        r#"{"anyOf":[{"title":"x"},null,{"title":"x"}]}"#,
        r#"{"not":[{"title":"x"}]}"#,
        r#"{"properties":[{"title":"x"}]}"#,
        r#"{"dependencies":{"a":[{"title":"x"}]}}"#,
        // No objects at all.
        "true",
        "false",
        "null",
        r#"["description"]"#,
        r#"[{"description":"x"}]"#,
        r#""description""#,
    ] {
        assert_eq!(form(schema).as_deref(), Some(schema));
    }
}

#[test]
fn exact_values_stay_exact() {
    let digest = |schema: &str| schema_digest(&definition(schema), "inputSchema").unwrap();
    for (one, other) in [
        (r#"{"maximum":0.1}"#, r#"{"maximum":0.1000000000000000055511151231257827}"#),
        (r#"{"maximum":1e400}"#, r#"{"maximum":1e401}"#),
        (r#"{"const":"\ud83d"}"#, r#"{"const":"\ud83e"}"#),
        (r#"{"default":"a","title":"x"}"#, r#"{"default":"b","title":"x"}"#),
        (r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{"type":"number"}}}"#),
        (r#"{"required":["a"]}"#, r#"{"required":[]}"#),
        ("true", "{}"),
        ("true", "false"),
        (r#"{"additionalProperties":true}"#, r#"{"additionalProperties":{}}"#),
        (r#"{"anyOf":[{},true]}"#, r#"{"anyOf":[true,{}]}"#),
        (r#"{"properties":{"title":{}}}"#, r#"{"properties":{}}"#),
    ] {
        assert_ne!(digest(one), digest(other), "{one} {other}");
    }
    assert_eq!(digest(r#"{"maximum":100,"title":"x"}"#), digest(r#"{"description":"y","maximum":1e2}"#));
    assert_eq!(digest(r#"{"title":"\ud83d","const":1e400}"#), digest(r#"{"const":1e400}"#));
}

#[test]
fn a_key_that_stands_twice_is_told_even_in_wording() {
    for schema in [
        r#"{"title":"a","title":"b"}"#,
        r#"{"description":"a","\u0064escription":"a"}"#,
        r#"{"properties":{"a":{},"a":{}}}"#,
        r#"{"examples":[{"a":1,"a":2}]}"#,
    ] {
        assert_eq!(schema_digest(&definition(schema), "inputSchema"), None, "{schema}");
    }
}

#[test]
fn nesting_is_followed_to_the_limit() {
    let nested =
        |text: &str, depth: usize| format!("{}{{{text}}}{}", r#"{"items":"#.repeat(depth), "}".repeat(depth));
    let depth = crate::mcp::depth::MAX_DEPTH - 2;
    let digest = |schema: &str| schema_digest(&definition(schema), "inputSchema");
    assert!(digest(&nested("", depth)).is_some());
    assert_eq!(digest(&nested(r#""title":"x""#, depth)), digest(&nested("", depth)));
    assert_eq!(digest(&nested("", depth + 1)), None);
}

const NAMES: [&str; 8] =
    ["title", "description", "$comment", "examples", "properties", "items", "const", "a"];

/// Any values, whose keys are often keywords.
fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        select(&NAMES[..]).prop_map(Value::from)
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((select(&NAMES[..]), inner), 0..3).prop_map(object),
        ]
    })
}

fn object(members: Vec<(&str, Value)>) -> Value {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Schemas without wording.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        value().prop_map(|value| json!({"const": value})),
        value().prop_map(|value| json!({"x-unknown": value, "default": 1})),
        Just(json!({})),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        let named = prop::collection::vec((select(&NAMES[..]), inner.clone()), 0..4).prop_map(object);
        let list = prop::collection::vec(inner.clone(), 0..4);
        let maps = select(vec!["properties", "patternProperties", "$defs", "dependentSchemas"]);
        let lists = select(vec!["anyOf", "allOf", "oneOf", "items"]);
        let one = select(vec!["items", "not", "additionalProperties"]);
        (maps, named, lists, list, one, inner).prop_map(|(map, named, lists, list, key, one)| {
            object(vec![(map, named), (lists, Value::from(list)), (key, one), ("type", json!("object"))])
        })
    })
}

/// Writes wording into each schema of a schema.
fn worded(schema: &Value, words: &str) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut members: serde_json::Map<String, Value> = members
        .iter()
        .map(|(keyword, value)| {
            let value = match (keyword.as_str(), value) {
                ("properties" | "patternProperties" | "$defs" | "dependentSchemas", Value::Object(named)) => {
                    named.iter().map(|(name, schema)| (name.clone(), worded(schema, words))).collect()
                }
                ("anyOf" | "allOf" | "oneOf" | "items", Value::Array(list)) => {
                    list.iter().map(|schema| worded(schema, words)).collect()
                }
                ("items" | "not" | "additionalProperties", schema) => worded(schema, words),
                (_, value) => value.clone(),
            };
            (keyword.clone(), value)
        })
        .collect();
    for keyword in ["title", "description", "$comment"] {
        members.insert(keyword.to_owned(), json!(words));
    }
    members.insert("examples".to_owned(), json!([words, { "const": words }]));
    Value::Object(members)
}

proptest! {
    #[test]
    fn wording_changes_nothing(schema in schema(), words in ".{0,6}") {
        let plain = form(&schema.to_string());
        let raw = RawValue::from_string(schema.to_string()).unwrap();
        prop_assert_eq!(&plain, &canonical(&raw), "a schema without wording has its canonical form");
        prop_assert_eq!(form(&worded(&schema, &words).to_string()), plain);
    }

    #[test]
    fn anything_else_changes_the_form(one in schema(), other in schema(), words in ".{0,6}") {
        let forms = form(&one.to_string()) == form(&worded(&other, &words).to_string());
        prop_assert_eq!(forms, one == other);
    }

    #[test]
    fn a_form_is_json_and_its_own_form(value in value()) {
        let form = form(&value.to_string()).unwrap();
        prop_assert!(serde_json::from_str::<Value>(&form).is_ok(), "{}", form);
        prop_assert_eq!(self::form(&form), Some(form));
    }
}
