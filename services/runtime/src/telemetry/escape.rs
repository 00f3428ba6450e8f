//! Escapes of control characters in log lines.

use std::borrow::Cow;

/// Replaces every control character by an escape: text of backends or peers can neither forge a line nor command the
/// terminal.
pub(super) fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean.into()
}
