//! What the proxy reads from its environment, typed and checked. Knows nothing of what the values are used for.

mod balance;
mod tls;
mod variables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::config::{AUDIT, CommonConfig, EVERY, TRACES};
use runtime::env::{Loaded, Problems, Reader, Setting, Snapshot, Var, parse};
use runtime::listen::ListenAddr;
use runtime::secret::{KeyOrigin, SecretSet};
use runtime::trusted::TrustedProxies;

pub use balance::{BalanceConfig, QueueLimits, VARIABLES as BALANCE_VARIABLES};

use crate::access::CodesFile;
use crate::balance::outliers::EjectionPolicy;
use crate::routes::{RoutesError, RoutesFile};
pub use tls::TlsPorts;
use variables::Settings;
pub use variables::VARIABLES;

/// The tables that a proxy's configuration is read from.
pub const TABLES: &[&[Var]] = &[EVERY, VARIABLES, BALANCE_VARIABLES, AUDIT, TRACES];

/// `SLAVE_MODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlaveMode {
    /// Any number of slaves at once.
    #[default]
    Multi,
    /// A new slave replaces the one before, as the document says.
    Single,
}

/// `RETRY_IDEMPOTENT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RetryPolicy {
    /// Every call runs at most once.
    #[default]
    Never,
    /// Calls of tools that are annotated as idempotent may be run again.
    Idempotent,
}

/// `TOOL_CONFLICT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolConflict {
    /// Each is offered under `slave__tool`.
    #[default]
    Namespace,
    /// None is offered.
    Refuse,
}

/// Everything the proxy is told at start.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// What every mode reads.
    pub common: CommonConfig,
    /// `PROXY_WS_HOST`, `PROXY_WS_PORT`: where slaves connect.
    pub ws: ListenAddr,
    /// `SLAVE_CODES`, hashed.
    pub slave_codes: SecretSet,
    /// `SLAVE_CODES_FILE`, and what it says now.
    pub codes_file: Option<(PathBuf, CodesFile)>,
    /// `HANDSHAKE_RATE`: a second; 0: no limit.
    pub handshake_rate: u32,
    /// `TRUSTED_PROXIES`.
    pub trusted: TrustedProxies,
    /// `TLS_CERT`, `TLS_KEY`, `TLS_HTTP`, `TLS_WS`, `TLS_CLIENT_CA`.
    pub tls: TlsPorts,
    /// `SLAVE_MODE`.
    pub slave_mode: SlaveMode,
    /// `TOOL_CONFLICT`.
    pub tool_conflict: ToolConflict,
    /// `ROUTES`, as it was read at start.
    pub routes: Option<RoutesFile>,
    /// `LINK_GRACE`: how long calls outlive a broken link.
    pub link_grace: Duration,
    /// `READY_MIN_SLAVES`.
    pub ready_min_slaves: usize,
    /// `LINK_LATE_MS`: round trips above it make a slave degraded.
    pub link_late: Duration,
    /// `EJECT_AFTER`, `EJECT_TIME`: what becomes of slaves that fail.
    pub(crate) ejection: EjectionPolicy,
    /// `RETRY_IDEMPOTENT`.
    pub(crate) retry: RetryPolicy,
    /// `PROXY_PEERS`: a name with one address for each proxy, and a port.
    pub peers: Option<(String, u16)>,
    /// `MAX_SLAVES`.
    pub max_slaves: usize,
    /// Queues and rate limits.
    pub balance: BalanceConfig,
}

impl ProxyConfig {
    /// Reads and checks everything; the error names every problem.
    pub fn load(snapshot: &Snapshot) -> Result<Loaded<Self>, Problems> {
        let mut reader = Reader::new("proxy", snapshot, TABLES);
        let common = CommonConfig::read(&mut reader);
        let settings = Settings::read(&mut reader);
        let ws = read_ws(&mut reader, &settings, &common);
        let (slave_codes, codes_file) = read_codes(&mut reader, &settings);
        if common.session_key.origin() == KeyOrigin::Random {
            reader.warn("SESSION_KEY is not set: a random one is used, so sessions end with this process. Several proxies need the same SESSION_KEY, or the sessions of one are unknown to the others");
        }
        let (seconds, slaves) = (parse::seconds, |range| parse::whole(range, "slaves"));
        let config = Self {
            ws,
            slave_codes,
            codes_file,
            handshake_rate: reader
                .value(&settings.handshake_rate, parse::whole(0..=1_000_000, "connections a second")),
            trusted: reader.optional(&settings.trusted_proxies, TrustedProxies::parse).unwrap_or_default(),
            tls: tls::read(&mut reader, &settings).for_ops(common.ops.port.is_some()),
            slave_mode: reader.value(&settings.slave_mode, parse::choice(SLAVE_MODES)),
            tool_conflict: reader.value(&settings.tool_conflict, parse::choice(TOOL_CONFLICTS)),
            routes: read_routes(&mut reader, &settings.routes, &common),
            link_grace: reader.value(&settings.link_grace, seconds(0.0..=3600.0)),
            ready_min_slaves: reader.value(&settings.ready_min_slaves, slaves(0..=1_000_000)),
            link_late: reader.value(&settings.link_late_ms, parse::millis(1..=60_000)),
            ejection: read_ejection(&mut reader, &settings),
            retry: read_retry(&mut reader, &settings.retry_idempotent),
            peers: reader.optional(&settings.proxy_peers, parse::host_and_port),
            max_slaves: reader.value(&settings.max_slaves, slaves(1..=1_000_000)),
            balance: BalanceConfig::read(&mut reader),
            common,
        };
        check_counts(&mut reader, &config);
        reader.finish(config)
    }
}

const SLAVE_MODES: &[(&str, SlaveMode)] = &[("multi", SlaveMode::Multi), ("single", SlaveMode::Single)];

const TOOL_CONFLICTS: &[(&str, ToolConflict)] =
    &[("namespace", ToolConflict::Namespace), ("refuse", ToolConflict::Refuse)];

/// The slaves' listener; its port must be neither the clients' nor the operators'.
fn read_ws(reader: &mut Reader<'_>, settings: &Settings, common: &CommonConfig) -> ListenAddr {
    let ws = ListenAddr {
        host: reader.value(&settings.proxy_ws_host, parse::host),
        port: reader.value(&settings.proxy_ws_port, parse::port),
        host_var: settings.proxy_ws_host.name(),
        port_var: settings.proxy_ws_port.name(),
    };
    if ws.port != 0 && ws.port == common.http.port {
        let expected = "another port than MCP_SERVER_PORT: clients and slaves are served on one each";
        reader.reject(&settings.proxy_ws_port, expected);
    }
    if let Some(ops) = common.ops.port.as_ref().filter(|ops| ws.port != 0 && ops.port == ws.port) {
        let expected = "another port than PROXY_WS_PORT: that one is the slaves'";
        reader.reject_value(ops.port_var, &ops.port.to_string(), expected);
    }
    ws
}

fn read_codes(reader: &mut Reader<'_>, settings: &Settings) -> (SecretSet, Option<(PathBuf, CodesFile)>) {
    let codes = SecretSet::new(parse::list(settings.slave_codes.text().unwrap_or_default()));
    let named = settings.slave_codes_file.is_set();
    let file = reader.optional(&settings.slave_codes_file, |text| {
        let path = PathBuf::from(text);
        let read = CodesFile::read(&path);
        read.map(|(file, _)| (path, file)).map_err(|error| format!("a file of slave codes: {error}"))
    });
    if named && file.as_ref().is_some_and(|(_, file)| file.is_empty()) && codes.is_empty() {
        reader.warn("SLAVE_CODES_FILE has no codes yet: no slave can connect until it has");
    }
    if codes.is_empty() && !named {
        let hint =
            if reader.is_set("SLAVE_CODE") { " (SLAVE_CODE is set: that one is the slave's)" } else { "" };
        reader.warn(format!("SLAVE_CODES is empty: no slave can connect{hint}"));
    }
    (codes, file)
}

/// Reads the routes file, with every problem in it and a warning for clients that no key names.
fn read_routes(reader: &mut Reader<'_>, setting: &Setting, common: &CommonConfig) -> Option<RoutesFile> {
    match RoutesFile::read(Path::new(setting.text()?)) {
        Ok(file) => {
            let keys: Vec<[u8; 32]> = common.bearer_keys.digests().collect();
            for name in file.routes.unknown_clients(&keys) {
                reader.warn(format!("ROUTES: no key of AUTH_BEARER_KEYS is the client {name:?}"));
            }
            Some(file)
        }
        Err(RoutesError::Bad(problems)) => {
            reader.reject_file(setting, &problems);
            None
        }
        Err(RoutesError::Unreadable(error)) => {
            reader.reject(setting, format!("a YAML file of routes ({error})"));
            None
        }
    }
}

fn read_ejection(reader: &mut Reader<'_>, settings: &Settings) -> EjectionPolicy {
    EjectionPolicy {
        after: reader.value(&settings.eject_after, parse::whole(0..=1_000_000, "calls")),
        base: reader.value(&settings.eject_time, parse::seconds(0.1..=3600.0)),
    }
}

fn read_retry(reader: &mut Reader<'_>, setting: &Setting) -> RetryPolicy {
    if reader.value(setting, parse::flag) { RetryPolicy::Idempotent } else { RetryPolicy::Never }
}

fn check_counts(reader: &mut Reader<'_>, config: &ProxyConfig) {
    if config.max_slaves != 0 && config.ready_min_slaves > config.max_slaves {
        reader.reject_value("READY_MIN_SLAVES", &config.ready_min_slaves.to_string(), "at most MAX_SLAVES");
    }
    if config.slave_mode == SlaveMode::Single && config.ready_min_slaves > 1 {
        let expected = "0 or 1 with SLAVE_MODE=single, or the proxy would never be ready";
        reader.reject_value("READY_MIN_SLAVES", &config.ready_min_slaves.to_string(), expected);
    }
}

#[cfg(test)]
mod tests {
    use runtime::env::Secrecy;

    use super::*;

    /// One value that must be refused for each variable that can be wrong; one of those of traces, which have their own
    /// test, shows that they are read.
    const BAD: &[(&str, &str)] = &[
        ("MCP_SERVER_HOST", "http://here"),
        ("MCP_SERVER_PORT", "80x"),
        ("OPS_PORT", "-1"),
        ("OPS_HOST", "a b"),
        ("UI", "on"),
        ("AUTH_CUSTOM_HEADER", "x api key"),
        ("ALLOWED_ORIGINS", "app.example"),
        ("MAX_BODY_BYTES", "16MB"),
        ("REQUEST_TIMEOUT", "5m"),
        ("REQUEST_TIMEOUT_TOTAL", "-1"),
        ("SESSION_KEY", "tooshortforakey"),
        ("SESSION_TTL", "day"),
        ("SHUTDOWN_DELAY", "soon"),
        ("SHUTDOWN_GRACE", "forever"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "verbose"),
        ("LIST_TTL_MS", "5s"),
        ("LINK_PING_INTERVAL_MS", "0"),
        ("LINK_PING_TIMEOUT_MS", "x"),
        ("PROXY_WS_HOST", "a b"),
        ("PROXY_WS_PORT", "70000"),
        ("SLAVE_CODES_FILE", "/nowhere/codes.yaml"),
        ("HANDSHAKE_RATE", "fast"),
        ("TRUSTED_PROXIES", "everyone"),
        ("TLS_CERT", "/nowhere/tls.crt"),
        ("TLS_KEY", "/nowhere/tls.key"),
        ("TLS_HTTP", "maybe"),
        ("TLS_OPS", "maybe"),
        ("TLS_WS", "maybe"),
        ("TLS_CLIENT_CA", "/nowhere/ca.pem"),
        ("SLAVE_MODE", "double"),
        ("TOOL_CONFLICT", "ignore"),
        ("ROUTES", "/nowhere/routes.yaml"),
        ("LINK_GRACE", "nan"),
        ("READY_MIN_SLAVES", "-1"),
        ("LINK_LATE_MS", "0"),
        ("EJECT_AFTER", "-5"),
        ("EJECT_TIME", "0"),
        ("RETRY_IDEMPOTENT", "maybe"),
        ("PROXY_PEERS", "relay-proxies"),
        ("MAX_SLAVES", "0"),
        ("QUEUE_MAX", "-1"),
        ("QUEUE_TIMEOUT", "0"),
        ("RATE_LIMIT_CLIENT", "50"),
        ("RATE_LIMIT_TOOL", "5/d"),
        ("RATE_LIMIT_SLAVE", "many"),
        ("AUDIT_LOG", "yes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ];

    /// Any text is a list of keys or codes.
    const NEVER_WRONG: [&str; 2] = ["AUTH_BEARER_KEYS", "SLAVE_CODES"];

    fn load(pairs: &[(&str, &str)]) -> Result<Loaded<ProxyConfig>, Problems> {
        ProxyConfig::load(&Snapshot::of(pairs.iter().copied()))
    }

    #[test]
    fn every_bad_value_is_reported_at_once_and_secrets_are_not_shown() {
        let problems = load(BAD).unwrap_err();
        let reported: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        let elsewhere = |name: &str| [&AUDIT[1..], &TRACES[1..]].concat().iter().any(|var| var.name == name);
        let declared: Vec<&str> = TABLES
            .iter()
            .copied()
            .flatten()
            .map(|var| var.name)
            .filter(|name| !NEVER_WRONG.contains(name) && !elsewhere(name))
            .collect();
        assert_eq!(reported, declared);
        let text = problems.to_string();
        for (name, value) in BAD {
            let var = TABLES.iter().copied().flatten().find(|var| var.name == *name).unwrap();
            assert_eq!(text.contains(&format!("{value:?}")), var.secrecy == Secrecy::Open, "{name}:\n{text}");
        }
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let Loaded { config, warnings } = load(&[]).unwrap();
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
            (30, 0, 10_000)
        );
        assert!(warnings.iter().any(|w| w.contains("SLAVE_CODES is empty")), "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("SESSION_KEY is not set")), "{warnings:?}");
    }

    #[test]
    fn the_document_s_proxy_example_loads() {
        let pairs = [
            ("PROXY_MODE", "1"),
            ("SLAVE_CODES", "code1, code2 ,code3"),
            ("PROXY_WS_PORT", "8001"),
            ("MCP_SERVER_PORT", "8000"),
            ("PROXY_PORT", "tcp://10.0.0.1:8000"),
        ];
        let config = load(&pairs).unwrap().config;
        assert_eq!(config.slave_codes.len(), 3);
        assert!(config.slave_codes.contains("code2") && !config.slave_codes.contains("CODE2"));
        assert!(!format!("{config:?}").contains("code1"));
    }

    #[test]
    fn values_that_do_not_go_together_are_refused() {
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
            load(&[("REQUEST_TIMEOUT", "7200")]).unwrap().config.common.request_timeout_total.as_secs(),
            7200
        );
    }

    #[test]
    fn the_other_side_s_variable_is_pointed_out() {
        let warnings = load(&[("SLAVE_CODE", "hush")]).unwrap().warnings;
        assert!(warnings.iter().any(|w| w.contains("SLAVE_CODE is set")), "{warnings:?}");
        assert!(!warnings.iter().any(|w| w.contains("hush")), "{warnings:?}");
    }

    #[test]
    fn log_filters_by_part_are_accepted() {
        for good in ["DEBUG", "info,proxy=debug", "warn,runtime::ops=trace", "off"] {
            assert!(load(&[("LOG_LEVEL", good)]).is_ok(), "{good}");
        }
        for bad in ["warning", "info,loud", "proxy=loud"] {
            assert!(load(&[("LOG_LEVEL", bad)]).is_err(), "{bad}");
        }
    }
}
