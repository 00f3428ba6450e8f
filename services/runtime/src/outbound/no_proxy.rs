//! `NO_PROXY`: the servers that are reached without a forward proxy. Must not know proxies. Resolves no names.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

/// A list of servers: names with all that is below them, addresses, networks, each with a port or without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// The only port that the entry is for.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name and all names below it.
    Domain(String),
    /// All names below a name.
    Below(String),
    Address(IpAddr),
    Network(IpNet),
}

impl NoProxy {
    /// Reads entries, separated by commas or white space: `host` and `.suffix` (the name and all below it), `*.suffix` (all
    /// below it), addresses and networks (`10.0.0.0/8`) of IPv4 and IPv6, each with `:port` or without, and `*` for all. Returns the
    /// entries that mean nothing as well.
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let (mut entries, mut strange) = (Vec::new(), Vec::new());
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        for part in parts {
            match Entry::parse(part) {
                Some(entry) => entries.push(entry),
                None => strange.push(part.to_owned()),
            }
        }
        (Self(entries), strange)
    }

    /// Returns whether a server is on the list. The host is a name or an address, IPv6 in brackets or not. Names are compared as
    /// names: an address that a name has is not looked for.
    pub fn has(&self, host: &str, port: u16) -> bool {
        let host = bare(host);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0.iter().any(|entry| {
            entry.port.is_none_or(|only| only == port)
                && match (&entry.hosts, address) {
                    (Hosts::All, _) => true,
                    (Hosts::Address(one), Some(address)) => *one == address,
                    (Hosts::Network(network), Some(address)) => network.contains(&address),
                    (Hosts::Domain(domain), None) => name == *domain || is_below(&name, domain),
                    (Hosts::Below(domain), None) => is_below(&name, domain),
                    _ => false,
                }
        })
    }
}

/// Returns a host without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some(hosts) = numeric(bare(text)) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let hosts = if host == "*" { Hosts::All } else { numeric(bare(host)).or_else(|| named(host))? };
        Some(Self { hosts, port })
    }
}

fn numeric(host: &str) -> Option<Hosts> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Hosts::Address(address.to_canonical()));
    }
    host.parse::<IpNet>().ok().map(Hosts::Network)
}

fn named(host: &str) -> Option<Hosts> {
    let (wild, name) = match (host.strip_prefix("*."), host.strip_prefix('.')) {
        (Some(name), _) => (true, name),
        (None, Some(name)) => (false, name),
        (None, None) => (false, host),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.contains(['*', '/', ':', '@', '[', ']']) || name.starts_with('.') {
        return None;
    }
    // As in URLs: in lower case, and letters beyond ASCII as Punycode.
    match Host::parse(name).ok()? {
        Host::Domain(name) => Some(if wild { Hosts::Below(name) } else { Hosts::Domain(name) }),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn has(list: &str, host: &str, port: u16) -> bool {
        NoProxy::parse(list).0.has(host, port)
    }

    #[test]
    fn every_form_of_an_entry_is_for_its_servers_alone() {
        for (list, yes, no) in [
            ("", &[][..], &["a.example:80"][..]),
            (" , ,", &[], &["a.example:80"]),
            ("*", &["a.example:80", "10.0.0.1:1", "[::1]:2"], &[]),
            ("*:443", &["a.example:443"], &["a.example:80"]),
            (
                "corp.example",
                &["corp.example:1", "a.b.corp.example:1", "CORP.Example.:1"],
                &["acorp.example:1", "corp.example.org:1", "corp:1"],
            ),
            ("Corp.Example.", &["corp.example:1", "x.corp.example:1"], &["example:1"]),
            (".corp.example", &["corp.example:1", "a.corp.example:1"], &["acorp.example:1"]),
            (
                "*.corp.example",
                &["a.corp.example:1", "b.a.corp.example:1"],
                &["corp.example:1", "acorp.example:1"],
            ),
            ("localhost", &["localhost:1", "LOCALHOST:2"], &["127.0.0.1:1", "[::1]:1", "mylocalhost:1"]),
            ("corp.example:8080", &["corp.example:8080", "a.corp.example:8080"], &["corp.example:80"]),
            (".corp.example:443", &["a.corp.example:443"], &["a.corp.example:80"]),
            ("*.corp.example:443", &["a.corp.example:443"], &["corp.example:443", "a.corp.example:80"]),
            (
                "127.0.0.1",
                &["127.0.0.1:1", "[::ffff:127.0.0.1]:1"],
                &["127.0.0.2:1", "1.127.0.0.1.example:1"],
            ),
            ("127.0.0.1:8001", &["127.0.0.1:8001"], &["127.0.0.1:8002"]),
            ("::1", &["[::1]:1", "::1:1"], &["[::2]:1", "127.0.0.1:1"]),
            ("[::1]", &["[::1]:1"], &["[::2]:1"]),
            ("[::1]:8001", &["[::1]:8001"], &["[::1]:8002"]),
            ("10.0.0.0/8", &["10.1.2.3:1", "[::ffff:10.9.9.9]:1"], &["11.0.0.1:1", "10.example:1"]),
            ("10.0.0.0/8:443", &["10.1.2.3:443"], &["10.1.2.3:80"]),
            ("10.1.2.3/8", &["10.200.0.1:1"], &["11.0.0.1:1"]),
            ("fd00::/8", &["[fd12::1]:1"], &["[fe80::1]:1", "10.0.0.1:1"]),
            ("[fd00::/8]:443", &["[fd12::1]:443"], &["[fd12::1]:80"]),
            ("0.0.0.0/0", &["192.0.2.1:1"], &["a.example:1", "[::1]:1"]),
            (
                "bücher.example",
                &["xn--bcher-kva.example:1", "a.xn--bcher-kva.example:1"],
                &["bucher.example:1"],
            ),
            (
                "a.example,b.example c.example\td.example",
                &["a.example:1", "b.example:1", "c.example:1", "d.example:1"],
                &["e.example:1"],
            ),
        ] {
            for (servers, expected) in [(yes, true), (no, false)] {
                for server in servers {
                    let (host, port) = server.rsplit_once(':').unwrap();
                    assert_eq!(has(list, host, port.parse().unwrap()), expected, "{list:?} has {server}");
                }
            }
        }
    }

    #[test]
    fn what_means_nothing_is_reported_and_bypasses_nothing() {
        for strange in [
            "10.0.0.0/33",
            "a*.example",
            "10.*",
            "http://a.example",
            "a.example:http",
            "a@b",
            ".",
            "*.",
            "..a",
            "a.example:99999",
            "[::1",
            "1:2:3",
        ] {
            let (list, reported) = NoProxy::parse(&format!("x.example,{strange}"));
            assert_eq!(reported, [strange], "{strange}");
            assert_eq!(list, NoProxy::parse("x.example").0, "{strange}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_name_is_on_its_own_list(text in "\\PC{0,40}", name in "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}") {
            let _ = NoProxy::parse(&text).0.has(&text, 1);
            prop_assert!(has(&name, &name, 1));
            let (below, other) = (format!("a.{name}"), format!("a{name}"));
            prop_assert!(has(&name, &below, 1) && !has(&name, &other, 1));
        }
    }
}
