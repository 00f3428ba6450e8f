//! Tests of templates: what values of a client can and cannot do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::error::TemplateError;
use super::place::MAX_ELEMENT;
use super::*;

fn arguments(values: &Value) -> Arguments {
    let read = Arguments::read(values.to_string().as_bytes(), &BTreeMap::new()).unwrap();
    read.with_output(Some(PathBuf::from("/tmp/out.png")))
}

fn elements(list: &[&str]) -> Vec<Element> {
    list.iter().map(|text| Element::one(Template::parse(text).unwrap())).collect()
}

fn expand(elements: &[Element], values: &Value) -> Result<Vec<String>, ExpandError> {
    let words = command_line(elements, &arguments(values))?;
    Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
}

#[test]
fn a_value_is_exactly_one_argument_whatever_it_holds() {
    for value in [
        "",
        " ",
        "a b",
        "a  b\tc",
        "'",
        "\"",
        "a'b\"c",
        "$(id)",
        "`id`",
        "${HOME}",
        "$HOME",
        "; rm -rf /",
        "&& id",
        "| id",
        "> /tmp/x",
        "a\nb",
        "a\r\nb",
        "*",
        "~",
        "\\",
        "\\n",
        "%s",
        "{{a}}",
        "{{x!}}",
        "}}",
        "\u{202e}\u{feff}",
        "ümläut 😀",
        "\u{1b}[31m",
        "a -b --c",
        "+x",
        "@file",
        "\u{2212}x",
        " -x",
    ] {
        for (template, before, after) in
            [("{{a}}", "", ""), ("--x={{a}}", "--x=", ""), ("<{{ a }}>", "<", ">"), ("{{a!}}", "", "")]
        {
            let line = expand(&elements(&["prog", template, "end"]), &json!({ "a": value })).unwrap();
            assert_eq!(line, ["prog", &format!("{before}{value}{after}"), "end"], "{template} {value:?}");
        }
    }
}

#[test]
fn a_value_becomes_no_option_unless_the_template_says_so() {
    let line = |list: &[&str], value: Value| expand(&elements(list), &json!({ "a": value, "e": "" }));
    for value in ["-", "--", "-x", "--help", "-\n", "--a=b"] {
        let dash = Err(ExpandError::Dash { name: "a".into() });
        for refused in [
            &["p", "{{a}}"][..],
            &["p", "{{a}}/x"],
            &["p", "{{e}}{{a}}"],
            &["p", "{{a?}}"],
            &["p", "x--", "{{a}}"],
            &["p", "{{a}}", "--"],
            &["p", "{{e!}}{{a}}"],
        ] {
            assert_eq!(line(refused, json!(value)), dash, "{refused:?} {value:?}");
        }
        for allowed in [
            &["p", "{{a!}}"][..],
            &["p", "--", "{{a}}"],
            &["p", "--", "x", "{{a}}/x"],
            &["p", "x{{a}}"],
            &["p", "{{a!}}{{a}}"],
            &["p", "-{{a}}"],
        ] {
            assert!(line(allowed, json!(value)).is_ok(), "{allowed:?} {value:?}");
        }
        assert_eq!(line(&["p", "{{a}}"], json!(["x", value])), dash, "each item of a list");
        assert!(line(&["p", "--", "{{a}}"], json!(["x", value])).is_ok());
    }
    assert_eq!(line(&["p", "{{a}}"], json!(-5)), Err(ExpandError::Dash { name: "a".into() }));
    assert_eq!(line(&["p", "{{a!}}"], json!(-5)).unwrap(), ["p", "-5"]);
    // A value is not the template's "--".
    let twice = line(&["p", "{{a!}}", "{{a}}"], json!("--"));
    assert_eq!(twice, Err(ExpandError::Dash { name: "a".into() }));
}

#[test]
fn what_no_program_can_be_given_is_refused_by_the_name_of_its_argument() {
    let line = |template: &str, value: Value| expand(&elements(&["p", template]), &json!({ "a": value }));
    let name = || "a".to_owned();
    for template in ["{{a}}", "{{a!}}", "x{{a}}", "{{a?}}"] {
        assert_eq!(line(template, json!("x\0y")), Err(ExpandError::Nul { name: name() }));
        let long = "x".repeat(MAX_ELEMENT + 1);
        assert!(matches!(line(template, json!(long)), Err(ExpandError::Long { .. })), "{template}");
    }
    assert_eq!(line("{{a}}", json!(["x\0"])), Err(ExpandError::Nul { name: name() }));
    assert!(line("{{a}}", json!("x".repeat(MAX_ELEMENT))).is_ok());
    let items = vec!["x".repeat(MAX_ELEMENT); 9];
    assert!(matches!(line("{{a}}", json!(items)), Err(ExpandError::AllLong { .. })));
    assert_eq!(line("x{{a}}", json!(["b"])), Err(ExpandError::List { name: name() }));
    for nested in [json!([["b"]]), json!([{ "b": 1 }]), json!([null])] {
        assert_eq!(line("{{a}}", nested), Err(ExpandError::Nested { name: name() }));
    }
    for absent in [json!(null), json!([])] {
        assert_eq!(expand(&elements(&["p", "{{a?}}"]), &json!({ "a": absent })).unwrap(), ["p"]);
    }
    assert_eq!(line("{{a}}", json!(null)), Err(ExpandError::Missing { name: name() }));
    let surrogate = Arguments::read(br#"{"a":"\ud800"}"#, &BTreeMap::new());
    let line = surrogate.map(|read| command_line(&elements(&["{{a}}"]), &read));
    assert!(matches!(line, Err(_) | Ok(Err(ExpandError::Unreadable { .. }))));
}

#[test]
fn numbers_and_flags_stand_as_the_client_wrote_them() {
    for written in ["9007199254740993", "1e400", "1.10", "123456789012345678901234567890", "true", "1E2"] {
        let json = format!(r#"{{"a": {written}}}"#);
        let read = Arguments::read(json.as_bytes(), &BTreeMap::new()).unwrap();
        let line = command_line(&elements(&["{{a}}"]), &read).unwrap();
        assert_eq!(line, [written]);
    }
    let line = expand(&elements(&["{{a}}"]), &json!({ "a": { "b": [1, "x y"] } })).unwrap();
    assert_eq!(line, [r#"{"b":[1,"x y"]}"#], "an object is JSON");
}

#[test]
fn lists_spread_and_groups_stand_or_fall_together() {
    let group = |when: Option<&str>, list: &[&str]| Element {
        when: when.map(str::to_owned),
        templates: list.iter().map(|text| Template::parse(text).unwrap()).collect(),
    };
    let command = [
        group(None, &["p"]),
        group(Some("verbose"), &["-v"]),
        group(None, &["--depth", "{{depth?}}"]),
        group(Some("files"), &["--", "{{files}}"]),
    ];
    for (values, expected) in [
        (json!({}), vec!["p"]),
        (json!({ "verbose": true, "depth": 3 }), vec!["p", "-v", "--depth", "3"]),
        (json!({ "verbose": false, "depth": null, "files": [] }), vec!["p"]),
        (json!({ "files": ["a b", "-x", 7] }), vec!["p", "--", "a b", "-x", "7"]),
        (json!({ "verbose": "no", "depth": "" }), vec!["p", "-v", "--depth", ""]),
    ] {
        assert_eq!(expand(&command, &values).unwrap(), expected, "{values}");
    }
    // A "--" that is left out ends no options.
    let optional = [group(Some("end"), &["--"]), group(None, &["{{a}}"])];
    assert!(expand(&optional, &json!({ "a": "-x" })).is_err());
    assert_eq!(expand(&optional, &json!({ "a": "-x", "end": true })).unwrap(), ["--", "-x"]);
}

#[test]
fn braces_are_literal_where_a_backslash_says_so() {
    for (text, expected) in [
        ("\\{{.Names}}", "{{.Names}}"),
        ("a}}b{c", "a}}b{c"),
        ("\\\\{{a}}", "\\v"),
        ("\\\\\\{{a}}", "\\{{a}}"),
        ("\\n", "\\n"),
        ("{\"q\":{{a}}}", "{\"q\":v}"),
        ("", ""),
    ] {
        assert_eq!(expand(&elements(&[text]), &json!({ "a": "v" })).unwrap(), [expected], "{text}");
    }
    for bad in ["{{", "{{a", "{{a}", "{{}}", "{{ }}", "{{a b}}", "{{{a}}}", "{{a??}}", "{{!a}}", "{{a\n{{b}}"]
    {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Template::parse("a\0"), Err(TemplateError::Nul));
}

#[test]
fn standard_input_takes_any_text() {
    let text = |template: &str, values: &Value| Template::parse(template).unwrap().text(&arguments(values));
    let values = json!({ "a": "-x\0\n", "l": [1, "b"], "o": { "k": "v" } });
    assert_eq!(text("{{a}}|{{l}}|{{o}}|{{none?}}", &values).unwrap(), "-x\0\n|[1,\"b\"]|{\"k\":\"v\"}|");
    assert_eq!(text("{{*}}", &json!({ "b": 1, "a": "x" })).unwrap(), r#"{"a":"x","b":1}"#);
    assert_eq!(text("{{none}}", &values), Err(ExpandError::Missing { name: "none".into() }));
}

#[test]
fn an_absent_argument_has_its_default() {
    let raw =
        |text: &str| std::sync::Arc::from(serde_json::value::RawValue::from_string(text.into()).unwrap());
    let defaults = BTreeMap::from([("a".to_owned(), raw("\"d\"")), ("b".to_owned(), raw("1.0"))]);
    let read = Arguments::read(br#"{"a":"x"}"#, &defaults).unwrap();
    assert_eq!(command_line(&elements(&["{{a}}", "{{b}}"]), &read).unwrap(), ["x", "1.0"]);
    let read = Arguments::read(br#"{"a":null}"#, &defaults).unwrap();
    assert_eq!(command_line(&elements(&["{{a}}"]), &read).unwrap(), ["d"]);
}

proptest! {
    /// Whatever a value is, the number of arguments and all that is literal stay as they are, and no word that is an option is
    /// the client's.
    #[test]
    fn no_value_changes_the_form_of_a_command_line(a in any::<String>(), b in "[-]{0,2}[a-z -]{0,5}") {
        let values = json!({ "a": a, "b": b });
        let command = elements(&["p", "--o={{a}}", "{{b}}", "{{a}}{{b}}", "last"]);
        match expand(&command, &values) {
            Ok(line) => {
                prop_assert_eq!(line.len(), 5);
                prop_assert_eq!(&line[1], &format!("--o={a}"));
                prop_assert!(!line[2].starts_with('-') && !line[3].starts_with('-'));
            }
            Err(ExpandError::Nul { .. }) => prop_assert!(a.contains('\0')),
            Err(ExpandError::Dash { .. }) => prop_assert!(b.starts_with('-') || a.starts_with('-')),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn no_text_panics_the_parser(text in "[{}\\\\a!?* ]{0,12}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.text(&arguments(&json!({ "a": "v" })));
        }
    }
}
