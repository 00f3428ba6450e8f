//! Warnings and gauges of codes that expire. Must not know slaves; the time is an argument.

use std::collections::{BTreeMap, HashMap};

use time::OffsetDateTime;

use super::code::rfc3339;
use super::codes::Codes;
use crate::metrics;

/// Days before a code expires from which on the log warns of it, once a day.
const WARNING_DAYS: i64 = 7;

/// The expiry times of the codes, as far as they were logged and exported.
#[derive(Default)]
pub(crate) struct ExpirySchedule {
    /// By identity and expiry time: the number of days left at the last warning.
    warned: HashMap<(String, OffsetDateTime), i64>,
    /// Expiry times that the gauge shows, by identity.
    exported: BTreeMap<String, OffsetDateTime>,
}

impl ExpirySchedule {
    /// Logs the codes that expire soon, and sets the gauge of each identity.
    pub(crate) fn update(&mut self, codes: &Codes, now: OffsetDateTime) {
        let mut next: BTreeMap<String, OffsetDateTime> = BTreeMap::new();
        let mut warned = HashMap::new();
        for policy in codes.policies() {
            let Some(end) = policy.not_after() else { continue };
            let name = policy.name().unwrap_or("unnamed").to_owned();
            let days = (end - now).whole_days();
            if end > now && days < WARNING_DAYS {
                let key = (name.clone(), end);
                if self.warned.get(&key) != Some(&days) {
                    tracing::warn!(identity = name, "A slave code expires soon: at {}", rfc3339(end));
                }
                warned.insert(key, days);
            }
            next.entry(name).and_modify(|known| *known = next_expiry(*known, end, now)).or_insert(end);
        }
        self.warned = warned;
        for gone in self.exported.keys().filter(|name| !next.contains_key(*name)) {
            metrics::set_code_expiry(gone, f64::INFINITY);
        }
        for (name, end) in &next {
            metrics::set_code_expiry(name, (*end - now).as_seconds_f64());
        }
        self.exported = next;
    }
}

/// Returns the earlier of two expiry times that are in the future; a past one counts only where both are past.
fn next_expiry(one: OffsetDateTime, two: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    match (one > now, two > now) {
        (true, false) => one,
        (false, true) => two,
        (true, true) => one.min(two),
        (false, false) => one.max(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_expiry_is_a_future_one_where_there_is_one() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let now = at(100);
        for (one, two, expected) in [(50, 150, 150), (150, 50, 150), (120, 150, 120), (40, 50, 50)] {
            assert_eq!(next_expiry(at(one), at(two), now), at(expected), "{one} {two}");
        }
    }
}
