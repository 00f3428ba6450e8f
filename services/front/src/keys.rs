//! Accepted keys and who a caller is by them. Must not know where a key stands in a request.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Accepted keys, as SHA-256 digests only.
#[derive(Clone, Default)]
pub struct Keys {
    digests: Vec<[u8; 32]>,
}

/// Who asks: the digest of the key that was shown, or nobody in particular where no keys are set.
///
/// Session ids are bound to it: a token stolen by the holder of another key is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal(pub(crate) [u8; 32]);

impl Principal {
    /// Everybody, where no keys are set.
    pub const ANYONE: Self = Self([0; 32]);

    /// SHA-256 of the key that was shown; zeros for [`Self::ANYONE`].
    pub fn digest(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal([redacted])")
    }
}

impl Keys {
    /// Each key trimmed; empty ones left out.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let used = keys.into_iter().map(str::trim).filter(|key| !key.is_empty());
        Self::from_digests(used.map(|key| Sha256::digest(key.as_bytes()).into()))
    }

    /// From SHA-256 digests of the trimmed keys, for an owner that does not keep the keys themselves.
    pub fn from_digests(digests: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self { digests: digests.into_iter().collect() }
    }

    /// Whether everyone may ask.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Who shows this key; `None` if it is not accepted. All keys are compared, in constant time each.
    pub fn check(&self, shown: &[u8]) -> Option<Principal> {
        let shown: [u8; 32] = Sha256::digest(shown.trim_ascii()).into();
        let hit = self.digests.iter().fold(Choice::from(0), |hit, known| hit | known.ct_eq(&shown));
        bool::from(hit).then_some(Principal(shown))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} redacted)", self.digests.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_keys_only_and_none_is_formatted() {
        let keys = Keys::new([" hush1 ", "hush2", "", " "]);
        for (shown, accepted) in [
            ("hush1", true),
            (" hush2", true),
            ("hush", false),
            ("hush12", false),
            ("", false),
            ("HUSH1", false),
        ] {
            assert_eq!(keys.check(shown.as_bytes()).is_some(), accepted, "{shown:?}");
        }
        assert_eq!(
            format!("{keys:?} {:?}", keys.check(b"hush1")),
            "Keys(2 redacted) Some(Principal([redacted]))"
        );
        assert_ne!(keys.check(b"hush1"), keys.check(b"hush2"));
        assert!(Keys::default().is_empty() && Keys::default().check(b"").is_none());
    }
}
