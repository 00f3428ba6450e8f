//! Who asks, as far as fairness and stickiness go. Knows no names and no keys, only what tells clients apart.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use front::Principal;
use front::calls::CallContext;
use protocol::link::header::CallHeader;

/// One client: by its key, else by its session, else by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Whoever shows this key.
    Key(Principal),
    /// A legacy session, by a number made from its name.
    Session(u64),
    /// Where no keys are set: an IPv4 address, or the network of an IPv6 address (whoever has one address of it has
    /// 2^64 of them).
    Address(IpAddr),
    /// Nothing is known of it.
    Unknown,
}

impl Client {
    /// Who sends this call.
    pub(super) fn of(asker: &CallContext<'_>, header: &CallHeader) -> Self {
        match (&header.session, Self::by_origin(asker)) {
            (_, key @ Self::Key(_)) => key,
            (Some(session), _) => Self::Session(fnv(session.as_bytes())),
            (None, origin) => origin,
        }
    }

    /// The same without sessions: for limits, as anybody opens as many sessions as they like.
    pub(super) fn by_origin(asker: &CallContext<'_>) -> Self {
        match (asker.who == Principal::ANYONE, asker.peer) {
            (false, _) => Self::Key(asker.who),
            (true, Some(IpAddr::V6(address))) if address.to_ipv4_mapped().is_none() => {
                let network = u128::from(address) >> 64 << 64;
                Self::Address(IpAddr::V6(network.into()))
            }
            (true, Some(address)) => Self::Address(address.to_canonical()),
            (true, None) => Self::Unknown,
        }
    }

    /// A number for this client that is the same in every replica.
    pub(super) fn seed(&self) -> u64 {
        let mut hasher = Fnv::default();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// FNV-1a, 64 bits: the same in every replica.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A number made from text, the same in every replica.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use front::Keys;
    use front::calls::HeaderMap;
    use protocol::mcp::era::{Era, Version};

    use super::*;

    fn client(key: &str, session: Option<&str>, peer: Option<&str>) -> Client {
        let keys = Keys::new(["one", "two"]);
        let headers = HeaderMap::new();
        let who = keys.check(key.as_bytes()).unwrap_or(Principal::ANYONE);
        let header = CallHeader {
            method: "tools/call".into(),
            name: None,
            era: Era::Legacy,
            version: Version::NEWEST,
            session: session.map(str::to_owned),
            request_id: None,
            silence_timeout_ms: 0,
            total_timeout_ms: 0,
            traceparent: None,
            tracestate: None,
            baggage: None,
            param_headers: std::collections::BTreeMap::default(),
        };
        Client::of(&CallContext { who, headers: &headers, peer: peer.map(|p| p.parse().unwrap()) }, &header)
    }

    #[test]
    fn the_key_counts_first_then_the_session_then_the_address() {
        assert_eq!(client("one", Some("s"), Some("1.2.3.4")), client("one", Some("t"), None));
        assert_ne!(client("one", None, None), client("two", None, None));
        assert_eq!(client("", Some("s"), Some("1.2.3.4")), client("", Some("s"), None));
        assert_ne!(client("", Some("s"), None), client("", Some("t"), None));
        assert_eq!(client("", None, Some("::ffff:1.2.3.4")), client("", None, Some("1.2.3.4")));
        assert_eq!(client("", None, Some("2001:db8::1")), client("", None, Some("2001:db8::2")));
        assert_ne!(client("", None, Some("2001:db8:0:1::1")), client("", None, Some("2001:db8::1")));
        assert_eq!(client("", None, None), Client::Unknown);
        assert_ne!(client("one", None, None).seed(), client("two", None, None).seed());
    }
}
