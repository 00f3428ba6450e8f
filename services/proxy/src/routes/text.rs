//! Tests of one text: equality, prefix, pattern, regular expression, or host of a URL. Must not know rules.

use std::fmt;

use regex::{Regex, RegexBuilder};
use runtime::glob::Glob;
use url::{Host, Url};

/// Memory that one compiled expression may take, in bytes.
const MAX_REGEX_MEMORY: usize = 1 << 20;

/// Length of an expression's text, in bytes.
const MAX_REGEX_LENGTH: usize = 4096;

/// A test of one text.
#[derive(Clone, Debug)]
pub(crate) enum TextMatch {
    Equals(String),
    Prefix(String),
    /// A name, or the beginning of names.
    Name(Glob),
    /// Matches anywhere in the text, unless the expression has anchors.
    Regex(Regex),
    /// The text is a URL with this host.
    Host(HostMatch),
}

/// A host name, or all subdomains of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostMatch {
    Exact(String),
    /// The parent domain with a leading dot.
    Subdomain(String),
}

impl TextMatch {
    pub(super) fn regex(text: &str) -> Result<Self, String> {
        if text.len() > MAX_REGEX_LENGTH {
            return Err(format!("a regular expression of at most {MAX_REGEX_LENGTH} bytes"));
        }
        let built =
            RegexBuilder::new(text).size_limit(MAX_REGEX_MEMORY).dfa_size_limit(MAX_REGEX_MEMORY).build();
        built.map(Self::Regex).map_err(|error| {
            let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            format!("a regular expression of the Rust regex syntax ({last})")
        })
    }

    pub(super) fn host(text: &str) -> Result<Self, String> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let expected = "a host name, or *. and the end of one, without scheme, port and path";
        match Host::parse(name.trim_end_matches('.')) {
            // URLs allow `*` in host names; in a pattern it is a mistake.
            Ok(Host::Domain(name)) if name.contains('*') => Err(expected.into()),
            Ok(host) if below => match host {
                Host::Domain(name) => Ok(Self::Host(HostMatch::Subdomain(format!(".{name}")))),
                Host::Ipv4(_) | Host::Ipv6(_) => Err(expected.into()),
            },
            Ok(host) => Ok(Self::Host(HostMatch::Exact(host.to_string()))),
            Err(_) => Err(expected.into()),
        }
    }

    /// Parses a name, or a prefix that ends with `*`.
    pub(super) fn name_or_prefix(text: &str) -> Result<Self, String> {
        let glob = Glob::name_or_beginning(text);
        glob.map(Self::Name).ok_or_else(|| "a name, a beginning with * at its end, or {regex: …}".into())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => wanted == text,
            Self::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Self::Name(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Host(host) => {
                Url::parse(text).is_ok_and(|url| url.host_str().is_some_and(|name| host.matches(name)))
            }
        }
    }
}

impl HostMatch {
    fn matches(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        match self {
            Self::Exact(wanted) => wanted.eq_ignore_ascii_case(host),
            Self::Subdomain(suffix) => {
                let at = host.len().saturating_sub(suffix.len());
                at > 0 && host.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

/// Reads well after "is not".
impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(text) => write!(f, "{text:?}"),
            Self::Name(glob) => write!(f, "\"{glob}\""),
            Self::Prefix(text) => write!(f, "a text that begins with {text:?}"),
            Self::Regex(regex) => write!(f, "a text that matches /{regex}/"),
            Self::Host(HostMatch::Exact(host)) => write!(f, "a URL on the host {host}"),
            Self::Host(HostMatch::Subdomain(suffix)) => write!(f, "a URL on a host of *{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pattern_matches_the_host_of_a_url_only() {
        let exact = TextMatch::host("Git.Example").unwrap();
        let below = TextMatch::host("*.example.com").unwrap();
        for (text, is_exact, is_below) in [
            ("https://git.example/a/b", true, false),
            ("https://user:pw@GIT.example.:8443/a", true, false),
            ("ssh://git.EXAMPLE/a", true, false),
            ("https://git.example@evil.net/", false, false),
            ("https://evil.net/git.example", false, false),
            ("https://a.b.example.com/", false, true),
            ("https://example.com/", false, false),
            ("https://badexample.com/", false, false),
            ("git.example", false, false),
            ("", false, false),
        ] {
            assert_eq!((exact.matches(text), below.matches(text)), (is_exact, is_below), "{text}");
        }
        for error in ["https://x", "a b", "*.127.0.0.1", "x/y", "*"] {
            assert!(TextMatch::host(error).is_err(), "{error}");
        }
    }

    #[test]
    fn a_star_is_allowed_at_the_end_of_a_name_only() {
        let of = |text| TextMatch::name_or_prefix(text).unwrap();
        assert!(of("deploy").matches("deploy") && !of("deploy").matches("deploy_x"));
        assert!(of("deploy_*").matches("deploy_x") && !of("deploy_*").matches("deploy"));
        assert!(of("*").matches("anything"));
        assert!(TextMatch::name_or_prefix("a*b").is_err() && TextMatch::name_or_prefix("a**").is_err());
    }

    #[test]
    fn regular_expressions_are_bounded_in_length_and_memory() {
        assert!(TextMatch::regex("^a[0-9]+$").unwrap().matches("a12"));
        for error in ["(", "(a{1000}){1000}", &"a".repeat(5000)] {
            assert!(TextMatch::regex(error).is_err(), "{}", &error[..error.len().min(20)]);
        }
    }
}
