//! A child's standard error, line by line into the log: masked, cut, and not faster than anyone can read.
//!
//! Must not know what the child is.

use std::time::{Duration, Instant};

use tokio::io::AsyncRead;

use crate::backends::diary::Diary;
use crate::backends::lines::{Caps, Line, Lines};
use crate::backends::mask::Mask;

/// Bytes of a line that go to the log.
const MAX_LINE: usize = 4096;

/// Lines in one [`WINDOW`] that go to the log.
const MAX_LINES: u32 = 200;

const WINDOW: Duration = Duration::from_secs(1);

/// Logs everything that comes, to its end.
pub(super) async fn log(backend: &str, stderr: impl AsyncRead + Unpin, (mask, diary): (&Mask, &Diary)) {
    // Read on as far as the longest secret, so that cutting the line never cuts one that began before.
    let line = MAX_LINE + mask.longest();
    let mut lines = Lines::new(stderr, Caps { line, head: line, endless: u64::MAX });
    let mut quota = Quota::new(Instant::now());
    while let Ok(Some(next)) = lines.next().await {
        let bytes = match &next {
            Line::Whole(bytes) | Line::TooLong { head: bytes, .. } => bytes,
        };
        match quota.take(Instant::now()) {
            Allowed::No => continue,
            Allowed::Yes => {}
            Allowed::After(suppressed) => {
                tracing::info!(backend, "{suppressed} lines of standard error were left out");
            }
        }
        let text = shown(&String::from_utf8_lossy(bytes), mask);
        if !text.is_empty() {
            diary.wrote(&text);
            tracing::info!(backend, "stderr: {text}");
        }
    }
}

/// The line as the log may have it.
fn shown(line: &str, mask: &Mask) -> String {
    // Cleaned before it is masked: what is left out must not put a secret together.
    let clean: String =
        line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    let clean = clean.trim_end();
    let masked = mask.apply_up_to(clean, MAX_LINE);
    if clean.len() > MAX_LINE { format!("{masked} [cut]") } else { masked.into_owned() }
}

#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Yes,
    /// So many lines were left out before this one.
    After(u64),
    No,
}

struct Quota {
    began: Instant,
    used: u32,
    suppressed: u64,
}

impl Quota {
    fn new(now: Instant) -> Self {
        Self { began: now, used: 0, suppressed: 0 }
    }

    fn take(&mut self, now: Instant) -> Allowed {
        if now.duration_since(self.began) >= WINDOW {
            self.began = now;
            self.used = 0;
        }
        if self.used >= MAX_LINES {
            self.suppressed += 1;
            return Allowed::No;
        }
        self.used += 1;
        match std::mem::take(&mut self.suppressed) {
            0 => Allowed::Yes,
            suppressed => Allowed::After(suppressed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::secret::Secret;

    #[test]
    fn lines_are_cleaned_masked_and_cut() {
        let mask = Mask::new(&[Secret::new("canary-value")]);
        assert_eq!(shown("\u{1b}[31ma\tb canary-value\r", &mask), "[31ma b [masked]");
        let long = format!("{}canary-value", "x".repeat(MAX_LINE - 4));
        let text = shown(&long, &mask);
        assert!(text.ends_with("xx[masked] [cut]"), "{}", &text[MAX_LINE - 20..]);
    }

    #[test]
    fn a_flood_is_counted_instead_of_logged() {
        let start = Instant::now();
        let mut quota = Quota::new(start);
        for _ in 0..MAX_LINES {
            assert_eq!(quota.take(start), Allowed::Yes);
        }
        assert_eq!(quota.take(start), Allowed::No);
        assert_eq!(quota.take(start + WINDOW / 2), Allowed::No);
        assert_eq!(quota.take(start + WINDOW), Allowed::After(2));
        assert_eq!(quota.take(start + WINDOW), Allowed::Yes);
    }
}
