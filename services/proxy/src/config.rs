//! The proxy's environment, typed and checked. Must not know the parts that use the values.

mod balance;
mod broker;
pub(crate) mod rate;
mod tls;
mod variables;

use std::path::PathBuf;
use std::time::Duration;

use runtime::config::{AUDIT, CommonConfig, EVERY, OUTBOUND, StatusPage, TRACES, secret_list};
use runtime::env::{Reader, Setting, Var, parse};
use runtime::listen::ListenAddr;
use runtime::secret::{KeyOrigin, SecretSet};
use runtime::trusted::TrustedProxies;

pub use balance::{BalanceConfig, QueueLimits, VARIABLES as BALANCE_VARIABLES};
pub(crate) use balance::{MAX_QUEUE_LENGTH, MAX_QUEUE_TIMEOUT};
pub use broker::{BrokerConfig, VARIABLES as BROKER_VARIABLES};
pub use rate::Rate;

pub use tls::TlsPorts;
use variables::Settings;
pub use variables::VARIABLES;

/// The tables that a proxy's configuration is read from.
pub const TABLES: &[&[Var]] =
    &[EVERY, VARIABLES, BALANCE_VARIABLES, BROKER_VARIABLES, AUDIT, OUTBOUND, TRACES];

/// `SLAVE_MODE`: the number of slaves that may be connected at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlaveMode {
    /// Any number of slaves at once.
    #[default]
    Multi,
    /// A single slave; a new one replaces the one before.
    Single,
}

/// `RETRY_IDEMPOTENT`: the calls that may be retried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Every call runs at most once.
    #[default]
    Never,
    /// Calls of tools that are annotated as idempotent may be run again.
    Idempotent,
}

/// The limits of the ejection of hosts that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// `EJECT_AFTER`: consecutive failures before an ejection; 0: no host is ejected.
    pub after: u32,
    /// `EJECT_TIME`: duration of the first ejection, doubled with each further one.
    pub base: Duration,
}

/// `TOOL_CONFLICT`: the treatment of different tools with one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolConflict {
    /// The owner's tool has the name, and each other one is offered as `provider__tool`.
    #[default]
    Namespace,
    /// None of the tools is offered, except the owner's of an exclusive name.
    Refuse,
}

/// The configuration of a proxy.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// The configuration that every mode reads.
    pub common: CommonConfig,
    /// `PROXY_WS_HOST`, `PROXY_WS_PORT`: the slaves' listener.
    pub ws: ListenAddr,
    /// `SLAVE_CODES`, hashed.
    pub slave_codes: SecretSet,
    /// `SLAVE_CODES_FILE`: path of the file of codes.
    pub codes_file: Option<PathBuf>,
    /// `HANDSHAKE_RATE`: new connections of slaves per second; 0: no limit.
    pub handshake_rate: u32,
    /// `SLAVES_ON_CLIENT_PORT`: whether the clients' port takes slaves at `/link`.
    pub slaves_on_client_port: bool,
    /// `TRUSTED_PROXIES`: the networks whose forwarding headers are trusted.
    pub trusted: TrustedProxies,
    /// `TLS_CERT`, `TLS_KEY`, `TLS_HTTP`, `TLS_WS`, `TLS_CLIENT_CA`, `TLS_HTTP_CLIENT_CA`, `TLS_HTTP_CLIENT_CERT`: TLS of each port.
    pub tls: TlsPorts,
    /// `SLAVE_MODE`: the number of slaves that may be connected at once.
    pub slave_mode: SlaveMode,
    /// `TOOL_CONFLICT`: the treatment of different tools with one name.
    pub tool_conflict: ToolConflict,
    /// `ROUTES`: path of the file of rules.
    pub routes: Option<PathBuf>,
    /// `POLICY`: path of the file of who may use what.
    pub policy: Option<PathBuf>,
    /// `LINK_GRACE`: time that calls wait for their slave after its link broke.
    pub link_grace: Duration,
    /// `READY_MIN_SLAVES`: slaves that readiness requires.
    pub ready_min_slaves: usize,
    /// `START_WINDOW`: time after the start in which slaves are waited for.
    pub start_window: Duration,
    /// `LINK_LATE_MS`: round trip time above which a slave is degraded.
    pub link_late: Duration,
    /// `EJECT_AFTER`, `EJECT_TIME`: the ejection of slaves that fail.
    pub ejection: EjectionPolicy,
    /// `RETRY_IDEMPOTENT`: the calls that may be retried.
    pub retry: RetryPolicy,
    /// `PROXY_PEERS`: a host name with one address for each proxy, and a port.
    pub peers: Option<(String, u16)>,
    /// `MAX_SLAVES`: slaves that may be connected at once.
    pub max_slaves: usize,
    /// `MAX_LINKS_PER_CODE`: slaves that may be connected at once with one code.
    pub max_links_per_code: usize,
    /// `MAX_CATALOG_BYTES`: bytes of all catalogs together.
    pub max_catalog_bytes: usize,
    /// Queues and rate limits.
    pub balance: BalanceConfig,
    /// The OAuth broker, where it is switched on.
    pub broker: Option<BrokerConfig>,
}

/// The settings that name files, for the reader of those files.
pub(crate) struct FileSettings {
    /// `SLAVE_CODES_FILE`.
    pub(crate) codes: Setting,
    /// `ROUTES`.
    pub(crate) routes: Setting,
    /// `POLICY`.
    pub(crate) policy: Setting,
}

impl ProxyConfig {
    /// Reads and checks all variables of [`TABLES`]; problems stay in the reader. Does not read the files of codes and
    /// routes.
    pub(crate) fn read(reader: &mut Reader<'_>) -> (Self, FileSettings) {
        let common = CommonConfig::read(reader);
        let settings = Settings::read(reader);
        if common.session.keys.seal().origin() == KeyOrigin::Random {
            reader.warn("SESSION_KEY is not set: a random one is used, so sessions end with this process. Several proxies need the same SESSION_KEY: without it they form no fleet, and the sessions of one are unknown to the others");
        }
        let (seconds, slaves) = (parse::seconds, |range| parse::whole(range, "slaves"));
        let path = |setting: &Setting| setting.text().map(PathBuf::from);
        let config = Self {
            ws: read_ws(reader, &settings, &common),
            slave_codes: secret_list(reader, &settings.slave_codes, "codes"),
            codes_file: path(&settings.slave_codes_file),
            slaves_on_client_port: reader.value(&settings.slaves_on_client_port, parse::flag),
            handshake_rate: reader
                .value(&settings.handshake_rate, parse::whole(0..=1_000_000, "connections a second")),
            trusted: reader.optional(&settings.trusted_proxies, TrustedProxies::parse).unwrap_or_default(),
            tls: tls::read(reader, &settings).for_ops(common.ops.port.is_some()),
            slave_mode: reader.value(&settings.slave_mode, parse::choice(SLAVE_MODES)),
            tool_conflict: reader.value(&settings.tool_conflict, parse::choice(TOOL_CONFLICTS)),
            routes: path(&settings.routes),
            policy: path(&settings.policy),
            link_grace: reader.value(&settings.link_grace, seconds(0.0..=3600.0)),
            ready_min_slaves: reader.value(&settings.ready_min_slaves, slaves(0..=1_000_000)),
            start_window: reader.value(&settings.start_window, seconds(0.0..=3600.0)),
            link_late: reader.value(&settings.link_late_ms, parse::millis(1..=60_000)),
            ejection: read_ejection(reader, &settings),
            retry: read_retry(reader, &settings.retry_idempotent),
            peers: reader.optional(&settings.proxy_peers, parse::host_and_port),
            max_slaves: reader.value(&settings.max_slaves, slaves(1..=1_000_000)),
            max_links_per_code: reader.value(&settings.max_links_per_code, slaves(1..=1_000_000)),
            max_catalog_bytes: reader
                .value(&settings.max_catalog_bytes, parse::whole(1_048_576..=1 << 40, "bytes")),
            balance: BalanceConfig::read(reader),
            broker: BrokerConfig::read(reader, &common),
            common,
        };
        if config.common.ops.ui == StatusPage::Full && config.policy.is_none() {
            reader.warn("UI is full but POLICY is not set: nobody may operate, since only the role operate in its section operators lets an operator run tools and drain slaves");
        }
        check_counts(reader, &settings, &config);
        check_fleet(reader, &settings, &config);
        let files = FileSettings {
            codes: settings.slave_codes_file,
            routes: settings.routes,
            policy: settings.policy,
        };
        (config, files)
    }
}

const SLAVE_MODES: &[(&str, SlaveMode)] = &[("multi", SlaveMode::Multi), ("single", SlaveMode::Single)];

const TOOL_CONFLICTS: &[(&str, ToolConflict)] =
    &[("namespace", ToolConflict::Namespace), ("refuse", ToolConflict::Refuse)];

/// Reads the slaves' listener; its port must be neither the clients' nor the operators'.
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

fn read_ejection(reader: &mut Reader<'_>, settings: &Settings) -> EjectionPolicy {
    EjectionPolicy {
        after: reader.value(&settings.eject_after, parse::whole(0..=1_000_000, "calls")),
        base: reader.value(&settings.eject_time, parse::seconds(0.1..=3600.0)),
    }
}

fn read_retry(reader: &mut Reader<'_>, setting: &Setting) -> RetryPolicy {
    if reader.value(setting, parse::flag) { RetryPolicy::Idempotent } else { RetryPolicy::Never }
}

/// Several proxies without a common key are no fleet: their facts would not be accepted by each other.
fn check_fleet(reader: &mut Reader<'_>, settings: &Settings, config: &ProxyConfig) {
    if config.peers.is_some() && config.common.session.keys.seal().origin() == KeyOrigin::Random {
        let expected = "SESSION_KEY or SESSION_KEY_FILE beside it: several proxies form a fleet only with the same SESSION_KEY";
        reader.reject(&settings.proxy_peers, expected);
    }
}

fn check_counts(reader: &mut Reader<'_>, settings: &Settings, config: &ProxyConfig) {
    if config.max_slaves != 0 && config.ready_min_slaves > config.max_slaves {
        reader.reject(&settings.ready_min_slaves, "at most MAX_SLAVES");
    }
    if config.slave_mode == SlaveMode::Single && config.ready_min_slaves > 1 {
        let expected = "0 or 1 with SLAVE_MODE=single, or the proxy would never be ready";
        reader.reject(&settings.ready_min_slaves, expected);
    }
}
