//! Log lines about single calls, in a form that bounds the log: the first [`PER_SECOND`] calls of each second write their
//! lines, further ones are counted, and one line a second has the counts by outcome (`LOG_CALLS`).
//!
//! The same holds for calls that failed, which have a budget of their own. Must not know what a call is, nor its outcomes.

mod budget;
mod counters;

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

pub use budget::Budget;
use counters::Counters;

/// Calls of one second whose lines are written, and as many failures.
pub const PER_SECOND: u32 = 5;

/// How often counts are written while there are any.
const INTERVAL: Duration = Duration::from_secs(1);

/// Which calls write their lines (`LOG_CALLS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallLog {
    /// All.
    All,
    /// The first ones of each second; the others are counted.
    #[default]
    Sampled,
    /// None. Failures are written as with [`CallLog::Sampled`].
    Off,
}

/// Whether the lines of one call are written at `info`. Without, they are at `debug`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// They are.
    Written,
    /// They are not, and the call is counted when it ends.
    Counted,
    /// They are not.
    #[default]
    Off,
}

static MODE: AtomicU8 = AtomicU8::new(CallLog::Sampled as u8);
static CALLS: LazyLock<Stream> = LazyLock::new(|| Stream::new(write_calls));
static FAILURES: LazyLock<Stream> = LazyLock::new(|| Stream::new(write_failures));

/// The lines of one kind: their budget, and the counts of what is beyond it.
struct Stream {
    budget: Budget,
    counters: Counters,
    write: fn(&Counts),
}

impl Stream {
    fn new(write: fn(&Counts)) -> Self {
        Self { budget: Budget::new(PER_SECOND, Instant::now()), counters: Counters::default(), write }
    }
}

/// The number of calls by outcome that were counted in a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (outcome, count)) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {outcome}")?;
        }
        Ok(())
    }
}

/// Sets which calls write their lines, for the whole process.
pub fn set_mode(mode: CallLog) {
    MODE.store(mode as u8, Ordering::Relaxed);
}

/// Decides whether a call that begins at `now` writes its lines. Costs one atomic operation, and allocates nothing.
pub fn begin(now: Instant) -> Lines {
    match MODE.load(Ordering::Relaxed) {
        mode if mode == CallLog::All as u8 => Lines::Written,
        mode if mode == CallLog::Off as u8 => Lines::Off,
        _ if CALLS.budget.admit(now) => Lines::Written,
        _ => Lines::Counted,
    }
}

/// Decides whether a line about a request that is no call is written, within a budget of its own. Nothing is counted.
pub fn admit_line(budget: &Budget, now: Instant) -> Lines {
    match MODE.load(Ordering::Relaxed) {
        mode if mode == CallLog::All as u8 => Lines::Written,
        mode if mode == CallLog::Sampled as u8 && budget.admit(now) => Lines::Written,
        _ => Lines::Off,
    }
}

/// Decides whether a call that failed at `now` writes its line; `false`: it is counted. `kind` must be of a bounded set.
/// Needs a tokio runtime for the counts to be written.
pub fn admit_failure(now: Instant, kind: &'static str) -> bool {
    let admitted = MODE.load(Ordering::Relaxed) == CallLog::All as u8 || FAILURES.budget.admit(now);
    if !admitted {
        count(&FAILURES, kind);
    }
    admitted
}

/// Writes all counts now: at the end of the process.
pub fn flush() {
    for stream in [&CALLS, &FAILURES] {
        write(stream);
    }
}

impl Lines {
    /// Records the end of the call. `outcome` must be of a bounded set. Needs a tokio runtime for the counts to be written.
    pub fn record_end(self, outcome: &'static str) {
        if self == Self::Counted {
            count(&CALLS, outcome);
        }
    }
}

fn count(stream: &'static Stream, outcome: &'static str) {
    stream.counters.add(outcome);
    if stream.counters.take_writer()
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn(write_counts(stream));
    }
}

/// Writes counts once a second, until there are none.
async fn write_counts(stream: &'static Stream) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        write(stream);
        if stream.counters.dismiss_writer() {
            return;
        }
    }
}

fn write(stream: &Stream) {
    let counts = Counts(stream.counters.take());
    if counts.total() > 0 {
        (stream.write)(&counts);
    }
}

fn write_calls(counts: &Counts) {
    tracing::info!(calls = counts.total(), "More calls ended in the last second: {counts} (LOG_CALLS)");
}

fn write_failures(counts: &Counts) {
    tracing::warn!(calls = counts.total(), "More calls failed in the last second: {counts}");
}

/// Writes a line about one call: at `info` where the call's lines are written, else at `debug`. Takes the call's
/// [`Lines`], then what `tracing::info!` takes.
#[macro_export]
macro_rules! call_line {
    ($lines:expr, $($line:tt)+) => {
        if $lines == $crate::call_lines::Lines::Written {
            ::tracing::info!($($line)+);
        } else {
            ::tracing::debug!($($line)+);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_by_outcome() {
        let counts = Counts(vec![("ok", 1200), ("timeout", 3)]);
        assert_eq!((counts.total(), counts.to_string().as_str()), (1203, "1200 ok, 3 timeout"));
    }

    #[test]
    fn a_call_that_is_written_is_not_counted() {
        let counters = Counters::default();
        assert!(counters.take().is_empty());
        Lines::Written.record_end("of the test");
        Lines::Off.record_end("of the test");
        assert!(CALLS.counters.take().iter().all(|(outcome, _)| *outcome != "of the test"));
    }
}
