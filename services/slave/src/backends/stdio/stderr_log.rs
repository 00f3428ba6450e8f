//! The log of a child's standard error: redacted, cut and rate-limited lines. Must not know what the child is.

use std::time::{Duration, Instant};

use tokio::io::AsyncRead;

use crate::backends::history::ProcessHistory;
use crate::backends::line_reader::{Line, LineLimits, LineReader};
use crate::backends::redactor::Redactor;
use crate::launcher::ERROR_PREFIX;

/// Bytes of a line that go to the log.
const MAX_LINE_LEN: usize = 4096;

/// Lines that go to the log in one [`RATE_INTERVAL`].
const MAX_LINES: u32 = 200;

/// The interval over which lines are counted.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// Logs all lines until the end of `stderr`.
pub(super) async fn log(
    backend: &str,
    stderr: impl AsyncRead + Unpin,
    redactor: &Redactor,
    history: &ProcessHistory,
) {
    // A line is read on by the longest secret, so that its cut never divides a secret.
    let line = MAX_LINE_LEN + redactor.max_len();
    let mut lines = LineReader::new(stderr, LineLimits { line, head: line, endless: u64::MAX });
    let mut limit = LineRate::new(Instant::now());
    while let Ok(Some(next)) = lines.next().await {
        let bytes = match &next {
            Line::Whole(bytes) | Line::TooLong(bytes) => bytes,
        };
        match limit.check(Instant::now()) {
            Allowed::No => continue,
            Allowed::Yes => {}
            Allowed::AfterDropping(suppressed) => {
                tracing::info!(backend, "{suppressed} lines of standard error were left out");
            }
        }
        let text = loggable(&String::from_utf8_lossy(bytes), redactor);
        if !text.is_empty() {
            history.record_line(&text);
            if let Some(reason) = text.strip_prefix(ERROR_PREFIX) {
                history.record_start_error(reason);
            }
            tracing::info!(backend, "stderr: {text}");
        }
    }
}

/// Returns the line without control characters and secrets, cut to [`MAX_LINE_LEN`].
fn loggable(line: &str, redactor: &Redactor) -> String {
    // Control characters go before redaction: without them the rest could join to a secret.
    let clean: String =
        line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    let clean = clean.trim_end();
    let redacted = redactor.redact_up_to(clean, MAX_LINE_LEN);
    if clean.len() > MAX_LINE_LEN { format!("{redacted} [cut]") } else { redacted.into_owned() }
}

/// Whether a line may be logged.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Yes,
    /// Yes, after so many lines that were dropped.
    AfterDropping(u64),
    No,
}

/// The rate limit of logged lines: [`MAX_LINES`] in each [`RATE_INTERVAL`].
struct LineRate {
    began: Instant,
    used: u32,
    suppressed: u64,
}

impl LineRate {
    fn new(now: Instant) -> Self {
        Self { began: now, used: 0, suppressed: 0 }
    }

    fn check(&mut self, now: Instant) -> Allowed {
        if now.duration_since(self.began) >= RATE_INTERVAL {
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
            suppressed => Allowed::AfterDropping(suppressed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::secret::Secret;

    #[test]
    fn lines_are_cleaned_redacted_and_cut() {
        let redactor = Redactor::new(&[Secret::new("canary-value")]);
        assert_eq!(loggable("\u{1b}[31ma\tb canary-value\r", &redactor), "[31ma b [masked]");
        let long = format!("{}canary-value", "x".repeat(MAX_LINE_LEN - 4));
        let text = loggable(&long, &redactor);
        assert!(text.ends_with("xx[masked] [cut]"), "{}", &text[MAX_LINE_LEN - 20..]);
    }

    #[test]
    fn lines_beyond_the_rate_are_counted_instead_of_logged() {
        let start = Instant::now();
        let mut limit = LineRate::new(start);
        for _ in 0..MAX_LINES {
            assert_eq!(limit.check(start), Allowed::Yes);
        }
        assert_eq!(limit.check(start), Allowed::No);
        assert_eq!(limit.check(start + RATE_INTERVAL / 2), Allowed::No);
        assert_eq!(limit.check(start + RATE_INTERVAL), Allowed::AfterDropping(2));
        assert_eq!(limit.check(start + RATE_INTERVAL), Allowed::Yes);
    }
}
