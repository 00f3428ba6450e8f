//! Reader of one text of an entry of `SLAVE_CODES_FILE`. Must not know which field it is, and never shows its value.

use runtime::document::Cursor;

/// Parses the text at the cursor with `read`; records what was `expected` where that fails.
pub(super) fn parse<T>(
    cursor: &Cursor<'_>,
    expected: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let value = read(cursor.text(expected)?.trim());
    if value.is_none() {
        cursor.error(expected);
    }
    value
}
