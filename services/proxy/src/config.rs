//! What the proxy reads from its environment, typed and checked. Knows nothing of what the values are used for.

mod balance;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::config::{AUDIT, CommonConfig, EVERY, TRACES};
use runtime::env::Fallback::{Says, Value};
use runtime::env::Group::Proxy;
use runtime::env::{Loaded, Problems, Reader, Snapshot, Var, parse};
use runtime::listen::ListenAddr;
use runtime::secret::{KeyOrigin, SecretSet};
use runtime::trusted::TrustedProxies;
use serde::Deserialize;

pub use balance::{BalanceConfig, QueueLimits, VARIABLES as BALANCE_VARIABLES};

use crate::access::CodesFile;
use crate::balance::outliers::Policy;
use crate::dispatch::RetryPolicy;
use crate::routes::{RoutesError, RoutesFile};
pub use tls::TlsPorts;

/// The proxy's own variables.
#[rustfmt::skip]
pub const VARIABLES: &[Var] = &[
    Var::new(Proxy, "PROXY_WS_HOST", Value("0.0.0.0"), "Address that slaves connect to."),
    Var::new(Proxy, "PROXY_WS_PORT", Value("8001"), "WebSocket port that slaves connect to. 0: any free port; the log names it."),
    Var::new(Proxy, "SLAVE_CODES", Says("no slave can connect"), "Comma-separated codes; a slave must present one of them. Spaces around a code do not count, case does.").secret(),
    Var::new(Proxy, "SLAVE_CODES_FILE", Says("SLAVE_CODES only"), "Path of a file of more codes: one a line, or YAML entries with name, labels, tools and times. Read again when it changes and at SIGHUP: see OPERATIONS."),
    Var::new(Proxy, "HANDSHAKE_RATE", Value("200"), "Slave connections that may begin in a second, half as many at once; the rest are told to come again (503 with Retry-After). 0: no limit."),
    Var::new(Proxy, "TRUSTED_PROXIES", Says("nobody's word counts"), "Comma-separated networks of ingresses and load balancers whose X-Forwarded-For or Forwarded names the real client or slave."),
    Var::new(Proxy, "TLS_CERT", Says("both ports are plain"), "PEM file of the proxy's certificate and its chain: both ports speak TLS. TLS files are read again when they change and at SIGHUP."),
    Var::new(Proxy, "TLS_KEY", Says("needed with TLS_CERT"), "PEM file of its key."),
    Var::new(Proxy, "TLS_HTTP", Value("1"), "0: the clients' port stays plain although TLS_CERT is set."),
    Var::new(Proxy, "TLS_OPS", Says("as TLS_HTTP"), "1 or 0: whether OPS_PORT speaks TLS, with TLS_CERT."),
    Var::new(Proxy, "TLS_WS", Value("1"), "0: the slaves' port stays plain although TLS_CERT is set."),
    Var::new(Proxy, "TLS_CLIENT_CA", Says("slaves show no certificate"), "PEM file of authorities: a slave must show a certificate from one of them, beside its code."),
    Var::new(Proxy, "SLAVE_MODE", Value("multi"), "multi: any number of slaves at once; single: a new slave replaces the one before (close code 4001)."),
    Var::new(Proxy, "TOOL_CONFLICT", Value("namespace"), "Different tools under one name: namespace lists each as slave__tool; refuse lists none of them. Always reported in the log."),
    Var::new(Proxy, "ROUTES", Says("built-in rules only"), "Path of a YAML file of rules that send calls to slaves by their labels. Read again when it changes and at SIGHUP: see OPERATIONS."),
    Var::new(Proxy, "LINK_GRACE", Value("30"), "Seconds that running calls wait for their slave after its link broke; then their outcome is unknown."),
    Var::new(Proxy, "READY_MIN_SLAVES", Value("0"), "Slaves that must be able to take calls (linked, offering tools, not draining) for /readyz to say ready."),
    Var::new(Proxy, "LINK_LATE_MS", Value("1000"), "Milliseconds of a link's round trip above which its slave is degraded: chosen only where no other can take a call."),
    Var::new(Proxy, "EJECT_AFTER", Value("5"), "Calls in a row that a slave fails by its own fault before it gets none for EJECT_TIME, while others can take them. 0: never."),
    Var::new(Proxy, "EJECT_TIME", Value("10"), "Seconds without calls for a slave that failed; doubled each time up to 32-fold. Then a few calls test it."),
    Var::new(Proxy, "RETRY_IDEMPOTENT", Value("0"), "1: calls of tools annotated readOnlyHint or idempotentHint (and not destructiveHint) are run again, at most twice, where their outcome is unknown or their backend failed."),
    Var::new(Proxy, "PROXY_PEERS", Says("not set"), "host:port of a DNS name that has one address for each proxy, say a headless Service: for slaves that reach the proxies through one load balancer address."),
    Var::new(Proxy, "MAX_SLAVES", Value("10000"), "Slaves that may be connected at once."),
];

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
    pub(crate) ejection: Policy,
    /// `RETRY_IDEMPOTENT`.
    pub(crate) retry: RetryPolicy,
    /// `PROXY_PEERS`: a name with one address for each proxy, and a port.
    pub peers: Option<(String, u16)>,
    /// `MAX_SLAVES`.
    pub max_slaves: usize,
    /// Queues and rate limits.
    pub balance: BalanceConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    proxy_ws_host: Option<String>,
    proxy_ws_port: Option<String>,
    slave_codes: Option<String>,
    slave_codes_file: Option<String>,
    handshake_rate: Option<String>,
    trusted_proxies: Option<String>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    tls_http: Option<String>,
    tls_ops: Option<String>,
    tls_ws: Option<String>,
    tls_client_ca: Option<String>,
    slave_mode: Option<String>,
    tool_conflict: Option<String>,
    routes: Option<String>,
    link_grace: Option<String>,
    ready_min_slaves: Option<String>,
    link_late_ms: Option<String>,
    eject_after: Option<String>,
    eject_time: Option<String>,
    retry_idempotent: Option<String>,
    proxy_peers: Option<String>,
    max_slaves: Option<String>,
}

impl ProxyConfig {
    /// Reads and checks everything; the error names every problem.
    pub fn load(snapshot: &Snapshot) -> Result<Loaded<Self>, Problems> {
        let mut reader = Reader::new("proxy", snapshot, TABLES);
        let common = CommonConfig::read(&mut reader);
        let raw: Raw = reader.fill();
        let ws = ListenAddr {
            host: reader.value("PROXY_WS_HOST", raw.proxy_ws_host.as_deref(), parse::host),
            port: reader.value("PROXY_WS_PORT", raw.proxy_ws_port.as_deref(), parse::port),
            host_var: "PROXY_WS_HOST",
            port_var: "PROXY_WS_PORT",
        };
        check_ports(&mut reader, &ws, &common);
        let has_ops = common.ops.port.is_some();
        let (slave_codes, codes_file) = read_codes(&mut reader, &raw);
        if common.session_key.origin() == KeyOrigin::Random {
            reader.warn("SESSION_KEY is not set: a random one is used, so sessions end with this process. Several proxies need the same SESSION_KEY, or the sessions of one are unknown to the others");
        }
        let modes: &'static [_] = &[("multi", SlaveMode::Multi), ("single", SlaveMode::Single)];
        let policies: &'static [_] =
            &[("namespace", ToolConflict::Namespace), ("refuse", ToolConflict::Refuse)];
        let (ready, max) = (raw.ready_min_slaves.as_deref(), raw.max_slaves.as_deref());
        let routes = read_routes(&mut reader, raw.routes.as_deref(), &common);
        let config = Self {
            common,
            ws,
            slave_codes,
            codes_file,
            handshake_rate: reader.value(
                "HANDSHAKE_RATE",
                raw.handshake_rate.as_deref(),
                parse::whole(0..=1_000_000, "connections a second"),
            ),
            trusted: reader
                .optional("TRUSTED_PROXIES", raw.trusted_proxies.as_deref(), TrustedProxies::parse)
                .unwrap_or_default(),
            tls: tls::read(&mut reader, &raw).for_ops(has_ops),
            slave_mode: reader.value("SLAVE_MODE", raw.slave_mode.as_deref(), parse::choice(modes)),
            tool_conflict: reader.value(
                "TOOL_CONFLICT",
                raw.tool_conflict.as_deref(),
                parse::choice(policies),
            ),
            routes,
            link_grace: reader.value("LINK_GRACE", raw.link_grace.as_deref(), parse::seconds(0.0..=3600.0)),
            ready_min_slaves: reader.value("READY_MIN_SLAVES", ready, parse::whole(0..=1_000_000, "slaves")),
            link_late: reader.value("LINK_LATE_MS", raw.link_late_ms.as_deref(), parse::millis(1..=60_000)),
            ejection: read_ejection(&mut reader, (raw.eject_after.as_deref(), raw.eject_time.as_deref())),
            retry: read_retry(&mut reader, raw.retry_idempotent.as_deref()),
            peers: reader.optional("PROXY_PEERS", raw.proxy_peers.as_deref(), parse::host_and_port),
            max_slaves: reader.value("MAX_SLAVES", max, parse::whole(1..=1_000_000, "slaves")),
            balance: BalanceConfig::read(&mut reader),
        };
        check_counts(&mut reader, &config);
        reader.finish(config)
    }
}

fn check_ports(reader: &mut Reader<'_>, ws: &ListenAddr, common: &CommonConfig) {
    if ws.port == 0 {
        return;
    }
    if ws.port == common.http.port {
        let expected = "another port than MCP_SERVER_PORT: clients and slaves are served on one each";
        reader.bad("PROXY_WS_PORT", &ws.port.to_string(), expected.into());
    }
    if common.ops.port.as_ref().is_some_and(|ops| ops.port == ws.port) {
        let expected = "another port than PROXY_WS_PORT: that one is the slaves'";
        reader.bad("OPS_PORT", &ws.port.to_string(), expected.into());
    }
}

fn read_codes(reader: &mut Reader<'_>, raw: &Raw) -> (SecretSet, Option<(PathBuf, CodesFile)>) {
    let codes = SecretSet::new(parse::list(raw.slave_codes.as_deref().unwrap_or_default()));
    let named = raw.slave_codes_file.as_deref();
    let file = reader.optional("SLAVE_CODES_FILE", named, |text| {
        let path = PathBuf::from(text);
        let read = CodesFile::read(&path);
        read.map(|(file, _)| (path, file)).map_err(|error| format!("a file of slave codes: {error}"))
    });
    if named.is_some() && file.as_ref().is_some_and(|(_, file)| file.is_empty()) && codes.is_empty() {
        reader.warn("SLAVE_CODES_FILE has no codes yet: no slave can connect until it has");
    }
    if codes.is_empty() && named.is_none() {
        let hint =
            if reader.is_set("SLAVE_CODE") { " (SLAVE_CODE is set: that one is the slave's)" } else { "" };
        reader.warn(format!("SLAVE_CODES is empty: no slave can connect{hint}"));
    }
    (codes, file)
}

/// The file with everything that is wrong in it, and clients that nobody can be.
fn read_routes(reader: &mut Reader<'_>, path: Option<&str>, common: &CommonConfig) -> Option<RoutesFile> {
    let path = path?;
    match RoutesFile::read(Path::new(path)) {
        Ok(file) => {
            let keys: Vec<[u8; 32]> = common.bearer_keys.digests().collect();
            for name in file.routes.unknown_clients(&keys) {
                reader.warn(format!("ROUTES: no key of AUTH_BEARER_KEYS is the client {name:?}"));
            }
            Some(file)
        }
        Err(RoutesError::Bad(problems)) => {
            reader.bad_file("ROUTES", path, &problems);
            None
        }
        Err(RoutesError::Unreadable(error)) => {
            reader.bad("ROUTES", path, format!("a YAML file of routes ({error})"));
            None
        }
    }
}

fn read_ejection(reader: &mut Reader<'_>, (after, time): (Option<&str>, Option<&str>)) -> Policy {
    Policy {
        after: reader.value("EJECT_AFTER", after, parse::whole(0..=1_000_000, "calls")),
        base: reader.value("EJECT_TIME", time, parse::seconds(0.1..=3600.0)),
    }
}

fn read_retry(reader: &mut Reader<'_>, raw: Option<&str>) -> RetryPolicy {
    if reader.value("RETRY_IDEMPOTENT", raw, parse::flag) {
        RetryPolicy::Idempotent
    } else {
        RetryPolicy::Never
    }
}

fn check_counts(reader: &mut Reader<'_>, config: &ProxyConfig) {
    if config.max_slaves != 0 && config.ready_min_slaves > config.max_slaves {
        reader.bad("READY_MIN_SLAVES", &config.ready_min_slaves.to_string(), "at most MAX_SLAVES".into());
    }
    if config.slave_mode == SlaveMode::Single && config.ready_min_slaves > 1 {
        let expected = "0 or 1 with SLAVE_MODE=single, or the proxy would never be ready";
        reader.bad("READY_MIN_SLAVES", &config.ready_min_slaves.to_string(), expected.into());
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
        let told: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        let elsewhere = |name: &str| [&AUDIT[1..], &TRACES[1..]].concat().iter().any(|var| var.name == name);
        let declared: Vec<&str> = TABLES
            .iter()
            .copied()
            .flatten()
            .map(|var| var.name)
            .filter(|name| !NEVER_WRONG.contains(name) && !elsewhere(name))
            .collect();
        assert_eq!(told, declared);
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
