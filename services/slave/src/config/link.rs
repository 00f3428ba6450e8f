//! How a slave reaches its proxies: addresses, code, TLS, pauses. Knows no socket.

use std::path::PathBuf;
use std::time::Duration;

use runtime::env::{Reader, parse};
use runtime::secret::Secret;
use runtime::tls::{ClientFiles, File};
use serde::Deserialize;

use super::code::{self, CodeSource};
use super::values::{self, ProxyUrl};

/// How the slave reaches its proxy.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// `PROXY_CA_FILE`, `PROXY_CLIENT_CERT`, `PROXY_CLIENT_KEY`.
    pub tls: ClientFiles,
    /// `PROXY_SERVER_URL`: at least one, each once.
    pub proxies: Vec<ProxyUrl>,
    /// `PROXY_RESOLVE_INTERVAL`: how often their hosts are resolved.
    pub resolve_interval: Duration,
    /// `SLAVE_CODE`, or what `SLAVE_CODE_FILE` said at the start; trimmed.
    pub code: Secret,
    /// `SLAVE_CODE_FILE`, to be followed.
    pub code_file: Option<CodeSource>,
    /// `RECONNECT_MAX`: cap of the full-jitter backoff.
    pub reconnect_max: Duration,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    proxy_server_url: Option<String>,
    proxy_resolve_interval: Option<String>,
    slave_code: Option<String>,
    slave_code_file: Option<String>,
    proxy_ca_file: Option<String>,
    proxy_client_cert: Option<String>,
    proxy_client_key: Option<String>,
    reconnect_max: Option<String>,
}

/// `None` only after a problem was noted.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<LinkConfig> {
    let raw: Raw = reader.fill();
    let reconnect_max =
        reader.value("RECONNECT_MAX", raw.reconnect_max.as_deref(), parse::seconds(0.1..=3600.0));
    if raw.proxy_server_url.is_none() {
        reader.missing("PROXY_SERVER_URL", "the proxy's WebSocket URL, for example ws://localhost:8001");
    }
    let interval = raw.proxy_resolve_interval.as_deref();
    let resolve_interval = reader.value("PROXY_RESOLVE_INTERVAL", interval, parse::seconds(0.1..=3600.0));
    let proxies = reader.optional("PROXY_SERVER_URL", raw.proxy_server_url.as_deref(), values::proxies);
    let code = code::read(reader, (raw.slave_code.as_deref(), raw.slave_code_file.as_deref()));
    let tls = read_tls(reader, &raw);
    let without = proxies.iter().flatten().find(|proxy| !proxy.is_tls());
    if let Some(proxy) = without.filter(|_| !tls.is_empty()) {
        reader.warn(format!(
            "PROXY_CA_FILE and PROXY_CLIENT_CERT mean nothing without TLS: {proxy} is not wss://"
        ));
    }
    let (code, code_file) = code?;
    Some(LinkConfig { proxies: proxies?, resolve_interval, tls, code, code_file, reconnect_max })
}

/// The files are tried, so that what is wrong is told with the rest.
fn read_tls(reader: &mut Reader<'_>, raw: &Raw) -> ClientFiles {
    let (certificate, key) = (raw.proxy_client_cert.as_deref(), raw.proxy_client_key.as_deref());
    match (certificate, key) {
        (Some(_), None) => reader.missing("PROXY_CLIENT_KEY", "the key of PROXY_CLIENT_CERT"),
        (None, Some(_)) => reader.missing("PROXY_CLIENT_CERT", "the certificate of PROXY_CLIENT_KEY"),
        _ => {}
    }
    let files = ClientFiles {
        roots: raw.proxy_ca_file.as_deref().map(PathBuf::from),
        identity: certificate.zip(key).map(|(certificate, key)| (certificate.into(), key.into())),
    };
    for error in files.check() {
        let (name, value, kind) = match error.file {
            File::Roots => ("PROXY_CA_FILE", raw.proxy_ca_file.as_deref(), "a PEM file of certificates"),
            File::Certificate => ("PROXY_CLIENT_CERT", certificate, "a PEM file with a certificate"),
            File::Key => ("PROXY_CLIENT_KEY", key, "a PEM file with the key of PROXY_CLIENT_CERT"),
        };
        reader.bad(name, value.unwrap_or_default(), format!("{kind} ({error})"));
    }
    files
}
