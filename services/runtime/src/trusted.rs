//! The client's address of a request that came through trusted forwarding proxies (`TRUSTED_PROXIES`).
//!
//! RFC 7239 (`Forwarded`) and `X-Forwarded-For`: the rightmost address that does not belong to a trusted proxy. Entries
//! to the left of that address may be forged. Whether a request comes from this machine or a private network is decided
//! more strictly: whatever cannot be read or was added by an unknown forwarder counts as foreign. Must not know the use of
//! the address.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::locality::is_local;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Returns whether forwarding proxies add a header of this name (in lower case). A request with one of them was not made
/// by the program at the other end of the connection.
fn is_forwarding(name: &str) -> bool {
    matches!(
        name,
        "forwarded"
            | "x-forwarded-for"
            | "x-real-ip"
            | "via"
            | "x-forwarded"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-forwarded-server"
            | "x-original-forwarded-for"
            | "forwarded-for"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-envoy-external-address"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "fastly-client-ip"
            | "fly-client-ip"
            | "x-appengine-user-ip"
    )
}

/// The networks of proxies whose forwarding headers are trusted; empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads comma-separated networks (`10.0.0.0/8`) and addresses.
    pub fn parse(text: &str) -> Result<Self, String> {
        let one =
            |part: &str| part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        let networks: Option<Vec<IpNet>> = crate::env::parse::list(text).map(one).collect();
        networks
            .map(Self)
            .ok_or_else(|| "networks and addresses, for example 10.0.0.0/8,fd00::/8,192.0.2.7".into())
    }

    /// Returns whether this address belongs to a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the client's address of a request from `peer` with these headers. Where the two headers disagree, at
    /// least one of them was not written by the trusted proxy, and the result is `peer`.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.0.is_empty() || !self.trusts(peer) {
            return peer;
        }
        let plain = headers.contains_key(&X_FORWARDED_FOR).then(|| self.walk(peer, headers, plain_entries));
        let standard = headers.contains_key(FORWARDED).then(|| self.walk(peer, headers, standard_entries));
        match (plain, standard) {
            (Some(one), Some(other)) if one != other => peer,
            (found, other) => found.or(other).unwrap_or(peer),
        }
    }

    /// Returns whether a request from `peer` with these headers certainly comes from this machine or a private network.
    ///
    /// With a forwarding header, the peer must be trusted, and each header that names clients must name a local one whom
    /// no untrusted forwarder put there.
    pub fn is_local(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        // One pass over the few headers that are there: this is asked for each request.
        if !headers.keys().any(|name| is_forwarding(name.as_str())) {
            return is_local(peer);
        }
        if !self.trusts(peer.to_canonical()) {
            return false;
        }
        let readers: [(&HeaderName, Entries); 3] =
            [(&X_FORWARDED_FOR, plain_entries), (&FORWARDED, standard_entries), (&X_REAL_IP, real_entries)];
        let mut present = readers.into_iter().filter(|(name, _)| headers.contains_key(*name)).peekable();
        present.peek().is_some() && present.all(|(_, entries)| self.names_local(&entries(headers)))
    }

    /// Returns whether a header names a local client: each entry is of a trusted forwarder, but for the first one.
    fn names_local(&self, entries: &[Option<IpAddr>]) -> bool {
        let Some((Some(client), forwarders)) = entries.split_first() else { return false };
        is_local(*client) && forwarders.iter().all(|entry| entry.is_some_and(|address| self.trusts(address)))
    }

    /// Walks the entries from the right, as long as the proxy that wrote the entry is trusted.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap, entries: Entries) -> IpAddr {
        let mut last = peer;
        for entry in entries(headers).into_iter().rev() {
            let Some(address) = entry else { break };
            last = address;
            if !self.trusts(address) {
                break;
            }
        }
        last
    }
}

/// A reader of the addresses in a header, from left to right; `None` for an entry that is no address.
type Entries = fn(&HeaderMap) -> Vec<Option<IpAddr>>;

fn plain_entries(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(&X_FORWARDED_FOR).iter();
    values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(address).collect()
}

fn real_entries(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    headers.get_all(&X_REAL_IP).iter().map(|value| address(value.to_str().unwrap_or("?"))).collect()
}

fn standard_entries(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(FORWARDED).iter();
    let elements = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
    elements
        .map(|element| {
            let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let node = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
            address(node.1.trim().trim_matches('"'))
        })
        .collect()
}

/// Parses an address, with a port or without, IPv6 with brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &str, peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        TrustedProxies::parse(trusted).unwrap().client(peer.parse().unwrap(), &map).to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn forwarding_headers_are_ignored_unless_the_peer_is_trusted() {
        assert_eq!(client("", "10.0.0.1", &[(XFF, "1.2.3.4")]), "10.0.0.1");
        assert_eq!(client("10.0.0.0/8", "11.0.0.1", &[(XFF, "1.2.3.4")]), "11.0.0.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[(XFF, "1.2.3.4")]), "1.2.3.4");
        assert_eq!(client("10.0.0.0/8", "::ffff:10.0.0.1", &[(XFF, "1.2.3.4")]), "1.2.3.4");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_wins() {
        let ask =
            |headers: &[(&'static str, &'static str)]| client("10.0.0.0/8, fd00::/8", "10.0.0.1", headers);
        assert_eq!(ask(&[(XFF, "6.6.6.6, 1.2.3.4, 10.0.0.9")]), "1.2.3.4");
        assert_eq!(ask(&[(XFF, "6.6.6.6"), (XFF, "1.2.3.4:99 , fd00::1")]), "1.2.3.4");
        assert_eq!(ask(&[(XFF, "10.0.0.7,10.0.0.8")]), "10.0.0.7", "all of them are ours");
        assert_eq!(ask(&[(XFF, "1.2.3.4, nonsense")]), "10.0.0.1");
        assert_eq!(ask(&[(XFF, "1.2.3.4, nonsense, 10.0.0.9")]), "10.0.0.9");
        assert_eq!(
            ask(&[("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1")]),
            "2001:db8::1"
        );
        assert_eq!(ask(&[("forwarded", "for=1.2.3.4, for=_hidden")]), "10.0.0.1");
    }

    #[test]
    fn a_header_that_the_proxy_did_not_write_cannot_overrule_the_other() {
        let ask = |forwarded: &'static str| {
            client("10.0.0.0/8", "10.0.0.1", &[(XFF, "6.6.6.6, 1.2.3.4"), ("forwarded", forwarded)])
        };
        assert_eq!(ask("for=9.9.9.9"), "10.0.0.1");
        assert_eq!(ask("for=1.2.3.4"), "1.2.3.4");
    }

    #[test]
    fn a_request_is_local_only_where_every_word_about_its_client_says_so() {
        for (trusted, peer, headers, local) in [
            ("", "127.0.0.1", &[][..], true),
            ("", "::ffff:10.1.2.3", &[], true),
            ("", "203.0.113.9", &[], false),
            // Whoever forwards must be trusted, whatever is forwarded.
            ("", "127.0.0.1", &[(XFF, "127.0.0.1")], false),
            ("", "127.0.0.1", &[("forwarded", "for=10.0.0.1")], false),
            ("", "127.0.0.1", &[("x-real-ip", "10.0.0.1")], false),
            ("", "127.0.0.1", &[("via", "1.1 somebody")], false),
            ("10.0.0.0/8", "127.0.0.1", &[(XFF, "127.0.0.1")], false),
            ("127.0.0.1", "127.0.0.1", &[(XFF, "10.0.0.1")], true),
            ("127.0.0.1", "127.0.0.1", &[(XFF, "203.0.113.9")], false),
            ("127.0.0.1", "127.0.0.1", &[], true),
            ("127.0.0.1", "127.0.0.1", &[("x-real-ip", "192.168.7.7")], true),
            ("127.0.0.1", "127.0.0.1", &[("x-real-ip", "203.0.113.9")], false),
            ("127.0.0.1", "127.0.0.1", &[("forwarded", "for=\"[fd00::7]:99\"")], true),
            // Headers that contradict each other, are unreadable, or name nobody.
            ("127.0.0.1", "127.0.0.1", &[(XFF, "10.0.0.1"), ("x-real-ip", "203.0.113.9")], false),
            ("127.0.0.1", "127.0.0.1", &[(XFF, "10.0.0.1"), ("forwarded", "for=203.0.113.9")], false),
            ("127.0.0.1", "127.0.0.1", &[(XFF, "unknown")], false),
            ("127.0.0.1", "127.0.0.1", &[(XFF, "")], false),
            ("127.0.0.1", "127.0.0.1", &[("forwarded", "for=_hidden")], false),
            ("127.0.0.1", "127.0.0.1", &[("forwarded", "proto=https")], false),
            ("127.0.0.1", "127.0.0.1", &[("x-forwarded-proto", "https")], false),
            // A private address between the client and the trusted proxy forwarded too, and is not trusted.
            ("127.0.0.1", "127.0.0.1", &[(XFF, "203.0.113.9, 10.0.0.5")], false),
            ("127.0.0.1", "127.0.0.1", &[(XFF, "10.0.0.4, 10.0.0.5")], false),
            ("127.0.0.1,10.0.0.5", "127.0.0.1", &[(XFF, "10.0.0.4, 10.0.0.5")], true),
            ("127.0.0.1,10.0.0.5", "127.0.0.1", &[(XFF, "203.0.113.9"), (XFF, "10.0.0.5")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let proxies = TrustedProxies::parse(trusted).unwrap();
            assert_eq!(proxies.is_local(peer.parse().unwrap(), &map), local, "{trusted} {peer} {headers:?}");
        }
    }

    #[test]
    fn texts_that_are_no_network_are_refused() {
        assert_eq!(TrustedProxies::parse("10.0.0.1,fd00::/8").unwrap().0.len(), 2);
        for bad in ["10.0.0.0/33", "proxy.example", "10.0.0.0/8 fd00::/8"] {
            assert!(TrustedProxies::parse(bad).is_err(), "{bad}");
        }
    }
}
