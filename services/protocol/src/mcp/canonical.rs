//! Canonical form of a definition and its digest, by which definitions are compared (docs/PROTOCOL.md, "Canonical form of a
//! definition"). Must not know what a definition means,
//! but for the texts in schemas that are for readers only.
//!
//! The form is made from the raw text, so that nothing that a JSON library drops (digits, duplicate members) can make two different
//! definitions equal.

mod digest;
mod number;
mod object_order;
mod string;
mod tokens;
mod wording;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub use digest::{DefinitionDigest, DigestParseError};

/// Returns the canonical form of a JSON value, or `None` where it has none: an object has a key twice, or the nesting exceeds
/// [`MAX_DEPTH`](crate::mcp::depth::MAX_DEPTH).
pub fn canonical(value: &RawValue) -> Option<String> {
    let flat = tokens::normalize(value.get())?;
    String::from_utf8(flat.ordered()?).ok()
}

/// Returns the digest of the canonical form of a definition. `None`: it has no canonical form, and equals no other definition.
pub fn digest(definition: &RawValue) -> Option<DefinitionDigest> {
    Some(digest_of(tokens::normalize(definition.get())?.ordered()?.as_slice()))
}

/// Returns the digest by which one schema of a definition is compared, say its `inputSchema`: that of the schema's canonical form without
/// wording (`title`, `description`, `$comment` and `examples`, where the schema has schemas). `None`: the definition has no canonical
/// form, is no object, or lacks the member.
pub fn schema_digest(definition: &RawValue, key: &str) -> Option<DefinitionDigest> {
    let flat = tokens::normalize(definition.get())?;
    // The whole is ordered first: a key that stands twice anywhere in the definition leaves no part of it comparable.
    flat.ordered()?;
    Some(digest_of(&wording::without_wording(&flat, flat.member(key)?)?))
}

fn digest_of(canonical: &[u8]) -> DefinitionDigest {
    DefinitionDigest::from_bytes(Sha256::digest(canonical).into())
}

#[cfg(test)]
mod tests;
