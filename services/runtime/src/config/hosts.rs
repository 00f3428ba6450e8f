//! The host names that requests may name: `ALLOWED_HOSTS` and `PUBLIC_URL`, against DNS rebinding. Must not know HTTP
//! messages.
//!
//! A page whose name was pointed at this server's address is of the same origin as the server, as browsers see it: only
//! the name in `Host` gives it away.

use std::net::{IpAddr, Ipv6Addr};

use crate::env::parse;

/// A host name of the list, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// Any host.
    Any,
    /// This host.
    Exact(String),
    /// All hosts below this domain, which begins with a dot.
    Below(String),
}

/// The accepted hosts of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    /// `ALLOWED_HOSTS`; `None` where it is unset.
    listed: Option<Vec<HostPattern>>,
    /// The host of `PUBLIC_URL`, in lower case.
    public: Option<String>,
}

impl AllowedHosts {
    /// Reads a comma-separated list of host names without ports: `*.example.com` stands for all names below a domain, `*`
    /// for all.
    pub fn parse(text: &str) -> Result<Self, String> {
        let patterns: Option<Vec<HostPattern>> = parse::list(text).map(pattern).collect();
        match patterns.filter(|list| !list.is_empty()) {
            Some(list) => Ok(Self { listed: Some(list), public: None }),
            None => {
                Err("host names without scheme and port, for example relay.example.com,*.example.org".into())
            }
        }
    }

    /// Returns the same hosts, and that of a URL under which clients reach the server.
    #[must_use]
    pub fn with_public(self, url: Option<&url::Url>) -> Self {
        Self { public: url.and_then(url::Url::host_str).map(str::to_ascii_lowercase), ..self }
    }

    /// Returns whether a request without a key may name this `host[:port]`: addresses, `localhost`, the listed names and
    /// the public one. Without a list, names of a single label too, which no public domain has.
    pub fn allows_without_key(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        self.is_named(host) || (self.listed.is_none() && !host.contains('.'))
    }

    /// Returns whether a request that needs a key may name this `host[:port]`: as without a key, but any host where none
    /// are listed, since a page under a foreign name has no key.
    pub fn allows_with_key(&self, authority: &str) -> bool {
        self.listed.is_none() || host_of(authority).is_some_and(|host| self.is_named(host))
    }

    fn is_named(&self, host: &str) -> bool {
        is_address(host)
            || host.eq_ignore_ascii_case("localhost")
            || self.public.as_ref().is_some_and(|public| public.eq_ignore_ascii_case(host))
            || self.listed.iter().flatten().any(|pattern| pattern.matches(host))
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name.eq_ignore_ascii_case(host),
            Self::Below(domain) => {
                let end = host.len().checked_sub(domain.len()).filter(|label| *label > 0);
                end.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
            }
        }
    }
}

fn pattern(text: &str) -> Option<HostPattern> {
    if text == "*" {
        return Some(HostPattern::Any);
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return parse::host(domain)
            .ok()
            .map(|domain| HostPattern::Below(format!(".{}", domain.to_ascii_lowercase())));
    }
    parse::host(text).ok().map(|name| HostPattern::Exact(name.to_ascii_lowercase()))
}

/// Returns the host of `host[:port]` without brackets and the dot of a fully qualified name; `None` for other texts.
/// Allocates nothing, as it is called for each request.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, if rest.is_empty() { "" } else { rest.strip_prefix(':')? })
        }
        None => {
            let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (!name.is_empty() && name.bytes().all(is_name)).then_some((name, port))?
        }
    };
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> AllowedHosts {
        AllowedHosts::parse(text).unwrap()
    }

    #[test]
    fn without_keys_only_names_that_nobody_else_can_own_are_accepted() {
        let url = url::Url::parse("https://Relay.Example:8443/mcp").unwrap();
        let public = AllowedHosts::default().with_public(Some(&url));
        for (host, default, with_public) in [
            ("127.0.0.1", true, true),
            ("10.1.2.3:8000", true, true),
            ("203.0.113.9", true, true),
            ("[::1]", true, true),
            ("[fd00::1]:8000", true, true),
            ("localhost:8000", true, true),
            ("LocalHost.", true, true),
            ("proxy:8000", true, true),
            ("relay.example", false, true),
            ("RELAY.example.:443", false, true),
            ("evil.example:8000", false, false),
            ("relay.example.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("127.1", false, false),
            ("", false, false),
            (":8000", false, false),
            ("localhost:80x", false, false),
            ("[::1", false, false),
            ("[evil]:8000", false, false),
            ("[::1]x", false, false),
            ("a@localhost:1", false, false),
        ] {
            assert_eq!(AllowedHosts::default().allows_without_key(host), default, "{host}");
            assert_eq!(public.allows_without_key(host), with_public, "{host}");
            assert!(public.allows_with_key(host), "{host}");
        }
    }

    #[test]
    fn a_list_holds_with_keys_and_without() {
        let hosts = listed("Relay.example, *.Example.org");
        for (host, allowed) in [
            ("relay.example:8000", true),
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            ("aexample.org", false),
            (".example.org", false),
            ("x.relay.example", false),
            ("proxy", false),
            ("127.0.0.1:8000", true),
            ("localhost", true),
            ("evil.example", false),
        ] {
            assert_eq!(hosts.allows_without_key(host), allowed, "{host}");
            assert_eq!(hosts.allows_with_key(host), allowed, "{host}");
        }
        assert!(listed("*").allows_without_key("evil.example"));
    }

    #[test]
    fn texts_that_are_no_hosts_are_refused() {
        for bad in ["https://relay.example", "relay.example:8000", ",", "a b", "*.", "a.*.b", "re*lay"] {
            assert!(AllowedHosts::parse(bad).is_err(), "{bad}");
        }
    }
}
