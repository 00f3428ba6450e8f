//! The part of the configuration that proxy, slave and standalone server share.
//!
//! Typed and checked; knows nothing of what the values are used for.

mod audit;
mod ops;
mod origins;
mod traces;
mod variables;

use std::time::Duration;

use serde::Deserialize;

use crate::env::{Reader, parse};
use crate::listen::ListenAddr;
use crate::secret::{SecretSet, SessionKey};

pub use audit::{AUDIT, AuditConfig, AuditTarget};
pub use ops::{OpsConfig, ops_listener};
pub use origins::AllowedOrigins;
pub use traces::{OtlpCompression, OtlpProtocol, Parents, Share, TRACES, TraceConfig};
pub use variables::{EVERY, MODE};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, with the `[PROXY]` or `[SLAVE]` prefix.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `LOG_FORMAT` and `LOG_LEVEL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines are written.
    pub format: LogFormat,
    /// A filter that `tracing_subscriber::EnvFilter` accepts.
    pub filter: String,
}

/// How each side of a link finds out that the other is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkPing {
    /// `LINK_PING_INTERVAL_MS`: silence after which a ping is sent.
    pub interval: Duration,
    /// `LINK_PING_TIMEOUT_MS`: silence after which the link is given up; at least twice the interval.
    pub timeout: Duration,
}

/// Variables that every mode reads.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// `MCP_SERVER_HOST`, `MCP_SERVER_PORT`: where clients are served.
    pub http: ListenAddr,
    /// `OPS_PORT`, `OPS_HOST`, `UI`.
    pub ops: OpsConfig,
    /// `AUTH_BEARER_KEYS`: empty means that no key is asked for.
    pub bearer_keys: SecretSet,
    /// `AUTH_CUSTOM_HEADER`: header accepted in place of `Authorization`, lower case.
    pub auth_header: Option<String>,
    /// `ALLOWED_ORIGINS`.
    pub allowed_origins: AllowedOrigins,
    /// `MAX_BODY_BYTES`: largest request body.
    pub max_body_bytes: usize,
    /// `REQUEST_TIMEOUT`: silence after which a call is given up; progress starts it anew.
    pub request_timeout: Duration,
    /// `REQUEST_TIMEOUT_TOTAL`: how long a call may take at all; never below `request_timeout`.
    pub request_timeout_total: Duration,
    /// `SESSION_KEY`: seals legacy session tokens.
    pub session_key: SessionKey,
    /// `SESSION_TTL`: how long a legacy session token is good.
    pub session_ttl: Duration,
    /// `SHUTDOWN_GRACE`: how long calls may still run after a signal to stop.
    pub shutdown_grace: Duration,
    /// `SHUTDOWN_DELAY`: how long after a signal to stop calls are still taken, unready already.
    pub shutdown_delay: Duration,
    /// `LOG_FORMAT`, `LOG_LEVEL`.
    pub log: LogConfig,
    /// `AUDIT_*`: where the audit stream goes, if anywhere.
    pub audit: Option<AuditConfig>,
    /// `OTEL_*`: where traces go, if anywhere.
    pub traces: Option<TraceConfig>,
    /// `LIST_TTL_MS`: `ttlMs` of modern list results.
    pub list_ttl: Duration,
    /// `LINK_PING_INTERVAL_MS`, `LINK_PING_TIMEOUT_MS`.
    pub link_ping: LinkPing,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    mcp_server_host: Option<String>,
    mcp_server_port: Option<String>,
    auth_bearer_keys: Option<String>,
    auth_custom_header: Option<String>,
    allowed_origins: Option<String>,
    max_body_bytes: Option<String>,
    request_timeout: Option<String>,
    request_timeout_total: Option<String>,
    session_key: Option<String>,
    session_ttl: Option<String>,
    shutdown_delay: Option<String>,
    shutdown_grace: Option<String>,
    log_format: Option<String>,
    log_level: Option<String>,
    list_ttl_ms: Option<String>,
    link_ping_interval_ms: Option<String>,
    link_ping_timeout_ms: Option<String>,
}

impl CommonConfig {
    /// Reads the variables of [`EVERY`], [`AUDIT`] and [`TRACES`], which the reader's tables must contain. Problems stay in the reader.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let http = listener(reader);
        let ops = ops::read(reader, &http);
        let raw: Raw = reader.fill();
        let origins = raw.allowed_origins.as_deref();
        let body = raw.max_body_bytes.as_deref();
        let ttl = raw.session_ttl.as_deref();
        let delay = raw.shutdown_delay.as_deref();
        let grace = raw.shutdown_grace.as_deref();
        let list_ttl = raw.list_ttl_ms.as_deref();
        Self {
            http,
            ops,
            bearer_keys: SecretSet::new(parse::list(raw.auth_bearer_keys.as_deref().unwrap_or_default())),
            auth_header: read_auth_header(reader, &raw),
            allowed_origins: reader
                .optional("ALLOWED_ORIGINS", origins, AllowedOrigins::parse)
                .unwrap_or_default(),
            max_body_bytes: reader.value("MAX_BODY_BYTES", body, parse::whole(1024..=67_108_864, "bytes")),
            request_timeout: reader.value("REQUEST_TIMEOUT", raw.request_timeout.as_deref(), call_time),
            request_timeout_total: read_total(reader, &raw),
            session_key: read_session_key(reader, raw.session_key.as_deref()),
            session_ttl: reader.value("SESSION_TTL", ttl, parse::seconds(1.0..=31_536_000.0)),
            shutdown_delay: reader.value("SHUTDOWN_DELAY", delay, parse::seconds(0.0..=600.0)),
            shutdown_grace: reader.value("SHUTDOWN_GRACE", grace, parse::seconds(0.0..=3600.0)),
            log: read_log(reader, &raw),
            audit: AuditConfig::read(reader),
            traces: TraceConfig::read(reader),
            list_ttl: reader.value("LIST_TTL_MS", list_ttl, parse::millis(0..=86_400_000)),
            link_ping: read_ping(reader, &raw),
        }
    }
}

/// `MCP_SERVER_HOST` and `MCP_SERVER_PORT` alone.
pub fn listener(reader: &mut Reader<'_>) -> ListenAddr {
    let raw: Raw = reader.fill();
    ListenAddr {
        host: reader.value("MCP_SERVER_HOST", raw.mcp_server_host.as_deref(), parse::host),
        port: reader.value("MCP_SERVER_PORT", raw.mcp_server_port.as_deref(), parse::port),
        host_var: "MCP_SERVER_HOST",
        port_var: "MCP_SERVER_PORT",
    }
}

/// `REQUEST_TIMEOUT`: from a tenth of a second to a day.
fn call_time(text: &str) -> Result<Duration, String> {
    parse::seconds(0.1..=86_400.0)(text)
}

fn read_auth_header(reader: &mut Reader<'_>, raw: &Raw) -> Option<String> {
    let header = reader.optional("AUTH_CUSTOM_HEADER", raw.auth_custom_header.as_deref(), parse::header_name);
    if header.is_some() && raw.auth_bearer_keys.is_none() {
        reader
            .warn("AUTH_CUSTOM_HEADER is set but AUTH_BEARER_KEYS is not: no key is asked for in any header");
    }
    header
}

/// The longer of the two times where only `REQUEST_TIMEOUT` is set.
fn read_total(reader: &mut Reader<'_>, raw: &Raw) -> Duration {
    let silence = raw.request_timeout.as_deref().and_then(|text| call_time(text).ok()).unwrap_or_default();
    let text = raw.request_timeout_total.as_deref();
    let total = reader.value("REQUEST_TIMEOUT_TOTAL", text, parse::seconds(0.1..=604_800.0));
    match text {
        Some(text) if !total.is_zero() && total < silence => {
            reader.bad("REQUEST_TIMEOUT_TOTAL", text, "at least the seconds of REQUEST_TIMEOUT".into());
            total
        }
        _ => total.max(silence),
    }
}

fn read_session_key(reader: &mut Reader<'_>, raw: Option<&str>) -> SessionKey {
    let long_enough = |text: &str| match text.chars().count() {
        0..32 => Err("at least 32 characters, for example the output of: openssl rand -base64 32".to_owned()),
        _ => Ok(SessionKey::derive(text)),
    };
    if raw.is_some() {
        return reader.optional("SESSION_KEY", raw, long_enough).unwrap_or_else(|| SessionKey::derive(""));
    }
    SessionKey::random().unwrap_or_else(|error| {
        reader.missing("SESSION_KEY", &format!("a key, as the system gave no random one ({error})"));
        SessionKey::derive("")
    })
}

fn read_log(reader: &mut Reader<'_>, raw: &Raw) -> LogConfig {
    const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogConfig {
        format: reader.value("LOG_FORMAT", raw.log_format.as_deref(), parse::choice(FORMATS)),
        filter: reader.value("LOG_LEVEL", raw.log_level.as_deref(), log_filter),
    }
}

/// `EnvFilter` takes any lone word for a target and then shows nothing else: lone words must be levels.
fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    let expected = || "trace, debug, info, warn, error or off, or a list such as info,proxy=debug".to_owned();
    let lone_words_are_levels = parse::list(text)
        .filter(|part| !part.contains(['=', '[']))
        .all(|word| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)));
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    if lone_words_are_levels && parsed.is_ok() { Ok(text.to_owned()) } else { Err(expected()) }
}

fn read_ping(reader: &mut Reader<'_>, raw: &Raw) -> LinkPing {
    let text = raw.link_ping_interval_ms.as_deref();
    let interval = reader.value("LINK_PING_INTERVAL_MS", text, parse::millis(50..=60_000));
    let text = raw.link_ping_timeout_ms.as_deref();
    let timeout = reader.value("LINK_PING_TIMEOUT_MS", text, parse::millis(100..=300_000));
    if !timeout.is_zero() && !interval.is_zero() && timeout < interval * 2 {
        let shown = text.map_or_else(|| timeout.as_millis().to_string(), str::to_owned);
        reader.bad("LINK_PING_TIMEOUT_MS", &shown, "at least twice LINK_PING_INTERVAL_MS".into());
    }
    LinkPing { interval, timeout }
}
