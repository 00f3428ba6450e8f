//! URLs of forward proxies, as environments have them: `http://user:password@host:port`, often without a scheme. Must not know
//! connections. No text of this module has a part of a URL behind which a credential may stand.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use url::Url;

/// Why a URL names no forward proxy that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// It is a proxy of another kind, say SOCKS.
    #[error("http://[user:password@]host[:port] or https://…, since no other kind of proxy can be used")]
    Scheme,
    /// It is no URL of a proxy.
    #[error(
        "http://[user:password@]host[:port] or https://… without a path; of user and password the characters @ : / ? # % \\ and spaces percent-encoded (%40 for @)"
    )]
    Form,
}

/// The parts of a forward proxy's URL.
#[derive(Clone)]
pub(super) struct ProxyUrl {
    pub(super) is_tls: bool,
    /// IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `Basic` credentials (RFC 7617), marked as sensitive.
    pub(super) authorization: Option<HeaderValue>,
}

impl ProxyUrl {
    pub(super) fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let text = text.trim();
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        // The URL library takes a backslash for a slash, and drops tabs and line ends.
        if text.chars().any(|c| c == '\\' || c.is_whitespace() || c.is_control()) {
            return Err(ProxyUrlError::Form);
        }
        let url = Url::parse(&with_scheme).map_err(|_| ProxyUrlError::Form)?;
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(ProxyUrlError::Scheme),
        };
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| bare && !host.is_empty()).ok_or(ProxyUrlError::Form)?;
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(ProxyUrlError::Form)?;
        Ok(Self { is_tls, host: host.to_owned(), port, authorization: authorization(&url)? })
    }
}

/// Returns the URL's user and password as a header.
fn authorization(url: &Url) -> Result<Option<HeaderValue>, ProxyUrlError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair = decoded(url.username());
    // The user ends at the first colon (RFC 7617, 2), so that none has one.
    if pair.contains(&b':') {
        return Err(ProxyUrlError::Form);
    }
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| ProxyUrlError::Form)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Returns percent-encoded text decoded; what is no code stays.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut decoded) = (text.as_bytes(), Vec::with_capacity(text.len()));
    while let Some((first, rest)) = bytes.split_first() {
        let code = (*first == b'%').then(|| rest.get(..2)).flatten();
        let code = code.filter(|code| code.iter().all(u8::is_ascii_hexdigit));
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        bytes = if byte.is_some() { &rest[2..] } else { rest };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match ProxyUrl::parse(text) {
            Ok(url) => {
                let credentials = url.authorization.map(|value| {
                    assert!(value.is_sensitive());
                    let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
                    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
                });
                format!("{} {}:{} {}", url.is_tls, url.host, url.port, credentials.unwrap_or_default())
            }
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn proxies_are_read_as_environments_have_them() {
        for (text, expected) in [
            ("http://squid.corp:3128", "false squid.corp:3128 "),
            ("squid.corp:3128", "false squid.corp:3128 "),
            ("squid", "false squid:80 "),
            (" http://squid:3128/ ", "false squid:3128 "),
            ("HTTP://Squid:3128", "false squid:3128 "),
            ("https://squid", "true squid:443 "),
            ("http://10.0.0.1:8080", "false 10.0.0.1:8080 "),
            ("http://[::1]:8080", "false [::1]:8080 "),
            ("http://ann:hush@squid:3128", "false squid:3128 ann:hush"),
            ("ann:hush@squid:3128", "false squid:3128 ann:hush"),
            ("http://ann@squid:3128", "false squid:3128 ann:"),
            ("http://:hush@squid:3128", "false squid:3128 :hush"),
            ("http://CORP%5Cann:p%40ss%3A%2F%25@squid:3128", "false squid:3128 CORP\\ann:p@ss:/%"),
            ("http://ann:p@ss@squid:3128", "false squid:3128 ann:p@ss"),
            ("http://ann:100%@squid:3128", "false squid:3128 ann:100%"),
            ("http://ann:%zz%4@squid:3128", "false squid:3128 ann:%zz%4"),
            ("http://ann:m%C3%BC@squid:3128", "false squid:3128 ann:mü"),
            ("http://ann:a:b@squid:3128", "false squid:3128 ann:a:b"),
            ("http://a%3An:hush@squid:3128", "Form"),
            ("socks5://squid:1080", "Scheme"),
            ("ftp://squid", "Scheme"),
            ("http://", "Form"),
            ("http://squid:0", "Form"),
            ("http://squid:port", "Form"),
            ("http://squid:99999", "Form"),
            ("http://squid/path", "Form"),
            ("http://squid?x", "Form"),
            ("http://CORP\\ann:hush@squid:3128", "Form"),
            ("http://ann:hu sh@squid", "Form"),
            ("http://ann:hu/sh@squid:3128", "Form"),
            ("http://ann:hu#sh@squid:3128", "Form"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn no_error_has_a_part_of_the_url() {
        for error in [ProxyUrlError::Scheme, ProxyUrlError::Form] {
            assert!(error.to_string().starts_with("http://[user:password@]host[:port]"));
        }
    }
}
