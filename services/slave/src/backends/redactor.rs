//! Redaction of secrets in what backends write: every known value is replaced before a text goes into a log or an
//! error. Must not know where the texts come from.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;
use runtime::secret::Secret;

/// Bytes of the shortest value that is redacted: shorter ones (`1`, `on`, `dev`) are settings, and redacting them would
/// make every text unreadable.
const MIN_SECRET_LEN: usize = 4;

/// Values that are never redacted: common settings that are common words as well.
const COMMON_WORDS: [&str; 14] = [
    "true",
    "false",
    "none",
    "null",
    "trace",
    "debug",
    "info",
    "warn",
    "warning",
    "error",
    "production",
    "development",
    "localhost",
    "stdio",
];

/// The text that replaces a secret.
const REPLACEMENT: &str = "[masked]";

/// A set of values to be redacted. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    values: Arc<[Secret]>,
}

impl Redactor {
    /// Redacts these values; a value of several lines is redacted line by line.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a Secret>) -> Self {
        let lines = values.into_iter().flat_map(|value| value.expose().lines().map(str::trim));
        let mut lines: Vec<&str> =
            lines.filter(|line| line.len() >= MIN_SECRET_LEN && !COMMON_WORDS.contains(line)).collect();
        lines.sort_unstable();
        lines.dedup();
        Self { values: lines.into_iter().map(Secret::new).collect() }
    }

    /// Returns a redactor of these values as well.
    pub(crate) fn with<'a>(&'a self, more: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self::new(self.values.iter().chain(more))
    }

    /// Returns the bytes of the longest value: a text that is cut must be read on so far that no value is cut in two.
    pub(crate) fn max_len(&self) -> usize {
        self.values.iter().map(|value| value.expose().len()).max().unwrap_or(0)
    }

    /// Returns the text with the values replaced.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact_up_to(text, text.len())
    }

    /// Returns the first `limit` bytes of the text (fewer, if that would cut a character) with the values replaced. A
    /// value that begins before the limit and ends after it is replaced as a whole.
    pub(crate) fn redact_up_to<'a>(&self, text: &'a str, limit: usize) -> Cow<'a, str> {
        let limit = text.floor_char_boundary(limit);
        let kept = text.get(..limit).unwrap_or_default();
        let mut found: Vec<Range<usize>> = Vec::new();
        for value in &*self.values {
            let needle = value.expose().as_bytes();
            found.extend(memmem::find_iter(text.as_bytes(), needle).map(|at| at..at + needle.len()));
        }
        found.retain(|range| range.start < limit);
        if found.is_empty() {
            return Cow::Borrowed(kept);
        }
        found.sort_unstable_by_key(|range| range.start);
        let (mut out, mut copied) = (String::with_capacity(kept.len()), 0);
        for range in found {
            // Values may overlap in the text: what both cover is replaced once.
            if range.start >= copied {
                out.push_str(kept.get(copied..range.start).unwrap_or_default());
                out.push_str(REPLACEMENT);
            }
            copied = copied.max(range.end);
        }
        out.push_str(kept.get(copied..).unwrap_or_default());
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        Redactor::new(&values.iter().map(|value| Secret::new(*value)).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_replaced_wherever_they_stand() {
        let redactor = redactor(&["hunter22", "hunter2", "on", "info", "-----KEY\nline-two\n", "ümläut"]);
        assert_eq!(redactor.redact("nothing here"), "nothing here");
        assert_eq!(redactor.redact("info a=hunter22;b=hunter2, on"), "info a=[masked];b=[masked], on");
        assert_eq!(redactor.redact("line-two ümläut hunter2hunter2"), "[masked] [masked] [masked][masked]");
        assert_eq!(redactor.max_len(), 8);
    }

    #[test]
    fn of_overlapping_values_nothing_is_left() {
        let redacted = redactor(&["abcdef", "defghi"]).redact("xabcdefghiy").into_owned();
        assert_eq!(redacted, "x[masked]y");
    }

    #[test]
    fn a_limit_never_cuts_a_value_in_two() {
        let redactor = redactor(&["canary"]);
        assert_eq!(redactor.redact_up_to("abc canary", 6), "abc [masked]");
        assert_eq!(redactor.redact_up_to("abc canary", 4), "abc ");
        assert_eq!(redactor.redact_up_to("canary canary c\u{e9}", 16), "[masked] [masked] c");
    }
}
