//! Calls that have ended: the last ones, and counts for each of the last seconds. Of fixed size. Must not know calls
//! under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::call::insert_worker;
use super::labels::{Explain, Labels};
use crate::moment;

/// Calls that are kept.
const MAX_RECENT: usize = 200;

/// Seconds that are counted.
const SECONDS: u64 = 300;

/// A call that has ended.
pub(super) struct EndedCall {
    pub(super) labels: Labels,
    pub(super) worker: String,
    pub(super) worker_number: Option<u64>,
    pub(super) outcome: &'static str,
    pub(super) duration: Duration,
}

/// Counts of one second.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Number of the second since the start.
    second: u64,
    ended: u64,
    not_ok: u64,
    duration: Duration,
}

/// The calls that have ended.
pub(super) struct History {
    start: Instant,
    recent: VecDeque<(SystemTime, EndedCall)>,
    /// A ring: the bucket of a second is at its number modulo the length.
    buckets: Vec<Bucket>,
}

impl History {
    pub(super) fn new(start: Instant) -> Self {
        let buckets = (0..SECONDS).map(|_| Bucket::default()).collect();
        Self { start, recent: VecDeque::with_capacity(MAX_RECENT), buckets }
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }

    pub(super) fn add(&mut self, call: EndedCall, now: Instant) {
        let second = self.second(now);
        if let Some(bucket) = self.buckets.get_mut(usize::try_from(second % SECONDS).unwrap_or_default()) {
            if bucket.second != second {
                *bucket = Bucket { second, ..Bucket::default() };
            }
            bucket.ended += 1;
            bucket.not_ok += u64::from(call.outcome != "ok");
            bucket.duration = bucket.duration.saturating_add(call.duration);
        }
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((SystemTime::now(), call));
    }

    /// Returns the last calls, newest first. `worker` is the member that names the call's worker; `explain` says what an
    /// outcome means.
    pub(super) fn recent_to_json(&self, worker: &str, explain: Explain) -> Value {
        let recent = self.recent.iter().rev().map(|(at, call)| {
            let mut object = call.labels.to_json(&call.labels.id);
            insert_worker(&mut object, worker, &call.worker, call.worker_number);
            object.insert("outcome".into(), call.outcome.into());
            let error = explain(call.outcome).map(|[text, advice]| json!({ "text": text, "advice": advice }));
            object.insert("error".into(), error.into());
            object.insert("durationMs".into(), millis(call.duration).into());
            object.insert("endedAt".into(), moment::text(*at).into());
            Value::Object(object)
        });
        recent.collect()
    }

    /// Returns counts of whole seconds, oldest first. The current second is left out, as it is not over.
    pub(super) fn rates_to_json(&self, now: Instant) -> Value {
        let current = self.second(now);
        let bucket = |second: u64| {
            let index = usize::try_from(second % SECONDS).unwrap_or_default();
            self.buckets.get(index).filter(|bucket| bucket.second == second).copied().unwrap_or_default()
        };
        // Seconds before the start are empty too.
        let buckets = (1..SECONDS).rev().map(|ago| current.checked_sub(ago).map(bucket).unwrap_or_default());
        let buckets: Vec<Bucket> = buckets.collect();
        let counts = |count: fn(&Bucket) -> u64| buckets.iter().map(count).collect::<Vec<u64>>();
        let mean = |bucket: &Bucket| millis(bucket.duration.div_f64(bucket.ended.max(1) as f64));
        json!({
            "secondsPerPoint": 1,
            "ended": counts(|bucket| bucket.ended),
            "notOk": counts(|bucket| bucket.not_ok),
            "meanMs": buckets.iter().map(mean).collect::<Vec<f64>>(),
        })
    }
}

/// Milliseconds, rounded to hundredths.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(outcome: &'static str, millis: u64) -> EndedCall {
        let duration = Duration::from_millis(millis);
        EndedCall { labels: Labels::default(), worker: String::new(), worker_number: None, outcome, duration }
    }

    #[test]
    fn each_second_is_counted_until_its_bucket_is_reused() {
        let start = Instant::now();
        let mut history = History::new(start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        history.add(call("ok", 10), at(2));
        history.add(call("timeout", 30), at(2));
        history.add(call("ok", 5), at(3));
        let last = |history: &History, now: u64, member: &str| {
            let rates = history.rates_to_json(at(now));
            let number = |n: &Value| Duration::from_secs_f64(n.as_f64().unwrap()).as_secs();
            let list: Vec<u64> = rates[member].as_array().unwrap().iter().map(number).collect();
            assert_eq!(list.len() as u64, SECONDS - 1);
            (list.iter().sum::<u64>(), *list.last().unwrap())
        };
        assert_eq!(last(&history, 3, "ended"), (2, 2), "the current second is not over");
        assert_eq!((last(&history, 3, "notOk"), last(&history, 3, "meanMs")), ((1, 1), (20, 20)));
        assert_eq!(last(&history, 4, "ended"), (3, 1));
        assert_eq!(last(&history, SECONDS + 2, "ended"), (1, 0), "the oldest is forgotten");
        history.add(call("ok", 1), at(SECONDS + 2));
        assert_eq!(last(&history, SECONDS + 3, "ended"), (1, 1), "its bucket is reused");
    }
}
