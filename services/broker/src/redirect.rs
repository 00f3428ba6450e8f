//! Redirect URIs: which may be registered, and which one a request may name (OAuth 2.1, 2.3.1; RFC 8252, 7). Must not know clients.

use url::{Host, Url};

/// Longest redirect URI, in bytes.
const MAX_LENGTH: usize = 1024;

/// Schemes that name no application.
const REFUSED: [&str; 17] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "filesystem",
    "view-source",
    "ws",
    "wss",
    "ftp",
    "mailto",
    "tel",
    "sms",
    "chrome",
    "resource",
    "jar",
];

/// Hosts of this machine, as they stand in a URI.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Checks a redirect URI of a client's metadata: https, http on this machine, or a scheme of an application.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_LENGTH
        || !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\<>\"^`{|}".contains(&byte))
    {
        return Err("a redirect URI is too long or has characters that a URI cannot have");
    }
    let url = Url::parse(text).map_err(|_| "a redirect URI is no absolute URI")?;
    if text.contains('#') {
        return Err("a redirect URI has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("a redirect URI has credentials");
    }
    // Browsers take more in a host, a content security policy does not.
    if !authority(text).bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)) {
        return Err("a redirect URI has a wildcard, or another character that no host has");
    }
    match url.scheme() {
        "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(()),
        "http" if loopback_parts(text).is_some() => Ok(()),
        "http" | "https" => Err("a redirect URI with http is of another host than this machine"),
        scheme if REFUSED.contains(&scheme) => Err("a redirect URI has a scheme that no application has"),
        _ => Ok(()),
    }
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Returns whether a request may name `presented` where `registered` is: letter by letter, but any port on this machine.
pub(crate) fn matches(registered: &str, presented: &str) -> bool {
    if registered == presented {
        return true;
    }
    match (loopback_parts(registered), loopback_parts(presented)) {
        (Some(registered), Some(presented)) => registered == presented,
        _ => false,
    }
}

/// Returns host and everything behind the port of an `http` URI of this machine.
fn loopback_parts(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("http://")?;
    let host = LOOPBACK.into_iter().find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let (port, rest) = match rest.strip_prefix(':') {
        None => (None, rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            (Some(&rest[..digits]), &rest[digits..])
        }
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    (is_port && (rest.is_empty() || rest.starts_with(['/', '?']))).then_some((host, rest))
}

/// Returns where a browser goes with a redirect URI, for people: a host, or the scheme of an application.
pub(crate) fn destination(uri: &str) -> String {
    if loopback_parts(uri).is_some() {
        return "a program on this computer".to_owned();
    }
    let url = Url::parse(uri).ok();
    match url.as_ref().map(|url| (url.scheme(), url.host())) {
        Some(("https", Some(Host::Domain(name)))) => name.to_owned(),
        Some(("https", Some(host))) => host.to_string(),
        Some((scheme, _)) => format!("the application of {scheme}:"),
        None => "an unknown place".to_owned(),
    }
}

/// Returns a redirect URI's source for `form-action` of a content security policy.
pub(crate) fn csp_source(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url.origin().ascii_serialization(),
        Ok(url) => format!("{}:", url.scheme()),
        Err(_) => String::new(),
    }
}

/// Returns a redirect URI with more parameters in its query.
pub(crate) fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let joint = if !uri.contains('?') {
        "?"
    } else if uri.ends_with(['?', '&']) {
        ""
    } else {
        "&"
    };
    format!("{uri}{joint}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uris_that_name_an_application_are_registered() {
        for good in [
            "https://client.example/cb",
            "https://client.example/cb?x=1",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:3000/cb",
            "http://[::1]:3000/cb",
            "http://localhost:3000/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/cb",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "//client.example/cb",
            "http://client.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1@evil.example/cb",
            "http://2130706433/cb",
            "https://user@client.example/cb",
            "https://@client.example/cb",
            "https://*.example/cb",
            "https://client.example;script-src/cb",
            "https://client.example,evil/cb",
            "https://client%2eexample/cb",
            "https://client.example/cb#f",
            "https://client.example/cb#",
            "https://client.example\\@evil.example/cb",
            "https://client.example/c b",
            "https://client.example/\r\nX: y",
            "https://client.example/\u{e9}",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "blob:https://x",
            "view-source:https://x",
            "ws://127.0.0.1/",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("https://client.example/{}", "x".repeat(MAX_LENGTH))).is_err());
    }

    #[test]
    fn a_request_names_a_registered_uri_exactly_but_for_the_port_on_this_machine() {
        for (registered, presented) in [
            ("https://client.example/cb", "https://client.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:4711/cb"),
            ("http://127.0.0.1:1/cb?a=b", "http://127.0.0.1:2/cb?a=b"),
            ("http://localhost:1/cb", "http://localhost/cb"),
            ("http://[::1]:1/cb", "http://[::1]:2/cb"),
        ] {
            assert!(matches(registered, presented), "{registered} {presented}");
        }
        for (registered, presented) in [
            ("https://client.example/cb", "https://client.example/cb/"),
            ("https://client.example/cb", "https://client.example/cb?x"),
            ("https://client.example/cb", "https://client.example:443/cb"),
            ("https://client.example/cb", "https://CLIENT.example/cb"),
            ("https://client.example/cb", "https://client.example/%63b"),
            ("https://client.example/cb", "https://client.example/x/../cb"),
            ("https://client.example/cb", "https://client.example.evil/cb"),
            ("https://client.example:1/cb", "https://client.example:2/cb"),
            ("https://client.example/cb", "http://client.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/other"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb#x"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
            ("com.example.app:/cb", "com.example.app:/cb2"),
        ] {
            assert!(!matches(registered, presented), "{registered} {presented}");
        }
    }

    #[test]
    fn parameters_are_added_to_what_is_there_and_encoded() {
        let with = |uri| with_parameters(uri, &[("code", "a b&c"), ("iss", "https://x")]);
        assert_eq!(with("https://c.example/cb"), "https://c.example/cb?code=a+b%26c&iss=https%3A%2F%2Fx");
        assert_eq!(
            with("https://c.example/cb?a=1"),
            "https://c.example/cb?a=1&code=a+b%26c&iss=https%3A%2F%2Fx"
        );
        assert_eq!(with("https://c.example/cb?"), "https://c.example/cb?code=a+b%26c&iss=https%3A%2F%2Fx");
    }

    #[test]
    fn destinations_and_sources_are_of_the_uri() {
        assert_eq!(destination("https://client.example:8443/cb"), "client.example");
        assert_eq!(destination("http://localhost:1/cb"), "a program on this computer");
        assert_eq!(destination("cursor://x/cb"), "the application of cursor:");
        assert_eq!(csp_source("https://client.example:8443/cb?x"), "https://client.example:8443");
        assert_eq!(csp_source("http://127.0.0.1:1/cb"), "http://127.0.0.1:1");
        assert_eq!(csp_source("cursor://x/cb"), "cursor:");
    }
}
