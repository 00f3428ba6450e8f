//! The configuration of a slave's links: URLs, code, TLS and waiting times. Must not know sockets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::config::is_loopback_authority;
use runtime::env::{Reader, Setting, parse};
use runtime::outbound::{Choice, ForwardProxy, OutboundRules};
use runtime::secret::Secret;
use runtime::tls::{ClientFiles, File};

use super::code::{self, CodeSource};
use super::values::{self, ProxyUrl};
use super::variables::Settings;

/// The configuration of the links to proxies.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// `PROXY_CA_FILE`, `PROXY_CLIENT_CERT`, `PROXY_CLIENT_KEY`: the files of TLS.
    pub tls: ClientFiles,
    /// `PROXY_TUNNEL_URL`, else the ways of all connections: the forward proxies on the way to the proxies.
    pub ways: OutboundRules,
    /// `PROXY_SERVER_URL`: at least one URL, without duplicates.
    pub proxies: Vec<ProxyUrl>,
    /// `PROXY_RESOLVE_INTERVAL`: time between two resolutions of their hosts.
    pub resolve_interval: Duration,
    /// `SLAVE_CODE`, or the content of `SLAVE_CODE_FILE` at the start; trimmed.
    pub code: Secret,
    /// `SLAVE_CODE_FILE`, whose changes are followed.
    pub code_file: Option<CodeSource>,
    /// `RECONNECT_MAX`: cap of the full-jitter backoff.
    pub reconnect_max: Duration,
}

impl LinkConfig {
    /// Returns the URLs of the proxies, separated by commas.
    pub fn urls(&self) -> String {
        self.proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Reads the variables of the link. Returns `None` only after a problem was noted.
pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings, ways: &OutboundRules) -> Option<LinkConfig> {
    let reconnect_max = reader.value(&settings.reconnect_max, parse::seconds(0.1..=3600.0));
    let resolve_interval = reader.value(&settings.proxy_resolve_interval, parse::seconds(0.1..=3600.0));
    let proxies = reader.value(&settings.proxy_server_url, values::proxies);
    warn_of_plaintext(reader, &settings.allow_plaintext, &proxies);
    let code = code::read(reader, &settings.slave_code, &settings.slave_code_file);
    let ways = read_ways(reader, &settings.proxy_tunnel_url, ways);
    let tls =
        ClientFiles { extra_roots: ways.extra_roots().map(Path::to_owned), ..read_tls(reader, settings) };
    let without = proxies.iter().find(|proxy| !proxy.is_tls());
    if let Some(proxy) = without.filter(|_| tls.roots.is_some() || tls.identity.is_some()) {
        reader.warn(format!(
            "PROXY_CA_FILE and PROXY_CLIENT_CERT mean nothing without TLS: {proxy} is not wss://"
        ));
    }
    let (code, code_file) = code?;
    Some(LinkConfig { tls, ways, proxies, resolve_interval, code, code_file, reconnect_max })
}

/// Reads `PROXY_TUNNEL_URL`: the ways of the link, in place of those of all connections.
fn read_ways(reader: &mut Reader<'_>, setting: &Setting, ways: &OutboundRules) -> OutboundRules {
    let variable = setting.name();
    let extra_roots = ways.extra_roots().map(Path::to_owned);
    let choice = reader.optional(setting, |text| {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Choice::Direct { variable: "PROXY_TUNNEL_URL=none" });
        }
        let proxy = ForwardProxy::parse(text, variable, extra_roots);
        proxy.map(Choice::Proxy).map_err(|error| format!("none, or {error}"))
    });
    choice.map_or_else(|| ways.clone(), |choice| ways.only(choice))
}

/// Warns of proxies on other machines that are not reached over TLS.
fn warn_of_plaintext(reader: &mut Reader<'_>, allowed: &Setting, proxies: &[ProxyUrl]) {
    let is_allowed = reader.value(allowed, parse::flag);
    let is_plain = |proxy: &&ProxyUrl| !proxy.is_tls() && !is_loopback_authority(&proxy.authority());
    if let Some(proxy) = proxies.iter().find(is_plain).filter(|_| !is_allowed) {
        reader.warn(format!(
            "PROXY_SERVER_URL: the code and all calls go to {proxy} unencrypted. Use wss://, or set ALLOW_PLAINTEXT=1 if the network is trusted"
        ));
    }
}

/// Reads the variables of TLS, and loads their files once so that their problems are reported with all others.
fn read_tls(reader: &mut Reader<'_>, settings: &Settings) -> ClientFiles {
    let (certificate, key) = (&settings.proxy_client_cert, &settings.proxy_client_key);
    match (certificate.text(), key.text()) {
        (Some(_), None) => reader.missing(key, "the key of PROXY_CLIENT_CERT"),
        (None, Some(_)) => reader.missing(certificate, "the certificate of PROXY_CLIENT_KEY"),
        _ => {}
    }
    let identity = certificate.text().zip(key.text());
    let files = ClientFiles {
        roots: settings.proxy_ca_file.text().map(PathBuf::from),
        extra_roots: None,
        identity: identity.map(|(certificate, key)| (certificate.into(), key.into())),
    };
    for error in files.check() {
        let (setting, kind) = match error.file {
            File::Roots => (&settings.proxy_ca_file, "a PEM file of certificates"),
            File::Certificate => (certificate, "a PEM file with a certificate"),
            File::Key => (key, "a PEM file with the key of PROXY_CLIENT_CERT"),
        };
        reader.reject(setting, format!("{kind} ({error})"));
    }
    files
}
