//! The history of a backend's process for status pages: its process id, number of starts and last lines of standard
//! error, in bounded memory. Must not know what the process is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

/// Lines that are kept.
const MAX_LINES: usize = 20;

/// Characters of a line that are kept.
const MAX_LINE_CHARS: usize = 500;

/// Whether lines of standard error are kept in memory: they may contain anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogCapture {
    /// Lines go to the log only.
    #[default]
    Off,
    /// The last lines are kept as well.
    LastLines,
}

/// The history of one backend's process.
#[derive(Default)]
pub(crate) struct ProcessHistory {
    lines: Option<Mutex<VecDeque<LogLine>>>,
    /// 0: no process runs.
    pid: AtomicU32,
    starts: AtomicU64,
}

/// A line of standard error, redacted as in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) at: SystemTime,
    pub(crate) text: String,
}

/// A copy of a history at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistorySnapshot {
    /// Id of the process that runs.
    pub(crate) pid: Option<u32>,
    /// Number of times that a process was started.
    pub(crate) starts: u64,
    /// The last lines, oldest first; `None`: lines are not kept.
    pub(crate) lines: Option<Vec<LogLine>>,
}

impl ProcessHistory {
    /// Returns an empty history.
    pub(super) fn new(capture: LogCapture) -> Self {
        Self { lines: (capture == LogCapture::LastLines).then(Mutex::default), ..Self::default() }
    }

    /// Counts a start, also of a process that then cannot be started.
    pub(super) fn record_start(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the id of the running process; `None`: no process runs.
    pub(super) fn set_pid(&self, pid: Option<u32>) {
        self.pid.store(pid.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Keeps a line of standard error, which is redacted already.
    pub(super) fn record_line(&self, text: &str) {
        let Some(lines) = &self.lines else { return };
        let text = match text.char_indices().nth(MAX_LINE_CHARS) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        };
        let mut lines = lines.lock();
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(LogLine { at: SystemTime::now(), text });
    }

    /// Returns a copy of the history.
    pub(crate) fn snapshot(&self) -> HistorySnapshot {
        let pid = self.pid.load(Ordering::Relaxed);
        HistorySnapshot {
            pid: (pid != 0).then_some(pid),
            starts: self.starts.load(Ordering::Relaxed),
            lines: self.lines.as_ref().map(|lines| lines.lock().iter().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_only_if_configured() {
        let history = ProcessHistory::new(LogCapture::LastLines);
        for number in 0..100 {
            history.record_line(&number.to_string());
        }
        history.record_line(&"ä".repeat(10_000));
        let lines = history.snapshot().lines.unwrap();
        assert_eq!((lines.len(), lines[0].text.as_str()), (MAX_LINES, "81"));
        assert_eq!(lines.last().unwrap().text.chars().count(), MAX_LINE_CHARS + 1);
        let history = ProcessHistory::new(LogCapture::Off);
        history.record_start();
        history.set_pid(Some(7));
        history.record_line("x");
        assert_eq!(history.snapshot(), HistorySnapshot { pid: Some(7), starts: 1, lines: None });
        history.set_pid(None);
        assert_eq!(history.snapshot().pid, None);
    }
}
