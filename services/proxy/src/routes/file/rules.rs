//! The section `rules:` of the file. Knows the form of rules, not what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::HeaderName;
use runtime::document::{Cursor, Map};

use crate::routes::pointer::Pointer;
use crate::routes::rule::{Argument, Clients, Condition, Header, Rule};
use crate::routes::selector::{Selector, Wanted};
use crate::routes::text::TextMatch;

/// Clients by name.
pub(super) type Known = BTreeMap<String, Vec<[u8; 32]>>;

/// Most rules.
const MOST: usize = 1000;

/// Longest name, in characters.
const NAME: usize = 64;

/// Headers that hold secrets: what they say must not stand in a file.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

const TO: &str = "the labels that slaves must have, say {platform: gitlab}, a list of such, or any";
const FALLBACK: &str = "none, any, or a list of labels to try in turn";

/// Reads the section. What is wrong is noted.
pub(super) fn read(place: &Cursor<'_>, clients: &Known) -> Vec<Arc<Rule>> {
    let items = place.items("a list of rules, the first that matches counts");
    if items.len() > MOST {
        place.error(format!("at most {MOST} rules"));
    }
    let mut names: BTreeSet<String> = Rule::built_in().map(|rule| rule.name.clone()).collect();
    items.iter().filter_map(|item| rule(item, clients, &mut names)).map(Arc::new).collect()
}

fn rule(place: &Cursor<'_>, clients: &Known, names: &mut BTreeSet<String>) -> Option<Rule> {
    let entries = place.entries_of(&["name", "match", "to", "fallback"])?;
    let name =
        entries.required("name", "a name for metrics and messages").and_then(|place| name(&place, names));
    let (tools, condition) = entries.get("match").map_or_else(any_call, |place| matching(&place, clients));
    let to = entries.required("to", TO).map(|place| place.one_or_many());
    let to = to.iter().flatten().filter_map(selector).collect();
    let mut tiers = vec![to];
    if let Some(place) = entries.get("fallback") {
        tiers.extend(fallback(&place));
    }
    Some(Rule { name: name?, line: place.line(), tools, condition, tiers })
}

fn name(place: &Cursor<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let text = place.text("a name")?.trim();
    if text.chars().count() > NAME || text.chars().any(char::is_control) {
        place.error(format!("a name of at most {NAME} characters"));
    } else if !names.insert(text.to_owned()) {
        place.error("another name: this one is taken, or that of a built-in rule");
    }
    Some(text.to_owned())
}

fn any_call() -> (Vec<TextMatch>, Condition) {
    (Vec::new(), Condition::Given { clients: None, headers: Vec::new(), argument: None })
}

fn matching(place: &Cursor<'_>, clients: &Known) -> (Vec<TextMatch>, Condition) {
    let Some(entries) = place.entries_of(&["tool", "client", "header", "argument"]) else {
        return any_call();
    };
    let many = |key| entries.get(key).map(|place| place.one_or_many());
    let tools = many("tool").iter().flatten().filter_map(tool).collect();
    let named = many("client").map(|places| who(&places, clients));
    let headers = many("header").iter().flatten().filter_map(header).collect();
    let argument = entries.get("argument").and_then(|place| argument(&place));
    (tools, Condition::Given { clients: named, headers, argument })
}

/// A name, a beginning with `*`, or `{regex: …}`.
pub(super) fn tool(place: &Cursor<'_>) -> Option<TextMatch> {
    if place.is_text() {
        let text = place.text("a tool's name")?;
        return used(place, TextMatch::with_star(text));
    }
    wanted(place, &place.entries_of(&["equals", "prefix", "regex"])?, &["equals", "prefix", "regex"])
}

fn who(places: &[Cursor<'_>], clients: &Known) -> Clients {
    let mut found = Clients { names: Vec::new(), digests: BTreeSet::new() };
    for place in places {
        let Some(name) = place.text("a name of `clients:`") else { continue };
        match clients.get(name) {
            Some(digests) => found.digests.extend(digests),
            None => place.error("a name of `clients:`"),
        }
        found.names.push(name.to_owned());
    }
    found
}

fn header(place: &Cursor<'_>) -> Option<Header> {
    let kinds = ["equals", "prefix", "regex"];
    let entries = place.entries_of(&["name", "equals", "prefix", "regex"])?;
    let name = entries.required("name", "the name of a header").and_then(|place| {
        let text = place.text("the name of a header")?;
        if SECRET.contains(&text.to_ascii_lowercase().as_str()) {
            place.error("another header: keys are told apart by `client:`");
        }
        used(&place, HeaderName::try_from(text).map_err(|_| "the name of a header".to_owned()))
    });
    let wanted = wanted(place, &entries, &kinds);
    Some(Header { name: name?, wanted: wanted? })
}

fn argument(place: &Cursor<'_>) -> Option<Argument> {
    let kinds = ["equals", "prefix", "regex", "host"];
    let entries = place.entries_of(&["pointer", "equals", "prefix", "regex", "host"])?;
    let expected = "a JSON pointer into the arguments, say /repository/url";
    let pointer = entries.required("pointer", expected).and_then(|place| {
        let text = place.text(expected)?;
        used(&place, Pointer::parse(text).ok_or_else(|| expected.to_owned()))
    });
    let wanted = wanted(place, &entries, &kinds);
    Some(Argument { pointer: pointer?, wanted: wanted? })
}

/// The one test that is given.
fn wanted(place: &Cursor<'_>, entries: &Map<'_>, kinds: &[&str]) -> Option<TextMatch> {
    let given: Vec<(&str, Cursor<'_>)> = entries.all().filter(|(key, _)| kinds.contains(key)).collect();
    let [(kind, value)] = given.as_slice() else {
        place.error(format!("exactly one of {}", kinds.join(", ")));
        return None;
    };
    let read = match *kind {
        "equals" => Ok(TextMatch::Equals(value.scalar("a text, a number or a flag")?)),
        "prefix" => Ok(TextMatch::Prefix(value.text("a text")?.to_owned())),
        "regex" => TextMatch::regex(value.text("a regular expression")?),
        _ => TextMatch::host(value.text("a host name")?),
    };
    used(value, read)
}

pub(super) fn used<T>(place: &Cursor<'_>, read: Result<T, String>) -> Option<T> {
    read.map_err(|expected| place.error(expected)).ok()
}

/// Labels that slaves must have; `any` for none.
pub(super) fn selector(place: &Cursor<'_>) -> Option<Selector> {
    if place.is_text() {
        return match place.text(TO)? {
            "any" => Some(Selector::default()),
            _ => used(place, Err(TO.into())),
        };
    }
    let labels = place.entries(TO)?;
    let wanted = |place: &Cursor<'_>| {
        if place.is_null() {
            return Wanted::Absent;
        }
        let value = |place: &Cursor<'_>| place.scalar("a label's value, a list of values, or null for none");
        Wanted::OneOf(place.one_or_many().iter().filter_map(value).collect())
    };
    Some(Selector(labels.all().map(|(key, place)| (key.to_owned(), wanted(&place))).collect()))
}

/// Further tiers.
fn fallback(place: &Cursor<'_>) -> Vec<Vec<Selector>> {
    if place.is_text() {
        return match place.text(FALLBACK) {
            Some("none") => Vec::new(),
            Some("any") => vec![vec![Selector::default()]],
            _ => {
                place.error(FALLBACK);
                Vec::new()
            }
        };
    }
    place.items(FALLBACK).iter().filter_map(selector).map(|one| vec![one]).collect()
}
