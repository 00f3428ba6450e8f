//! Properties of the canonical form.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::mcp::depth::MAX_DEPTH;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn form(text: &str) -> Option<String> {
    canonical(&raw(text))
}

#[test]
fn order_white_space_escapes_and_number_forms_do_not_matter() {
    let expected = r#"{"":[],"a":{"x":[1e0,{"p":null,"q":true}]},"é":1e2}"#;
    for text in [
        expected,
        r#"{"é":100,"a":{"x":[1,{"q":true,"p":null}]},"":[]}"#,
        "{ \"\\u00e9\" : 1e2 ,\n\t\"\\u0061\":{\"x\":[1.0, {\"q\":true , \"p\":null}]},\r\"\":[ ]}",
    ] {
        assert_eq!(form(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_differs_has_another_form() {
    let texts = [
        "1",
        "10",
        "1.01",
        "\"1\"",
        "true",
        "null",
        "[]",
        "[[]]",
        "{}",
        "[1,2]",
        "[2,1]",
        r#""\ud800""#,
        r#""\\ud800""#,
        r#"{"a":1}"#,
        r#"{"a":[1]}"#,
        r#"{"b":1}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"a":1,"b":1}"#,
        r#"["a","b"]"#,
        r#"["a,b"]"#,
    ];
    let mut forms: Vec<String> = texts.iter().map(|text| form(text).unwrap()).collect();
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), texts.len());
}

#[test]
fn a_key_that_stands_twice_leaves_no_form() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#] {
        assert_eq!(form(text), None, "{text}");
        assert_eq!(digest(&raw(text)), None, "{text}");
    }
    for text in [r#"{"inputSchema":{},"x":{"a":1,"a":1}}"#, r#"{"inputSchema":{"examples":[{"a":1,"a":1}]}}"#]
    {
        assert_eq!(schema_digest(&raw(text), "inputSchema"), None, "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(form(&nested(MAX_DEPTH)), Some(nested(MAX_DEPTH)));
    assert_eq!(form(&nested(MAX_DEPTH + 1)), None);
    let objects = |depth: usize| format!("{}1{}", r#"{"b":0,"a":"#.repeat(depth), "}".repeat(depth));
    assert!(form(&objects(MAX_DEPTH)).is_some());
    assert_eq!(form(&objects(MAX_DEPTH + 1)), None);
}

#[test]
fn the_digest_of_a_schema_without_wording_is_that_of_its_value() {
    let definition = raw(r#"{"name":"a","input\u0053chema":{"b":1,"a":{"d":2,"c":3}},"z":[{}]}"#);
    assert_eq!(schema_digest(&definition, "inputSchema"), digest(&raw(r#"{"a":{"c":3,"d":2},"b":1}"#)));
    assert_eq!(schema_digest(&definition, "a"), None);
    assert_eq!(schema_digest(&raw(r#"[{"a":1}]"#), "a"), None);
}

#[test]
fn a_digest_is_read_from_its_text() {
    let digest = digest(&raw("{}")).unwrap();
    let text = digest.to_string();
    assert_eq!(text, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_eq!(text.parse(), Ok(digest));
    assert_eq!(text.to_uppercase().replace("SHA256", "sha256").parse(), Ok(digest));
    for bad in ["", "sha256:", &text[7..], &text[..70], &text.replace('4', "g"), &text.replace("44", "é")] {
        assert_eq!(bad.parse::<DefinitionDigest>(), Err(DigestParseError), "{bad}");
    }
}

/// Values whose numbers survive a JSON library.
fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((".{0,3}", inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Writes a value in a form of its own: members backwards, white space, all characters escaped.
fn disguise(value: &Value) -> String {
    let text = |text: &str| {
        let units: String =
            text.encode_utf16().fold(String::new(), |units, unit| units + &format!("\\u{unit:04X}"));
        format!("\"{units}\"")
    };
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => {
            format!("[ {} ]", items.iter().map(disguise).collect::<Vec<_>>().join(" , "))
        }
        Value::Object(members) => {
            let members =
                members.iter().rev().map(|(key, value)| format!("{}:\t{}", text(key), disguise(value)));
            format!("{{\n{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Number(number) => format!("{number}.000E+0"),
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn a_value_has_one_form_however_it_is_written(value in value()) {
        let plain = form(&value.to_string()).unwrap();
        prop_assert_eq!(form(&disguise(&value)), Some(plain.clone()));
        prop_assert_eq!(form(&plain), Some(plain));
    }

    #[test]
    fn equal_forms_mean_equal_values(one in value(), other in value()) {
        prop_assert_eq!(form(&one.to_string()) == form(&other.to_string()), one == other);
    }

    #[test]
    fn any_text_that_is_json_is_taken_without_a_panic(text in r#"[\[\]{}",:\\u0-9a-f.eE+ -]{0,40}"#) {
        if let Ok(value) = serde_json::from_str::<Box<RawValue>>(&text) {
            let form = canonical(&value);
            if let Some(form) = &form {
                prop_assert!(serde_json::from_str::<Box<RawValue>>(form).is_ok(), "{form}");
            }
        }
        let _ = tokens::normalize(&text).and_then(|flat| flat.ordered());
    }
}
