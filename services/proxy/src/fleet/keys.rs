//! The keys that one session key gives, for signatures, facts and cancel digests. Must not know what is signed.

use std::hash::BuildHasher;

use aws_lc_rs::hkdf::{self, KeyType, Prk};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use parking_lot::Mutex;
use protocol::hex::hex;
use protocol::link::fleet::{FleetKey, FleetProof};
use protocol::link::known_client::KnownClient;
use runtime::secret::SessionKey;
use subtle::ConstantTimeEq;

/// The keys of a fleet cannot be made from a session key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no keys can be derived from the session key")]
pub(crate) struct KeyError;

/// The keys that one session key gives.
pub(super) struct FleetSecrets {
    signer: Ed25519KeyPair,
    public: FleetKey,
    facts: hmac::Key,
    cancel: hmac::Key,
    state: hmac::Key,
    clients: hmac::Key,
    client_ids: ClientIds,
}

impl FleetSecrets {
    pub(super) fn derive(session: &SessionKey) -> Result<Self, KeyError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(session.bytes());
        let signer = Ed25519KeyPair::from_seed_unchecked(&derive(&prk, "mcp-relay fleet 2")?);
        let signer = signer.map_err(|_| KeyError)?;
        let public = signer.public_key().as_ref().try_into().map(FleetKey).map_err(|_| KeyError)?;
        let mac = |purpose| derive(&prk, purpose).map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key));
        let (facts, cancel) = (mac("mcp-relay facts 2")?, mac("mcp-relay cancel 2")?);
        Ok(Self {
            signer,
            public,
            facts,
            cancel,
            state: mac("mcp-relay state 2")?,
            clients: mac("mcp-relay clients 2")?,
            client_ids: ClientIds::default(),
        })
    }

    /// Signs a text; `None` only if the cryptographic library fails.
    pub(super) fn sign(&self, text: &[u8]) -> Option<FleetProof> {
        let signature = self.signer.try_sign(text).ok()?;
        Some(FleetProof::new(self.public, signature.as_ref().try_into().ok()?))
    }

    /// Returns the tag of a fact.
    pub(super) fn tag(&self, text: &[u8]) -> [u8; 16] {
        first_half(&hmac::sign(&self.facts, text))
    }

    /// Returns whether a fact has this tag. Compares in constant time.
    pub(super) fn is_tagged(&self, text: &[u8], tag: &[u8; 16]) -> bool {
        self.tag(text).ct_eq(tag).into()
    }

    /// Returns the digest of a session's request in hex.
    pub(super) fn cancel_id(&self, session: &str, request_id: &str) -> String {
        let mut context = hmac::Context::with_key(&self.cancel);
        for part in [session.as_bytes(), b"\n", request_id.as_bytes()] {
            context.update(part);
        }
        hex(&first_half(&context.sign()))
    }

    /// Returns the digest by which labels of `requestState` name an identity.
    pub(super) fn identity_digest(&self, identity: &str) -> u64 {
        let tag = hmac::sign(&self.state, identity.as_bytes());
        tag.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    /// Returns the digest of a client in hex.
    pub(super) fn client_id(&self, client: KnownClient<&str>) -> String {
        self.client_ids
            .get(client, || hex(&first_half(&hmac::sign(&self.clients, client.to_string().as_bytes()))))
    }
}

/// Digests of clients that were seen recently: a client's next call has the same one.
struct ClientIds {
    hasher: foldhash::fast::RandomState,
    entries: Mutex<Vec<Option<ClientId>>>,
}

/// A client and its digest.
#[derive(Clone)]
struct ClientId {
    client: KnownClient<Box<str>>,
    id: Box<str>,
}

impl ClientIds {
    const CAPACITY: usize = 512;

    /// Returns the digest of a client, which is made if it is not here.
    fn get(&self, client: KnownClient<&str>, make: impl FnOnce() -> String) -> String {
        let place = self.hasher.hash_one(client) % Self::CAPACITY as u64;
        let mut entries = self.entries.lock();
        let Some(entry) = usize::try_from(place).ok().and_then(|place| entries.get_mut(place)) else {
            return make();
        };
        match entry {
            Some(known) if known.client.as_ref() == client => known.id.to_string(),
            _ => {
                let id = make();
                *entry = Some(ClientId { client: client.into_owned(), id: id.as_str().into() });
                id
            }
        }
    }
}

impl Default for ClientIds {
    fn default() -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            entries: Mutex::new(vec![None; Self::CAPACITY]),
        }
    }
}

fn first_half(tag: &hmac::Tag) -> [u8; 16] {
    tag.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Length of a derived key, in bytes.
struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA256 with an empty salt, and the purpose as info.
fn derive(prk: &Prk, purpose: &str) -> Result<[u8; 32], KeyError> {
    let mut key = [0; 32];
    let info = [purpose.as_bytes()];
    prk.expand(&info, KeyLength).and_then(|okm| okm.fill(&mut key)).map_err(|_| KeyError)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_one_digest_and_of_two_in_one_place_each_its_own() {
        let ids = ClientIds::default();
        let made = |session: &str| ids.get(KnownClient::Session(session), || format!("of {session}"));
        for round in 0..3 {
            for number in 0..2 * ClientIds::CAPACITY {
                let session = number.to_string();
                assert_eq!(made(&session), format!("of {session}"), "round {round}");
            }
        }
        assert_eq!(made("0"), "of 0");
        assert_eq!(ids.get(KnownClient::Session("0"), || "another".to_owned()), "of 0");
    }

    #[test]
    fn keys_are_derived_as_the_protocol_says() {
        // RFC 5869, test case 3: no salt, no info.
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&[0x0b; 22]);
        assert_eq!(derive(&prk, "").unwrap()[..4], [0x8d, 0xa4, 0xe7, 0x75]);
        let secrets = FleetSecrets::derive(&SessionKey::derive("a")).unwrap();
        assert!(secrets.is_tagged(b"x", &secrets.tag(b"x")) && !secrets.is_tagged(b"y", &secrets.tag(b"x")));
    }
}
