//! The history of a backend's process for status pages: its process id, number of starts and last lines of standard
//! error, in bounded memory. Must not know what the process is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::launcher::{self, Launcher};

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
    /// The last fault of a line of standard output, redacted.
    line_fault: Mutex<Option<String>>,
    /// The launcher's reason for which the last start failed.
    start_error: Mutex<Option<String>>,
    starts: AtomicU64,
    /// Whether processes are started by a launcher.
    launched: bool,
    /// Processes of sessions or clients; `None`: the backend has one process.
    children: Mutex<Option<Children>>,
}

/// The processes that a backend has for sessions or clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Children {
    /// Processes that run.
    pub(crate) running: usize,
    /// The largest number of them.
    pub(crate) most: usize,
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
    /// The last fault of a line of standard output; `None` also where lines are not kept.
    pub(crate) line_fault: Option<String>,
    /// Processes of sessions or clients; `None`: the backend has one process.
    pub(crate) children: Option<Children>,
}

impl ProcessHistory {
    /// Returns an empty history.
    pub(super) fn new(capture: LogCapture, launcher: &Launcher) -> Self {
        Self {
            lines: (capture == LogCapture::LastLines).then(Mutex::default),
            launched: *launcher != Launcher::Absent,
            ..Self::default()
        }
    }

    /// Counts a start, also of a process that then cannot be started.
    pub(super) fn record_start(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
        *self.start_error.lock() = None;
    }

    /// Keeps the reason for which a launcher did not start the backend, which is redacted already.
    pub(super) fn record_start_error(&self, reason: &str) {
        *self.start_error.lock() = Some(reason.to_owned());
    }

    /// Returns the reason for which a launcher did not start the backend, since the last start.
    pub(super) fn start_error(&self) -> Option<String> {
        self.start_error.lock().clone()
    }

    /// Sets the id of the running process, or of the launcher above it; `None`: no process runs.
    pub(super) fn set_pid(&self, pid: Option<u32>) {
        self.pid.store(pid.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Keeps a line of standard error, which is redacted already.
    pub(super) fn record_line(&self, text: &str) {
        let Some(lines) = &self.lines else { return };
        let text = cut(text);
        let mut lines = lines.lock();
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(LogLine { at: SystemTime::now(), text });
    }

    /// Keeps the fault of a line of standard output, which is redacted already.
    pub(super) fn record_line_fault(&self, text: &str) {
        if self.lines.is_some() {
            *self.line_fault.lock() = Some(cut(text));
        }
    }

    /// Records that the backend may have this many processes for sessions or clients.
    pub(super) fn keep_children(&self, most: usize) {
        *self.children.lock() = Some(Children { running: 0, most });
    }

    /// Records that a process of a session or client is started.
    pub(super) fn add_child(&self) {
        if let Some(children) = &mut *self.children.lock() {
            children.running += 1;
        }
    }

    /// Records that a process of a session or client is gone.
    pub(super) fn remove_child(&self) {
        if let Some(children) = &mut *self.children.lock() {
            children.running = children.running.saturating_sub(1);
        }
    }

    /// Returns the backend's process id: that of the launcher's child, if a launcher was started.
    fn backend_pid(&self, started: u32) -> u32 {
        if self.launched { launcher::backend_of(started).unwrap_or(started) } else { started }
    }

    /// Returns a copy of the history.
    pub(crate) fn snapshot(&self) -> HistorySnapshot {
        let pid = self.pid.load(Ordering::Relaxed);
        HistorySnapshot {
            pid: (pid != 0).then(|| self.backend_pid(pid)),
            starts: self.starts.load(Ordering::Relaxed),
            lines: self.lines.as_ref().map(|lines| lines.lock().iter().cloned().collect()),
            line_fault: self.line_fault.lock().clone(),
            children: *self.children.lock(),
        }
    }
}

/// Returns the first [`MAX_LINE_CHARS`] characters of a line.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LINE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_only_if_configured() {
        let history = ProcessHistory::new(LogCapture::LastLines, &Launcher::Absent);
        for number in 0..100 {
            history.record_line(&number.to_string());
        }
        history.record_line(&"ä".repeat(10_000));
        history.record_line_fault("not JSON");
        assert_eq!(history.snapshot().line_fault.as_deref(), Some("not JSON"));
        let lines = history.snapshot().lines.unwrap();
        assert_eq!((lines.len(), lines[0].text.as_str()), (MAX_LINES, "81"));
        assert_eq!(lines.last().unwrap().text.chars().count(), MAX_LINE_CHARS + 1);
        let history = ProcessHistory::new(LogCapture::Off, &Launcher::Absent);
        history.record_start();
        history.set_pid(Some(7));
        history.record_line("x");
        history.record_line_fault("x");
        let expected =
            HistorySnapshot { pid: Some(7), starts: 1, lines: None, line_fault: None, children: None };
        assert_eq!(history.snapshot(), expected);
        history.set_pid(None);
        assert_eq!(history.snapshot().pid, None);
    }
}
