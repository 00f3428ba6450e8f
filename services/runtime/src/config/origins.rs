//! The web pages that may send requests: `ALLOWED_ORIGINS` (MCP 2026-07-28, Streamable HTTP, "Security & Endpoint").
//!
//! Must not know HTTP messages.

use std::net::{IpAddr, Ipv6Addr};

use crate::env::parse;

/// The origins of web pages whose requests are served. Requests without an `Origin` header do not come from a web page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Pages served from this machine only: `localhost`, `127.0.0.0/8`, `::1`, any port.
    #[default]
    Loopback,
    /// All origins.
    Any,
    /// Only these origins, as browsers write them: scheme, host, and the port where it is not the scheme's default.
    Only(Vec<String>),
}

impl AllowedOrigins {
    /// Reads `*` or a comma-separated list.
    pub fn parse(text: &str) -> Result<Self, String> {
        if parse::list(text).any(|part| part == "*") {
            return Ok(Self::Any);
        }
        let origins: Option<Vec<String>> = parse::list(text).map(origin).collect();
        match origins {
            Some(list) if !list.is_empty() => Ok(Self::Only(list)),
            _ => Err("* or a list of origins such as https://app.example, without a path".into()),
        }
    }

    /// Returns whether a page of this origin may send requests.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.iter().any(|entry| entry.eq_ignore_ascii_case(origin)),
            Self::Loopback => {
                origin.split_once("://").is_some_and(|(_, authority)| is_loopback_authority(authority))
            }
        }
    }
}

/// Returns whether `host[:port]` names this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub fn is_loopback_authority(authority: &str) -> bool {
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

/// Returns an origin in the form in which browsers send it; `None` if the text is no origin.
fn origin(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let bare =
        url.path().trim_end_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let usable = url.has_host() && bare && anonymous;
    if !usable {
        return None;
    }
    match url.origin() {
        url::Origin::Tuple(..) => Some(url.origin().ascii_serialization()),
        // Browser extensions and apps have schemes of their own: scheme://host.
        url::Origin::Opaque(_) => Some(text.trim_end_matches('/').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_as_browsers_write_them() {
        let origins = AllowedOrigins::parse("https://App.example:443/, http://x:8080").unwrap();
        assert_eq!(origins, AllowedOrigins::Only(vec!["https://app.example".into(), "http://x:8080".into()]));
        assert_eq!(AllowedOrigins::parse("https://a, *"), Ok(AllowedOrigins::Any));
        let scheme_of_an_app = AllowedOrigins::Only(vec!["vscode-webview://panel".into()]);
        assert_eq!(AllowedOrigins::parse("vscode-webview://panel"), Ok(scheme_of_an_app));
    }

    #[test]
    fn texts_that_are_no_origin_are_refused() {
        for bad in ["app.example", "https://a/path", "https://u:p@a", "https://a?x", ","] {
            assert!(AllowedOrigins::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_origins_are_allowed_by_name_and_by_number_and_look_alikes_are_not() {
        for yes in [
            "http://localhost",
            "http://LOCALHOST:3000",
            "https://127.0.0.1:8",
            "http://127.9.9.9",
            "http://[::1]:6274",
            "http://[::1]",
        ] {
            assert!(AllowedOrigins::Loopback.allows(yes), "{yes}");
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
            assert!(!AllowedOrigins::Loopback.allows(no), "{no}");
        }
    }

    #[test]
    fn listed_origins_are_compared_without_case() {
        let listed = AllowedOrigins::parse("https://A.example/, http://b.example:81").unwrap();
        assert!(listed.allows("https://a.example") && listed.allows("http://B.example:81"));
        for other in ["http://a.example", "http://localhost", "null"] {
            assert!(!listed.allows(other), "{other}");
        }
        assert!(AllowedOrigins::Any.allows("https://any.example"));
    }
}
