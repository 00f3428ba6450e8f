//! The section `tests:` of the policy file: requests and what is expected of each, which `mcp-relay policy test` runs. Must not know the
//! command line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use runtime::document::{Cursor, Map};
use serde_json::value::RawValue;

use crate::probe::{PolicyTest, Probe};
use crate::requester::Requester;
use crate::side::Side;
use crate::subject::SubjectKind;

/// What may be expected.
const EXPECTED: [&str; 4] = ["allow", "challenge", "forbidden", "deny"];

/// Reads the tests. Problems are reported to the document.
pub(crate) fn read(cursor: &Cursor<'_>, side: Side) -> Vec<PolicyTest> {
    let items =
        cursor.items("a list of tests, each with who, one of tool, prompt, resource and method, and expect");
    items.iter().enumerate().filter_map(|(at, item)| test(item, side, at)).collect()
}

/// Keys that name what a test asks for.
const KINDS: [(&str, SubjectKind); 4] = [
    ("tool", SubjectKind::Tool),
    ("prompt", SubjectKind::Prompt),
    ("resource", SubjectKind::Resource),
    ("method", SubjectKind::Method),
];

fn test(cursor: &Cursor<'_>, side: Side, at: usize) -> Option<PolicyTest> {
    let mut keys = vec!["name", "who", "own_name", "arguments", "annotations", "expect"];
    keys.extend(KINDS.map(|(key, _)| key));
    keys.extend((side == Side::Proxy).then_some("slave"));
    let entries = cursor.entries_of(&keys)?;
    let text = |key: &str| entries.get(key).and_then(|cursor| cursor.text("a text").map(str::to_owned));
    let client = entries
        .required("who", "a client: nobody, or a mapping with key, groups, …")
        .and_then(|who| client(&who));
    let mut named = KINDS.iter().filter_map(|(key, kind)| Some((*kind, text(key)?)));
    let (first, second) = (named.next(), named.next());
    if first.is_none() || second.is_some() {
        cursor.error("exactly one of tool, prompt, resource, method");
    }
    let expected = entries.required("expect", &EXPECTED.join(", ")).and_then(|cursor| {
        let expected = EXPECTED.into_iter().find(|word| Some(*word) == cursor.as_text());
        if expected.is_none() {
            cursor.error(EXPECTED.join(", "));
        }
        expected
    });
    let (code, labels) = entries.get("slave").and_then(|cursor| slave(&cursor)).unwrap_or_default();
    let (kind, name) = first?;
    let probe = Probe {
        client: client?,
        kind,
        own_name: text("own_name"),
        arguments: json(&entries, "arguments"),
        annotations: json(&entries, "annotations"),
        code,
        labels,
        name,
    };
    let name = text("name").unwrap_or_else(|| format!("tests[{at}]"));
    Some(PolicyTest { name, line: cursor.line(), probe, expected: expected? })
}

fn client(cursor: &Cursor<'_>) -> Option<Requester<'static>> {
    if cursor.as_text() == Some("nobody") {
        return Some(Requester::default());
    }
    let entries = cursor.entries_of(&["key", "groups", "subject", "issuer", "scopes", "certificate"])?;
    let text = |key: &str| {
        let text = entries.get(key)?.text("a text")?;
        Some(Cow::Owned(text.to_owned()))
    };
    let list = |key: &str| -> Cow<'static, [String]> {
        let items = entries.get(key).map(|cursor| cursor.one_or_many()).unwrap_or_default();
        items.iter().filter_map(|item| item.text("a text").map(str::to_owned)).collect()
    };
    Some(Requester {
        key: text("key"),
        issuer: text("issuer"),
        subject: text("subject"),
        groups: list("groups"),
        scopes: list("scopes"),
        certificate: list("certificate"),
    })
}

fn slave(cursor: &Cursor<'_>) -> Option<(String, BTreeMap<String, String>)> {
    let entries = cursor.entries_of(&["code", "labels"])?;
    let code = entries.get("code").and_then(|code| code.text("the name of a code").map(str::to_owned));
    let labels = entries.get("labels").and_then(|labels| labels.entries("a mapping of labels to values"));
    let label = |(name, value): (&str, Cursor<'_>)| Some((name.to_owned(), value.scalar("a value")?));
    Some((code.unwrap_or_default(), labels.iter().flat_map(Map::all).filter_map(label).collect()))
}

/// Reads a JSON object that stands in the file as a text.
fn json(entries: &Map<'_>, key: &str) -> Option<String> {
    let expected = "a JSON object, in quotes";
    let cursor = entries.get(key)?;
    let text = cursor.text(expected)?.trim();
    let is_object = text.starts_with('{') && RawValue::from_string(text.to_owned()).is_ok();
    if !is_object {
        cursor.error(expected);
    }
    is_object.then(|| text.to_owned())
}
