//! A key as this process keeps it: its digest, its holder's identity, and its time of validity. Must not know where keys
//! are listed.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// A key, without its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    digest: [u8; 32],
    identity: [u8; 32],
    /// [`Self::id`], which rules and audit lines ask for at each call.
    id: Arc<str>,
    name: Option<String>,
    groups: Vec<String>,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) not_after: Option<OffsetDateTime>,
}

impl Key {
    /// Returns the key with this text, surrounding white space removed; it has no name and is always valid.
    pub fn of(text: &str) -> Self {
        Self::of_digest(Sha256::digest(text.trim().as_bytes()).into())
    }

    /// Returns the key whose text has this SHA-256 digest.
    pub fn of_digest(digest: [u8; 32]) -> Self {
        let id = digest[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let (name, groups) = (None, Vec::new());
        Self { digest, identity: digest, id: id.into(), name, groups, not_before: None, not_after: None }
    }

    /// Returns the same key with a name, which is the identity of its holder: keys of one name stand for one holder.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { identity: Self::identity_of_name(name), name: Some(name.to_owned()), ..self }
    }

    /// Returns the same key with the groups that its holder belongs to.
    #[must_use]
    pub fn grouped(self, groups: Vec<String>) -> Self {
        Self { groups, ..self }
    }

    /// Returns the same key, valid from `not_before` up to `not_after`.
    #[must_use]
    pub fn valid(self, not_before: Option<OffsetDateTime>, not_after: Option<OffsetDateTime>) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// Returns the identity of the holder of all keys with this name. Its prefix sets it apart from digests of keys and
    /// from identities of other kinds.
    pub fn identity_of_name(name: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"mcp-relay identity 1\0key:")
            .chain_update(name.as_bytes())
            .finalize()
            .into()
    }

    /// Returns the SHA-256 digest of the key.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Returns the key's id for the audit stream: the first 128 bits of its digest in hex. It tells keys of one name apart.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the identity of the key's holder: derived from the name, else the digest.
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// Returns the name, which is no secret.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the groups that the key's holder belongs to.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Returns whether the key is valid now. Reads the clock only if the key has a time.
    pub fn is_valid(&self) -> bool {
        let is_timed = self.not_before.is_some() || self.not_after.is_some();
        !is_timed || self.is_valid_at(OffsetDateTime::now_utc())
    }

    fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        self.not_before.is_none_or(|from| from <= now) && self.not_after.is_none_or(|end| now < end)
    }

    /// Returns whether the key becomes valid or expires after `before` and no later than `now`.
    pub(super) fn changes_between(&self, before: OffsetDateTime, now: OffsetDateTime) -> bool {
        [self.not_before, self.not_after].into_iter().flatten().any(|change| before < change && change <= now)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_the_name_else_the_digest() {
        let named = |key: &str, name: &str| Key::of(key).named(name).identity();
        assert_eq!(named("one", "ci"), named("two", "ci"));
        assert_ne!(named("one", "ci"), named("one", "cd"));
        assert_ne!(named("one", "ci"), Key::of("one").identity());
        assert_eq!(Key::of(" one ").identity(), Key::of("one").digest());
        // The first digits that `printf one | sha256sum` prints.
        assert_eq!(Key::of("one").id(), "7692c3ad3540bb803c020b3aee66cd88");
        // No text of a key gives the identity of a name: a key has no NUL.
        assert_ne!(Key::of("key:ci").identity(), Key::identity_of_name("ci"));
    }

    #[test]
    fn a_key_is_valid_from_not_before_up_to_not_after() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let key = Key { not_before: Some(at(10)), not_after: Some(at(20)), ..Key::of("k") };
        for (now, valid) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(key.is_valid_at(at(now)), valid, "{now}");
        }
        assert!(!key.is_valid() && Key::of("k").is_valid());
        assert!(key.changes_between(at(9), at(10)) && !key.changes_between(at(10), at(19)));
    }

    #[test]
    fn nothing_secret_is_formatted() {
        let text = format!("{:?}", Key::of("hush").named("ci"));
        assert!(text.contains("ci") && !text.contains("hush") && !text.contains("digest"), "{text}");
    }
}
