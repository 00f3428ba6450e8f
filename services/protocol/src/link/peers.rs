//! Which proxies there are: how slaves and proxies tell each other. Knows nothing of links.
//!
//! docs/PROTOCOL.md, "Several proxies". A slave tells each proxy which ones it is linked to; a proxy tells its slaves
//! all that it heard of.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::link::ids::InstanceId;

/// Proxies named in one message. More are not needed to find the rest: the message must fit one chunk.
pub const MOST: usize = 1024;

/// Payload of a `peers` frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Instances.
    pub proxies: BTreeSet<InstanceId>,
    /// How many there are at least, where the sender knows that from elsewhere; 0: it does not.
    pub at_least: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
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
    /// JSON for the wire; at most [`MOST`] proxies.
    pub fn encode(&self) -> Bytes {
        let wire = Wire { proxies: to_text(&self.proxies), at_least: self.at_least };
        serde_json::to_vec(&wire).unwrap_or_default().into()
    }

    /// Reads what [`Self::encode`] writes; what is no instance in it is left out. `None`: it cannot be read.
    pub fn decode(json: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(json).ok()?;
        Some(Self { proxies: from_text(&wire.proxies), at_least: wire.at_least })
    }
}

/// Instances as the hellos carry them, at most [`MOST`].
pub fn to_text(proxies: &BTreeSet<InstanceId>) -> Vec<String> {
    proxies.iter().take(MOST).map(ToString::to_string).collect()
}

/// Reads instances; what is none is left out, and so is everything beyond [`MOST`].
pub fn from_text(proxies: &[String]) -> BTreeSet<InstanceId> {
    proxies.iter().take(MOST).filter_map(|text| InstanceId::parse(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_fits_a_chunk() {
        let peers = Peers { proxies: BTreeSet::from([InstanceId(1), InstanceId(2)]), at_least: 3 };
        let json = peers.encode();
        assert_eq!(json, r#"{"proxies":["0000000000000001","0000000000000002"],"atLeast":3}"#);
        assert_eq!(Peers::decode(&json), Some(peers));
        let many = Peers { proxies: (0..5000).map(InstanceId).collect(), at_least: 0 };
        assert!(many.encode().len() <= crate::link::limits::MAX_CHUNK);
        assert_eq!(Peers::decode(&many.encode()).unwrap().proxies.len(), MOST);
    }

    #[test]
    fn later_members_and_odd_names_do_no_harm() {
        let read = Peers::decode(br#"{"proxies":["x","0000000000000001"],"later":1}"#).unwrap();
        assert_eq!(read.proxies, BTreeSet::from([InstanceId(1)]));
        assert_eq!(Peers::decode(b"[]"), None);
        assert_eq!(Peers::decode(b"{"), None);
    }
}
