//! A client as limits count it. Must not know limits.

use std::net::IpAddr;

use runtime::admission::Network;

use crate::principal::Principal;

/// A client by its key; where no keys are set, by the network of its address. Sessions do not count: a client can open
/// any number of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// The holder of a key.
    Key(Principal),
    /// Whoever asks from this network.
    Network(Network),
}

impl Client {
    /// Returns the client of a request; `None` where neither key nor address is known.
    pub(crate) fn of(principal: Principal, peer: Option<IpAddr>) -> Option<Self> {
        if principal == Principal::ANYONE {
            peer.map(|peer| Self::Network(peer.into()))
        } else {
            Some(Self::Key(principal))
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::keys::Key;

    use super::*;

    #[test]
    fn a_client_is_known_by_its_key_else_by_its_address() {
        let key = |key: &str| Principal::of(&Key::of(key));
        let at = |text: &str| Some(text.parse().unwrap());
        assert_eq!(Client::of(key("one"), at("10.0.0.1")), Client::of(key("one"), None));
        assert_ne!(Client::of(key("one"), None), Client::of(key("two"), None));
        assert_ne!(Client::of(Principal::ANYONE, at("10.0.0.1")), Client::of(key("one"), at("10.0.0.1")));
        assert_eq!(Client::of(Principal::ANYONE, None), None);
    }
}
