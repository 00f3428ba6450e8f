//! Fleets of proxies as slaves see them: the keys that a proxy proves to hold, and what it signs (docs/PROTOCOL.md, "Identity,
//! resumption, fleet").
//!
//! Must not know how signatures are made or checked.

use serde::{Deserialize, Serialize};

use crate::link::base64url;

/// Largest number of keys that one proxy proves at a time: two while a session key is replaced.
pub const MAX_FLEET_KEYS: usize = 2;

/// Public key of a fleet (Ed25519).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FleetKey(pub [u8; 32]);

/// Keys that a proxy proved to hold, at most [`MAX_FLEET_KEYS`]. The default is empty: the proxy is of no fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetKeys([Option<FleetKey>; MAX_FLEET_KEYS]);

impl FleetKeys {
    /// Makes the set of these keys; those beyond [`MAX_FLEET_KEYS`] are left out.
    pub fn new(keys: impl IntoIterator<Item = FleetKey>) -> Self {
        let mut keys = keys.into_iter();
        Self(std::array::from_fn(|_| keys.next()))
    }

    /// Returns whether the two have a key in common, which makes their proxies one fleet.
    pub fn shares_a_key(&self, other: &Self) -> bool {
        self.0.iter().flatten().any(|key| other.0.contains(&Some(*key)))
    }
}

/// Proof of one key: the key with its signature over [`signed_text`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetProof {
    /// Public key, base64url of 32 bytes.
    pub key: String,
    /// Signature, base64url of 64 bytes.
    pub signature: String,
}

impl FleetProof {
    /// Writes a proof.
    pub fn new(key: FleetKey, signature: &[u8; 64]) -> Self {
        Self { key: base64url::encode(&key.0), signature: base64url::encode(signature) }
    }

    /// Reads the key; `None` if it is not of the form.
    pub fn key(&self) -> Option<FleetKey> {
        base64url::decode(&self.key).map(FleetKey)
    }

    /// Reads the signature; `None` if it is not of the form.
    pub fn signature(&self) -> Option<[u8; 64]> {
        base64url::decode(&self.signature)
    }
}

/// Returns what a proxy signs for a link: the slave's nonce and the instances of both, as the hellos have them.
pub fn signed_text(nonce: &str, proxy: &str, slave: &str) -> String {
    format!("mcp-relay fleet 2\n{nonce}\n{proxy}\n{slave}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleets_are_one_by_any_common_key() {
        let keys = |keys: &[u8]| FleetKeys::new(keys.iter().map(|key| FleetKey([*key; 32])));
        assert!(keys(&[1]).shares_a_key(&keys(&[2, 1])));
        assert!(!keys(&[1, 3]).shares_a_key(&keys(&[2])));
        assert!(!keys(&[]).shares_a_key(&keys(&[])), "no key is no fleet");
        assert_eq!(keys(&[1, 2, 3]), keys(&[1, 2]));
    }

    #[test]
    fn a_proof_round_trips() {
        let proof = FleetProof::new(FleetKey([7; 32]), &[9; 64]);
        assert_eq!((proof.key(), proof.signature()), (Some(FleetKey([7; 32])), Some([9; 64])));
        assert_eq!(FleetProof::default().key(), None);
    }
}
