//! The part of the configuration that proxy, slave and standalone server share.
//!
//! The values are typed and checked. Must not know what they are used for.

mod access;
mod audit;
mod clients;
mod hosts;
mod listener;
mod ops;
mod origins;
mod outbound;
mod session;
mod traces;
mod variables;

use std::time::Duration;

use crate::call_lines::CallLog;
use crate::env::{Reader, Snapshot, parse};
use crate::listen::ListenAddr;
use crate::outbound::OutboundRules;

pub use access::{AccessConfig, AnonymousAccess, IssuersConfig, KeyConfig, secret_list, warn_of_short};
pub use audit::{AUDIT, AuditConfig, AuditTarget};
pub use clients::ClientLimits;
pub use hosts::AllowedHosts;
pub use listener::listener;
use listener::read_listener;
pub use ops::{OpsConfig, StatusPage, ops_listener};
pub use origins::{AllowedOrigins, is_loopback_authority};
pub use outbound::{OUTBOUND, ways_of};
pub use session::SessionConfig;
pub use traces::{OtlpCompression, OtlpProtocol, ParentBased, SampleRatio, TRACES, TraceConfig};
use variables::Settings;
pub use variables::{EVERY, MODE, ModeSettings};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people, with the prefix `[PROXY]`, `[SLAVE]` or `[SERVER]`.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
}

/// `LOG_FORMAT`, `LOG_OUTPUT`, `LOG_LEVEL` and `LOG_CALLS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The format of the lines.
    pub format: LogFormat,
    /// Where the lines go.
    pub output: LogOutput,
    /// A filter that `tracing_subscriber::EnvFilter` accepts.
    pub filter: String,
    /// Which calls write their lines.
    pub calls: CallLog,
}

/// The times by which each end of a link detects a silent peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkPing {
    /// `LINK_PING_INTERVAL_MS`: silence after which a ping is sent.
    pub interval: Duration,
    /// `LINK_PING_TIMEOUT_MS`: silence after which the link is closed; at least twice the interval.
    pub timeout: Duration,
}

/// Variables that every mode reads.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// `MCP_SERVER_HOST`, `MCP_SERVER_PORT`: the clients' listener.
    pub http: ListenAddr,
    /// `OPS_PORT`, `OPS_HOST`, `UI`.
    pub ops: OpsConfig,
    /// `AUTH_BEARER_KEYS`, `OPS_KEYS`, their files, `ALLOW_ANONYMOUS`, `ALLOWED_HOSTS`, `PUBLIC_URL`: who is served.
    pub access: AccessConfig,
    /// `AUTH_CUSTOM_HEADER`: header accepted in place of `Authorization`, lower case.
    pub auth_header: Option<String>,
    /// `ALLOWED_ORIGINS`: origins of web pages that may send requests.
    pub allowed_origins: AllowedOrigins,
    /// `MAX_BODY_BYTES`: largest request body.
    pub max_body_bytes: usize,
    /// `MAX_BODIES_BYTES`, `MAX_CONNECTIONS`, `MAX_STREAMS_PER_CLIENT` and others: what clients may use.
    pub clients: ClientLimits,
    /// `REQUEST_TIMEOUT`: silence after which a call fails; each progress message restarts the time.
    pub request_timeout: Duration,
    /// `REQUEST_TIMEOUT_TOTAL`: largest duration of a call; never below `request_timeout`.
    pub request_timeout_total: Duration,
    /// `SESSION_KEY`, `SESSION_KEY_FILE`: the keys of legacy session tokens.
    pub session: SessionConfig,
    /// `SESSION_TTL`: validity of a legacy session token.
    pub session_ttl: Duration,
    /// `SHUTDOWN_GRACE`: time that running calls get to finish, after the delay.
    pub shutdown_grace: Duration,
    /// `SHUTDOWN_DELAY`: time after a signal to stop in which the process is unready and still takes calls.
    pub shutdown_delay: Duration,
    /// `LOG_FORMAT`, `LOG_OUTPUT`, `LOG_LEVEL`, `LOG_CALLS`: the log.
    pub log: LogConfig,
    /// `AUDIT_*`: the audit stream; `None`: no audit.
    pub audit: Option<AuditConfig>,
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, `EXTRA_CA_FILE`: the ways to servers.
    pub ways: OutboundRules,
    /// `OTEL_*`: the export of traces; `None`: no traces.
    pub traces: Option<TraceConfig>,
    /// `LIST_TTL_MS`: `ttlMs` of modern list results.
    pub list_ttl: Duration,
    /// `SSE_KEEPALIVE`: silence after which a stream of events sends a comment.
    pub sse_keepalive: Duration,
    /// `SSE_AFTER_MS`: silence after which a call opens its stream of events.
    pub sse_after: Duration,
    /// `LINK_PING_INTERVAL_MS`, `LINK_PING_TIMEOUT_MS`: detection of silent peers.
    pub link_ping: LinkPing,
}

impl CommonConfig {
    /// Reads the variables of [`EVERY`], [`AUDIT`], [`OUTBOUND`] and [`TRACES`], which the reader's tables must contain. Problems
    /// stay in the reader.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Settings::read(reader);
        let http = read_listener(reader, &settings);
        let seconds = parse::seconds;
        let ways = outbound::read(reader);
        let access = access::read(reader, &settings, &ways);
        let max_body_bytes = reader.value(&settings.max_body_bytes, parse::whole(1024..=67_108_864, "bytes"));
        Self {
            ops: ops::read(reader, &settings, &http),
            http,
            auth_header: read_auth_header(reader, &settings, &access),
            access,
            allowed_origins: reader
                .optional(&settings.allowed_origins, AllowedOrigins::parse)
                .unwrap_or_default(),
            max_body_bytes,
            clients: clients::read(reader, &settings, max_body_bytes),
            request_timeout: reader.value(&settings.request_timeout, silence_timeout),
            request_timeout_total: read_total(reader, &settings),
            session: session::read(reader, &settings),
            session_ttl: reader.value(&settings.session_ttl, seconds(1.0..=31_536_000.0)),
            shutdown_delay: reader.value(&settings.shutdown_delay, seconds(0.0..=600.0)),
            shutdown_grace: reader.value(&settings.shutdown_grace, seconds(0.0..=3600.0)),
            log: read_log(reader, &settings),
            audit: AuditConfig::read(reader),
            traces: TraceConfig::read(reader, &ways),
            ways,
            sse_after: reader.value(&settings.sse_after_ms, parse::millis(0..=600_000)),
            sse_keepalive: reader.value(&settings.sse_keepalive, parse::seconds(1.0..=3600.0)),
            list_ttl: reader.value(&settings.list_ttl_ms, parse::millis(0..=86_400_000)),
            link_ping: read_ping(reader, &settings),
        }
    }
}

/// Parses `REQUEST_TIMEOUT`: from a tenth of a second to a day.
fn silence_timeout(text: &str) -> Result<Duration, String> {
    parse::seconds(0.1..=86_400.0)(text)
}

fn read_auth_header(reader: &mut Reader<'_>, settings: &Settings, access: &AccessConfig) -> Option<String> {
    let header = reader.optional(&settings.auth_custom_header, parse::header_name);
    if header.is_some() && !access.clients.is_set() && !access.operators.is_set() {
        reader
            .warn("AUTH_CUSTOM_HEADER is set but AUTH_BEARER_KEYS is not: no key is asked for in any header");
    }
    header
}

/// Reads `REQUEST_TIMEOUT_TOTAL`. Where only `REQUEST_TIMEOUT` is set, the result is the longer of it and the default.
fn read_total(reader: &mut Reader<'_>, settings: &Settings) -> Duration {
    let silence =
        settings.request_timeout.text().and_then(|text| silence_timeout(text).ok()).unwrap_or_default();
    let total = reader.value(&settings.request_timeout_total, parse::seconds(0.1..=604_800.0));
    if !settings.request_timeout_total.is_set() {
        return total.max(silence);
    }
    if !total.is_zero() && total < silence {
        reader.reject(&settings.request_timeout_total, "at least the seconds of REQUEST_TIMEOUT");
    }
    total
}

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Reads `LOG_FORMAT` of an environment that may have any other fault.
pub fn log_format(snapshot: &Snapshot) -> LogFormat {
    snapshot.get("LOG_FORMAT").and_then(|text| parse::choice(FORMATS)(text).ok()).unwrap_or_default()
}

fn read_log(reader: &mut Reader<'_>, settings: &Settings) -> LogConfig {
    const OUTPUTS: &[(&str, LogOutput)] = &[("stderr", LogOutput::Stderr), ("stdout", LogOutput::Stdout)];
    const CALLS: &[(&str, CallLog)] =
        &[("sampled", CallLog::Sampled), ("all", CallLog::All), ("off", CallLog::Off)];
    LogConfig {
        format: reader.value(&settings.log_format, parse::choice(FORMATS)),
        output: reader.value(&settings.log_output, parse::choice(OUTPUTS)),
        filter: reader.value(&settings.log_level, log_filter),
        calls: reader.value(&settings.log_calls, parse::choice(CALLS)),
    }
}

/// Checks `LOG_LEVEL`. A lone word must be a level, because `EnvFilter` would take any other word for a target and show
/// nothing else.
fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    let expected = || "trace, debug, info, warn, error or off, or a list such as info,proxy=debug".to_owned();
    let lone_words_are_levels = parse::list(text)
        .filter(|part| !part.contains(['=', '[']))
        .all(|word| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)));
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    if lone_words_are_levels && parsed.is_ok() { Ok(text.to_owned()) } else { Err(expected()) }
}

fn read_ping(reader: &mut Reader<'_>, settings: &Settings) -> LinkPing {
    let interval = reader.value(&settings.link_ping_interval_ms, parse::millis(50..=60_000));
    let timeout = reader.value(&settings.link_ping_timeout_ms, parse::millis(100..=300_000));
    if !timeout.is_zero() && !interval.is_zero() && timeout < interval * 2 {
        reader.reject(&settings.link_ping_timeout_ms, "at least twice LINK_PING_INTERVAL_MS");
    }
    LinkPing { interval, timeout }
}
