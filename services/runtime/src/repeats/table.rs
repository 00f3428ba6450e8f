//! The table of events that repeat. The time is an argument. Must not know who writes the counts.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use crate::admission::Network;

/// Time for which events are counted after the first one.
const WINDOW: Duration = Duration::from_secs(1);

/// Longest such time: it doubles as long as there are [`MANY`] events in it.
const MAX_WINDOW: Duration = Duration::from_secs(30);

/// Events in one window that make it longer.
const MANY: u64 = 4;

/// First events that are written whole at once after a quiet time; then one a second. Further ones are counted together with
/// those of other networks.
const BURST: f64 = 32.0;

/// Most networks whose events are counted apart, of all kinds and reasons together. Those of others are counted
/// together, by kind and reason.
const MAX_NETWORKS: usize = 32;

/// A kind of events.
#[derive(Debug)]
pub struct Kind {
    /// A unique name.
    pub name: &'static str,
    /// Writes a count to log and audit stream.
    pub write: fn(&Repeats),
}

/// Events that were counted and not written.
#[derive(Clone, Copy, Debug)]
pub struct Repeats {
    kind: &'static Kind,
    /// The network of the peers; `None`: several networks, or unknown ones.
    pub network: Option<Network>,
    /// The reason that all of them had.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// The time in which they came, in seconds.
    pub seconds: u64,
}

impl Repeats {
    /// Writes the count as its kind does.
    pub(super) fn write(&self) {
        (self.kind.write)(self);
    }

    /// Returns the networks as text: one of them, or `several`.
    pub fn peers(&self) -> String {
        self.network.map_or_else(|| "several".to_owned(), |network| network.to_string())
    }
}

/// What events are counted by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) kind: &'static Kind,
    pub(super) network: Option<Network>,
    pub(super) reason: &'static str,
}

impl Key {
    fn parts(&self) -> (&'static str, Option<Network>, &'static str) {
        (self.kind.name, self.network, self.reason)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

#[derive(Debug)]
struct Count {
    since: Instant,
    window: Duration,
    /// Further events of the window; `None`: the last window is over, and the next event begins this one.
    further: Option<u64>,
}

/// How many first events may be written whole.
#[derive(Debug)]
struct WholeLines {
    left: f64,
    at: Option<Instant>,
}

impl WholeLines {
    fn take(&mut self, now: Instant) -> bool {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.left = (self.left + since.as_secs_f64()).min(BURST);
        self.at = Some(now);
        let has_left = self.left >= 1.0;
        self.left -= f64::from(u8::from(has_left));
        has_left
    }
}

/// The events of the running windows.
#[derive(Debug)]
pub(super) struct Table {
    counts: HashMap<Key, Count>,
    whole: WholeLines,
    has_writer: bool,
}

impl Default for Table {
    fn default() -> Self {
        let whole = WholeLines { left: BURST, at: None };
        Self { counts: HashMap::new(), whole, has_writer: false }
    }
}

impl Table {
    /// Records an event. Returns whether it is the first one of its key.
    pub(super) fn record(&mut self, key: Key, now: Instant) -> bool {
        let has_place =
            self.counts.contains_key(&key) || (self.counts.len() < MAX_NETWORKS && self.whole.take(now));
        let key = if has_place { key } else { Key { network: None, ..key } };
        let count = self.counts.entry(key).or_insert(Count { since: now, window: WINDOW, further: None });
        if let Some(further) = &mut count.further {
            *further += 1;
            return false;
        }
        (count.since, count.further) = (now, Some(0));
        true
    }

    /// Takes the counts whose window is over; the next event of the key is written whole again. After many events the next
    /// window is longer, unless nothing comes for as long.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Repeats> {
        let mut due = Vec::new();
        self.counts.retain(|key, count| {
            if now.saturating_duration_since(count.since) < count.window {
                return true;
            }
            due.extend(repeats(*key, count));
            let goes_on = count.further.is_some_and(|further| further >= MANY);
            *count = Count { since: now, window: (count.window * 2).min(MAX_WINDOW), further: None };
            goes_on
        });
        due
    }

    /// Takes all counts.
    pub(super) fn take_all(&mut self) -> Vec<Repeats> {
        self.counts.drain().filter_map(|(key, count)| repeats(key, &count)).collect()
    }

    /// Returns whether there is something to write and nobody who does.
    pub(super) fn needs_writer(&self) -> bool {
        !self.has_writer && !self.counts.is_empty()
    }

    /// Records that somebody calls [`Self::take_due`] from now on.
    pub(super) fn set_writer(&mut self) {
        self.has_writer = true;
    }

    /// Lets the writer go if nothing is left; returns whether it may.
    pub(super) fn dismiss_writer(&mut self) -> bool {
        self.has_writer = !self.counts.is_empty();
        !self.has_writer
    }
}

fn repeats(key: Key, count: &Count) -> Option<Repeats> {
    let Key { kind, network, reason } = key;
    let further = count.further.filter(|further| *further > 0)?;
    Some(Repeats { kind, network, reason, count: further, seconds: count.window.as_secs() })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    static KIND: Kind = Kind { name: "test", write: |_| {} };

    fn key(host: u32, reason: &'static str) -> Key {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + host));
        Key { kind: &KIND, network: Some(address.into()), reason }
    }

    #[test]
    fn the_first_of_a_second_is_written_and_the_rest_counted() {
        let (mut table, start) = (Table::default(), Instant::now());
        assert!(table.record(key(1, "code"), start));
        let soon = start + Duration::from_millis(900);
        assert!((0..1203).all(|_| !table.record(key(1, "code"), soon)));
        assert!(table.record(key(1, "rate"), soon) && table.record(key(2, "code"), soon));
        assert!(table.take_due(soon).is_empty());
        let due = table.take_due(start + WINDOW);
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].count, due[0].reason, due[0].peers().as_str()), (1203, "code", "10.0.0.1"));
        assert!(table.record(key(1, "code"), start + WINDOW), "a new window");
        assert!(!table.record(key(1, "code"), start + WINDOW));
        assert!(table.take_due(start + 2 * WINDOW).is_empty(), "of two seconds after many");
        let due = table.take_due(start + 3 * WINDOW);
        assert_eq!((due.len(), due[0].count, due[0].seconds), (1, 1, 2));
        assert!(table.record(key(1, "code"), start + 4 * WINDOW), "a new one after few");
        assert!(!table.record(key(1, "code"), start + 4 * WINDOW));
        assert_eq!(table.take_due(start + 5 * WINDOW).len(), 1, "of one second again");
        assert!(table.take_all().is_empty() && table.dismiss_writer());
    }

    #[test]
    fn lines_are_bounded_and_totals_exact_whoever_comes() {
        let (mut table, now) = (Table::default(), Instant::now());
        let events = 119_900;
        let whole = (0..events).filter(|n| table.record(key(n % 5000, "code"), now)).count();
        let due = table.take_due(now + WINDOW);
        let counted: u64 = due.iter().map(|repeats| repeats.count).sum();
        assert_eq!(whole as u64 + counted, u64::from(events));
        assert!(whole + due.len() <= 2 * (MAX_NETWORKS + 1), "{whole} and {}", due.len());
        assert!(due.iter().any(|repeats| repeats.peers() == "several"));
    }

    #[test]
    fn a_flood_that_goes_on_has_ever_fewer_lines() {
        let start = Instant::now();
        for networks in [1, 20, 5000] {
            let mut table = Table::default();
            let (mut lines, mut named) = (0, 0);
            let seconds = 300;
            for n in 0..seconds * 100 {
                let now = start + Duration::from_millis(10) * n;
                if table.record(key(n % networks, "code"), now) {
                    lines += 1;
                    named += 1;
                }
                for repeats in table.take_due(now) {
                    lines += 1;
                    named += repeats.count;
                }
            }
            named += table.take_all().iter().map(|repeats| repeats.count).sum::<u64>();
            assert_eq!(named, u64::from(seconds * 100));
            assert!(lines <= 700, "{lines} lines of {networks} networks in {seconds} seconds");
        }
    }

    #[test]
    fn a_writer_is_wanted_while_there_are_events() {
        let (mut table, now) = (Table::default(), Instant::now());
        assert!(!table.needs_writer());
        table.record(key(1, "code"), now);
        assert!(table.needs_writer());
        table.set_writer();
        assert!(!table.needs_writer() && !table.dismiss_writer());
        table.take_due(now + WINDOW);
        assert!(table.dismiss_writer() && !table.needs_writer());
    }
}
