//! Keeps secrets out of what backends write: every known value is replaced before a text goes into a log or an error.
//! Must not know where the texts come from.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;
use runtime::secret::Secret;

/// Shorter values (`1`, `on`, `dev`) are settings, not secrets, and would make every text unreadable.
const MIN_SECRET: usize = 4;

/// Values that are settings in everyone's configuration and words in everyone's output.
const SETTINGS: [&str; 14] = [
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

/// Stands where a secret stood.
const MASKED: &str = "[masked]";

/// A set of values to be hidden. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    values: Arc<[Secret]>,
}

impl Mask {
    /// Hides these values, each line of a value of several lines by itself.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a Secret>) -> Self {
        let lines = values.into_iter().flat_map(|value| value.expose().lines().map(str::trim));
        let mut lines: Vec<&str> =
            lines.filter(|line| line.len() >= MIN_SECRET && !SETTINGS.contains(line)).collect();
        lines.sort_unstable();
        lines.dedup();
        Self { values: lines.into_iter().map(Secret::new).collect() }
    }

    /// These values as well.
    pub(crate) fn with<'a>(&'a self, more: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self::new(self.values.iter().chain(more))
    }

    /// Bytes of the longest value: how far a text must be read on so that none is cut in two.
    pub(crate) fn longest(&self) -> usize {
        self.values.iter().map(|value| value.expose().len()).max().unwrap_or(0)
    }

    /// The text without the values.
    pub(crate) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.apply_up_to(text, text.len())
    }

    /// The first `limit` bytes of the text (less, if that would cut a character) without the values. A value that
    /// begins before the limit and ends after it is hidden whole.
    pub(crate) fn apply_up_to<'a>(&self, text: &'a str, limit: usize) -> Cow<'a, str> {
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
            // Values may overlap in the text: what both cover is hidden once.
            if range.start >= copied {
                out.push_str(kept.get(copied..range.start).unwrap_or_default());
                out.push_str(MASKED);
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

    fn mask(values: &[&str]) -> Mask {
        Mask::new(&values.iter().map(|value| Secret::new(*value)).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_hidden_wherever_they_stand() {
        let mask = mask(&["hunter22", "hunter2", "on", "info", "-----KEY\nline-two\n", "ümläut"]);
        assert_eq!(mask.apply("nothing here"), "nothing here");
        assert_eq!(mask.apply("info a=hunter22;b=hunter2, on"), "info a=[masked];b=[masked], on");
        assert_eq!(mask.apply("line-two ümläut hunter2hunter2"), "[masked] [masked] [masked][masked]");
        assert_eq!(mask.longest(), 8);
    }

    #[test]
    fn overlapping_values_leave_nothing_of_either() {
        let masked = mask(&["abcdef", "defghi"]).apply("xabcdefghiy").into_owned();
        assert_eq!(masked, "x[masked]y");
    }

    #[test]
    fn a_limit_never_cuts_a_value_in_two() {
        let mask = mask(&["canary"]);
        assert_eq!(mask.apply_up_to("abc canary", 6), "abc [masked]");
        assert_eq!(mask.apply_up_to("abc canary", 4), "abc ");
        assert_eq!(mask.apply_up_to("canary canary c\u{e9}", 16), "[masked] [masked] c");
    }
}
