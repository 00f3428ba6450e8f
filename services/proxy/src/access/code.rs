//! A slave code as the proxy keeps it, and why a code is not accepted. Must not know what a code allows.

use std::fmt;

use protocol::hex::hex;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// SHA-256 digest of a code, surrounding white space removed.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeDigest(pub(super) [u8; 32]);

impl CodeDigest {
    /// Returns the digest of a code.
    pub(crate) fn of(code: &str) -> Self {
        Self(Sha256::digest(code.trim().as_bytes()).into())
    }

    /// Returns the first 16 bytes of the digest in hex: tells codes apart in the audit stream.
    pub(super) fn key_id(&self) -> String {
        hex(&self.0[..16])
    }
}

impl fmt::Debug for CodeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a code does not open a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidCode {
    /// No such code is configured.
    Unknown,
    /// The code is valid from this time on.
    NotYetValid(OffsetDateTime),
    /// The code was valid until this time.
    Expired(OffsetDateTime),
}

impl fmt::Display for InvalidCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("Invalid slave code"),
            Self::NotYetValid(from) => write!(f, "Slave code is not valid before {}", rfc3339(*from)),
            Self::Expired(at) => write!(f, "Slave code expired at {}", rfc3339(*at)),
        }
    }
}

/// Formats a time as RFC 3339 defines it.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}
