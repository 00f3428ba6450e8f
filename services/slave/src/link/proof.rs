//! Proofs in the first messages of a link, from the slave's side: the proxy's fleet is checked, and the slave's own processes are
//! proved to the proxies that know them (docs/PROTOCOL.md, "Identity, resumption, fleet"). Must not know sockets.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use protocol::link::fleet::{FleetKey, FleetKeys, FleetProof, MAX_FLEET_KEYS, signed_text};
use protocol::link::handshake::{MAX_RESUME, ProxyHello, ResumeProof, SlaveHello, nonce_text, proven_text};
use protocol::link::ids::InstanceId;

use crate::endpoint::ProvenProxy;

/// Why a proxy is not taken for what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProofError {
    /// No proof, or more than there can be.
    #[error("the proxy sent {0} proofs of its fleet, 1 or 2 are allowed")]
    Number(usize),
    /// A proof of another link, or made without the key.
    #[error("the proxy's proof of its fleet does not verify")]
    Invalid,
}

/// Makes a nonce for a new link.
pub(crate) fn new_nonce() -> Result<String, getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(nonce_text(random))
}

/// Checks the fleet of the proxy that answered `own` with `hello`.
pub(super) fn verify(hello: ProxyHello, own: &SlaveHello) -> Result<ProvenProxy, ProofError> {
    if !(1..=MAX_FLEET_KEYS).contains(&hello.fleet.len()) {
        return Err(ProofError::Number(hello.fleet.len()));
    }
    let text = signed_text(&own.nonce, &hello.instance, &own.instance);
    let keys = hello.fleet.iter().map(|proof| verify_one(proof, &text)).collect::<Option<Vec<_>>>();
    let keys = keys.ok_or(ProofError::Invalid)?;
    let instance = InstanceId::parse(&hello.instance).ok_or(ProofError::Invalid)?;
    Ok(ProvenProxy { instance, fleet: FleetKeys::new(keys), hello })
}

fn verify_one(proof: &FleetProof, text: &str) -> Option<FleetKey> {
    let (key, signature) = (proof.key()?, proof.signature()?);
    UnparsedPublicKey::new(&ED25519, key.0).verify(text.as_bytes(), &signature).ok()?;
    Some(key)
}

/// A secret that a proxy process gave to this process.
struct IssuedSecret {
    proxy: InstanceId,
    fleet: FleetKeys,
    secret: [u8; 32],
}

/// The resume secrets of this process, the newest first. Never formatted.
#[derive(Default)]
pub(crate) struct ResumeSecrets(Mutex<VecDeque<IssuedSecret>>);

impl ResumeSecrets {
    /// Keeps the secret that a proxy gave. A proxy of another fleet replaces none: it may have claimed the instance.
    pub(super) fn keep(&self, proxy: &ProvenProxy) {
        let Some(secret) = proxy.hello.resume.bytes() else { return };
        let mut secrets = self.0.lock();
        if let Some(at) = secrets.iter().position(|known| known.proxy == proxy.instance) {
            if !secrets[at].fleet.shares_a_key(&proxy.fleet) {
                return;
            }
            secrets.remove(at);
        }
        secrets.truncate(MAX_RESUME - 1);
        secrets.push_front(IssuedSecret { proxy: proxy.instance, fleet: proxy.fleet, secret });
    }

    /// Returns the proofs for a link with this nonce, by the proxy's instance.
    pub(crate) fn proofs(&self, nonce: &str) -> BTreeMap<String, ResumeProof> {
        let secrets = self.0.lock();
        let proofs = secrets.iter().filter_map(|issued| {
            let proxy = issued.proxy.to_string();
            let key = hmac::Key::new(hmac::HMAC_SHA256, &issued.secret);
            let tag = hmac::sign(&key, proven_text(nonce, &proxy).as_bytes());
            Some((proxy, ResumeProof::new(tag.as_ref().try_into().ok()?)))
        });
        proofs.collect()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use protocol::link::handshake::ResumeSecret;

    use super::*;

    fn own() -> SlaveHello {
        SlaveHello {
            instance: InstanceId(5).to_string(),
            nonce: nonce_text([9; 32]),
            ..SlaveHello::default()
        }
    }

    /// A hello of a proxy that signs with these keys for a link of `own`.
    fn hello(keys: &[u8], instance: u64, own: &SlaveHello) -> ProxyHello {
        let instance = InstanceId(instance).to_string();
        let text = signed_text(&own.nonce, &instance, &own.instance);
        let prove = |seed: &u8| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[*seed; 32]).unwrap();
            let key = FleetKey(pair.public_key().as_ref().try_into().unwrap());
            FleetProof::new(key, pair.sign(text.as_bytes()).as_ref().try_into().unwrap())
        };
        ProxyHello {
            instance: instance.clone(),
            fleet: keys.iter().map(prove).collect(),
            resume: ResumeSecret::new(&[keys.first().copied().unwrap_or_default(); 32]),
            ..ProxyHello::default()
        }
    }

    #[test]
    fn a_fleet_is_proved_for_one_link_by_every_proof() {
        let one = verify(hello(&[1], 7, &own()), &own()).unwrap();
        let both = verify(hello(&[2, 1], 8, &own()), &own()).unwrap();
        assert!(one.fleet.shares_a_key(&both.fleet));
        assert_eq!(one.instance, InstanceId(7));
        let other = SlaveHello { nonce: nonce_text([8; 32]), ..own() };
        assert_eq!(verify(hello(&[1], 7, &other), &own()).unwrap_err(), ProofError::Invalid);
        let mut renamed = hello(&[1], 7, &own());
        renamed.instance = InstanceId(8).to_string();
        assert_eq!(verify(renamed, &own()).unwrap_err(), ProofError::Invalid);
        let mut half = hello(&[1, 2], 7, &own());
        half.fleet[1].key = half.fleet[0].key.clone();
        assert_eq!(verify(half, &own()).unwrap_err(), ProofError::Invalid);
        assert_eq!(verify(hello(&[], 7, &own()), &own()).unwrap_err(), ProofError::Number(0));
        assert_eq!(verify(hello(&[1, 2, 3], 7, &own()), &own()).unwrap_err(), ProofError::Number(3));
    }

    #[test]
    fn proofs_are_for_the_newest_proxies_and_a_stranger_replaces_no_secret() {
        let secrets = ResumeSecrets::default();
        let keep = |key, instance| secrets.keep(&verify(hello(&[key], instance, &own()), &own()).unwrap());
        keep(1, 7);
        let before = secrets.proofs("n");
        assert_eq!(before.keys().collect::<Vec<_>>(), [&InstanceId(7).to_string()]);
        assert_ne!(before, secrets.proofs("m"));
        keep(2, 7);
        assert_eq!(secrets.proofs("n"), before, "another fleet");
        (100..100 + MAX_RESUME as u64).for_each(|instance| keep(1, instance));
        let proofs = secrets.proofs("n");
        assert!(proofs.len() == MAX_RESUME && !proofs.contains_key(&InstanceId(7).to_string()));
    }
}
