//! Where the server of this environment answers operators, and with which key it is asked. Knows no answer.

use std::fmt;
use std::path::PathBuf;

use anyhow::ensure;
use runtime::config::{EVERY, ops_listener};
use runtime::env::{Problems, Reader, Snapshot, parse};
use runtime::listen::ListenAddr;
use runtime::tls::ClientFiles;

use crate::http::Target;
use crate::serve::Stop;

/// A server that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Where.
    pub(crate) target: Target,
    /// The variables that say so.
    pub(crate) variables: String,
}

impl fmt::Display for Own {
    /// As a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.target.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.target)
    }
}

/// The server of this environment, asked over loopback where it listens on every interface.
pub(crate) fn server(subject: &'static str, snapshot: &Snapshot) -> anyhow::Result<Own> {
    reach(&address(subject, snapshot)?, snapshot)
}

/// `OPS_PORT`, else `MCP_SERVER_PORT`.
pub(crate) fn address(subject: &'static str, snapshot: &Snapshot) -> Result<ListenAddr, Problems> {
    let tables = [EVERY];
    let mut reader = Reader::new(subject, snapshot, &tables);
    let address = ops_listener(&mut reader);
    Ok(reader.finish(address)?.config)
}

/// A server of this environment that answers operators there.
pub(crate) fn reach(address: &ListenAddr, snapshot: &Snapshot) -> anyhow::Result<Own> {
    let ListenAddr { host, port, host_var, port_var } = address;
    ensure!(*port != 0, "{port_var} is 0 (any free port): set the port that the server listens on");
    let certificate = certificate(snapshot);
    let target = Target::of_listener(host, *port).with_certificate(certificate.as_deref())?;
    Ok(Own { target, variables: format!("{host_var}, {port_var}") })
}

/// The server at a URL; `flag` is where it was given.
pub(crate) fn at(flag: &'static str, url: &str) -> Result<Target, Stop> {
    let url = parse::http_url(url)
        .map_err(|expected| Stop::Config(format!("{flag} {url:?}: expected {expected}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let https = url.scheme() == "https";
    let tls = https
        .then(|| ClientFiles::default().load())
        .transpose()
        .map_err(|error| Stop::Failed(error.into()))?;
    Ok(Target { host, port: url.port_or_known_default().unwrap_or(80), tls })
}

/// What `Authorization` says: the first of `AUTH_BEARER_KEYS`.
pub(crate) fn bearer(snapshot: &Snapshot) -> Option<String> {
    let key = snapshot.get("AUTH_BEARER_KEYS").and_then(|keys| parse::list(keys).next())?;
    Some(format!("Bearer {key}"))
}

/// The certificate that the operators' port of a proxy of this environment shows.
fn certificate(snapshot: &Snapshot) -> Option<PathBuf> {
    let clients = clients_certificate(snapshot);
    match snapshot.get("OPS_PORT").and_then(|_| flag(snapshot, "TLS_OPS")) {
        None => clients,
        Some(tls) => proxy_certificate(snapshot).filter(|_| tls),
    }
}

/// The certificate that the clients' port of a proxy of this environment shows.
pub(crate) fn clients_certificate(snapshot: &Snapshot) -> Option<PathBuf> {
    proxy_certificate(snapshot).filter(|_| flag(snapshot, "TLS_HTTP").unwrap_or(true))
}

fn proxy_certificate(snapshot: &Snapshot) -> Option<PathBuf> {
    let on = |name: &str| flag(snapshot, name) == Some(true);
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
        let own = server("test", &Snapshot::of(pairs.iter().copied())).unwrap();
        (own.to_string(), own.variables)
    }

    #[test]
    fn the_ops_port_is_asked_where_there_is_one() {
        let told = |url: &str, variables: &str| (url.to_owned(), variables.to_owned());
        assert_eq!(variables(&[]), told("http://127.0.0.1:8000", "MCP_SERVER_HOST, MCP_SERVER_PORT"));
        let pairs = [("MCP_SERVER_HOST", "0.0.0.0"), ("OPS_PORT", "9100")];
        assert_eq!(variables(&pairs), told("http://127.0.0.1:9100", "OPS_HOST, OPS_PORT"));
        let pairs = [("OPS_HOST", "::1"), ("OPS_PORT", "9100")];
        assert_eq!(variables(&pairs), told("http://[::1]:9100", "OPS_HOST, OPS_PORT"));
        let error = server("test", &Snapshot::of([("OPS_PORT", "0")])).unwrap_err().to_string();
        assert!(error.contains("OPS_PORT is 0"), "{error}");
    }

    #[test]
    fn tls_is_that_of_the_port_which_is_asked() {
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
