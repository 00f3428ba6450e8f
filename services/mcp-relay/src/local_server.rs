//! The address of the server that this environment configures: where it answers operators, how it is trusted, and the key
//! for it. Must not know what is asked.

use std::fmt;
use std::path::PathBuf;

use anyhow::ensure;
use runtime::config::{EVERY, ops_listener};
use runtime::env::{Problems, Reader, Snapshot, parse};
use runtime::keys::KeysFile;
use runtime::listen::ListenAddr;
use runtime::tls::ClientFiles;

use crate::command_error::CommandError;
use crate::http::Target;
use crate::mode;

/// A server of this environment, as a client reaches it.
#[derive(Clone, Debug)]
pub(crate) struct LocalServer {
    /// Address and trust.
    pub(crate) target: Target,
    /// Variables that the address comes from, for messages.
    pub(crate) variables: String,
}

impl fmt::Display for LocalServer {
    /// Writes the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.target.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.target)
    }
}

/// Returns the server of this environment: over loopback where it listens on every interface.
pub(crate) fn from_environment(subject: &'static str, snapshot: &Snapshot) -> anyhow::Result<LocalServer> {
    at_address(&address(subject, snapshot)?, snapshot)
}

/// Returns the listening address of the operators' port: `OPS_PORT`, else `MCP_SERVER_PORT`.
pub(crate) fn address(subject: &'static str, snapshot: &Snapshot) -> Result<ListenAddr, Problems> {
    let tables = [EVERY];
    let mut reader = Reader::new(subject, snapshot, &tables);
    let address = ops_listener(&mut reader);
    Ok(reader.finish(address)?.config)
}

/// Returns the server that answers operators at `address`.
pub(crate) fn at_address(address: &ListenAddr, snapshot: &Snapshot) -> anyhow::Result<LocalServer> {
    let ListenAddr { host, port, host_var, port_var } = address;
    ensure!(*port != 0, "{port_var} is 0 (any free port): set the port that the server listens on");
    let certificate = certificate(snapshot);
    let target = Target::of_listener(host, *port).with_certificate(certificate.as_deref())?;
    Ok(LocalServer { target, variables: format!("{host_var}, {port_var}") })
}

/// Returns the server at a URL; `flag` is the option that gave it.
pub(crate) fn at_url(flag: &'static str, url: &str) -> Result<Target, CommandError> {
    let url = parse::http_url(url)
        .map_err(|expected| CommandError::Config(format!("{flag} {url:?}: expected {expected}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let https = url.scheme() == "https";
    let tls = https
        .then(|| ClientFiles::default().load())
        .transpose()
        .map_err(|error| CommandError::Failed(error.into()))?;
    Ok(Target { host, port: url.port_or_known_default().unwrap_or(80), tls })
}

/// Returns the value of `Authorization` for operators' endpoints: the first of `OPS_KEYS` and its file, or of
/// `AUTH_BEARER_KEYS` and its file where operators have no keys of their own.
pub(crate) fn bearer(snapshot: &Snapshot) -> Option<String> {
    let operators = first_key(snapshot, "OPS_KEYS", "OPS_KEYS_FILE");
    let key = operators.or_else(|| first_key(snapshot, "AUTH_BEARER_KEYS", "AUTH_BEARER_KEYS_FILE"))?;
    Some(format!("Bearer {key}"))
}

fn first_key(snapshot: &Snapshot, variable: &str, file: &str) -> Option<String> {
    let listed = snapshot.get(variable).and_then(|keys| parse::list(keys).next()).map(str::to_owned);
    listed.or_else(|| {
        let content = std::fs::read(snapshot.get(file)?).ok()?;
        KeysFile::first_text(&content).map(|key| key.expose().to_owned())
    })
}

/// Returns the certificate file of the operators' port of a proxy of this environment.
fn certificate(snapshot: &Snapshot) -> Option<PathBuf> {
    let clients = clients_certificate(snapshot);
    match snapshot.get("OPS_PORT").and_then(|_| flag(snapshot, "TLS_OPS")) {
        None => clients,
        Some(tls) => proxy_certificate(snapshot).filter(|_| tls),
    }
}

/// Returns the certificate file of the clients' port of a proxy of this environment.
pub(crate) fn clients_certificate(snapshot: &Snapshot) -> Option<PathBuf> {
    proxy_certificate(snapshot).filter(|_| flag(snapshot, "TLS_HTTP").unwrap_or(true))
}

fn proxy_certificate(snapshot: &Snapshot) -> Option<PathBuf> {
    let on = |name: &str| snapshot.get(name).is_some_and(mode::is_on);
    let is_proxy = on("PROXY_MODE") || !on("PROXY_SLAVE");
    snapshot.get("TLS_CERT").filter(|_| is_proxy).map(PathBuf::from)
}

fn flag(snapshot: &Snapshot, name: &str) -> Option<bool> {
    snapshot.get(name).and_then(|value| parse::flag(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> (String, String) {
        let found = from_environment("test", &Snapshot::of(pairs.iter().copied())).unwrap();
        (found.to_string(), found.variables)
    }

    #[test]
    fn the_ops_port_is_used_where_it_is_set() {
        let expected = |url: &str, variables: &str| (url.to_owned(), variables.to_owned());
        assert_eq!(variables(&[]), expected("http://127.0.0.1:8000", "MCP_SERVER_HOST, MCP_SERVER_PORT"));
        let pairs = [("MCP_SERVER_HOST", "0.0.0.0"), ("OPS_PORT", "9100")];
        assert_eq!(variables(&pairs), expected("http://127.0.0.1:9100", "OPS_HOST, OPS_PORT"));
        let pairs = [("OPS_HOST", "::1"), ("OPS_PORT", "9100")];
        assert_eq!(variables(&pairs), expected("http://[::1]:9100", "OPS_HOST, OPS_PORT"));
        let error = from_environment("test", &Snapshot::of([("OPS_PORT", "0")])).unwrap_err().to_string();
        assert!(error.contains("OPS_PORT is 0"), "{error}");
    }

    #[test]
    fn operators_keys_are_sent_where_there_are_any() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "- {sha256: '00'}\n- {key: filed, name: ci}\n").unwrap();
        let file = path.to_str().unwrap();
        for (pairs, expected) in [
            (&[][..], None),
            (&[("AUTH_BEARER_KEYS", "client,other")], Some("Bearer client")),
            (&[("AUTH_BEARER_KEYS", "client"), ("OPS_KEYS", "ops")], Some("Bearer ops")),
            (&[("AUTH_BEARER_KEYS", "client"), ("OPS_KEYS_FILE", file)], Some("Bearer filed")),
            (&[("AUTH_BEARER_KEYS_FILE", file)], Some("Bearer filed")),
        ] {
            assert_eq!(bearer(&Snapshot::of(pairs.iter().copied())).as_deref(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn tls_follows_the_port_that_is_used() {
        let pinned = |pairs: &[(&str, &str)]| {
            let all = [("TLS_CERT", "c")].into_iter().chain(pairs.iter().copied());
            certificate(&Snapshot::of(all)).is_some()
        };
        for (pairs, expected) in [
            (&[][..], true),
            (&[("TLS_HTTP", "0")], false),
            (&[("OPS_PORT", "1")], true),
            (&[("OPS_PORT", "1"), ("TLS_HTTP", "0")], false),
            (&[("OPS_PORT", "1"), ("TLS_OPS", "0")], false),
            (&[("OPS_PORT", "1"), ("TLS_HTTP", "0"), ("TLS_OPS", "1")], true),
            (&[("PROXY_SLAVE", "1")], false),
        ] {
            assert_eq!(pinned(pairs), expected, "{pairs:?}");
        }
    }
}
