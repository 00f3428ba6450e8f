//! JSON from bytes that were not looked at before. Must not know what it says.

use serde::de::{Deserialize, Error};

/// Reads a JSON text. Checks once that all of it is UTF-8: from bytes, the parser would check each string by itself, and skipped ones not.
///
/// # Errors
/// The bytes are no UTF-8, no JSON, or another value than `T`.
pub fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_str(std::str::from_utf8(json).map_err(Error::custom)?)
}
