//! What a broker is told by whoever runs it: plain data. Must not read the environment.

use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use crate::documents::Documents;
use crate::provider::Provider;
use crate::revocations::RevocationsFile;

/// Paths of the one resource at an origin, without a slash at the end.
const ALIASES: [&str; 4] = ["", "/mcp", "/messages", "/sse"];

/// The settings of a [`Broker`](crate::Broker).
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Where clients reach the server.
    pub url: PublicUrl,
    /// Scopes that clients may ask for; never empty.
    pub scopes: Vec<String>,
    /// Those of the scopes that clients are told of at first, and get if they name none; never empty. The others are asked for once
    /// something needs them (2026-07-28, Authorization, "Scope Challenge Handling").
    pub default_scopes: Vec<String>,
    /// How long an access token is valid.
    pub access_ttl: Duration,
    /// How long after the sign-in refresh tokens are valid, however often they are rotated.
    pub refresh_ttl: Duration,
    /// The file that revocations are written to and read from.
    pub revocations: Option<RevocationsFile>,
    /// Documents of clients whose id is a URL; `None`: such ids are refused.
    pub documents: Option<Arc<Documents>>,
    /// The identity provider; `None`: users are those of the file.
    pub provider: Option<Arc<Provider>>,
}

/// The URL under which clients reach the server (`PUBLIC_URL`), which is the resource, and its origin, which is the issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    resource: String,
    issuer: String,
    is_secure: bool,
}

impl PublicUrl {
    /// Checks a URL.
    ///
    /// # Errors
    /// What is expected: `https`, or `http` on a loopback host, and neither credentials, query nor fragment.
    pub fn new(url: &Url) -> Result<Self, String> {
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let is_secure = url.scheme() == "https";
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain || !(is_secure || url.scheme() == "http" && is_loopback) {
            return Err("an https URL without query for OAUTH_BROKER, or http on a loopback host".into());
        }
        let resource = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { resource, issuer: url.origin().ascii_serialization(), is_secure })
    }

    /// Returns the resource: the audience of tokens.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Returns the issuer: the origin, without a slash at its end.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns whether browsers reach the server over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Returns whether a `resource` of a request (RFC 8707) is this server: the resource or another path of it at the same origin, a
    /// slash at the end aside.
    pub(crate) fn is_named_by(&self, resource: &str) -> bool {
        let known = Url::parse(resource).ok().filter(|url| {
            url.fragment().is_none()
                && url.query().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        known.is_some_and(|url| {
            let text = url.as_str().trim_end_matches('/');
            let path = text.strip_prefix(&self.issuer);
            text == self.resource || path.is_some_and(|path| ALIASES.contains(&path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_the_origin_and_only_loopback_goes_without_tls() {
        for (url, resource, issuer) in [
            ("https://relay.example", "https://relay.example", "https://relay.example"),
            ("https://Relay.example:443/mcp/", "https://relay.example/mcp", "https://relay.example"),
            ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000"),
            ("http://[::1]:8000", "http://[::1]:8000", "http://[::1]:8000"),
        ] {
            let url = PublicUrl::new(&Url::parse(url).unwrap()).unwrap();
            assert_eq!((url.resource(), url.issuer()), (resource, issuer));
            assert!(
                url.is_named_by(resource)
                    && url.is_named_by(issuer)
                    && url.is_named_by(&format!("{issuer}/"))
            );
        }
        for bad in [
            "http://relay.example",
            "https://a@relay.example",
            "https://relay.example/?q",
            "https://r.example/#f",
        ] {
            assert!(PublicUrl::new(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_resource_is_not_this_server() {
        let url = PublicUrl::new(&Url::parse("https://relay.example/mcp").unwrap()).unwrap();
        for other in [
            "https://relay.example.evil/mcp",
            "https://evil.example/mcp",
            "http://relay.example/mcp",
            "https://relay.example:8443/mcp",
            "https://relay.example/mcp/x",
            "https://relay.example/mcp?x",
            "https://relay.example/mcp#x",
            "https://relay.example@evil.example/mcp",
            "relay.example",
            "",
        ] {
            assert!(!url.is_named_by(other), "{other}");
        }
    }
}
