//! Reader of the section `rules:`. Must not know how rules are applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderName;
use runtime::document::Cursor;

use super::fields::{self, EXPECTED_LABELS, accept, selector, text_match};
use crate::routes::pointer::Pointer;
use crate::routes::rule::{Argument, ClientSet, Condition, Header, Rule};
use crate::routes::selector::Selector;
use crate::routes::text::TextMatch;

/// Number of rules.
const MAX_RULES: usize = 1000;

/// Length of a rule's name, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// Headers that carry credentials, whose values do not belong into a file.
const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Expected form of `fallback`, for messages that begin with "expected".
const EXPECTED_FALLBACK: &str = "none, any, or a list of labels to try in turn";

/// Reads the rules of the file. Problems are reported to the document.
pub(super) fn read(cursor: &Cursor<'_>, clients: &fields::Clients) -> Vec<Arc<Rule>> {
    let items = cursor.items("a list of rules, the first that matches counts");
    if items.len() > MAX_RULES {
        cursor.error(format!("at most {MAX_RULES} rules"));
    }
    let mut names: BTreeSet<String> = Rule::built_in().map(|rule| rule.name.clone()).collect();
    items.iter().filter_map(|item| rule(item, clients, &mut names)).map(Arc::new).collect()
}

/// Reads one rule. `names` are those that are taken.
fn rule(cursor: &Cursor<'_>, clients: &fields::Clients, names: &mut BTreeSet<String>) -> Option<Rule> {
    let entries = cursor.entries_of(&["name", "match", "to", "fallback"])?;
    let name =
        entries.required("name", "a name for metrics and messages").and_then(|cursor| name(&cursor, names));
    let Matching { tools, condition } =
        entries.get("match").map_or_else(Matching::every_call, |cursor| matching(&cursor, clients));
    let to = entries.required("to", EXPECTED_LABELS).map(|cursor| cursor.one_or_many());
    let to = to.iter().flatten().filter_map(selector).collect();
    let mut priorities = vec![to];
    if let Some(cursor) = entries.get("fallback") {
        priorities.extend(fallback(&cursor));
    }
    Some(Rule { name: name?, line: cursor.line(), tools, condition, priorities })
}

fn name(cursor: &Cursor<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let text = cursor.text("a name")?.trim();
    if text.chars().count() > MAX_NAME_LENGTH || text.chars().any(char::is_control) {
        cursor.error(format!("a name of at most {MAX_NAME_LENGTH} characters"));
    } else if !names.insert(text.to_owned()) {
        cursor.error("another name: this one is taken, or that of a built-in rule");
    }
    Some(text.to_owned())
}

/// The key `match` of a rule.
struct Matching {
    tools: Vec<TextMatch>,
    condition: Condition,
}

impl Matching {
    /// Without the key a rule applies to every call.
    fn every_call() -> Self {
        let condition = Condition::Given { clients: None, headers: Vec::new(), argument: None };
        Self { tools: Vec::new(), condition }
    }
}

fn matching(cursor: &Cursor<'_>, clients: &fields::Clients) -> Matching {
    let Some(entries) = cursor.entries_of(&["tool", "client", "header", "argument"]) else {
        return Matching::every_call();
    };
    let many = |key| entries.get(key).map(|cursor| cursor.one_or_many());
    let tools = many("tool").iter().flatten().filter_map(fields::tool).collect();
    let named = many("client").map(|cursors| client_set(&cursors, clients));
    let headers = many("header").iter().flatten().filter_map(header).collect();
    let argument = entries.get("argument").and_then(|cursor| argument(&cursor));
    Matching { tools, condition: Condition::Given { clients: named, headers, argument } }
}

fn client_set(cursors: &[Cursor<'_>], clients: &fields::Clients) -> ClientSet {
    let mut set = ClientSet { names: Vec::new(), digests: BTreeSet::new() };
    for cursor in cursors {
        let Some(name) = cursor.text("a name of `clients:`") else { continue };
        match clients.get(name) {
            Some(digests) => set.digests.extend(digests),
            None => cursor.error("a name of `clients:`"),
        }
        set.names.push(name.to_owned());
    }
    set
}

fn header(cursor: &Cursor<'_>) -> Option<Header> {
    let kinds = ["equals", "prefix", "regex"];
    let entries = cursor.entries_of(&["name", "equals", "prefix", "regex"])?;
    let name = entries.required("name", "the name of a header").and_then(|cursor| {
        let text = cursor.text("the name of a header")?;
        if CREDENTIAL_HEADERS.contains(&text.to_ascii_lowercase().as_str()) {
            cursor.error("another header: keys are told apart by `client:`");
        }
        accept(&cursor, HeaderName::try_from(text).map_err(|_| "the name of a header".to_owned()))
    });
    let value = text_match(cursor, &entries, &kinds);
    Some(Header { name: name?, value: value? })
}

fn argument(cursor: &Cursor<'_>) -> Option<Argument> {
    let kinds = ["equals", "prefix", "regex", "host"];
    let entries = cursor.entries_of(&["pointer", "equals", "prefix", "regex", "host"])?;
    let expected = "a JSON pointer into the arguments, say /repository/url";
    let pointer = entries.required("pointer", expected).and_then(|cursor| {
        let text = cursor.text(expected)?;
        accept(&cursor, Pointer::parse(text).ok_or_else(|| expected.to_owned()))
    });
    let value = text_match(cursor, &entries, &kinds);
    Some(Argument { pointer: pointer?, value: value? })
}

/// Reads the priorities after the first.
fn fallback(cursor: &Cursor<'_>) -> Vec<Vec<Selector>> {
    if cursor.is_text() {
        return match cursor.text(EXPECTED_FALLBACK) {
            Some("none") => Vec::new(),
            Some("any") => vec![vec![Selector::default()]],
            _ => {
                cursor.error(EXPECTED_FALLBACK);
                Vec::new()
            }
        };
    }
    cursor.items(EXPECTED_FALLBACK).iter().filter_map(selector).map(|selector| vec![selector]).collect()
}
