//! Calls under way and those that ended lately, for people who look. Knows neither what a call is nor who carries it:
//! only names, never what is said in it.
//!
//! Off, it costs one comparison a call. On, memory is bounded by the calls under way, and a call costs three short
//! locks: two of a shard, one of what has ended.

mod past;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use past::{Ended, Past};

/// Calls are spread over so many tables, each with its lock.
const SHARDS: usize = 16;

/// Calls under way that are shown.
const MOST_SHOWN: usize = 200;

/// Characters of a name that are kept.
const MOST_NAME: usize = 128;

/// Where calls are written down, if they are. Clones write into the same book.
#[derive(Clone, Default)]
pub struct Activity(Option<Arc<Book>>);

/// What a call is called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Its id, as logs have it.
    pub id: String,
    /// What is called.
    pub tool: String,
    /// Who calls.
    pub client: String,
    /// The trace that it is part of.
    pub trace: Option<String>,
}

/// Whether a call has reached its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for one.
    Waiting,
    /// It is there.
    Running,
}

/// How far a call says it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// So much is done.
    pub done: f64,
    /// Of so much, if it is known.
    pub total: Option<f64>,
}

struct Book {
    /// What a place is called: the member of the JSON objects.
    place: &'static str,
    next: AtomicU64,
    live: [Mutex<HashMap<u64, Arc<Live>>>; SHARDS],
    past: Mutex<Past>,
}

struct Live {
    names: Names,
    began: Instant,
    now: Mutex<Now>,
}

struct Now {
    stage: Stage,
    place: String,
    progress: Option<Progress>,
}

/// A call that is written down until this is dropped, or that is not.
#[derive(Default)]
pub struct Watched(Option<(Arc<Book>, u64, Arc<Live>)>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment, push or removal: a panic elsewhere spoils none.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Activity {
    /// Writes down what happens; places are called `place` in JSON.
    pub fn kept(place: &'static str) -> Self {
        Self(Some(Arc::new(Book {
            place,
            next: AtomicU64::new(0),
            live: Default::default(),
            past: Mutex::new(Past::new(Instant::now())),
        })))
    }

    /// Whether anything is written down.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// A call begins. `names` is asked only if calls are written down.
    pub fn begin(&self, names: impl FnOnce() -> Names) -> Watched {
        let Some(book) = &self.0 else { return Watched(None) };
        let key = book.next.fetch_add(1, Ordering::Relaxed);
        let now = Now { stage: Stage::Waiting, place: String::new(), progress: None };
        let live = Arc::new(Live { names: names().cut(), began: Instant::now(), now: Mutex::new(now) });
        lock(book.shard(key)).insert(key, Arc::clone(&live));
        Watched(Some((Arc::clone(book), key, live)))
    }

    /// What is kept, as JSON: calls under way, oldest first; those that ended last, newest first; how many ended in each
    /// of the last seconds.
    pub fn to_json(&self) -> Value {
        let Some(book) = &self.0 else { return json!({ "enabled": false }) };
        let now = Instant::now();
        let mut live: Vec<(u64, Arc<Live>)> = Vec::new();
        for shard in &book.live {
            live.extend(lock(shard).iter().map(|(key, live)| (*key, Arc::clone(live))));
        }
        live.sort_unstable_by_key(|(key, _)| *key);
        let shown = live.iter().take(MOST_SHOWN).map(|(_, live)| live.to_json(book.place, now));
        let shown: Vec<Value> = shown.collect();
        let (recent, rates) = lock(&book.past).to_json(book.place, now);
        json!({
            "enabled": true,
            "live": { "total": live.len(), "list": shown },
            "recent": recent,
            "rates": rates,
        })
    }
}

impl Book {
    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, Arc<Live>>> {
        &self.live[usize::try_from(key).unwrap_or_default() % SHARDS]
    }
}

impl Names {
    /// Names come from clients and peers: they must not fill the memory.
    fn cut(self) -> Self {
        let cut = |mut name: String| {
            if let Some((at, _)) = name.char_indices().nth(MOST_NAME) {
                name.truncate(at);
                name.push('…');
            }
            name
        };
        Self { id: cut(self.id), tool: cut(self.tool), client: cut(self.client), trace: self.trace.map(cut) }
    }
}

impl Live {
    fn to_json(&self, place: &str, now: Instant) -> Value {
        let Names { id, tool, client, trace } = &self.names;
        let at = lock(&self.now);
        let stage = match at.stage {
            Stage::Waiting => "waiting",
            Stage::Running => "running",
        };
        let progress = at.progress.map(|Progress { done, total }| json!({ "done": done, "total": total }));
        json!({
            "id": id,
            "tool": tool,
            "client": client,
            "trace": trace,
            place: at.place,
            "state": stage,
            "ageMs": millis(now, self.began),
            "progress": progress,
        })
    }
}

fn millis(now: Instant, then: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(then).as_millis()).unwrap_or(u64::MAX)
}

impl Watched {
    /// Whether this call is written down: others need not be looked at.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Where the call is now.
    pub fn at(&self, stage: Stage, place: &str) {
        let Some((_, _, live)) = &self.0 else { return };
        let mut now = lock(&live.now);
        now.stage = stage;
        if now.place != place {
            place.clone_into(&mut now.place);
        }
    }

    /// How far it is.
    pub fn progress(&self, progress: Progress) {
        if let Some((_, _, live)) = &self.0 {
            lock(&live.now).progress = Some(progress);
        }
    }

    /// It has ended like this. Once: later words do not count.
    pub fn ended(&self, outcome: &'static str) {
        let Some((book, key, live)) = &self.0 else { return };
        if lock(book.shard(*key)).remove(key).is_none() {
            return;
        }
        let now = Instant::now();
        let place = std::mem::take(&mut lock(&live.now).place);
        let took = now.saturating_duration_since(live.began);
        let ended = Ended { names: live.names.clone(), place, outcome, took };
        lock(&book.past).add(ended, now);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ended("dropped");
    }
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Activity(kept: {})", self.is_kept())
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watched(kept: {})", self.is_kept())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tool: &str) -> Names {
        Names { id: "1-1".into(), tool: tool.into(), client: "c".into(), trace: None }
    }

    #[test]
    fn a_call_is_seen_while_it_runs_and_after_its_end() {
        let activity = Activity::kept("slave");
        let one = activity.begin(|| names("one"));
        let two = activity.begin(|| names(&"ä".repeat(1000)));
        one.at(Stage::Running, "s1");
        one.progress(Progress { done: 3.0, total: Some(10.0) });
        let seen = activity.to_json();
        assert_eq!(seen["live"]["total"], 2);
        let first = &seen["live"]["list"][0];
        assert_eq!(
            (&first["tool"], &first["slave"], &first["state"]),
            (&json!("one"), &json!("s1"), &json!("running"))
        );
        assert_eq!(first["progress"], json!({ "done": 3.0, "total": 10.0 }));
        let second = &seen["live"]["list"][1];
        assert_eq!((&second["state"], &second["progress"]), (&json!("waiting"), &Value::Null));
        assert_eq!(second["tool"].as_str().unwrap().chars().count(), MOST_NAME + 1, "names are bounded");
        one.ended("ok");
        one.ended("error");
        drop((one, two));
        let seen = activity.to_json();
        assert_eq!((&seen["live"]["total"], seen["recent"].as_array().unwrap().len()), (&json!(0), 2));
        assert_eq!(seen["recent"][0]["outcome"], "dropped");
        assert_eq!(
            (&seen["recent"][1]["outcome"], &seen["recent"][1]["slave"]),
            (&json!("ok"), &json!("s1"))
        );
    }

    #[test]
    fn nothing_is_asked_or_kept_where_it_is_off() {
        let activity = Activity::default();
        let watched = activity.begin(|| panic!("nobody wants to know"));
        watched.at(Stage::Running, "s");
        watched.ended("ok");
        assert_eq!(activity.to_json(), json!({ "enabled": false }));
    }

    #[test]
    fn what_is_shown_is_bounded_however_much_happens() {
        let activity = Activity::kept("slave");
        let live: Vec<Watched> = (0..1000).map(|_| activity.begin(|| names("t"))).collect();
        let seen = activity.to_json();
        assert_eq!(seen["live"]["total"], 1000);
        assert_eq!(seen["live"]["list"].as_array().unwrap().len(), MOST_SHOWN);
        drop(live);
        assert!(activity.to_json()["recent"].as_array().unwrap().len() <= 200);
    }
}
