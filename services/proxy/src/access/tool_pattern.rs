//! A pattern of tools' names in an entry of `SLAVE_CODES_FILE`. Must not know what it is used for.

use runtime::document::Cursor;

use runtime::document::fields::parse;

/// A tool's name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolPattern {
    /// The tool with this name.
    Exact(String),
    /// All tools whose names begin with this prefix.
    Prefix(String),
}

impl ToolPattern {
    /// Returns whether a tool of this name is meant.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(tool) => tool == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }

    /// Reads the pattern at the cursor. Returns `None` after a problem was recorded.
    pub(super) fn read(cursor: &Cursor<'_>) -> Option<Self> {
        parse(cursor, "the name of a tool, or the beginning of names with * at its end", |text| {
            let prefix = text.strip_suffix('*');
            let tool = prefix.map_or(Self::Exact(text.to_owned()), |prefix| Self::Prefix(prefix.to_owned()));
            (!prefix.unwrap_or(text).contains('*')).then_some(tool)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_whole_and_a_prefix_at_the_beginning() {
        let (exact, prefix) = (ToolPattern::Exact("echo".into()), ToolPattern::Prefix("git_".into()));
        for (tool, by_name, by_prefix) in
            [("echo", true, false), ("echo2", false, false), ("git_log", false, true), ("git", false, false)]
        {
            assert_eq!((exact.matches(tool), prefix.matches(tool)), (by_name, by_prefix), "{tool}");
        }
    }
}
