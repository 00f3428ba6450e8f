//! The start of a proxy: its configuration together with the files that its variables name. Must not know how they are
//! used.
//!
//! All problems, of variables and inside files, are reported at once.

use std::path::{Path, PathBuf};

use policy::{PolicyError, PolicyFile, Side};
use runtime::config::warn_of_short;
use runtime::env::{Loaded, Problems, Reader, Setting, Snapshot};

use crate::access::{Codes, CodesFile};
use crate::config::{FileSettings, ProxyConfig, TABLES};
use crate::routes::{RoutesError, RoutesFile};

/// A configuration, and the contents of its files at the start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The values of the variables.
    pub config: ProxyConfig,
    /// The contents of `SLAVE_CODES_FILE`.
    pub codes_file: Option<CodesFile>,
    /// The contents of `ROUTES`.
    pub routes: Option<RoutesFile>,
    /// The contents of `POLICY`.
    pub policy: Option<PolicyFile>,
}

impl Setup {
    /// Reads and checks variables and files; the error names every problem. Blocks on file access.
    pub fn load(snapshot: &Snapshot) -> Result<Loaded<Self>, Problems> {
        let mut reader = Reader::new("proxy", snapshot, TABLES);
        let (config, FileSettings { codes, routes, policy }) = ProxyConfig::read(&mut reader);
        let codes_file = read_codes(&mut reader, &codes, &config);
        let routes = read_routes(&mut reader, &routes, &config);
        let policy = read_policy(&mut reader, &policy);
        reader.finish(Self { config, codes_file, routes, policy })
    }
}

fn read_codes(reader: &mut Reader<'_>, setting: &Setting, config: &ProxyConfig) -> Option<CodesFile> {
    let file = reader.optional(setting, |path| {
        let read = CodesFile::read(&PathBuf::from(path));
        read.map(|(file, _)| file).map_err(|error| format!("a file of slave codes: {error}"))
    });
    if let Some(file) = &file {
        warn_of_short(reader, setting.name(), file.short_codes());
    }
    if file.as_ref().is_some_and(CodesFile::is_empty) && config.slave_codes.is_empty() {
        reader.warn("SLAVE_CODES_FILE has no codes yet: no slave can connect until it has");
    }
    let is_asked = config.tls.ws.as_ref().is_some_and(|files| files.client_roots.is_some());
    if Codes::new(&config.slave_codes, file.as_ref()).need_certificates() && !is_asked {
        reader
            .warn("SLAVE_CODES_FILE names certificates, but slaves are not asked for any: set TLS_CLIENT_CA");
    }
    if config.slave_codes.is_empty() && !setting.is_set() {
        let hint =
            if reader.is_set("SLAVE_CODE") { " (SLAVE_CODE is set: that one is the slave's)" } else { "" };
        reader.warn(format!("SLAVE_CODES is empty: no slave can connect{hint}"));
    }
    file
}

/// Reads the routes file; notes every problem in it, and warns about clients for which there is no key.
fn read_routes(reader: &mut Reader<'_>, setting: &Setting, config: &ProxyConfig) -> Option<RoutesFile> {
    match RoutesFile::read(Path::new(setting.text()?)) {
        Ok(file) => {
            let keys = config.common.access.clients.store().current();
            let ids: Vec<[u8; 32]> = keys.iter().flat_map(|key| [key.digest(), key.identity()]).collect();
            for name in file.routes.unknown_clients(&ids) {
                reader.warn(format!("ROUTES: no key of AUTH_BEARER_KEYS is the client {name:?}"));
            }
            Some(file)
        }
        Err(RoutesError::Bad(problems)) => {
            reader.reject_file(setting, &problems);
            None
        }
        Err(RoutesError::Unreadable(error)) => {
            reader
                .reject(setting, format!("a YAML file of routes ({})", runtime::io_fault::describe(&error)));
            None
        }
    }
}

/// Reads the policy file; notes every problem in it.
fn read_policy(reader: &mut Reader<'_>, setting: &Setting) -> Option<PolicyFile> {
    match PolicyFile::read(Path::new(setting.text()?), Side::Proxy) {
        Ok(file) => Some(file),
        Err(PolicyError::Bad(problems)) => {
            reader.reject_file(setting, &problems);
            None
        }
        Err(PolicyError::Unreadable(error)) => {
            let why = runtime::io_fault::describe(&error);
            reader.reject(setting, format!("a YAML file of who may use what ({why})"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::{AUDIT, TRACES};
    use runtime::env::Secrecy;

    use super::*;
    use crate::config::{SlaveMode, ToolConflict};

    /// An invalid value for each variable that can be wrong. The variables of traces have their own test; one of them
    /// is here to show that they are read.
    const BAD: &[(&str, &str)] = &[
        ("MCP_SERVER_HOST", "http://here"),
        ("MCP_SERVER_PORT", "80x"),
        ("OPS_PORT", "-1"),
        ("OPS_HOST", "a b"),
        ("UI", "on"),
        ("DASHBOARDS_URL", "ftp://grafana"),
        ("AUTH_BEARER_KEYS", ","),
        ("AUTH_BEARER_KEYS_FILE", "/nowhere/keys.yaml"),
        ("AUTH_CUSTOM_HEADER", "x api key"),
        ("AUTH_ISSUERS", "/nowhere/issuers.yaml"),
        ("OPS_KEYS", " , "),
        ("OPS_KEYS_FILE", "/nowhere/ops-keys.yaml"),
        ("ALLOW_ANONYMOUS", "maybe"),
        ("ALLOWED_HOSTS", "https://relay.example"),
        ("PUBLIC_URL", "relay.example"),
        ("ALLOWED_ORIGINS", "app.example"),
        ("MAX_BODY_BYTES", "16MB"),
        ("MAX_BODIES_BYTES", "128 MiB"),
        ("MAX_CONNECTIONS", "some"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "0"),
        ("MAX_STREAMS_PER_CLIENT", "-1"),
        ("CLIENT_STALL_TIMEOUT", "0"),
        ("REQUEST_TIMEOUT", "5m"),
        ("REQUEST_TIMEOUT_TOTAL", "-1"),
        ("SESSION_KEY", "tooshortforakey"),
        ("SESSION_KEY_FILE", "/nowhere/session-keys"),
        ("SESSION_TTL", "day"),
        ("SHUTDOWN_DELAY", "soon"),
        ("SHUTDOWN_GRACE", "forever"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_OUTPUT", "nowhere"),
        ("LOG_CALLS", "some"),
        ("SSE_AFTER_MS", "soon"),
        ("SSE_KEEPALIVE", "0.5"),
        ("LIST_TTL_MS", "5s"),
        ("LINK_PING_INTERVAL_MS", "0"),
        ("LINK_PING_TIMEOUT_MS", "x"),
        ("PROXY_WS_HOST", "a b"),
        ("PROXY_WS_PORT", "70000"),
        ("SLAVE_CODES", ",,"),
        ("SLAVE_CODES_FILE", "/nowhere/codes.yaml"),
        ("SLAVES_ON_CLIENT_PORT", "maybe"),
        ("HANDSHAKE_RATE", "fast"),
        ("TRUSTED_PROXIES", "everyone"),
        ("TLS_CERT", "/nowhere/tls.crt"),
        ("TLS_KEY", "/nowhere/tls.key"),
        ("TLS_HTTP", "maybe"),
        ("TLS_OPS", "maybe"),
        ("TLS_WS", "maybe"),
        ("TLS_CLIENT_CA", "/nowhere/ca.pem"),
        ("TLS_HTTP_CLIENT_CA", "/nowhere/clients-ca.pem"),
        ("TLS_HTTP_CLIENT_CERT", "perhaps"),
        ("SLAVE_MODE", "double"),
        ("TOOL_CONFLICT", "ignore"),
        ("ROUTES", "/nowhere/routes.yaml"),
        ("POLICY", "/nowhere/policy.yaml"),
        ("LINK_GRACE", "nan"),
        ("READY_MIN_SLAVES", "-1"),
        ("START_WINDOW", "-1"),
        ("LINK_LATE_MS", "0"),
        ("EJECT_AFTER", "-5"),
        ("EJECT_TIME", "0"),
        ("RETRY_IDEMPOTENT", "maybe"),
        ("PROXY_PEERS", "relay-proxies"),
        ("MAX_SLAVES", "0"),
        ("MAX_LINKS_PER_CODE", "0"),
        ("MAX_CATALOG_BYTES", "4MiB"),
        ("QUEUE_MAX", "-1"),
        ("QUEUE_TIMEOUT", "0"),
        ("RATE_LIMIT_CLIENT", "50"),
        ("RATE_LIMIT_TOOL", "5/d"),
        ("RATE_LIMIT_SLAVE", "many"),
        ("OAUTH_BROKER", "maybe"),
        ("BROKER_USERS_FILE", "/nowhere/users.yaml"),
        ("BROKER_ISSUER", "id.example"),
        ("BROKER_CLIENT_ID", "a b"),
        ("BROKER_CLIENT_SECRET_FILE", "/nowhere/secret"),
        ("BROKER_REQUIRE", "hd"),
        ("BROKER_SCOPES", "a,openid"),
        ("BROKER_DEFAULT_SCOPES", "unknown"),
        ("BROKER_CLIENT_DOCUMENTS", "some"),
        ("BROKER_ACCESS_TTL", "1"),
        ("BROKER_REFRESH_TTL", "forever"),
        ("BROKER_REVOCATIONS_FILE", "/nowhere/revoked"),
        ("AUDIT_LOG", "yes"),
        ("HTTPS_PROXY", "http://ann:hush@t:1/path"),
        ("HTTP_PROXY", "p:2?hush"),
        ("ALL_PROXY", "http://t:0"),
        ("EXTRA_CA_FILE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ];

    fn load(pairs: &[(&str, &str)]) -> Result<Loaded<Setup>, Problems> {
        Setup::load(&Snapshot::of(pairs.iter().copied()))
    }

    #[test]
    fn every_bad_value_is_reported_at_once_and_secrets_are_not_shown() {
        let problems = load(BAD).unwrap_err();
        let told: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        // NO_PROXY takes any text.
        let elsewhere = |name: &str| {
            name == "NO_PROXY" || [&AUDIT[1..], &TRACES[1..]].concat().iter().any(|var| var.name == name)
        };
        let declared: Vec<&str> =
            TABLES.iter().copied().flatten().map(|var| var.name).filter(|name| !elsewhere(name)).collect();
        assert_eq!(told, declared);
        let text = problems.to_string();
        for (name, value) in BAD {
            let var = TABLES.iter().copied().flatten().find(|var| var.name == *name).unwrap();
            assert_eq!(text.contains(&format!("{value:?}")), var.secrecy == Secrecy::Open, "{name}:\n{text}");
        }
    }

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let Loaded { config: Setup { config, .. }, warnings } = load(&[]).unwrap();
        assert_eq!(config.common.http.to_string(), "127.0.0.1:8000");
        assert_eq!(config.ws.to_string(), "0.0.0.0:8001");
        assert_eq!(config.common.request_timeout.as_secs(), 300);
        assert_eq!(config.common.request_timeout_total.as_secs(), 3600);
        assert_eq!(config.common.max_body_bytes, 16 << 20);
        assert_eq!(config.common.link_ping.interval.as_millis(), 1500);
        assert_eq!(config.common.link_ping.timeout.as_millis(), 4000);
        assert_eq!((config.slave_mode, config.tool_conflict), (SlaveMode::Multi, ToolConflict::Namespace));
        assert_eq!(
            (config.link_grace.as_secs(), config.ready_min_slaves, config.max_slaves),
            (12, 0, 10_000)
        );
        assert!(warnings.iter().any(|w| w.contains("SLAVE_CODES is empty")), "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("SESSION_KEY is not set")), "{warnings:?}");
    }

    #[test]
    fn the_documented_proxy_example_loads() {
        let pairs = [
            ("PROXY_MODE", "1"),
            ("SLAVE_CODES", "code1, code2 ,code3"),
            ("PROXY_WS_PORT", "8001"),
            ("MCP_SERVER_PORT", "8000"),
            ("PROXY_PORT", "tcp://10.0.0.1:8000"),
        ];
        let config = load(&pairs).unwrap().config.config;
        assert_eq!(config.slave_codes.len(), 3);
        assert!(config.slave_codes.contains("code2") && !config.slave_codes.contains("CODE2"));
        assert!(!format!("{config:?}").contains("code1"));
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        for (pairs, name) in [
            (&[("MCP_SERVER_PORT", "9"), ("PROXY_WS_PORT", "9")][..], "PROXY_WS_PORT"),
            (&[("OPS_PORT", "8000")], "OPS_PORT"),
            (&[("OPS_PORT", "8001")], "OPS_PORT"),
            (&[("LINK_PING_INTERVAL_MS", "3000")], "LINK_PING_TIMEOUT_MS"),
            (&[("REQUEST_TIMEOUT", "10"), ("REQUEST_TIMEOUT_TOTAL", "5")], "REQUEST_TIMEOUT_TOTAL"),
            (&[("READY_MIN_SLAVES", "5"), ("MAX_SLAVES", "4")], "READY_MIN_SLAVES"),
            (&[("READY_MIN_SLAVES", "2"), ("SLAVE_MODE", "single")], "READY_MIN_SLAVES"),
        ] {
            let problems = load(pairs).unwrap_err();
            assert_eq!(problems.list.len(), 1, "{problems}");
            assert_eq!(problems.list[0].name, name, "{problems}");
        }
        assert!(load(&[("MCP_SERVER_PORT", "0"), ("PROXY_WS_PORT", "0")]).is_ok());
        assert_eq!(
            load(&[("REQUEST_TIMEOUT", "7200")])
                .unwrap()
                .config
                .config
                .common
                .request_timeout_total
                .as_secs(),
            7200
        );
    }

    #[test]
    fn a_variable_of_the_slave_in_the_proxy_s_environment_is_pointed_out() {
        let warnings = load(&[("SLAVE_CODE", "hush")]).unwrap().warnings;
        assert!(warnings.iter().any(|w| w.contains("SLAVE_CODE is set")), "{warnings:?}");
        assert!(!warnings.iter().any(|w| w.contains("hush")), "{warnings:?}");
    }

    #[test]
    fn log_filters_for_single_parts_are_accepted() {
        for good in ["DEBUG", "info,proxy=debug", "warn,runtime::ops=trace", "off"] {
            assert!(load(&[("LOG_LEVEL", good)]).is_ok(), "{good}");
        }
        for bad in ["warning", "info,loud", "proxy=loud"] {
            assert!(load(&[("LOG_LEVEL", bad)]).is_err(), "{bad}");
        }
    }
}
