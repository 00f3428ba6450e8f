//! What a backend's process went through, for people who look: its number, its starts, the last lines of its standard
//! error. Of fixed size. Must not know what the process is.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

/// Lines that are kept.
const MOST_LINES: usize = 20;

/// Characters of a line that are kept.
const MOST_LINE: usize = 500;

/// Whether lines are kept at all: they may say anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// They go to the log only.
    #[default]
    Logged,
    /// The last ones are kept as well.
    Kept,
}

/// What is written down of one backend.
#[derive(Default)]
pub(crate) struct Diary {
    lines: Option<Mutex<VecDeque<Line>>>,
    /// 0: none runs.
    pid: AtomicU32,
    starts: AtomicU64,
}

/// One line, masked as in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: SystemTime,
    pub(crate) text: String,
}

/// A diary as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Number of the process that runs.
    pub(crate) pid: Option<u32>,
    /// How often one was started.
    pub(crate) starts: u64,
    /// The last lines, oldest first; `None`: none are kept.
    pub(crate) lines: Option<Vec<Line>>,
}

fn lock(lines: &Mutex<VecDeque<Line>>) -> MutexGuard<'_, VecDeque<Line>> {
    lines.lock()
}

impl Diary {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines: (lines == Lines::Kept).then(Mutex::default), ..Self::default() }
    }

    /// A process begins, if it does: one that cannot be started counts too.
    pub(super) fn starts(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    /// It has this number; `None`: it is gone.
    pub(super) fn process(&self, pid: Option<u32>) {
        self.pid.store(pid.unwrap_or_default(), Ordering::Relaxed);
    }

    /// It wrote this line, which is masked already.
    pub(super) fn wrote(&self, text: &str) {
        let Some(lines) = &self.lines else { return };
        let text = match text.char_indices().nth(MOST_LINE) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        };
        let mut lines = lock(lines);
        if lines.len() == MOST_LINES {
            lines.pop_front();
        }
        lines.push_back(Line { at: SystemTime::now(), text });
    }

    /// How it stands now.
    pub(crate) fn page(&self) -> Page {
        let pid = self.pid.load(Ordering::Relaxed);
        Page {
            pid: (pid != 0).then_some(pid),
            starts: self.starts.load(Ordering::Relaxed),
            lines: self.lines.as_ref().map(|lines| lock(lines).iter().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_where_they_are_wanted() {
        let diary = Diary::new(Lines::Kept);
        for number in 0..100 {
            diary.wrote(&number.to_string());
        }
        diary.wrote(&"ä".repeat(10_000));
        let lines = diary.page().lines.unwrap();
        assert_eq!((lines.len(), lines[0].text.as_str()), (MOST_LINES, "81"));
        assert_eq!(lines.last().unwrap().text.chars().count(), MOST_LINE + 1);
        let diary = Diary::new(Lines::Logged);
        diary.starts();
        diary.process(Some(7));
        diary.wrote("x");
        assert_eq!(diary.page(), Page { pid: Some(7), starts: 1, lines: None });
        diary.process(None);
        assert_eq!(diary.page().pid, None);
    }
}
