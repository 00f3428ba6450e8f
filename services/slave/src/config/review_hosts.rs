//! The hosts that a review may name (`MR_PILOT_HOSTS`), and the reader of what a client names. Must not know the CLI.

use std::fmt;

use runtime::env::parse;
use url::{Host, Url};

/// Hosts that may always be named unless the variable says otherwise.
const PUBLIC: [&str; 2] = ["gitlab.com", "github.com"];

/// The hosts that a review may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewHosts(Vec<Pattern>);

/// A host, or all hosts below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// `*`.
    Any,
    /// `host` or `host:port`; without a port, the default port of `https` and `http`.
    Host { name: String, port: Option<u16> },
    /// `*.domain`: every host below it, on its scheme's default port.
    Below { suffix: String },
}

/// The reason why a reference to a change is refused. The text is for the model that made the call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewHostError {
    /// Neither a number nor the URL of a page.
    #[error("is neither a number nor an http:// or https:// URL")]
    NotUrl,
    /// Parts that make programs disagree about the host.
    #[error(
        "has a user name, a password, a backslash or a second URL in it: give the plain URL of the change"
    )]
    Ambiguous,
    /// A host that may not be named.
    #[error(
        "names the host {host:?}, which MR_PILOT_HOSTS of this slave does not allow (allowed: {allowed})"
    )]
    Refused {
        /// The host, with its port if that is not the default.
        host: String,
        /// The hosts that may be named.
        allowed: String,
    },
}

impl Default for ReviewHosts {
    /// Returns the public hosts.
    fn default() -> Self {
        let host = |name: &str| Pattern::Host { name: name.to_owned(), port: None };
        Self(PUBLIC.map(host).into())
    }
}

impl ReviewHosts {
    /// Parses `MR_PILOT_HOSTS`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let patterns: Result<Vec<_>, String> = parse::list(text).map(Pattern::parse).collect();
        patterns.and_then(|found| if found.is_empty() { Err(EXPECTED.into()) } else { Ok(Self(found)) })
    }

    /// Allows the host of a platform's API as well.
    pub(super) fn with_api(mut self, api: &Url) -> Self {
        if let Some(name) = host_of(api) {
            self.0.push(Pattern::Host { name, port: api.port() });
        }
        self
    }

    /// Returns what the client named, in the one form that every program reads alike: a number or word without a host as it
    /// stands, a URL in its canonical form, whose host is allowed.
    pub(crate) fn check(&self, text: &str) -> Result<String, ReviewHostError> {
        let hostless = |c: char| c.is_ascii_alphanumeric() || "_-!#".contains(c);
        if text.chars().all(hostless) {
            return Ok(text.to_owned());
        }
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("https://") && !lower.starts_with("http://") {
            return Err(ReviewHostError::NotUrl);
        }
        let rest = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        if rest.contains(['\\', '@']) || rest.contains("://") || text.contains(char::is_control) {
            return Err(ReviewHostError::Ambiguous);
        }
        let mut url = Url::parse(text).map_err(|_| ReviewHostError::NotUrl)?;
        let name = host_of(&url).ok_or(ReviewHostError::NotUrl)?;
        if !self.0.iter().any(|pattern| pattern.matches(&name, url.port())) {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            return Err(ReviewHostError::Refused {
                host: format!("{name}{port}"),
                allowed: self.to_string(),
            });
        }
        // Without the dot at the end, with which the same name is written as an absolute one.
        url.set_host(Some(&name)).map_err(|_| ReviewHostError::NotUrl)?;
        Ok(url.into())
    }
}

const EXPECTED: &str = "hosts separated by commas, each as host, host:port or *.domain; or * for every host";

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let url = Url::parse(&format!("https://{rest}/")).map_err(|_| EXPECTED)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let alone = url.username().is_empty() && url.password().is_none() && !rest.contains(['/', '*', '\\']);
        let name = host_of(&url).filter(|_| bare && alone).ok_or(EXPECTED)?;
        match (below, url.port()) {
            (false, port) => Ok(Self::Host { name, port }),
            (true, None) if matches!(url.host(), Some(Host::Domain(_))) => {
                Ok(Self::Below { suffix: format!(".{name}") })
            }
            (true, _) => Err(EXPECTED.into()),
        }
    }

    /// `port` is `None` for the default port of the scheme.
    fn matches(&self, host: &str, port: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::Host { name, port: allowed } => name == host && *allowed == port,
            Self::Below { suffix } => port.is_none() && host.ends_with(suffix),
        }
    }
}

/// Returns the host in lower case, names in their ASCII form and without the dot at their end, IPv6 addresses in brackets.
fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(host.strip_suffix('.').unwrap_or(host).to_owned()).filter(|host| !host.is_empty())
}

impl fmt::Display for ReviewHosts {
    /// Writes the hosts as the variable has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match pattern {
                Pattern::Any => f.write_str("*")?,
                Pattern::Host { name, port: None } => f.write_str(name)?,
                Pattern::Host { name, port: Some(port) } => write!(f, "{name}:{port}")?,
                Pattern::Below { suffix } => write!(f, "*{suffix}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> ReviewHosts {
        ReviewHosts::parse(text).unwrap()
    }

    #[test]
    fn allowed_hosts_are_passed_on_in_canonical_form() {
        let hosts = hosts("gitlab.com, git.corp.example:8443, *.ghe.com, münchen.example, 10.0.0.7, [::1]");
        for (text, expected) in [
            ("42", "42"),
            ("!42", "!42"),
            ("https://gitlab.com/a/b/-/merge_requests/7", "https://gitlab.com/a/b/-/merge_requests/7"),
            ("HTTPS://GitLab.COM/A/b/-/merge_requests/7", "https://gitlab.com/A/b/-/merge_requests/7"),
            ("https://gitlab.com./a/b", "https://gitlab.com/a/b"),
            ("https://gitlab.com:443/a", "https://gitlab.com/a"),
            ("http://gitlab.com:80/a?b#note_1", "http://gitlab.com/a?b#note_1"),
            ("https://git.corp.example:8443/a", "https://git.corp.example:8443/a"),
            ("https://acme.ghe.com/o/r/pull/1", "https://acme.ghe.com/o/r/pull/1"),
            ("https://MÜNCHEN.example/a", "https://xn--mnchen-3ya.example/a"),
            ("https://0x0a000007/a", "https://10.0.0.7/a"),
            ("https://[0:0::1]/a", "https://[::1]/a"),
        ] {
            assert_eq!(hosts.check(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(ReviewHosts::parse("*").unwrap().check("https://anything.example/x").is_ok());
    }

    #[test]
    fn no_other_host_can_be_named() {
        let hosts = hosts("gitlab.com,*.ghe.com,git.corp.example:8443");
        for text in [
            "https://evil.example/a/b/-/merge_requests/1",
            "https://gitlab.com.evil.example/a",
            "https://notgitlab.com/a",
            "https://ghe.com/a",
            "https://evilghe.com/a",
            "https://gitlab.com:8443/a",
            "https://acme.ghe.com:8443/a",
            "https://git.corp.example/a",
            "https://gıtlab.com/a",
            "https://gitlab%2ecom.evil.example/",
            "https://127.0.0.1/a",
            "https://2130706433/a",
            "https://[::1]/a",
            "https:///evil.example/a",
        ] {
            assert!(
                matches!(hosts.check(text), Err(ReviewHostError::Refused { .. })),
                "{text}: {:?}",
                hosts.check(text)
            );
        }
        for text in [
            "https://gitlab.com@evil.example/a",
            "https://evil.example@gitlab.com/a",
            "https://u:p@gitlab.com/a",
            "https://gitlab.com\\.evil.example/a",
            "https://evil.example\\@gitlab.com/a",
            "https://gitlab.com/https://evil.example/a",
            "https://gitlab.com/a\nb",
            "https://git\tlab.com/a",
        ] {
            assert_eq!(hosts.check(text), Err(ReviewHostError::Ambiguous), "{text}");
        }
        for text in [
            "gitlab.com/a/b",
            "git@gitlab.com:a/b",
            "ssh://gitlab.com/a",
            "file:///etc/passwd",
            "//evil.example/a",
            "a b",
            "../x",
            "https:gitlab.com/a",
            "https://",
        ] {
            assert_eq!(hosts.check(text), Err(ReviewHostError::NotUrl), "{text}");
        }
    }

    #[test]
    fn the_default_is_the_public_hosts_and_the_configured_platform() {
        let hosts =
            ReviewHosts::default().with_api(&Url::parse("https://git.corp.example:8443/api/v4").unwrap());
        assert_eq!(hosts.to_string(), "gitlab.com, github.com, git.corp.example:8443");
        assert!(hosts.check("https://github.com/o/r/pull/1").is_ok());
        assert!(hosts.check("https://git.corp.example:8443/a/b/-/merge_requests/1").is_ok());
        let refused = hosts.check("https://evil.example/x").unwrap_err().to_string();
        assert!(refused.contains("MR_PILOT_HOSTS") && refused.contains("evil.example"), "{refused}");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            ",",
            "https://gitlab.com",
            "gitlab.com/x",
            "u@gitlab.com",
            "*.10.0.0.1",
            "*.a:1",
            "a*b",
            "a b",
            "host:99999",
        ] {
            assert!(ReviewHosts::parse(bad).is_err(), "{bad}");
        }
    }
}
