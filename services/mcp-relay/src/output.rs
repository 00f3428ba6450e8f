//! Standard output and standard error of the subcommands: nothing else in the binary writes to them, but the log and clap.
//! Must not know what is printed.
//!
//! What is printed may quote peers. [`Text`] holds no character that commands a terminal, unless the user asked for it.

use std::io::{IsTerminal, Write};

use runtime::printable;

/// Escape sequence that clears the terminal and moves to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// A text that may be written to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    /// JSON, with hostile characters as `\u202e`, so that its values stay.
    pub(crate) fn json(text: &str) -> Self {
        Self(printable::json(text).into_owned())
    }

    /// A text as a peer sent it (`--raw`).
    pub(crate) fn raw(text: String) -> Self {
        Self(text)
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    /// Escapes all hostile characters but newlines and tabs. A peer's text within a line has to go through
    /// [`printable::line()`] before, or it could add lines.
    fn from(text: &str) -> Self {
        Self(printable::text(text).into_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Writes to standard output and flushes it.
///
/// # Errors
/// The reader is gone, or the disk is full.
pub(crate) fn write(text: impl Into<Text>) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.into().0.as_bytes())?;
    out.flush()
}

/// Writes to standard output; a reader that is gone is no failure.
pub(crate) fn print(text: impl Into<Text>) {
    let _ = write(text);
}

/// Writes a line to standard error; a reader that is gone is no failure.
pub(crate) fn note(text: impl Into<Text>) {
    let _ = writeln!(std::io::stderr(), "{}", text.into().0);
}

/// Returns the columns of the terminal that standard output is; `None` where it is none.
pub(crate) fn width() -> Option<usize> {
    let (columns, _rows) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(columns.0))
}

/// Clears the terminal, if standard output is one, with the next text that is written.
pub(crate) fn clear() {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        let _ = out.write_all(CLEAR.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_hostile_characters_only_where_it_is_raw() {
        const HOSTILE: &str = "a\u{1b}]0;t\u{7}\u{202e}\r\n\tb";
        assert_eq!(Text::from(HOSTILE).as_str(), "a\\u{1b}]0;t\\u{7}\\u{202e}\n\tb");
        assert_eq!(Text::json("\"\u{202e}\"").as_str(), "\"\\u202e\"");
        assert_eq!(Text::raw(HOSTILE.into()).as_str(), HOSTILE);
    }
}
