//! Every metric of the proxy: declared once, and one function an event that counts it. Knows nothing of HTTP or links.
//!
//! docs/OPERATIONS.md lists the same names; a test holds them together. Labels are bounded: tools and slaves beyond
//! [`MOST_NAMES`] are counted under `other`.

mod balance;
mod routes;

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use ::metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

pub use balance::{QUEUE_WAIT, QUEUE_WAIT_BUCKETS};
pub(crate) use balance::{QueueGauge, Refusal, refused, sticky_miss, waited};
pub(crate) use routes::{RouteMeter, config_loaded};

/// Distinct values of the labels `tool` and `slave` each.
pub const MOST_NAMES: usize = 1000;

/// Calls finish in a millisecond or run for minutes: the bounds span both, in seconds.
pub const DURATION_BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 300.0];

/// Forwarded calls by `method`, `tool` and `outcome`.
pub const FORWARDS: &str = "mcp_relay_forwards_total";
/// How long forwarded calls took, by `method` and `tool`.
pub const FORWARD_DURATION: &str = "mcp_relay_forward_duration_seconds";
/// Calls given up after `REQUEST_TIMEOUT`.
pub const TIMEOUTS: &str = "mcp_relay_timeouts_total";
/// Calls under way.
pub const IN_FLIGHT: &str = "mcp_relay_calls_in_flight";
/// Requests answered at the edge, by `method` and `kind`.
pub const ANSWERED: &str = "mcp_relay_edge_requests_total";
/// Slaves by name (`slave`) and connection `state`.
pub const SLAVE_STATE: &str = "mcp_relay_slave_state";
/// Last measured round trip of a slave's link, by `slave`.
pub const ROUND_TRIP: &str = "mcp_relay_link_round_trip_seconds";
/// Times that a slave got no more calls, by `slave` and `reason`.
pub const EJECTIONS: &str = "mcp_relay_ejections_total";
/// Slaves that get no calls of a tool for its faults, by `tool`.
pub const EJECTED: &str = "mcp_relay_ejected_members";
/// Links that came up, by `slave` and `dialect`.
pub const LINK_CONNECTS: &str = "mcp_relay_link_connects_total";
/// Links that ended, by `slave` and `reason`.
pub const LINK_DISCONNECTS: &str = "mcp_relay_link_disconnects_total";
/// Connections that did not become a link, by `reason`.
pub const AUTH_FAILURES: &str = "mcp_relay_link_auth_failures_total";
/// Bytes on links by `direction`.
pub const LINK_BYTES: &str = "mcp_relay_link_bytes_total";
/// Frames and answers for calls that are not under way.
pub const STRAYS: &str = "mcp_relay_link_stray_frames_total";
/// Tools offered to clients.
pub const TOOLS: &str = "mcp_relay_tools";
/// Names under which slaves offer different tools.
pub const TOOL_CONFLICTS: &str = "mcp_relay_tool_conflicts";
/// Calls that moved to another slave because the first never got them.
pub const MOVED: &str = "mcp_relay_calls_moved_total";

/// Calls that were run again, by `reason`.
pub const REPEATS: &str = "mcp_relay_retries_total";

/// Seconds until the next end of a code, by identity (`code`).
pub const CODE_EXPIRES: &str = "mcp_relay_slave_code_expires_seconds";
/// Links that are up, by identity (`code`).
pub const CODE_LINKS: &str = "mcp_relay_slave_code_links";
/// Tools of a slave (`slave`) that its code does not allow.
pub const TOOLS_LEFT_OUT: &str = "mcp_relay_slave_tools_left_out";
/// Files of the configuration that were read again, by `file` and `outcome`.
pub const CONFIG_RELOADS: &str = "mcp_relay_config_reloads_total";

/// Seconds until the certificate of `TLS_CERT` ends.
pub const CERTIFICATE_EXPIRES: &str = "mcp_relay_tls_certificate_expires_seconds";
/// Proxies that slaves are linked to, this one included.
pub const PEERS: &str = "mcp_relay_peers";

/// Every name with its help, for tests and docs.
pub const ALL: &[(&str, &str)] = &[
    (FORWARDS, "Calls forwarded to slaves, by method, tool and outcome"),
    (FORWARD_DURATION, "Seconds from a call's arrival to the end of its answer, by method and tool"),
    (TIMEOUTS, "Calls given up after REQUEST_TIMEOUT"),
    (IN_FLIGHT, "Calls under way"),
    (ANSWERED, "Requests answered without a slave, by method and kind"),
    (SLAVE_STATE, "Slaves of a name in a state (connecting, ready, degraded, draining, lost)"),
    (
        ROUND_TRIP,
        "Seconds between the last answered ping of a slave's link and its answer; grows while one is unanswered",
    ),
    (EJECTIONS, "Times that a slave was left out for failing calls in a row, by the last failure's kind"),
    (
        EJECTED,
        "Slaves that are left out of a tool's calls for failing them in a row, or are tested after that",
    ),
    (LINK_CONNECTS, "Links that came up, by slave and dialect"),
    (LINK_DISCONNECTS, "Links that ended, by slave and reason"),
    (AUTH_FAILURES, "Connections to the WebSocket port that did not become a link, by reason"),
    (LINK_BYTES, "Bytes of frames on links, by direction (to_slave, from_slave)"),
    (STRAYS, "Frames and answers for calls that are not under way"),
    (TOOLS, "Tools offered to clients"),
    (TOOL_CONFLICTS, "Names under which slaves offer different tools"),
    (REPEATS, "Calls that were run again because their tool allows it, by the failure before"),
    (PEERS, "Proxies that slaves are linked to, this one included"),
    (MOVED, "Calls that went to another slave because the first never got them"),
    (CERTIFICATE_EXPIRES, "Seconds until the certificate of TLS_CERT expires"),
    (CODE_EXPIRES, "Seconds until the next slave code of this name expires (+Inf: none does)"),
    (CODE_LINKS, "Links that are up with slave codes of this name"),
    (TOOLS_LEFT_OUT, "Tools of a slave that its code does not allow"),
    (CONFIG_RELOADS, "Files of the configuration that were read again, by file and outcome (ok, failed)"),
];

/// Describes every metric and touches those without labels, so that they are there from the start.
pub fn describe() {
    balance::describe();
    routes::describe();
    for &(name, help) in ALL {
        match name {
            FORWARD_DURATION => describe_histogram!(name, Unit::Seconds, help),
            ROUND_TRIP => describe_gauge!(name, Unit::Seconds, help),
            IN_FLIGHT | SLAVE_STATE | EJECTED | PEERS | TOOLS | TOOL_CONFLICTS => describe_gauge!(name, help),
            CODE_EXPIRES | CERTIFICATE_EXPIRES | CODE_LINKS | TOOLS_LEFT_OUT => describe_gauge!(name, help),
            LINK_BYTES => describe_counter!(name, Unit::Bytes, help),
            _ => describe_counter!(name, help),
        }
    }
    counter!(TIMEOUTS).increment(0);
    counter!(STRAYS).increment(0);
    counter!(MOVED).increment(0);
    for reason in ["outcome_unknown", "backend_failed"] {
        counter!(REPEATS, "reason" => reason).increment(0);
    }
    gauge!(IN_FLIGHT).set(0);
    tools(0, 0);
    for reason in
        ["no_auth", "invalid_code", "code_expired", "labels_not_allowed", "not_auth", "tls", "closed", "full"]
    {
        counter!(AUTH_FAILURES, "reason" => reason).increment(0);
    }
    Traffic::new();
}

/// Label values seen so far; the rest is `other`.
struct Names(Mutex<HashSet<String>>);

impl Names {
    fn bounded(&self, name: &str) -> String {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(name) {
            return name.to_owned();
        }
        if seen.len() >= MOST_NAMES {
            return "other".to_owned();
        }
        seen.insert(name.to_owned());
        name.to_owned()
    }
}

static TOOL_NAMES: LazyLock<Names> = LazyLock::new(|| Names(Mutex::default()));
static CODE_NAMES: LazyLock<Names> = LazyLock::new(|| Names(Mutex::default()));
static SLAVE_NAMES: LazyLock<Names> = LazyLock::new(|| Names(Mutex::default()));

/// Handles of one tool's calls, looked up once.
pub(crate) struct CallMeter {
    ok: Counter,
    tool_error: Counter,
    duration: Histogram,
    in_flight: Gauge,
    tool: String,
}

const METHOD: &str = "tools/call";

impl CallMeter {
    pub(crate) fn new(tool: &str) -> Self {
        let tool = TOOL_NAMES.bounded(tool);
        let of = |outcome: &'static str| counter!(FORWARDS, "method" => METHOD, "tool" => tool.clone(), "outcome" => outcome);
        Self {
            ok: of("ok"),
            tool_error: of("tool_error"),
            duration: histogram!(FORWARD_DURATION, "method" => METHOD, "tool" => tool.clone()),
            in_flight: gauge!(IN_FLIGHT),
            tool,
        }
    }

    /// A call begins.
    pub(crate) fn began(&self) {
        self.in_flight.increment(1);
    }

    /// A call ended: `ok`, `tool_error`, `error`, `cancelled`, `abandoned`, or the kind of a failure.
    pub(crate) fn ended(&self, outcome: &'static str, seconds: f64) {
        match outcome {
            "ok" => self.ok.increment(1),
            "tool_error" => self.tool_error.increment(1),
            other => {
                counter!(FORWARDS, "method" => METHOD, "tool" => self.tool.clone(), "outcome" => other)
                    .increment(1);
            }
        }
        self.duration.record(seconds);
        self.in_flight.decrement(1);
    }
}

/// Bytes of one link.
pub(crate) struct Traffic {
    to_slave: Counter,
    from_slave: Counter,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        let of = |direction: &'static str| counter!(LINK_BYTES, "direction" => direction);
        Self { to_slave: of("to_slave"), from_slave: of("from_slave") }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.to_slave.increment(bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.from_slave.increment(bytes as u64);
    }
}

/// Requests that the edge answers itself.
pub(crate) struct EdgeMeter;

impl front::Observer for EdgeMeter {
    fn answered(&self, method: &'static str, kind: &'static str, _seconds: f64) {
        counter!(ANSWERED, "method" => method, "kind" => kind).increment(1);
    }
}

/// Calls gave up waiting.
pub(crate) fn timeouts(calls: usize) {
    if calls > 0 {
        counter!(TIMEOUTS).increment(calls as u64);
    }
}

/// A call went to another slave.
pub(crate) fn moved() {
    counter!(MOVED).increment(1);
}

/// A call is run again.
pub(crate) fn repeated(reason: &'static str) {
    counter!(REPEATS, "reason" => reason).increment(1);
}

/// Where a slave stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlaveState {
    /// Linked, and has offered no tool yet.
    Connecting,
    /// Takes calls.
    Ready,
    /// Takes calls where no ready one can.
    Degraded,
    /// Linked, takes no new calls.
    Draining,
    /// Its link is down; its calls wait for it.
    Lost,
}

impl SlaveState {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] =
        [Self::Connecting, Self::Ready, Self::Degraded, Self::Draining, Self::Lost];

    /// Its stable name.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Lost => "lost",
        }
    }
}

/// So many slaves of this name are in the states of [`SlaveState::ALL`].
pub(crate) fn slave_states(slave: &str, counts: [u32; SlaveState::ALL.len()]) {
    let slave = SLAVE_NAMES.bounded(slave);
    for (state, count) in SlaveState::ALL.into_iter().zip(counts) {
        gauge!(SLAVE_STATE, "slave" => slave.clone(), "state" => state.label()).set(f64::from(count));
    }
}

/// Round trips of one slave's link.
pub(crate) fn round_trips(slave: &str) -> Gauge {
    gauge!(ROUND_TRIP, "slave" => SLAVE_NAMES.bounded(slave))
}

/// A slave gets no calls for a while.
pub(crate) fn ejection(slave: &str, reason: &'static str) {
    counter!(EJECTIONS, "slave" => SLAVE_NAMES.bounded(slave), "reason" => reason).increment(1);
}

/// So many members of a tool get none of its calls.
pub(crate) fn ejected_members(tool: &str, members: usize) {
    gauge!(EJECTED, "tool" => TOOL_NAMES.bounded(tool)).set(members as f64);
}

/// A link came up.
pub(crate) fn link_connected(slave: &str, dialect: &'static str) {
    counter!(LINK_CONNECTS, "slave" => SLAVE_NAMES.bounded(slave), "dialect" => dialect).increment(1);
}

/// A link ended.
pub(crate) fn link_disconnected(slave: &str, reason: &'static str) {
    counter!(LINK_DISCONNECTS, "slave" => SLAVE_NAMES.bounded(slave), "reason" => reason).increment(1);
}

/// A connection did not become a link.
pub(crate) fn auth_failed(reason: &'static str) {
    counter!(AUTH_FAILURES, "reason" => reason).increment(1);
}

/// So many seconds are left of the certificate in use.
pub(crate) fn certificate_expires(seconds: f64) {
    gauge!(CERTIFICATE_EXPIRES).set(seconds);
}

/// So many seconds are left until a code of this identity ends.
pub(crate) fn code_expires(identity: &str, seconds: f64) {
    gauge!(CODE_EXPIRES, "code" => CODE_NAMES.bounded(identity)).set(seconds);
}

/// So many links of this identity are up.
pub(crate) fn identity_links(identity: &str, links: u32) {
    gauge!(CODE_LINKS, "code" => CODE_NAMES.bounded(identity)).set(f64::from(links));
}

/// So many tools of this slave are not offered because of its code.
pub(crate) fn tools_left_out(slave: &str, tools: usize) {
    gauge!(TOOLS_LEFT_OUT, "slave" => SLAVE_NAMES.bounded(slave)).set(tools as f64);
}

/// A file of the configuration was read again: `ok`, or `failed` and what was before stays.
pub(crate) fn config_reloaded(file: &'static str, outcome: &'static str) {
    counter!(CONFIG_RELOADS, "file" => file, "outcome" => outcome).increment(1);
    if outcome == "ok" {
        config_loaded(file);
    }
}

/// A frame that belongs to nothing.
pub(crate) fn stray() {
    counter!(STRAYS).increment(1);
}

/// So many proxies are known.
pub(crate) fn peers(proxies: usize) {
    gauge!(PEERS).set(proxies as f64);
}

/// What clients are offered.
pub(crate) fn tools(offered: usize, conflicts: usize) {
    gauge!(TOOLS).set(offered as f64);
    gauge!(TOOL_CONFLICTS).set(conflicts as f64);
}
