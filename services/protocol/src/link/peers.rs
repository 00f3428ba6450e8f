//! Discovery of proxies: what `peers` frames carry (docs/PROTOCOL.md, "Several proxies"). Must not know links.
//!
//! A slave tells each proxy which proxies it is linked to; a proxy tells its slaves all proxies that slaves reported.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::link::ids::InstanceId;

/// Largest number of proxies named in one message, which must fit one chunk.
pub const MAX_PEERS: usize = 1024;

/// Payload of a `peers` frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Instances of the proxies.
    pub proxies: BTreeSet<InstanceId>,
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

    /// Reads the payload of a `peers` frame, leaving out texts that are no instances; `None` if it is not of the form.
    pub fn decode(json: &[u8]) -> Option<Self> {
        let wire: PeersJson = serde_json::from_slice(json).ok()?;
        Some(Self { proxies: from_text(&wire.proxies), at_least: wire.at_least })
    }
}

/// Writes instances as the hellos carry them, at most [`MAX_PEERS`].
pub fn to_text(proxies: &BTreeSet<InstanceId>) -> Vec<String> {
    proxies.iter().take(MAX_PEERS).map(ToString::to_string).collect()
}

/// Reads instances, leaving out texts that are none and everything beyond [`MAX_PEERS`].
pub fn from_text(proxies: &[String]) -> BTreeSet<InstanceId> {
    proxies.iter().take(MAX_PEERS).filter_map(|text| InstanceId::parse(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_round_trip_and_fit_a_chunk() {
        let peers = Peers { proxies: BTreeSet::from([InstanceId(1), InstanceId(2)]), at_least: 3 };
        let json = peers.encode();
        assert_eq!(json, r#"{"proxies":["0000000000000001","0000000000000002"],"atLeast":3}"#);
        assert_eq!(Peers::decode(&json), Some(peers));
        let many = Peers { proxies: (0..5000).map(InstanceId).collect(), at_least: 0 };
        assert!(many.encode().len() <= crate::link::limits::MAX_CHUNK);
        assert_eq!(Peers::decode(&many.encode()).unwrap().proxies.len(), MAX_PEERS);
    }

    #[test]
    fn unknown_members_and_texts_that_are_no_instances_are_ignored() {
        let read = Peers::decode(br#"{"proxies":["x","0000000000000001"],"later":1}"#).unwrap();
        assert_eq!(read.proxies, BTreeSet::from([InstanceId(1)]));
        assert_eq!(Peers::decode(b"[]"), None);
        assert_eq!(Peers::decode(b"{"), None);
    }
}
