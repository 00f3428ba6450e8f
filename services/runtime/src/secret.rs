//! Secrets that redact themselves, and sets of secrets that are kept as digests only.
//!
//! Must not know what the secrets are used for.

mod session_key;

use std::collections::HashSet;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub use session_key::{KeyOrigin, MAX_SESSION_KEYS, SessionKey, SessionKeys};

/// Least length of a secret that cannot be guessed, in characters.
pub const MIN_SECRET_CHARACTERS: usize = 16;

/// Returns whether a secret, surrounding white space removed, is short enough to be guessed.
pub fn is_short(secret: &str) -> bool {
    secret.trim().chars().count() < MIN_SECRET_CHARACTERS
}

/// A secret text, which is wiped from memory when dropped and formatted as `[redacted]`.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Returns the text itself, for the code that sends it; never for a message.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Accepted secrets (slave codes, bearer keys), kept as SHA-256 digests, so that a memory dump contains none of them.
#[derive(Clone, Default)]
pub struct SecretSet {
    digests: Vec<[u8; 32]>,
}

impl SecretSet {
    /// Creates a set of the digests of these texts, trimmed; empty texts and duplicates are left out.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut seen = HashSet::new();
        let digests = texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).map(digest);
        Self { digests: digests.filter(|digest| seen.insert(*digest)).collect() }
    }

    /// Returns whether `presented` (trimmed) is accepted; see [`Self::find`].
    pub fn contains(&self, presented: &str) -> bool {
        self.find(presented.as_bytes()).is_some()
    }

    /// Returns the SHA-256 of `presented` without surrounding ASCII white space, if it is accepted. Takes the same time
    /// for every text of the same length: all entries are compared, in constant time each.
    pub fn find(&self, presented: &[u8]) -> Option<[u8; 32]> {
        let presented: [u8; 32] = Sha256::digest(presented.trim_ascii()).into();
        let hit = self.digests.iter().fold(Choice::from(0), |hit, known| hit | known.ct_eq(&presented));
        bool::from(hit).then_some(presented)
    }

    /// Returns the SHA-256 of each accepted text, in the order of the texts.
    pub fn digests(&self) -> impl Iterator<Item = [u8; 32]> {
        self.digests.iter().copied()
    }

    /// Returns the number of accepted texts.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Returns whether the set accepts nothing.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }
}

impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSet({} redacted)", self.digests.len())
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_formatted() {
        let text = format!("{:?} {:?}", Secret::new("hush"), SecretSet::new(["hush"]));
        assert!(!text.contains("hush") && text.contains("redacted"), "{text}");
    }

    #[test]
    fn sets_trim_and_match_exactly() {
        let set = SecretSet::new([" code1", "code2 ", "", "  ", "code1"]);
        assert_eq!(set.len(), 2);
        for (code, accepted) in [
            ("code1", true),
            ("code2", true),
            (" code2 ", true),
            ("Code1", false),
            ("code", false),
            ("", false),
        ] {
            assert_eq!(set.contains(code), accepted, "{code:?}");
        }
        assert!(!SecretSet::default().contains(""));
        // The first bytes of SHA-256 of "code1", as any other tool computes it; the order is that of the texts.
        assert!(set.digests().next().is_some_and(|digest| digest.starts_with(&[0xb3, 0x5f, 0x45, 0x95])));
    }
}
