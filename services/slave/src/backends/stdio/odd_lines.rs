//! Record of the odd lines of one backend: each is counted by kind, and of each kind one line a minute goes to the log. Must not
//! know what the lines say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::line_fault::LineFault;
use crate::backends::history::ProcessHistory;
use crate::metrics;

/// Time in which a kind has at most one line in the log, whatever came before.
const INTERVAL: Duration = Duration::from_mins(1);

/// The record of one backend, which outlives its processes.
pub(super) struct OddLines {
    backend: Arc<str>,
    /// Keeps the last fault that was logged.
    history: Arc<ProcessHistory>,
    kinds: Mutex<[KindRecord; LineFault::ALL.len()]>,
}

/// The lines of one kind.
#[derive(Clone, Copy, Default)]
struct KindRecord {
    logged: Option<Instant>,
    unlogged: u64,
}

impl OddLines {
    /// Returns an empty record.
    pub(super) fn new(backend: Arc<str>, history: Arc<ProcessHistory>) -> Self {
        Self { backend, history, kinds: Mutex::default() }
    }

    /// Records a line. `consequence` says what becomes of it, where it is logged.
    pub(super) fn record(&self, fault: LineFault, consequence: impl FnOnce() -> String) {
        metrics::record_odd_line(&self.backend, fault.label());
        let (backend, kind) = (&*self.backend, fault.label());
        if fault.is_taken() {
            tracing::debug!(backend, kind, "{fault}");
            return;
        }
        let due = self.kinds.lock()[fault as usize].due(Instant::now());
        let Some(more) = due else {
            tracing::debug!(backend, kind, "{fault}");
            return;
        };
        let text = format!("{fault}, {}", consequence());
        self.history.record_line_fault(&text);
        match more {
            0 => tracing::warn!(backend, kind, "{text}"),
            more => {
                tracing::warn!(backend, kind, "{text} ({more} more such lines since the last warning)");
            }
        }
    }
}

impl KindRecord {
    /// Returns the number of lines that were not logged since the last one that was; `None` if this one is not either.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.logged.is_some_and(|logged| now.duration_since(logged) < INTERVAL) {
            self.unlogged += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_logged_once_a_minute_with_the_number_of_the_others() {
        let (mut kind, start) = (KindRecord::default(), Instant::now());
        assert_eq!(kind.due(start), Some(0));
        for second in 0..50 {
            assert_eq!(kind.due(start + Duration::from_secs(second)), None);
        }
        assert_eq!(kind.due(start + INTERVAL), Some(50));
        assert_eq!(kind.due(start + INTERVAL), None);
        // Another kind is not held back.
        assert_eq!(KindRecord::default().due(start), Some(0));
    }
}
