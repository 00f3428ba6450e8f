//! Reader of the section `limits:`. Must not know how limits are enforced.

use runtime::document::{Cursor, Map};

use super::fields::{Clients, accept, list, selector, tool};
use crate::config::{Rate, rate};
use crate::routes::limit_rules::{LimitRules, SlaveMatch};
use crate::routes::text::TextMatch;

/// Reads the section. Problems are reported to the document.
pub(super) fn read(cursor: &Cursor<'_>, known: &Clients) -> LimitRules {
    let mut limits = LimitRules::default();
    let Some(entries) = cursor.entries_of(&["clients", "tools", "slaves"]) else { return limits };
    if let Some(cursor) = entries.get("clients") {
        client_limits(&cursor, known, &mut limits);
    }
    if let Some(cursor) = entries.get("tools") {
        limits.tools =
            list(&cursor, "a list of tools and their rates").iter().filter_map(tool_limit).collect();
    }
    if let Some(cursor) = entries.get("slaves") {
        limits.slaves =
            list(&cursor, "a list of slaves and their rates").iter().filter_map(slave_limit).collect();
    }
    limits
}

fn client_limits(cursor: &Cursor<'_>, known: &Clients, limits: &mut LimitRules) {
    let Some(entries) = cursor.entries("a mapping of clients' names, or default, to rates") else { return };
    for (name, cursor) in entries.all() {
        let rate = rate(&cursor);
        match (name, rate) {
            ("default", rate) => limits.other_clients = rate,
            (name, _) if !known.contains_key(name) => {
                cursor.error("a rate of a client that `clients:` names, or of default");
            }
            (name, Some(rate)) => {
                limits.clients.insert(name.to_owned(), rate);
            }
            (_, None) => {}
        }
    }
}

/// Reads `50/s`, `50/s:100`, or a mapping with rate and burst.
fn rate(cursor: &Cursor<'_>) -> Option<Rate> {
    if cursor.is_text() {
        return accept(cursor, Rate::parse(cursor.text(rate::EXPECTED)?));
    }
    let entries = cursor.entries_of(&["rate", "burst"])?;
    rate_and_burst(&entries)
}

/// Reads the keys `rate` and `burst` of an entry.
fn rate_and_burst(entries: &Map<'_>) -> Option<Rate> {
    let rate = entries.required("rate", rate::EXPECTED)?;
    let rate = accept(&rate, Rate::parse(rate.text(rate::EXPECTED)?))?;
    let Some(cursor) = entries.get("burst") else { return Some(rate) };
    let expected = "a number of calls from 1 to 1000000";
    let burst = cursor.scalar(expected)?.parse().ok().and_then(|burst| rate.with_burst(burst));
    accept(&cursor, burst.ok_or_else(|| expected.to_owned()))
}

fn tool_limit(cursor: &Cursor<'_>) -> Option<(TextMatch, Rate)> {
    let entries = cursor.entries_of(&["tool", "rate", "burst"])?;
    let name = entries.required("tool", "a tool's name, or the beginning of one with *");
    let (name, rate) = (name.and_then(|cursor| tool(&cursor)), rate_and_burst(&entries));
    Some((name?, rate?))
}

fn slave_limit(cursor: &Cursor<'_>) -> Option<(SlaveMatch, Rate)> {
    let entries = cursor.entries_of(&["slave", "to", "rate", "burst"])?;
    let slaves = match (entries.get("slave"), entries.get("to")) {
        (Some(cursor), None) => tool(&cursor).map(SlaveMatch::Name),
        (None, Some(cursor)) => selector(&cursor).map(SlaveMatch::Labels),
        _ => {
            cursor.error("one of slave (a name, or the beginning of one with *) and to (labels)");
            None
        }
    };
    let rate = rate_and_burst(&entries);
    Some((slaves?, rate?))
}
