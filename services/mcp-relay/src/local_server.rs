//! The address of the server that this environment configures: where it answers operators, how it is trusted, and the key
//! for it. Must not know what is asked.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure};
use runtime::config::{EVERY, is_loopback_authority, ops_listener, ways_of};
use runtime::env::{Problems, Reader, Snapshot, parse};
use runtime::keys::KeysFile;
use runtime::listen::ListenAddr;
use runtime::outbound::OutboundRules;
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

/// Returns the server at a URL; `flag` is the option that gave it, `roots` the file of `--ca-file`.
pub(crate) fn at_url(
    flag: &'static str,
    url: &str,
    roots: Option<&Path>,
    snapshot: &Snapshot,
) -> Result<Target, CommandError> {
    let ways = ways_of(snapshot)?;
    let config = |expected: String| CommandError::Config(expected);
    let url =
        parse::http_url(url).map_err(|expected| config(format!("{flag} {url:?}: expected {expected}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let files = ClientFiles {
        roots: roots.map(Path::to_owned),
        extra_roots: ways.extra_roots().map(Path::to_owned),
        identity: None,
    };
    let tls = (url.scheme() == "https").then(|| files.load()).transpose();
    let tls = tls.map_err(|error| match roots {
        Some(file) => config(format!("--ca-file {}: {error}", file.display())),
        None => config(format!("{flag} {:?}: {error}", url.as_str())),
    })?;
    // A forward proxy does not lead back to this machine.
    let ways = if is_loopback_authority(url.host_str().unwrap_or_default()) {
        OutboundRules::default()
    } else {
        ways
    };
    Ok(Target { host, port: url.port_or_known_default().unwrap_or(80), tls, ways })
}

/// A key for operators' endpoints, and the variable that it comes from.
#[derive(Debug)]
pub(crate) struct OperatorKey {
    /// Value of `Authorization`.
    bearer: String,
    /// Name of the variable, for messages.
    variable: String,
}

impl OperatorKey {
    /// The first key of `variable`, which an option names.
    pub(crate) fn named(variable: &str, snapshot: &Snapshot) -> Result<Self, CommandError> {
        let key = snapshot.get(variable).and_then(|keys| parse::list(keys).next());
        let key = key
            .ok_or_else(|| CommandError::Config(format!("--key-env {variable}: this variable is not set")))?;
        Ok(Self { bearer: format!("Bearer {key}"), variable: variable.to_owned() })
    }

    /// The first of `OPS_KEYS` and its file, or of `AUTH_BEARER_KEYS` and its file where operators have no keys of
    /// their own.
    pub(crate) fn of(snapshot: &Snapshot) -> Option<Self> {
        let sources = [("OPS_KEYS", "OPS_KEYS_FILE"), ("AUTH_BEARER_KEYS", "AUTH_BEARER_KEYS_FILE")];
        sources.into_iter().find_map(|(variable, file)| {
            let listed = snapshot.get(variable).and_then(|keys| parse::list(keys).next());
            let found = listed.map(|key| (key.to_owned(), variable));
            let (key, variable) = found.or_else(|| first_of_file(snapshot, file).map(|key| (key, file)))?;
            Some(Self { bearer: format!("Bearer {key}"), variable: variable.to_owned() })
        })
    }

    /// Value of `Authorization`.
    pub(crate) fn bearer(&self) -> &str {
        &self.bearer
    }
}

/// Says that the server `name` refused `key`, or asks for one.
pub(crate) fn key_refused(name: &str, key: Option<&OperatorKey>) -> anyhow::Error {
    match key {
        Some(key) => anyhow!(
            "{name} does not accept the key of {}: set OPS_KEYS, or else AUTH_BEARER_KEYS, to one that it accepts",
            key.variable
        ),
        None => anyhow!("{name} asks for a key, and none is set: set OPS_KEYS, or else AUTH_BEARER_KEYS"),
    }
}

fn first_of_file(snapshot: &Snapshot, variable: &str) -> Option<String> {
    let content = std::fs::read(snapshot.get(variable)?).ok()?;
    KeysFile::first_text(&content).map(|key| key.expose().to_owned())
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
            let key = OperatorKey::of(&Snapshot::of(pairs.iter().copied()));
            assert_eq!(key.as_ref().map(OperatorKey::bearer), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_refused_key_and_a_missing_one_are_told_apart() {
        let key = OperatorKey::of(&Snapshot::of([("AUTH_BEARER_KEYS", "hush")])).unwrap();
        let wrong = key_refused("relay", Some(&key)).to_string();
        assert!(wrong.contains("does not accept the key of AUTH_BEARER_KEYS"), "{wrong}");
        assert!(!wrong.contains("hush"), "{wrong}");
        let none = key_refused("relay", None).to_string();
        assert!(none.contains("none is set"), "{none}");
        let snapshot = Snapshot::of([("TEAM_KEY", "a,b")]);
        assert_eq!(OperatorKey::named("TEAM_KEY", &snapshot).unwrap().bearer(), "Bearer a");
        assert!(OperatorKey::named("OTHER", &snapshot).is_err());
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
