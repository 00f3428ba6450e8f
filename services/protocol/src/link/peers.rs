//! Discovery of proxies: what `peers` frames carry (docs/PROTOCOL.md, "Several proxies"). Must not know links, nor how facts are
//! authenticated.
//!
//! A slave tells each proxy which proxies it is linked to; a proxy tells its slaves all proxies that slaves reported. Each is named
//! by a fact of its own making, which slaves pass on and cannot make up.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::link::base64url;
use crate::link::ids::InstanceId;

/// Largest number of proxies named in one message, which must fit one chunk.
pub const MAX_PEERS: usize = 512;

/// Seconds for which a peer fact is valid before and after its time.
pub const PEER_FACT_VALIDITY: u64 = 600;

/// Peer fact: a proxy process says that it is of the fleet whose key made the tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerFact {
    /// The proxy process.
    pub instance: InstanceId,
    /// When the fact was made, in seconds since 1970.
    pub at: u64,
    /// Authentication tag over [`PeerFact::text`].
    pub tag: [u8; 16],
}

impl PeerFact {
    /// Returns what the tag of a fact authenticates.
    pub fn text(instance: InstanceId, at: u64) -> String {
        format!("peer\n{instance}\n{at}")
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else, so that a fact has one text.
    pub fn parse(text: &str) -> Option<Self> {
        let (instance, rest) = text.split_once('.')?;
        let (at, tag) = rest.split_once('.')?;
        let fact = Self {
            instance: InstanceId::parse(instance)?,
            at: at.parse().ok()?,
            tag: base64url::decode(tag)?,
        };
        (fact.to_string() == text).then_some(fact)
    }

    /// Returns whether the fact's time is near enough to `now`, in seconds since 1970.
    pub fn is_valid_at(&self, now: u64) -> bool {
        self.at.abs_diff(now) <= PEER_FACT_VALIDITY
    }
}

impl fmt::Display for PeerFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.instance, self.at, base64url::encode(&self.tag))
    }
}

impl fmt::Debug for PeerFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.instance, self.at)
    }
}

/// Payload of a `peers` frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Facts of the proxies. Two may name one instance: a reader without the key cannot know which of them is true.
    pub proxies: BTreeSet<PeerFact>,
    /// Smallest number of proxies that there can be, where the sender knows that from elsewhere; 0: unknown.
    pub at_least: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeersJson {
    proxies: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    at_least: u32,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Peers {
    /// Writes the payload of a `peers` frame; at most [`MAX_PEERS`] proxies.
    pub fn encode(&self) -> Bytes {
        let wire = PeersJson { proxies: to_text(&self.proxies), at_least: self.at_least };
        serde_json::to_vec(&wire).unwrap_or_default().into()
    }

    /// Reads the payload of a `peers` frame, leaving out texts that are no facts; `None` if it is not of the form.
    pub fn decode(json: &[u8]) -> Option<Self> {
        let wire: PeersJson = serde_json::from_slice(json).ok()?;
        Some(Self { proxies: from_text(&wire.proxies), at_least: wire.at_least })
    }

    /// Returns the instances of the proxies.
    pub fn instances(&self) -> BTreeSet<InstanceId> {
        self.proxies.iter().map(|fact| fact.instance).collect()
    }
}

/// Writes facts as the hello carries them, at most [`MAX_PEERS`].
pub fn to_text(proxies: &BTreeSet<PeerFact>) -> Vec<String> {
    proxies.iter().take(MAX_PEERS).map(ToString::to_string).collect()
}

/// Reads facts, leaving out texts that are none and everything beyond [`MAX_PEERS`].
pub fn from_text(proxies: &[String]) -> BTreeSet<PeerFact> {
    proxies.iter().take(MAX_PEERS).filter_map(|text| PeerFact::parse(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(instance: u64) -> PeerFact {
        PeerFact { instance: InstanceId(instance), at: 1_795_737_600, tag: [7; 16] }
    }

    #[test]
    fn peers_round_trip_and_fit_a_chunk() {
        let peers = Peers { proxies: BTreeSet::from([fact(1), fact(2)]), at_least: 3 };
        let json = peers.encode();
        let one = "0000000000000001.1795737600.BwcHBwcHBwcHBwcHBwcHBw";
        assert!(json.starts_with(format!(r#"{{"proxies":["{one}","#).as_bytes()), "{json:?}");
        assert_eq!(Peers::decode(&json), Some(peers));
        let many = Peers { proxies: (0..5000).map(fact).collect(), at_least: 0 };
        assert!(many.encode().len() <= crate::link::limits::MAX_CHUNK);
        assert_eq!(Peers::decode(&many.encode()).unwrap().proxies.len(), MAX_PEERS);
    }

    #[test]
    fn unknown_members_and_texts_that_are_no_facts_are_ignored() {
        let text = fact(1).to_string();
        let json = format!(r#"{{"proxies":["x","0000000000000001","{text}"],"later":1}}"#);
        assert_eq!(Peers::decode(json.as_bytes()).unwrap().instances(), BTreeSet::from([InstanceId(1)]));
        assert_eq!(Peers::decode(b"[]"), None);
        assert_eq!(Peers::decode(b"{"), None);
    }

    #[test]
    fn a_fact_has_one_text_and_a_time_of_validity() {
        let text = fact(0xab).to_string();
        assert_eq!(PeerFact::parse(&text), Some(fact(0xab)));
        for bad in [
            text.replace("ab", "AB"),
            text.replace(".17", ".017"),
            text.replace(".17", ".+17"),
            format!("{text}."),
        ] {
            assert_eq!(PeerFact::parse(&bad), None, "{bad}");
        }
        let at = fact(1).at;
        assert!(fact(1).is_valid_at(at + PEER_FACT_VALIDITY) && fact(1).is_valid_at(at - PEER_FACT_VALIDITY));
        assert!(!fact(1).is_valid_at(at + PEER_FACT_VALIDITY + 1) && !fact(1).is_valid_at(0));
    }
}
