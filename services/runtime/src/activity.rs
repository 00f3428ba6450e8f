//! Calls under way and those that ended lately, for people who look, and for the audit stream. Knows neither what a call
//! is nor who carries it: only names, and what is said in it only where the audit stream is to have that.
//!
//! Off, it costs two comparisons a call. On, memory is bounded by the calls under way, and a call costs three short
//! locks: two of a shard, one of what has ended.

mod history;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::audit::{self, Line, Payload};
use history::{Ended, History};

/// Calls are spread over so many tables, each with its lock.
const SHARDS: usize = 16;

/// Calls under way that are shown.
const MOST_SHOWN: usize = 200;

/// Characters of a name that are kept.
const MOST_NAME: usize = 128;

/// Where calls are written down, if they are. Clones write into the same book.
#[derive(Clone)]
pub struct Activity {
    /// What a place is called: a member of the JSON objects.
    place: &'static str,
    book: Option<Arc<CallLog>>,
}

/// Whether people may look at calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preview {
    /// On the status page.
    Yes,
    /// Nowhere.
    No,
}

impl From<bool> for Preview {
    fn from(shown: bool) -> Self {
        if shown { Self::Yes } else { Self::No }
    }
}

/// What a call is called.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Its id, as logs have it.
    pub id: String,
    /// What is called.
    pub tool: String,
    /// Who calls.
    pub client: String,
    /// From where, for the audit stream.
    pub peer: Option<IpAddr>,
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

struct CallLog {
    next: AtomicU64,
    live: [Mutex<HashMap<u64, Arc<ActiveCall>>>; SHARDS],
    past: Mutex<History>,
}

struct ActiveCall {
    names: Labels,
    began: Instant,
    now: Mutex<Snapshot>,
}

struct Snapshot {
    /// As its names have it, or another since then.
    id: String,
    stage: Stage,
    place: String,
    progress: Option<Progress>,
    ended: bool,
    arguments: Option<Payload>,
    answer: Option<Answer>,
}

/// What a call was answered, for the audit stream.
struct Answer {
    name: &'static str,
    bytes: usize,
    payload: Option<Payload>,
}

/// A call that is written down until this is dropped, or that is not.
#[derive(Default)]
pub struct CallGuard(Option<Watching>);

struct Watching {
    place: &'static str,
    live: Arc<ActiveCall>,
    /// Where it is for people to look at, and its number there.
    book: Option<(Arc<CallLog>, u64)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment, push or removal: a panic elsewhere spoils none.
    mutex.lock()
}

impl Activity {
    /// Places are called `place` in JSON. For people only where `shown`, else for the audit stream alone.
    pub fn new(place: &'static str, shown: Preview) -> Self {
        let book = || {
            Arc::new(CallLog {
                next: AtomicU64::new(0),
                live: Default::default(),
                past: Mutex::new(History::new(Instant::now())),
            })
        };
        Self { place, book: (shown == Preview::Yes).then(book) }
    }

    /// Whether people may look.
    pub fn is_shown(&self) -> bool {
        self.book.is_some()
    }

    /// Whether anybody wants to know of calls.
    pub fn is_kept(&self) -> bool {
        self.is_shown() || audit::is_on()
    }

    /// A call begins. `names` is asked only if calls are written down.
    pub fn begin(&self, names: impl FnOnce() -> Labels) -> CallGuard {
        if !self.is_kept() {
            return CallGuard(None);
        }
        let names = names().cut();
        let now = Snapshot {
            id: names.id.clone(),
            stage: Stage::Waiting,
            place: String::new(),
            progress: None,
            ended: false,
            arguments: None,
            answer: None,
        };
        let live = Arc::new(ActiveCall { names, began: Instant::now(), now: Mutex::new(now) });
        let book = self.book.as_ref().map(|book| {
            let key = book.next.fetch_add(1, Ordering::Relaxed);
            lock(book.shard(key)).insert(key, Arc::clone(&live));
            (Arc::clone(book), key)
        });
        CallGuard(Some(Watching { place: self.place, live, book }))
    }

    /// What is kept, as JSON: calls under way, oldest first; those that ended last, newest first; how many ended in each
    /// of the last seconds.
    pub fn to_json(&self) -> Value {
        let Some(book) = &self.book else { return json!({ "enabled": false }) };
        let now = Instant::now();
        let mut live: Vec<(u64, Arc<ActiveCall>)> = Vec::new();
        for shard in &book.live {
            live.extend(lock(shard).iter().map(|(key, live)| (*key, Arc::clone(live))));
        }
        live.sort_unstable_by_key(|(key, _)| *key);
        let shown = live.iter().take(MOST_SHOWN).map(|(_, live)| live.to_json(self.place, now));
        let shown: Vec<Value> = shown.collect();
        let (recent, rates) = lock(&book.past).to_json(self.place, now);
        json!({
            "enabled": true,
            "live": { "total": live.len(), "list": shown },
            "recent": recent,
            "rates": rates,
        })
    }
}

impl CallLog {
    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, Arc<ActiveCall>>> {
        &self.live[usize::try_from(key).unwrap_or_default() % SHARDS]
    }
}

impl Labels {
    /// Names come from clients and peers: they must not fill the memory.
    fn cut(self) -> Self {
        let cut = |mut name: String| {
            if let Some((at, _)) = name.char_indices().nth(MOST_NAME) {
                name.truncate(at);
                name.push('…');
            }
            name
        };
        let Self { id, tool, client, peer, trace } = self;
        Self { id: cut(id), tool: cut(tool), client: cut(client), peer, trace: trace.map(cut) }
    }
}

impl ActiveCall {
    fn to_json(&self, place: &str, now: Instant) -> Value {
        let Labels { tool, client, trace, .. } = &self.names;
        let at = lock(&self.now);
        let stage = match at.stage {
            Stage::Waiting => "waiting",
            Stage::Running => "running",
        };
        let progress = at.progress.map(|Progress { done, total }| json!({ "done": done, "total": total }));
        json!({
            "id": at.id,
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

impl CallGuard {
    /// Whether this call is written down: others need not be looked at.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// It goes on under another id, which is asked only if the call is written down.
    pub fn renamed(&self, id: impl FnOnce() -> String) {
        let Some(Watching { live, .. }) = &self.0 else { return };
        lock(&live.now).id = id();
    }

    /// Where the call is now.
    pub fn at(&self, stage: Stage, place: &str) {
        let Some(Watching { live, .. }) = &self.0 else { return };
        let mut now = lock(&live.now);
        now.stage = stage;
        if now.place != place {
            place.clone_into(&mut now.place);
        }
    }

    /// How far it is.
    pub fn progress(&self, progress: Progress) {
        if let Some(Watching { live, .. }) = &self.0 {
            lock(&live.now).progress = Some(progress);
        }
    }

    /// The client's request, of which the audit stream may want the arguments.
    pub fn asked(&self, message: &Bytes) {
        let Some(Watching { live, .. }) = self.0.as_ref().filter(|_| audit::with_payloads()) else { return };
        lock(&live.now).arguments = Some(Payload::arguments(message));
    }

    /// A piece of the answer, which the audit stream may want by this name if it is the only one.
    pub fn answered(&self, name: &'static str, piece: &Bytes) {
        let Some(Watching { live, .. }) = self.0.as_ref().filter(|_| audit::with_payloads()) else { return };
        let mut now = lock(&live.now);
        let before = now.answer.as_ref().map_or(0, |answer| answer.bytes);
        let payload = (before == 0).then(|| Payload::all(piece));
        now.answer = Some(Answer { name, bytes: before + piece.len(), payload });
    }

    /// It has ended like this. Once: later words do not count.
    pub fn ended(&self, outcome: &'static str) {
        let Some(Watching { place: called, live, book }) = &self.0 else { return };
        let mut last = lock(&live.now);
        if std::mem::replace(&mut last.ended, true) {
            return;
        }
        let (id, place) = (last.id.clone(), std::mem::take(&mut last.place));
        let said = (last.arguments.take(), last.answer.take());
        drop(last);
        let now = Instant::now();
        let took = now.saturating_duration_since(live.began);
        let ended = Ended { names: Labels { id, ..live.names.clone() }, place, outcome, took };
        if audit::is_on() {
            audit::tell(ended.line(called, said));
        }
        if let Some((book, key)) = book {
            lock(book.shard(*key)).remove(key);
            lock(&book.past).add(ended, now);
        }
    }
}

impl Ended {
    /// The audit stream's line.
    fn line(&self, called: &'static str, (arguments, answer): (Option<Payload>, Option<Answer>)) -> Line {
        let Labels { id, tool, client, peer, trace } = &self.names;
        let line = Line::new("call")
            .with("request_id", id.as_str())
            .with("trace_id", trace.as_deref())
            .with("client", client.as_str())
            .with("peer", peer.map(|peer| peer.to_string()))
            .with("tool", tool.as_str())
            .with(called, self.place.as_str())
            .with("outcome", self.outcome)
            .with("duration_ms", (self.took.as_secs_f64() * 1e6).round() / 1e3)
            .with_payload("arguments", arguments);
        let Some(Answer { name, bytes, payload }) = answer else { return line };
        line.with_payload(name, Some(payload.unwrap_or_else(|| Payload::size(bytes))))
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.ended("dropped");
    }
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Activity(shown: {})", self.is_shown())
    }
}

impl std::fmt::Debug for CallGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallGuard(kept: {})", self.is_kept())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tool: &str) -> Labels {
        Labels { id: "1-1".into(), tool: tool.into(), client: "c".into(), ..Labels::default() }
    }

    #[test]
    fn a_call_is_seen_while_it_runs_and_after_its_end() {
        let activity = Activity::new("slave", Preview::Yes);
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
        let activity = Activity::new("slave", Preview::No);
        let watched = activity.begin(|| panic!("nobody wants to know"));
        watched.at(Stage::Running, "s");
        watched.ended("ok");
        assert_eq!(activity.to_json(), json!({ "enabled": false }));
    }

    #[test]
    fn what_is_shown_is_bounded_however_much_happens() {
        let activity = Activity::new("slave", Preview::Yes);
        let live: Vec<CallGuard> = (0..1000).map(|_| activity.begin(|| names("t"))).collect();
        let seen = activity.to_json();
        assert_eq!(seen["live"]["total"], 1000);
        assert_eq!(seen["live"]["list"].as_array().unwrap().len(), MOST_SHOWN);
        drop(live);
        assert!(activity.to_json()["recent"].as_array().unwrap().len() <= 200);
    }
}
