//! Identity of a client for fairness, stickiness and limits. Must not know names and keys.

use std::net::IpAddr;

use front::Principal;
use front::calls::CallContext;
use protocol::link::header::CallHeader;

use crate::stable_hash::{fnv1a_64, hash_of};

/// A client by its key, else by its session, else by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// The client that presents this key.
    Key(Principal),
    /// A hash of a legacy session's id.
    Session(u64),
    /// An IPv4 address, or the /64 network of an IPv6 address, as one host can use all of its 2^64 addresses.
    Address(IpAddr),
    /// A client without key, session and address.
    Unknown,
}

impl Client {
    /// Returns the client of a call.
    pub(crate) fn of(context: &CallContext<'_>, header: &CallHeader) -> Self {
        match (&header.session, Self::without_session(context)) {
            (_, key @ Self::Key(_)) => key,
            (Some(session), _) => Self::Session(fnv1a_64(session.as_bytes())),
            (None, client) => client,
        }
    }

    /// Returns the client without regard to sessions: for limits, since a client can open any number of sessions.
    pub(crate) fn without_session(context: &CallContext<'_>) -> Self {
        match (context.principal == Principal::ANYONE, context.peer) {
            (false, _) => Self::Key(context.counted_principal()),
            (true, Some(IpAddr::V6(address))) if address.to_ipv4_mapped().is_none() => {
                let network = u128::from(address) >> 64 << 64;
                Self::Address(IpAddr::V6(network.into()))
            }
            (true, Some(address)) => Self::Address(address.to_canonical()),
            (true, None) => Self::Unknown,
        }
    }

    /// Returns a hash of the client that is the same in every replica and release, for stickiness.
    pub(crate) fn seed(&self) -> u64 {
        hash_of(self)
    }
}

#[cfg(test)]
mod tests {
    use front::calls::HeaderMap;
    use protocol::mcp::era::{Era, Version};
    use runtime::keys::Key;

    use super::*;

    fn client(key: &str, session: Option<&str>, peer: Option<&str>) -> Client {
        let headers = HeaderMap::new();
        let who = if key.is_empty() { Principal::ANYONE } else { Principal::of(&Key::of(key)) };
        let header = CallHeader {
            session: session.map(str::to_owned),
            ..CallHeader::new("tools/call", Era::Legacy, Version::NEWEST)
        };
        Client::of(
            &CallContext {
                principal: who,
                credential: &front::Credential::ANONYMOUS,
                headers: &headers,
                peer: peer.map(|p| p.parse().unwrap()),
            },
            &header,
        )
    }

    #[test]
    fn a_client_is_known_by_key_else_session_else_address() {
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
