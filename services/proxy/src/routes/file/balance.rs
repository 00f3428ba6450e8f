//! The sections `pools:` and `limits:` of the file. Knows their form, not what becomes of them.

use std::time::Duration;

use runtime::document::{Cursor, Map};

use super::rules::{Known, selector, tool, used};
use crate::config::{MAX_QUEUE, MAX_QUEUE_TIMEOUT};
use crate::limits::rate::{self, Rate};
use crate::routes::balance::{LimitRules, PoolRule, Slaves};
use crate::routes::selector::Selector;
use crate::routes::text::TextMatch;

/// Most entries of a list.
const MOST: usize = 1000;

const WEIGHT: &str = "a weight in percent from 1 to 10000; an ordinary slave has 100";

/// Reads `pools:`.
pub(super) fn pools(place: &Cursor<'_>) -> Vec<PoolRule> {
    list(place, "a list of tools and how their calls are shared out").iter().filter_map(pool).collect()
}

/// Reads `limits:`.
pub(super) fn limits(place: &Cursor<'_>, known: &Known) -> LimitRules {
    let mut limits = LimitRules::default();
    let Some(entries) = place.entries_of(&["clients", "tools", "slaves"]) else { return limits };
    if let Some(place) = entries.get("clients") {
        clients(&place, known, &mut limits);
    }
    if let Some(place) = entries.get("tools") {
        limits.tools = list(&place, "a list of tools and their rates").iter().filter_map(of_tool).collect();
    }
    if let Some(place) = entries.get("slaves") {
        limits.slaves =
            list(&place, "a list of slaves and their rates").iter().filter_map(of_slave).collect();
    }
    limits
}

fn list<'a>(place: &Cursor<'a>, expected: &str) -> Vec<Cursor<'a>> {
    let items = place.items(expected);
    if items.len() > MOST {
        place.error(format!("at most {MOST} entries"));
    }
    items
}

fn pool(place: &Cursor<'_>) -> Option<PoolRule> {
    let entries = place.entries_of(&["tool", "sticky", "queue_max", "queue_timeout", "weights"])?;
    let name = entries.required("tool", "a tool's name, or the beginning of one with *");
    let name = name.and_then(|place| tool(&place));
    let weights = entries.get("weights").map(|place| place.items("a list of labels and weights"));
    let number = |key, expected: &str, range: std::ops::RangeInclusive<f64>| {
        let place = entries.get(key)?;
        let number = place.number(expected)?;
        if range.contains(&number) {
            Some(number)
        } else {
            place.error(expected);
            None
        }
    };
    let most = whole(number("queue_max", "a number of calls from 0 to 1000000", 0.0..=MAX_QUEUE as f64));
    let longest = number("queue_timeout", "seconds from 0.01 to 3600", 0.01..=MAX_QUEUE_TIMEOUT);
    Some(PoolRule {
        tool: name?,
        sticky: entries.get("sticky").is_some_and(|place| sticky(&place)),
        queue_max: most,
        queue_timeout: longest.map(Duration::from_secs_f64),
        weights: weights.iter().flatten().filter_map(weight).collect(),
    })
}

fn whole(number: Option<f64>) -> Option<usize> {
    // At most a million: every whole number up to it is one exactly.
    number.and_then(|number| format!("{:.0}", number.trunc()).parse().ok())
}

fn sticky(place: &Cursor<'_>) -> bool {
    let expected = "client or none";
    match place.text(expected) {
        Some("client") => true,
        Some("none") | None => false,
        Some(_) => {
            place.error(expected);
            false
        }
    }
}

fn weight(place: &Cursor<'_>) -> Option<(Selector, u32)> {
    let entries = place.entries_of(&["to", "weight"])?;
    let to = entries.required("to", "the labels of the slaves").and_then(|place| selector(&place));
    let weight = entries.required("weight", WEIGHT).and_then(|place| {
        let text = place.scalar(WEIGHT)?;
        let weight = text.parse().ok().filter(|weight| (1..=10_000).contains(weight));
        used(&place, weight.ok_or_else(|| WEIGHT.to_owned()))
    });
    Some((to?, weight?))
}

fn clients(place: &Cursor<'_>, known: &Known, limits: &mut LimitRules) {
    let Some(entries) = place.entries("a mapping of clients' names, or default, to rates") else { return };
    for (name, place) in entries.all() {
        let rate = rate_of(&place);
        match (name, rate) {
            ("default", rate) => limits.other_clients = rate,
            (name, _) if !known.contains_key(name) => {
                place.error("a rate of a client that `clients:` names, or of default");
            }
            (name, Some(rate)) => {
                limits.clients.insert(name.to_owned(), rate);
            }
            (_, None) => {}
        }
    }
}

/// `50/s`, `50/s:100`, or a mapping with rate and burst.
fn rate_of(place: &Cursor<'_>) -> Option<Rate> {
    if place.is_text() {
        return used(place, Rate::parse(place.text(rate::EXPECTED)?));
    }
    let entries = place.entries_of(&["rate", "burst"])?;
    with_burst(&entries)
}

/// The members `rate` and `burst` of an entry.
fn with_burst(entries: &Map<'_>) -> Option<Rate> {
    let rate = entries.required("rate", rate::EXPECTED)?;
    let rate = used(&rate, Rate::parse(rate.text(rate::EXPECTED)?))?;
    let Some(place) = entries.get("burst") else { return Some(rate) };
    let expected = "a number of calls from 1 to 1000000";
    let burst = place.scalar(expected)?.parse().ok().and_then(|burst| rate.with_burst(burst));
    used(&place, burst.ok_or_else(|| expected.to_owned()))
}

fn of_tool(place: &Cursor<'_>) -> Option<(TextMatch, Rate)> {
    let entries = place.entries_of(&["tool", "rate", "burst"])?;
    let name = entries.required("tool", "a tool's name, or the beginning of one with *");
    let (name, rate) = (name.and_then(|place| tool(&place)), with_burst(&entries));
    Some((name?, rate?))
}

fn of_slave(place: &Cursor<'_>) -> Option<(Slaves, Rate)> {
    let entries = place.entries_of(&["slave", "to", "rate", "burst"])?;
    let slaves = match (entries.get("slave"), entries.get("to")) {
        (Some(place), None) => tool(&place).map(Slaves::Named),
        (None, Some(place)) => selector(&place).map(Slaves::Labelled),
        _ => {
            place.error("one of slave (a name, or the beginning of one with *) and to (labels)");
            None
        }
    };
    let rate = with_burst(&entries);
    Some((slaves?, rate?))
}
