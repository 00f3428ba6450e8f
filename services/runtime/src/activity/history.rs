//! Calls that have ended: the last ones, and how many in each of the last seconds. Of fixed size.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::Labels;
use crate::moment;

/// Calls that are remembered.
const REMEMBERED: usize = 200;

/// Seconds that are counted.
const SECONDS: u64 = 300;

/// A call that has ended.
pub(super) struct Ended {
    pub(super) names: Labels,
    pub(super) place: String,
    pub(super) outcome: &'static str,
    pub(super) took: Duration,
}

/// What one second had.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Which one, counted from the beginning.
    number: u64,
    ended: u64,
    not_ok: u64,
    took: Duration,
}

pub(super) struct History {
    began: Instant,
    last: VecDeque<(SystemTime, Ended)>,
    seconds: Vec<Bucket>,
}

impl History {
    pub(super) fn new(began: Instant) -> Self {
        let seconds = (0..SECONDS).map(|_| Bucket::default()).collect();
        Self { began, last: VecDeque::with_capacity(REMEMBERED), seconds }
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }

    pub(super) fn add(&mut self, ended: Ended, now: Instant) {
        let number = self.number(now);
        if let Some(second) = self.seconds.get_mut(usize::try_from(number % SECONDS).unwrap_or_default()) {
            if second.number != number {
                *second = Bucket { number, ..Bucket::default() };
            }
            second.ended += 1;
            second.not_ok += u64::from(ended.outcome != "ok");
            second.took = second.took.saturating_add(ended.took);
        }
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back((SystemTime::now(), ended));
    }

    /// The last calls, newest first, and the counts.
    pub(super) fn to_json(&self, place: &str, now: Instant) -> (Value, Value) {
        let recent = self.last.iter().rev().map(|(at, ended)| {
            let Labels { id, tool, client, trace, .. } = &ended.names;
            json!({
                "id": id,
                "tool": tool,
                "client": client,
                "trace": trace,
                place: ended.place,
                "outcome": ended.outcome,
                "durationMs": millis(ended.took),
                "endedAt": moment::text(*at),
            })
        });
        (recent.collect(), self.rates(now))
    }

    /// Whole seconds only, oldest first: the one of now is not over.
    fn rates(&self, now: Instant) -> Value {
        let current = self.number(now);
        let of = |number: u64| {
            let index = usize::try_from(number % SECONDS).unwrap_or_default();
            self.seconds.get(index).filter(|second| second.number == number).copied().unwrap_or_default()
        };
        // Those before the beginning are empty too; the place of the current one is not asked for.
        let seconds = (1..SECONDS).rev().map(|ago| current.checked_sub(ago).map(of).unwrap_or_default());
        let seconds: Vec<Bucket> = seconds.collect();
        let all = |what: fn(&Bucket) -> u64| seconds.iter().map(what).collect::<Vec<u64>>();
        let mean = |second: &Bucket| millis(second.took.div_f64(second.ended.max(1) as f64));
        json!({
            "secondsPerPoint": 1,
            "ended": all(|second| second.ended),
            "notOk": all(|second| second.not_ok),
            "meanMs": seconds.iter().map(mean).collect::<Vec<f64>>(),
        })
    }
}

/// To a hundredth.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(outcome: &'static str, millis: u64) -> Ended {
        Ended { names: Labels::default(), place: String::new(), outcome, took: Duration::from_millis(millis) }
    }

    #[test]
    fn seconds_are_counted_once_and_forgotten_in_time() {
        let start = Instant::now();
        let mut past = History::new(start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        past.add(ended("ok", 10), at(2));
        past.add(ended("timeout", 30), at(2));
        past.add(ended("ok", 5), at(3));
        let last = |past: &History, now: u64, member: &str| {
            let rates = past.rates(at(now));
            let number = |n: &Value| Duration::from_secs_f64(n.as_f64().unwrap()).as_secs();
            let list: Vec<u64> = rates[member].as_array().unwrap().iter().map(number).collect();
            assert_eq!(list.len() as u64, SECONDS - 1);
            (list.iter().sum::<u64>(), *list.last().unwrap())
        };
        assert_eq!(last(&past, 3, "ended"), (2, 2), "the second of now is not over");
        assert_eq!((last(&past, 3, "notOk"), last(&past, 3, "meanMs")), ((1, 1), (20, 20)));
        assert_eq!(last(&past, 4, "ended"), (3, 1));
        assert_eq!(last(&past, SECONDS + 2, "ended"), (1, 0), "the oldest is forgotten");
        past.add(ended("ok", 1), at(SECONDS + 2));
        assert_eq!(last(&past, SECONDS + 3, "ended"), (1, 1), "its place is taken");
    }
}
