//! The fleet of this proxy: what it proves to slaves, and what proxies with the same session key tell each other through slaves
//! (docs/PROTOCOL.md, "Identity, resumption, fleet" and "Several proxies"). Must not know links or calls.
//!
//! Every key is derived from a session key. The first session key makes proofs, facts and digests; those of all are accepted.

mod keys;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use protocol::link::fleet::{FleetProof, MAX_FLEET_KEYS, signed_text};
use protocol::link::grant_fact::GrantId;
use protocol::link::ids::InstanceId;
use protocol::link::known_client::KnownClient;
use protocol::link::peers::PeerFact;
use protocol::link::revocation::RevocationFact;
use protocol::link::rotation::RotationFact;
use protocol::link::session_fact::SessionEnd;
use protocol::mcp::request_state::{StateLabel, process_digest};
use runtime::secret::{SessionKey, SessionKeys};

use keys::FleetSecrets;
pub(crate) use keys::KeyError;

/// Why a fact is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactError {
    /// It was made with a session key that this proxy does not have, or by nobody who has one.
    Foreign,
    /// Its time is too far from this proxy's clock.
    Stale,
}

/// The fleet of this proxy, with the secrets that make it one.
pub(crate) struct Fleet {
    own: InstanceId,
    secrets: ArcSwap<Vec<FleetSecrets>>,
}

impl Fleet {
    /// The fleet of the proxies with these session keys, of which the first seals; those beyond two are left out. `own` identifies
    /// this process.
    pub(crate) fn new<'a>(
        own: InstanceId,
        keys: impl IntoIterator<Item = &'a SessionKey>,
    ) -> Result<Arc<Self>, KeyError> {
        let secrets = ArcSwap::from_pointee(secrets(keys)?);
        Ok(Arc::new(Self { own, secrets }))
    }

    /// Replaces the session keys. Links that are up keep what was proved on them.
    pub(crate) fn replace_keys(&self, keys: &SessionKeys) {
        if let Err(error) = self.set_keys(keys.open()) {
            tracing::error!("The session keys of before stay those of the fleet: {error}");
        }
    }

    fn set_keys<'a>(&self, keys: impl IntoIterator<Item = &'a SessionKey>) -> Result<(), KeyError> {
        self.secrets.store(Arc::new(secrets(keys)?));
        Ok(())
    }

    /// Returns the instance of this proxy.
    pub(crate) fn own(&self) -> InstanceId {
        self.own
    }

    /// Proves the fleet to a slave, whose nonce and instance are those of its hello. Keys that cannot sign are left out.
    pub(crate) fn proofs(&self, nonce: &str, slave: &str) -> Vec<FleetProof> {
        let text = signed_text(nonce, &self.own.to_string(), slave);
        self.secrets.load().iter().filter_map(|secrets| secrets.sign(text.as_bytes())).collect()
    }

    /// Makes the peer fact of this proxy.
    pub(crate) fn own_fact(&self) -> PeerFact {
        let at = unix_now();
        PeerFact { instance: self.own, at, tag: self.tag(&PeerFact::text(self.own, at)) }
    }

    /// Checks the fact of a proxy.
    pub(crate) fn check(&self, fact: &PeerFact) -> Result<(), FactError> {
        if !self.is_tagged(&PeerFact::text(fact.instance, fact.at), &fact.tag) {
            return Err(FactError::Foreign);
        }
        fact.is_valid_at(unix_now()).then_some(()).ok_or(FactError::Stale)
    }

    /// Makes the fact that a client ended its session now.
    pub(crate) fn session_end(&self, session: &str) -> SessionEnd {
        let at = unix_now();
        SessionEnd { session: session.to_owned(), at, tag: self.tag(&SessionEnd::text(session, at)) }
    }

    /// Makes the fact that a grant was revoked, which would have ended at `until`, in seconds since 1970.
    pub(crate) fn revocation(&self, grant: GrantId, until: u64) -> RevocationFact {
        RevocationFact { until, grant, tag: self.tag(&RevocationFact::text(grant, until)) }
    }

    /// Returns whether a proxy of the fleet made the fact.
    pub(crate) fn is_genuine_revocation(&self, fact: &RevocationFact) -> bool {
        self.is_tagged(&RevocationFact::text(fact.grant, fact.until), &fact.tag)
    }

    /// Makes a fact about an issued token anew, with the tag of the first session key.
    pub(crate) fn rotation(&self, fact: &RotationFact) -> RotationFact {
        RotationFact { tag: self.tag(&fact.text()), ..*fact }
    }

    /// Returns whether a proxy of the fleet made the fact.
    pub(crate) fn is_genuine_rotation(&self, fact: &RotationFact) -> bool {
        self.is_tagged(&fact.text(), &fact.tag)
    }

    /// Returns whether a proxy of the fleet made the fact.
    pub(crate) fn is_genuine(&self, end: &SessionEnd) -> bool {
        self.is_tagged(&SessionEnd::text(&end.session, end.at), &end.tag)
    }

    /// Returns the digest by which slaves know the call of a session's request, whose id is raw JSON.
    pub(crate) fn cancel_id(&self, session: &str, request_id: &str) -> Option<String> {
        self.secrets.load().first().map(|secrets| secrets.cancel_id(session, request_id))
    }

    /// Returns the digest by which slaves know a client.
    pub(crate) fn client_id(&self, client: KnownClient<&str>) -> Option<String> {
        self.secrets.load().first().map(|secrets| secrets.client_id(client))
    }

    /// Returns that digest under each session key: a slave may know the call by any of them.
    pub(crate) fn cancel_ids(&self, session: &str, request_id: &str) -> Vec<String> {
        self.secrets.load().iter().map(|secrets| secrets.cancel_id(session, request_id)).collect()
    }

    /// Makes the label of a slave process, which it puts in front of each `requestState`. `identity` is text that tells identities apart.
    pub(crate) fn state_label(&self, instance: &str, identity: &str) -> Option<StateLabel> {
        let identity = self.secrets.load().first()?.identity_digest(identity);
        Some(StateLabel { process: process_digest(instance), identity })
    }

    /// Makes the label of a slave process of which only the digest is known.
    pub(crate) fn label_of(&self, process: u64, identity: &str) -> Option<StateLabel> {
        let identity = self.secrets.load().first()?.identity_digest(identity);
        Some(StateLabel { process, identity })
    }

    /// Returns whether a label names this identity, under any session key.
    pub(crate) fn is_of_identity(&self, label: StateLabel, identity: &str) -> bool {
        self.secrets.load().iter().any(|secrets| secrets.identity_digest(identity) == label.identity)
    }

    fn tag(&self, text: &str) -> [u8; 16] {
        self.secrets.load().first().map(|secrets| secrets.tag(text.as_bytes())).unwrap_or_default()
    }

    fn is_tagged(&self, text: &str, tag: &[u8; 16]) -> bool {
        self.secrets.load().iter().any(|secrets| secrets.is_tagged(text.as_bytes(), tag))
    }
}

fn secrets<'a>(keys: impl IntoIterator<Item = &'a SessionKey>) -> Result<Vec<FleetSecrets>, KeyError> {
    keys.into_iter().take(MAX_FLEET_KEYS).map(FleetSecrets::derive).collect()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use protocol::link::peers::PEER_FACT_VALIDITY;

    use super::*;

    fn fleet(own: u64, keys: &[&str]) -> Arc<Fleet> {
        let keys: Vec<SessionKey> = keys.iter().map(|key| SessionKey::derive(key)).collect();
        Fleet::new(InstanceId(own), &keys).unwrap()
    }

    #[test]
    fn facts_are_accepted_by_whoever_has_the_key_they_were_made_with() {
        let (one, two, both, other) =
            (fleet(1, &["a"]), fleet(2, &["a"]), fleet(3, &["b", "a"]), fleet(4, &["c"]));
        let fact = one.own_fact();
        assert_eq!((fact.instance, two.check(&fact), both.check(&fact)), (InstanceId(1), Ok(()), Ok(())));
        assert_eq!(other.check(&fact), Err(FactError::Foreign));
        assert_eq!(two.check(&both.own_fact()), Err(FactError::Foreign), "b seals");
        let end = one.session_end("s");
        assert!(two.is_genuine(&end) && both.is_genuine(&end) && !other.is_genuine(&end));
        let fact = one.revocation(GrantId([1; 16]), 7);
        let genuine = [&two, &both, &other].map(|fleet| fleet.is_genuine_revocation(&fact));
        assert_eq!(genuine, [true, true, false]);
        let issued = one.rotation(&untagged(3));
        let genuine = [&two, &both, &other].map(|fleet| fleet.is_genuine_rotation(&issued));
        assert_eq!(genuine, [true, true, false]);
    }

    fn untagged(generation: u64) -> RotationFact {
        let grant = GrantId([1; 16]);
        RotationFact { until: 7, grant, generation, token: [2; 16], tag: [0; 16] }
    }

    #[test]
    fn a_changed_fact_is_not_accepted() {
        let fleet = fleet(1, &["a"]);
        let fact = fleet.own_fact();
        for changed in [
            PeerFact { instance: InstanceId(2), ..fact },
            PeerFact { at: fact.at + 1, ..fact },
            PeerFact { tag: [0; 16], ..fact },
        ] {
            assert_eq!(fleet.check(&changed), Err(FactError::Foreign));
        }
        let end = fleet.session_end("s");
        for changed in [
            SessionEnd { session: "t".into(), ..end.clone() },
            SessionEnd { at: end.at + 1, ..end.clone() },
            SessionEnd { session: format!("s\n{}", end.at), ..end.clone() },
        ] {
            assert!(!fleet.is_genuine(&changed), "{changed:?}");
        }
        let revoked = fleet.revocation(GrantId([1; 16]), 7);
        for changed in [
            RevocationFact { grant: GrantId([2; 16]), ..revoked },
            RevocationFact { until: 8, ..revoked },
            RevocationFact { tag: end.tag, ..revoked },
        ] {
            assert!(!fleet.is_genuine_revocation(&changed), "{changed:?}");
        }
        let issued = fleet.rotation(&untagged(3));
        for changed in [
            RotationFact { until: 8, ..issued },
            RotationFact { grant: GrantId([2; 16]), ..issued },
            RotationFact { generation: 4, ..issued },
            RotationFact { token: [3; 16], ..issued },
            RotationFact { tag: revoked.tag, ..issued },
        ] {
            assert!(!fleet.is_genuine_rotation(&changed), "{changed:?}");
        }
        // A tag of one kind of fact is none of another.
        assert!(!fleet.is_genuine_revocation(&RevocationFact { tag: issued.tag, ..revoked }));
        let crossed = SessionEnd { session: revoked.grant.to_string(), at: revoked.until, tag: revoked.tag };
        assert!(!fleet.is_genuine(&crossed));
        let crossed = SessionEnd { session: fact.instance.to_string(), at: fact.at, tag: fact.tag };
        assert!(!fleet.is_genuine(&crossed));
    }

    #[test]
    fn a_fact_expires() {
        let fleet = fleet(1, &["a"]);
        let at = unix_now() - PEER_FACT_VALIDITY - 5;
        let old =
            PeerFact { instance: InstanceId(2), at, tag: fleet.tag(&PeerFact::text(InstanceId(2), at)) };
        assert_eq!(fleet.check(&old), Err(FactError::Stale));
    }

    #[test]
    fn proofs_verify_for_their_link_and_for_no_other() {
        let fleet = fleet(1, &["a", "b"]);
        let proofs = fleet.proofs("nonce", "slave");
        assert_eq!(proofs.len(), 2);
        for proof in &proofs {
            let (key, signature) = (proof.key().unwrap(), proof.signature().unwrap());
            let key = UnparsedPublicKey::new(&ED25519, key.0);
            let verifies = |text: String| key.verify(text.as_bytes(), &signature).is_ok();
            let own = InstanceId(1).to_string();
            assert!(verifies(signed_text("nonce", &own, "slave")));
            assert!(!verifies(signed_text("other", &own, "slave")));
            assert!(!verifies(signed_text("nonce", &own, "other")));
            assert!(!verifies(signed_text("nonce", "other", "slave")));
        }
        assert_ne!(proofs[0].key, proofs[1].key);
    }

    #[test]
    fn digests_of_requests_differ_by_session_request_and_key() {
        let (one, both) = (fleet(1, &["a"]), fleet(2, &["b", "a"]));
        let id = one.cancel_id("s", "1").unwrap();
        assert_eq!((id.len(), one.cancel_ids("s", "1")), (32, vec![id.clone()]));
        assert!(both.cancel_ids("s", "1").contains(&id) && both.cancel_id("s", "1").unwrap() != id);
        for (session, request) in [("s", "\"1\""), ("t", "1"), ("s\n1", "")] {
            assert_ne!(one.cancel_id(session, request).unwrap(), id, "{session} {request}");
        }
    }

    #[test]
    fn digests_of_clients_differ_by_client_and_key_and_are_the_same_in_a_fleet() {
        let (one, same, other) = (fleet(1, &["a"]), fleet(2, &["a", "b"]), fleet(3, &["b"]));
        let client = KnownClient::Session;
        let id = one.client_id(client("00")).unwrap();
        assert_eq!((id.len(), same.client_id(client("00"))), (32, Some(id.clone())));
        for different in
            [one.client_id(client("01")), other.client_id(client("00")), one.cancel_id("session 00", "")]
        {
            assert_ne!(different.unwrap(), id);
        }
    }

    #[test]
    fn keys_can_be_replaced() {
        let (fleet, other) = (fleet(1, &["a"]), fleet(2, &["b"]));
        assert!(fleet.check(&other.own_fact()).is_err());
        fleet.set_keys(&[SessionKey::derive("a"), SessionKey::derive("b")]).unwrap();
        assert_eq!(fleet.check(&other.own_fact()), Ok(()));
    }
}
