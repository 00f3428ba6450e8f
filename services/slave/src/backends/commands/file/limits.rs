//! The members of a tool that concern its runs: `timeout`, `concurrency`, `exitCodes`, `progress`. Must not know how it is run.

use std::num::NonZeroUsize;
use std::time::Duration;

use regex::Regex;
use runtime::document::{Cursor, Map};

use crate::backends::commands::slots::Slots;

/// Seconds of the longest timeout.
const MAX_TIMEOUT: f64 = 86_400.0;

/// Runs at once that can be asked for.
const MAX_CONCURRENCY: f64 = 10_000.0;

/// The groups of a pattern of progress.
pub(in crate::backends::commands) const GROUPS: [&str; 3] = ["progress", "total", "message"];

/// Returns the longest run of a tool.
pub(super) fn timeout(members: &Map<'_>) -> Option<Duration> {
    let cursor = members.get("timeout")?;
    let expected = "seconds, from 0.1 to 86400";
    let seconds = cursor.number(expected)?;
    if !(0.1..=MAX_TIMEOUT).contains(&seconds) {
        cursor.error(expected);
        return None;
    }
    Some(Duration::from_secs_f64(seconds))
}

/// Returns the limit of runs at once.
pub(super) fn concurrency(members: &Map<'_>) -> Option<Slots> {
    let cursor = members.get("concurrency")?;
    let expected = "the number of runs at once, a whole number from 1 to 10000";
    let number = cursor.number(expected)?;
    if !(1.0..=MAX_CONCURRENCY).contains(&number) || number.fract() != 0.0 {
        cursor.error(expected);
        return None;
    }
    // Within the range, a float holds whole numbers exactly.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    NonZeroUsize::new(number as usize).map(Slots::new)
}

/// Returns the exit codes of a run that succeeded; 0 without the member.
pub(super) fn exit_codes(members: &Map<'_>) -> Vec<i32> {
    let Some(cursor) = members.get("exitCodes") else { return vec![0] };
    let expected = "a list of exit codes, whole numbers from 0 to 255";
    let items = cursor.items(expected);
    if items.is_empty() {
        cursor.error(expected);
    }
    let code = |item: &Cursor<'_>| {
        let code = item.number(expected)?;
        let found = (0..=255).find(|known| (f64::from(*known) - code).abs() < f64::EPSILON);
        if found.is_none() {
            item.error(expected);
        }
        found
    };
    items.iter().filter_map(code).collect()
}

/// Returns the pattern of lines that are progress.
pub(super) fn progress(members: &Map<'_>) -> Option<Regex> {
    let cursor = members.get("progress")?;
    let expected = "a regular expression without look-around, with the groups progress, total and message as far as lines have them";
    let pattern = Regex::new(cursor.text(expected)?);
    let known = |pattern: &Regex| pattern.capture_names().flatten().all(|name| GROUPS.contains(&name));
    let pattern = pattern.ok().filter(known);
    if pattern.is_none() {
        cursor.error(expected);
    }
    pattern
}
