//! Readers of values that several formats have. Must not know the formats.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::cursor::Cursor;

/// Reads a SHA-256 digest in hexadecimal digits.
pub fn sha256(cursor: &Cursor<'_>) -> Option<[u8; 32]> {
    parse(cursor, "64 hex digits in quotes, as printf %s \"$CODE\" | sha256sum prints them", digest_of_hex)
}

/// Returns the 32 bytes of 64 hexadecimal digits; `None` for other texts.
pub fn digest_of_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

/// Reads a time as RFC 3339 defines it.
pub fn time(cursor: &Cursor<'_>) -> Option<OffsetDateTime> {
    let expected = "a time as RFC 3339 has it, for example 2027-01-31T00:00:00Z";
    parse(cursor, expected, |text| OffsetDateTime::parse(text, &Rfc3339).ok())
}

/// Parses the text at the cursor with `read`; records what was `expected` where that fails.
pub fn parse<T>(cursor: &Cursor<'_>, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let value = read(cursor.text(expected)?.trim());
    if value.is_none() {
        cursor.error(expected);
    }
    value
}
