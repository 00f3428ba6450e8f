//! The types and parsers of values that only a slave reads. Must not know which part uses them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use protocol::link::handshake::check_slave_name;
use runtime::env::parse;
use runtime::io_fault::describe;
use runtime::outbound::{Channel, OutboundRules, Way};
use runtime::tls::TlsPeer;
use url::Url;

/// `PROXY_SERVER_URL`: a `ws://` or `wss://` URL with a host, without credentials and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// Parses a URL. The error is the expectation, and names the scheme to use in place of HTTP's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "the proxy's WebSocket URL, for example ws://localhost:8001";
        let url = Url::parse(text).map_err(|error| format!("{expected} ({error})"))?;
        match url.scheme() {
            "ws" | "wss" => {}
            "http" => return Err(format!("{expected} (use ws:// in place of http://)")),
            "https" => return Err(format!("{expected} (use wss:// in place of https://)")),
            _ => return Err(format!("{expected} (it must start with ws:// or wss://)")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("{expected} (without user and password: the code goes into SLAVE_CODE)"));
        }
        if url.fragment().is_some() {
            return Err(format!("{expected} (without a # part)"));
        }
        if !url.has_host() || url.port() == Some(0) {
            return Err(format!("{expected} (with a host and a real port)"));
        }
        Ok(Self(url))
    }

    /// Returns the whole URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Returns the host name or address (IPv6 without brackets).
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// Returns the port, or the default of the scheme (80, 443).
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// Returns the host (IPv6 in brackets) and the port.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.0.host_str().unwrap_or_default(), self.port())
    }

    /// Returns the way to the proxy. All connections through a forward proxy are tunnels.
    pub fn way(&self, ways: &OutboundRules) -> Way {
        let channel = if self.is_tls() { Channel::Tls } else { Channel::Plain };
        ways.to(channel, self.host(), self.port())
    }

    /// Returns the server of the URL, for [`runtime::tls::explain()`].
    pub fn tls_peer(&self) -> TlsPeer<'_> {
        TlsPeer::Server {
            host: self.host(),
            roots: "PROXY_CA_FILE, EXTRA_CA_FILE or SSL_CERT_FILE",
            identity: Some("PROXY_CLIENT_CERT and PROXY_CLIENT_KEY"),
            plain: "ws://",
            protocol: "http/1.1",
        }
    }

    /// Returns whether the URL requires TLS (`wss`).
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "wss"
    }
}

impl ProxyUrl {
    /// Returns scheme, host and port alone.
    pub(crate) fn origin(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{}://{host}:{}", self.0.scheme(), self.port())
    }
}

impl fmt::Display for ProxyUrl {
    /// Writes the URL as people do, without the slash of an empty path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        let bare = self.0.path() == "/" && self.0.query().is_none();
        f.write_str(if bare { text.trim_end_matches('/') } else { text })
    }
}

/// Parses `PROXY_SERVER_URL`: one or several URLs, in the order given, without duplicates.
pub(super) fn proxies(text: &str) -> Result<Vec<ProxyUrl>, String> {
    let mut proxies = Vec::new();
    for part in parse::list(text) {
        let url = ProxyUrl::parse(part)?;
        if !proxies.contains(&url) {
            proxies.push(url);
        }
    }
    if proxies.is_empty() { ProxyUrl::parse(text).map(|url| vec![url]) } else { Ok(proxies) }
}

/// What becomes of a backends file of which an entry cannot be used (`SLAVE_STRICT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// The entry is left out.
    #[default]
    Entry,
    /// The whole file is refused.
    File,
}

/// Parses `SLAVE_NAME`.
pub(super) fn name(text: &str) -> Result<String, String> {
    check_slave_name(text).map_err(|_| "1 to 63 letters, digits, '-', '_' or '.'")?;
    Ok(text.to_owned())
}

/// Returns a valid name that is as close as possible to that of the host.
pub(super) fn name_of_host(host: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = host.chars().map(valid).take(63).collect();
    if check_slave_name(&name).is_ok() { name } else { "slave".into() }
}

/// Parses `SLAVE_LABELS`; a key may occur only once.
pub(super) fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let expected = || "key=value pairs separated by commas, keys of 1 to 63 and values of at most 255 characters, each key once";
    let mut labels = BTreeMap::new();
    for pair in parse::list(text) {
        let (key, value) = pair.split_once('=').map(|(k, v)| (k.trim(), v.trim())).ok_or_else(expected)?;
        let fits = (1..=63).contains(&key.len()) && value.len() <= 255;
        if !fits || labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(expected().into());
        }
    }
    Ok(labels)
}

/// Parses the issuer of tokens.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let is_plain = text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain {
        Ok(text.to_owned())
    } else {
        Err("a URI, such as https://tools.example, of at most 255 characters".into())
    }
}

/// Parses `SLAVE_BACKENDS`, and checks the file so that a wrong path is reported with the other problems.
pub(super) fn readable_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let opened = std::fs::File::open(&path).and_then(|file| file.metadata());
    match opened {
        Ok(about) if about.is_file() => Ok(path),
        Ok(_) => Err("the path of a file (this is none)".into()),
        Err(error) => Err(format!("the path of a readable file ({})", describe(&error))),
    }
}

/// Parses `MR_PILOT_CWD`: the absolute path of a directory that is there.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text)
        .map_err(|error| format!("the path of a directory ({})", describe(&error)))?;
    match std::fs::metadata(&path) {
        Ok(about) if about.is_dir() => Ok(path),
        Ok(_) => Err("the path of a directory (this is none)".into()),
        Err(error) => Err(format!("the path of a directory ({})", describe(&error))),
    }
}

/// Parses `MR_PILOT_ENV`: names of variables, separated by commas.
pub(super) fn variable_names(text: &str) -> Result<Vec<String>, String> {
    let valid = |name: &str| {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let names: Vec<String> = parse::list(text).map(str::to_owned).collect();
    let expected =
        "names of variables separated by commas, for example HTTP_AGENT,NODE_OPTIONS (without values)";
    if names.iter().all(|name| valid(name)) { Ok(names) } else { Err(expected.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_proxy_urls_say_what_to_use_instead() {
        let url = ProxyUrl::parse("wss://relay.example/ws?x=1").unwrap();
        assert_eq!((url.host(), url.port(), url.is_tls()), ("relay.example", 443, true));
        assert_eq!(url.to_string(), "wss://relay.example/ws?x=1");
        let url = ProxyUrl::parse("ws://[::1]:8001").unwrap();
        assert_eq!(url.to_string(), "ws://[::1]:8001");
        assert_eq!((url.host(), url.port(), url.is_tls()), ("::1", 8001, false));
        for (bad, hint) in [
            ("http://localhost:8001", "use ws://"),
            ("https://relay.example", "use wss://"),
            ("localhost:8001", "must start with"),
            ("relay", "relative URL"),
            ("ws://", "host"),
            ("ws://u:p@h", "SLAVE_CODE"),
            ("ws://h:0", "real port"),
            ("ws://h/#x", "#"),
            ("ws://h:99999", "port"),
        ] {
            let error = ProxyUrl::parse(bad).unwrap_err();
            assert!(error.contains(hint) && error.contains("ws://localhost:8001"), "{bad}: {error}");
        }
    }

    #[test]
    fn several_urls_are_a_list() {
        let read = |text| proxies(text).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read("ws://a:1 , ws://b:1,ws://a:1").unwrap(), ["ws://a:1", "ws://b:1"]);
        assert!(read("ws://a:1,http://b").unwrap_err().contains("use ws://"));
        assert!(read(",").is_err());
    }

    #[test]
    fn host_names_become_valid_names() {
        assert_eq!(name_of_host("web-1.example"), "web-1.example");
        assert_eq!(name_of_host("my host"), "my-host");
        assert_eq!(name_of_host(""), "slave");
        assert_eq!(name_of_host(&"x".repeat(80)).len(), 63);
    }

    #[test]
    fn labels_are_pairs_with_each_key_once() {
        let read = labels("platform=gitlab, region = eu,empty=").unwrap();
        assert_eq!(read["platform"], "gitlab");
        assert_eq!(read["region"], "eu");
        assert_eq!(read["empty"], "");
        for bad in ["x", "=v", "a=1,a=2"] {
            assert!(labels(bad).is_err(), "{bad}");
        }
    }
}
