//! What a text must be: equal, with a beginning, a regular expression, or a URL on a host. Knows no rule.

use std::fmt;

use regex::{Regex, RegexBuilder};
use url::{Host, Url};

/// Most memory of one compiled expression, in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// Longest expression, in bytes.
const REGEX_TEXT: usize = 4096;

/// A test of one text.
#[derive(Clone, Debug)]
pub(crate) enum TextMatch {
    Equals(String),
    Prefix(String),
    /// Found anywhere in the text, unless it has anchors.
    Regex(Regex),
    /// The text is a URL, and this is its host.
    Host(HostMatch),
}

/// A host, or all below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostMatch {
    Exact(String),
    /// With the dot in front.
    Below(String),
}

impl TextMatch {
    pub(super) fn regex(text: &str) -> Result<Self, String> {
        if text.len() > REGEX_TEXT {
            return Err(format!("a regular expression of at most {REGEX_TEXT} bytes"));
        }
        let built = RegexBuilder::new(text).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE).build();
        built.map(Self::Regex).map_err(|error| {
            let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            format!("a regular expression of the Rust regex syntax ({last})")
        })
    }

    pub(super) fn host(text: &str) -> Result<Self, String> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let expected = "a host name, or *. and the end of one, without scheme, port and path";
        match Host::parse(name.trim_end_matches('.')) {
            // A host name as URLs may have it; as a pattern it was meant as something else.
            Ok(Host::Domain(name)) if name.contains('*') => Err(expected.into()),
            Ok(host) if below => match host {
                Host::Domain(name) => Ok(Self::Host(HostMatch::Below(format!(".{name}")))),
                Host::Ipv4(_) | Host::Ipv6(_) => Err(expected.into()),
            },
            Ok(host) => Ok(Self::Host(HostMatch::Exact(host.to_string()))),
            Err(_) => Err(expected.into()),
        }
    }

    /// `*` at the end makes it a beginning, as tools are named.
    pub(super) fn with_star(text: &str) -> Result<Self, String> {
        match text.strip_suffix('*') {
            Some(prefix) if !prefix.contains('*') => Ok(Self::Prefix(prefix.to_owned())),
            None if !text.contains('*') => Ok(Self::Equals(text.to_owned())),
            _ => Err("a name, a beginning with * at its end, or {regex: …}".into()),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => wanted == text,
            Self::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Self::Regex(regex) => regex.is_match(text),
            Self::Host(host) => Url::parse(text).is_ok_and(|url| url.host_str().is_some_and(|h| host.is(h))),
        }
    }
}

impl HostMatch {
    fn is(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        match self {
            Self::Exact(wanted) => wanted.eq_ignore_ascii_case(host),
            Self::Below(end) => {
                let at = host.len().saturating_sub(end.len());
                at > 0 && host.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
            }
        }
    }
}

/// To be read after "is not".
impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(text) => write!(f, "{text:?}"),
            Self::Prefix(text) => write!(f, "a text that begins with {text:?}"),
            Self::Regex(regex) => write!(f, "a text that matches /{regex}/"),
            Self::Host(HostMatch::Exact(host)) => write!(f, "a URL on the host {host}"),
            Self::Host(HostMatch::Below(end)) => write!(f, "a URL on a host of *{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_the_url_and_of_nothing_else() {
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
    fn tools_are_named_whole_or_by_their_beginning() {
        let of = |text| TextMatch::with_star(text).unwrap();
        assert!(of("deploy").matches("deploy") && !of("deploy").matches("deploy_x"));
        assert!(of("deploy_*").matches("deploy_x") && !of("deploy_*").matches("deploy"));
        assert!(of("*").matches("anything"));
        assert!(TextMatch::with_star("a*b").is_err() && TextMatch::with_star("a**").is_err());
    }

    #[test]
    fn expressions_are_bounded() {
        assert!(TextMatch::regex("^a[0-9]+$").unwrap().matches("a12"));
        for error in ["(", "(a{1000}){1000}", &"a".repeat(5000)] {
            assert!(TextMatch::regex(error).is_err(), "{}", &error[..error.len().min(20)]);
        }
    }
}
