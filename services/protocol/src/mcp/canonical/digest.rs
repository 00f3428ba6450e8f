//! The digest of a definition as a value and as text. Must not know how the canonical form is made.

use std::fmt;
use std::str::FromStr;

/// Name of the hash function in front of the hex digits.
const PREFIX: &str = "sha256:";

/// SHA-256 of a definition's canonical form; as text `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionDigest([u8; 32]);

/// Text that is no digest of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sha256: and 64 hex digits")]
pub struct DigestParseError;

impl DefinitionDigest {
    /// Makes a digest of the 32 bytes of a SHA-256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the SHA-256.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DefinitionDigest {
    type Err = DigestParseError;

    /// Reads the text form; hex digits of both cases are taken.
    fn from_str(text: &str) -> Result<Self, DigestParseError> {
        let hex = text.strip_prefix(PREFIX).filter(|hex| hex.len() == 64).ok_or(DigestParseError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(DigestParseError);
            let value = digit(0)? << 4 | digit(1)?;
            *byte = u8::try_from(value).map_err(|_| DigestParseError)?;
        }
        Ok(Self(bytes))
    }
}
