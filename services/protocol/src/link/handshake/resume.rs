//! Resumption in the first messages: the slave's nonce, the secret that a proxy process gives a slave process, and the proof of it
//! (docs/PROTOCOL.md, "Identity, resumption, fleet").
//!
//! Must not know how secrets are made or proofs are computed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::link::base64url;

/// Largest number of resume proofs in one hello.
pub const MAX_RESUME: usize = 64;

/// Writes a nonce of a slave, which is new for each link.
pub fn nonce_text(random: [u8; 32]) -> String {
    base64url::encode(&random)
}

/// Returns whether a text is of the form of a nonce.
pub(super) fn is_nonce(text: &str) -> bool {
    base64url::decode::<32>(text).is_some()
}

/// Returns what a resume proof authenticates: the nonce of the link and the instance of the proxy that issued the secret.
pub fn proven_text(nonce: &str, proxy: &str) -> String {
    format!("mcp-relay resume 2\n{nonce}\n{proxy}")
}

/// Secret by which a slave process proves to the proxy process that issued it that it is the same process: base64url of 32 random
/// bytes. `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResumeSecret(pub String);

impl ResumeSecret {
    /// Writes a secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(base64url::encode(secret))
    }

    /// Reads the secret; `None` if it is not of the form.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        base64url::decode(&self.0)
    }
}

/// Proof of a [`ResumeSecret`]: base64url of an HMAC-SHA256 over [`proven_text`]. `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResumeProof(pub String);

impl ResumeProof {
    /// Writes a proof.
    pub fn new(proof: &[u8; 32]) -> Self {
        Self(base64url::encode(proof))
    }

    /// Reads the proof; `None` if it is not of the form.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        base64url::decode(&self.0)
    }
}

impl fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for ResumeProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
