//! Reader of the section `pools:`. Must not know how calls are balanced.

use std::ops::RangeInclusive;
use std::time::Duration;

use runtime::document::Cursor;

use super::fields::{accept, list, selector, tool};
use crate::config::{MAX_QUEUE_LENGTH, MAX_QUEUE_TIMEOUT};
use crate::routes::pool_rule::PoolRule;
use crate::routes::selector::Selector;

/// Expected form of a weight, for messages that begin with "expected".
const EXPECTED_WEIGHT: &str = "a weight in percent from 1 to 10000; an ordinary slave has 100";

/// Reads the section. Problems are reported to the document.
pub(super) fn read(cursor: &Cursor<'_>) -> Vec<PoolRule> {
    list(cursor, "a list of tools and how their calls are shared out").iter().filter_map(pool).collect()
}

fn pool(cursor: &Cursor<'_>) -> Option<PoolRule> {
    let entries = cursor.entries_of(&["tool", "sticky", "queue_max", "queue_timeout", "weights"])?;
    let name = entries.required("tool", "a tool's name, or the beginning of one with *");
    let name = name.and_then(|cursor| tool(&cursor));
    let weights = entries.get("weights").map(|cursor| cursor.items("a list of labels and weights"));
    let max = entries.get("queue_max").and_then(|cursor| {
        number_in(&cursor, "a number of calls from 0 to 1000000", 0.0..=MAX_QUEUE_LENGTH as f64)
    });
    let timeout = entries
        .get("queue_timeout")
        .and_then(|cursor| number_in(&cursor, "seconds from 0.01 to 3600", 0.01..=MAX_QUEUE_TIMEOUT));
    Some(PoolRule {
        tool: name?,
        sticky: entries.get("sticky").is_some_and(|cursor| sticky(&cursor)),
        queue_max: max.and_then(whole),
        queue_timeout: timeout.map(Duration::from_secs_f64),
        weights: weights.iter().flatten().filter_map(weight).collect(),
    })
}

fn number_in(cursor: &Cursor<'_>, expected: &str, range: RangeInclusive<f64>) -> Option<f64> {
    let number = cursor.number(expected)?;
    accept(cursor, if range.contains(&number) { Ok(number) } else { Err(expected.to_owned()) })
}

/// Converts a number that is at most a million, so that its whole part is exact.
fn whole(number: f64) -> Option<usize> {
    format!("{:.0}", number.trunc()).parse().ok()
}

fn sticky(cursor: &Cursor<'_>) -> bool {
    let expected = "client or none";
    match cursor.text(expected) {
        Some("client") => true,
        Some("none") | None => false,
        Some(_) => {
            cursor.error(expected);
            false
        }
    }
}

fn weight(cursor: &Cursor<'_>) -> Option<(Selector, u32)> {
    let entries = cursor.entries_of(&["to", "weight"])?;
    let to = entries.required("to", "the labels of the slaves").and_then(|cursor| selector(&cursor));
    let weight = entries.required("weight", EXPECTED_WEIGHT).and_then(|cursor| {
        let text = cursor.scalar(EXPECTED_WEIGHT)?;
        let weight = text.parse().ok().filter(|weight| (1..=10_000).contains(weight));
        accept(&cursor, weight.ok_or_else(|| EXPECTED_WEIGHT.to_owned()))
    });
    Some((to?, weight?))
}
