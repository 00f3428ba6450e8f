//! What reading a tool collects besides it, and the variables that fill in its texts. Must not know members of tools.

use runtime::document::Cursor;
use runtime::secret::Secret;

use crate::backends::environment::INHERITED;
use crate::backends::variables::fill;

/// The reader of one tool.
pub(super) struct ToolReader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) secrets: Vec<Secret>,
    /// Values of variables, which a change of them changes.
    pub(super) filled: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<'a> ToolReader<'a> {
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, secrets: Vec::new(), filled: Vec::new(), warnings: Vec::new() }
    }

    /// Replaces references to variables, whose values count as secrets unless every backend has them anyway.
    pub(super) fn expand(&mut self, cursor: &Cursor<'_>, text: &str) -> String {
        let filled = fill(text, self.variable);
        for name in &filled.missing {
            cursor.error(format!("the variable {name} to be set (or ${{{name}:-default}})"));
        }
        if filled.text.contains('\0') {
            cursor.error("a text without NUL characters");
        }
        for (name, value) in filled.used {
            if !INHERITED.contains(&name.as_str()) {
                self.secrets.push(Secret::new(&*value));
            }
            self.filled.push(value);
        }
        filled.text
    }

    /// Returns the way to variables, for `confine`.
    pub(super) fn variable(&self) -> &'a dyn Fn(&str) -> Option<String> {
        self.variable
    }
}
