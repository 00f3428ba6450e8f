//! The keys of session tokens, and what other keys are derived from them. Must not know what is sealed.

use std::fmt;

use sha2::{Digest, Sha256};

/// Most session keys at once: the one that seals, and one that only opens.
pub const MAX_SESSION_KEYS: usize = 2;

/// Least length of the operator's text, in characters.
const MIN_CHARACTERS: usize = 32;

/// The origin of a [`SessionKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Set by the operator, thus the same in every replica and after a restart.
    Given,
    /// Generated at random, thus valid until this process ends.
    Random,
}

/// A 32-byte key for sealing tokens, derived from the operator's text or random.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    bytes: [u8; 32],
    origin: KeyOrigin,
}

impl SessionKey {
    /// Derives the key from the operator's text: SHA-256 with a prefix that binds the key to this use.
    pub fn derive(text: &str) -> Self {
        let bytes =
            Sha256::new().chain_update(b"mcp-relay session key 1\0").chain_update(text.as_bytes()).finalize();
        Self { bytes: bytes.into(), origin: KeyOrigin::Given }
    }

    /// Derives the key from the operator's text, which must have at least 32 characters. The error is the expectation.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() < MIN_CHARACTERS {
            let expected = "characters, for example the output of: openssl rand -base64 32";
            return Err(format!("at least {MIN_CHARACTERS} {expected}"));
        }
        Ok(Self::derive(text))
    }

    /// Generates a key from the system's random source.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self { bytes, origin: KeyOrigin::Random })
    }

    /// Returns the 32 bytes of the key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Returns the key's origin.
    pub fn origin(&self) -> KeyOrigin {
        self.origin
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({:?}, redacted)", self.origin)
    }
}

/// The session keys in force: the first seals and opens, a second one only opens.
///
/// A key is replaced without the loss of a session in three steps, each in every replica before the next: the new key is
/// added as the second, then it becomes the first, then the old key is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    seal: SessionKey,
    other: Option<SessionKey>,
}

impl SessionKeys {
    /// Joins the key that seals and the one that only opens.
    pub fn new(seal: SessionKey, other: Option<SessionKey>) -> Self {
        Self { seal, other }
    }

    /// Reads the content of a file: one or two keys, each on a line of its own. Empty lines and those that begin with `#`
    /// are skipped. The error is the expectation, and quotes nothing of the file.
    pub fn parse_file(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "UTF-8 text".to_owned())?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1_u64..).zip(text.lines().map(str::trim));
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key = SessionKey::parse(line).map_err(|expected| format!("in line {number}: {expected}"))?;
            if keys.contains(&key) {
                return Err(format!("in line {number}: another key than before"));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next(), keys.next()) {
            (Some(seal), other, None) => Ok(Self { seal, other }),
            _ => Err(format!("one key, or {MAX_SESSION_KEYS} while one replaces the other, on a line each")),
        }
    }

    /// Returns the key that seals.
    pub fn seal(&self) -> &SessionKey {
        &self.seal
    }

    /// Returns all keys that open, the one that seals first.
    pub fn open(&self) -> impl Iterator<Item = &SessionKey> {
        std::iter::once(&self.seal).chain(&self.other)
    }
}

impl From<SessionKey> for SessionKeys {
    /// Takes a single key.
    fn from(seal: SessionKey) -> Self {
        Self::new(seal, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one-key-of-at-least-32-characters!";
    const TWO: &str = "two-key-of-at-least-32-characters!";

    #[test]
    fn nothing_secret_is_formatted() {
        let keys = SessionKeys::from(SessionKey::derive("hush hush"));
        assert_eq!(format!("{:?}", keys.seal()), "SessionKey(Given, redacted)");
        assert!(!format!("{keys:?}").contains("hush"));
    }

    #[test]
    fn the_same_text_gives_the_same_key_and_random_ones_differ() {
        assert_eq!(SessionKey::derive("a").bytes(), SessionKey::derive("a").bytes());
        assert_ne!(SessionKey::derive("a").bytes(), SessionKey::derive("b").bytes());
        assert_ne!(SessionKey::random().unwrap().bytes(), SessionKey::random().unwrap().bytes());
    }

    #[test]
    fn a_file_has_one_key_or_two_and_is_never_quoted() {
        let keys =
            SessionKeys::parse_file(format!("\u{feff}# ours\n\n {ONE} \r\n{TWO}\n").as_bytes()).unwrap();
        assert_eq!(keys.seal(), &SessionKey::derive(ONE));
        assert!(keys.open().eq([&SessionKey::derive(ONE), &SessionKey::derive(TWO)]));
        assert_eq!(SessionKeys::parse_file(ONE.as_bytes()).unwrap().open().count(), 1);
        for (bad, expected) in [
            (String::new(), "one key"),
            ("# only this\n".into(), "one key"),
            (format!("{ONE}\n{TWO}\n{ONE}{TWO}"), "one key"),
            (format!("{ONE}\nhush"), "line 2: at least 32"),
            (format!("{ONE}\n{ONE}"), "line 2: another key"),
        ] {
            let error = SessionKeys::parse_file(bad.as_bytes()).unwrap_err();
            assert!(
                error.contains(expected) && !error.contains("hush") && !error.contains("key-of"),
                "{error}"
            );
        }
        assert!(SessionKeys::parse_file(&[0xff]).is_err());
    }
}
