//! Which web pages may ask (2026-07-28, Streamable HTTP, "Security & Endpoint"). Must not know HTTP messages.

use std::net::{IpAddr, Ipv6Addr};

/// Which `Origin` headers are accepted. A request without one does not come from a page of another site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Pages served from this machine.
    Loopback,
    /// Any page.
    Any,
    /// These, as `scheme://host[:port]` in lower case.
    Listed(Vec<String>),
}

impl Origins {
    /// From the entries of `ALLOWED_ORIGINS`: none is [`Origins::Loopback`], a `*` among them is [`Origins::Any`].
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let entries: Vec<String> = entries
            .into_iter()
            .map(|entry| entry.trim().trim_end_matches('/').to_ascii_lowercase())
            .filter(|entry| !entry.is_empty())
            .collect();
        match entries.as_slice() {
            [] => Self::Loopback,
            list if list.iter().any(|entry| entry == "*") => Self::Any,
            _ => Self::Listed(entries),
        }
    }

    /// Whether a page of this origin may ask.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list) => list.iter().any(|entry| entry.eq_ignore_ascii_case(origin)),
            Self::Loopback => origin.split_once("://").is_some_and(|(_, authority)| is_loopback(authority)),
        }
    }
}

/// Whether `host[:port]` is this machine by name: `localhost`, 127.0.0.0/8 or `[::1]`.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return is_port(port) && address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
        }
        None => match authority.split_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            Some(_) => return false,
            None => authority,
        },
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_by_name_and_number_and_nothing_that_looks_like_it() {
        for yes in [
            "http://localhost",
            "http://LOCALHOST:3000",
            "https://127.0.0.1:8",
            "http://127.9.9.9",
            "http://[::1]:6274",
            "http://[::1]",
        ] {
            assert!(Origins::Loopback.allow(yes), "{yes}");
        }
        for no in [
            "null",
            "",
            "http://",
            "http://evil.example.com",
            "http://localhost.evil.com",
            "http://localhost:evil",
            "http://127.0.0.1.evil.com",
            "http://evil.com/localhost",
            "http://[::2]",
            "http://[::1].evil.com",
            "localhost",
            "http://user@localhost",
            "http://localhost@evil.com",
        ] {
            assert!(!Origins::Loopback.allow(no), "{no}");
        }
    }

    #[test]
    fn entries_decide_the_policy() {
        assert_eq!(Origins::new([]), Origins::Loopback);
        assert_eq!(Origins::new([" ", "*", "https://a.example"]), Origins::Any);
        let listed = Origins::new([" https://A.example/ ", "http://b.example:81"]);
        assert!(listed.allow("https://a.example") && listed.allow("http://B.example:81"));
        assert!(
            !listed.allow("http://a.example") && !listed.allow("http://localhost") && !listed.allow("null")
        );
    }
}
