//! Every series of the proxy, beside those of the edge (`front::metrics`) and of the process (`runtime::metrics`).
//!
//! docs/METRICS.md is made from it. Tools, slaves, codes and rules are bounded where they are counted.

use ::metrics::Unit;
use runtime::metrics::{Buckets, Label, Metric};

use super::refusal::RefusalReason;
use crate::slave_state::SlaveState;

/// All tables of a proxy.
pub const TABLES: &[&[Metric]] = &[
    CALLS,
    LINKS,
    CONFIGURATION,
    front::metrics::METRICS,
    runtime::audit::METRICS,
    runtime::traces::METRICS,
];

const TOOL: Label = Label::open("tool");
const SLAVE: Label = Label::open("slave");
const METHOD: Label = Label::of("method", &["tools/call"]);
const FILE: Label = Label::of("file", &["codes", "routes", "tls"]);
const STATE: Label = Label::of("state", &SlaveState::LABELS);

pub(super) const FORWARDS: &str = "mcp_relay_forwards_total";
pub(super) const FORWARD_DURATION: &str = "mcp_relay_forward_duration_seconds";
pub(super) const CALLS_REFUSED: &str = "mcp_relay_calls_refused_total";
pub(super) const TIMEOUTS: &str = "mcp_relay_timeouts_total";
pub(super) const IN_FLIGHT: &str = "mcp_relay_calls_in_flight";
pub(super) const MOVED: &str = "mcp_relay_calls_moved_total";
pub(super) const REPEATS: &str = "mcp_relay_retries_total";
pub(super) const WAITING: &str = "mcp_relay_queue_length";
pub(super) const QUEUE_LIMIT: &str = "mcp_relay_queue_limit";
pub(super) const QUEUE_WAIT: &str = "mcp_relay_queue_wait_seconds";
pub(super) const REFUSALS: &str = "mcp_relay_refusals_total";
pub(super) const STICKY_MISSES: &str = "mcp_relay_sticky_misses_total";
pub(super) const ROUTED: &str = "mcp_relay_routed_calls_total";
pub(super) const UNROUTABLE: &str = "mcp_relay_unroutable_calls_total";
pub(super) const TOOLS: &str = "mcp_relay_tools";
pub(super) const TOOL_CONFLICTS: &str = "mcp_relay_tool_conflicts";
pub(super) const EJECTED: &str = "mcp_relay_ejected_members";

/// Calls and where they go.
pub const CALLS: &[Metric] = &[
    Metric::counter(
        FORWARDS,
        &[METHOD, TOOL, Label::open("outcome")],
        "Calls that slaves or the queue had, by tool and outcome: ok, tool_error (isError), error (a JSON-RPC error of the backend), cancelled, abandoned (a legacy client went, the call runs on), or the kind of a failure.",
    ),
    Metric::seconds(
        FORWARD_DURATION,
        Buckets {
            bounds: &[
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 300.0,
            ],
            why: "Calls finish in a millisecond or run for minutes.",
        },
        &[METHOD, TOOL],
        "From a call's arrival to the end of its answer, waiting in the queue included.",
    ),
    Metric::counter(
        CALLS_REFUSED,
        &[TOOL, Label::open("kind")],
        "Calls that were refused at once, before a slave or the queue had them, by tool (empty: none of that name is offered) and the failure's kind.",
    ),
    Metric::counter(TIMEOUTS, &[], "Calls given up after REQUEST_TIMEOUT or REQUEST_TIMEOUT_TOTAL."),
    Metric::gauge(IN_FLIGHT, &[], "Calls under way, waiting ones included."),
    Metric::counter(MOVED, &[], "Calls that went to another slave because the first never got them."),
    Metric::counter(
        REPEATS,
        &[Label::of("reason", &["outcome_unknown", "backend_failed"])],
        "Calls that were run again because their tool allows it (RETRY_IDEMPOTENT), by the failure before.",
    ),
    Metric::gauge(WAITING, &[TOOL], "Calls that wait for a slave with a free place."),
    Metric::gauge(
        QUEUE_LIMIT,
        &[TOOL],
        "Calls of a tool that may wait (QUEUE_MAX, or queue_max of its pool). There once a call had to wait.",
    ),
    Metric::seconds(
        QUEUE_WAIT,
        Buckets {
            bounds: &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0],
            why: "Places come free within milliseconds or after QUEUE_TIMEOUT, 10 s unless set.",
        },
        &[Label::of("outcome", &["sent", "timeout", "cancelled", "no_slave"])],
        "How long calls waited for a place, by what ended the wait.",
    ),
    Metric::counter(
        REFUSALS,
        &[Label::of("reason", &RefusalReason::LABELS)],
        "Calls that limits or full queues refused; rate_limited_slave_wait: calls that had to wait because of slaves' rate limits.",
    ),
    Metric::counter(STICKY_MISSES, &[], "Calls that went to another slave than their client's own."),
    Metric::counter(
        ROUTED,
        &[Label::open("rule")],
        "Calls that a routing rule was for, built-in ones included.",
    ),
    Metric::counter(
        UNROUTABLE,
        &[Label::open("rule")],
        "Those of them that were refused at once because no slave has the labels that the rule wants.",
    ),
    Metric::gauge(TOOLS, &[], "Tools offered to clients."),
    Metric::gauge(TOOL_CONFLICTS, &[], "Names under which slaves offer different tools."),
    Metric::gauge(
        EJECTED,
        &[TOOL],
        "Slaves that are left out of a tool's calls for failing them in a row, or are tested after that.",
    ),
];

pub(super) const SLAVE_STATE: &str = "mcp_relay_slave_state";
pub(super) const LINK_CALLS: &str = "mcp_relay_link_calls_total";
pub(super) const LINK_IN_FLIGHT: &str = "mcp_relay_link_calls_in_flight";
pub(super) const EJECTIONS: &str = "mcp_relay_ejections_total";
pub(super) const LINK_CONNECTS: &str = "mcp_relay_link_connects_total";
pub(super) const LINK_DISCONNECTS: &str = "mcp_relay_link_disconnects_total";
pub(super) const LINK_RECONNECTS: &str = "mcp_relay_link_reconnects_total";
pub(super) const AUTH_FAILURES: &str = "mcp_relay_link_auth_failures_total";
pub(super) const ROUND_TRIP: &str = "mcp_relay_link_round_trip_seconds";
pub(super) const LINK_BYTES: &str = "mcp_relay_link_bytes_total";
pub(super) const UNKNOWN_CALLS: &str = "mcp_relay_link_stray_frames_total";
pub(super) const STALLS: &str = "mcp_relay_credit_stalls_total";
pub(super) const JOURNAL: &str = "mcp_relay_journal_bytes";
pub(super) const RESUMED: &str = "mcp_relay_calls_resumed_total";
pub(super) const SLAVE_DRAINS: &str = "mcp_relay_link_drains_total";
pub(super) const DRAINING: &str = "mcp_relay_draining";
pub(super) const PEERS: &str = "mcp_relay_peers";

/// Why links end, by [`crate::links`]'s own names.
const DEPARTURES: Label = Label::open("reason");

/// Slaves and their links.
pub const LINKS: &[Metric] = &[
    Metric::gauge(SLAVE_STATE, &[SLAVE, STATE], "Slaves of a name in a state (docs/OPERATIONS.md, \"States of a slave\")."),
    Metric::counter(
        LINK_CALLS,
        &[SLAVE, Label::of("outcome", &["ok", "tool_error", "failed", "cancelled"])],
        "Calls that ended while this slave had them. failed: with a JSON-RPC error or a failure; cancelled: their client went.",
    ),
    Metric::gauge(LINK_IN_FLIGHT, &[SLAVE], "Calls that slaves of this name have now."),
    Metric::counter(
        EJECTIONS,
        &[SLAVE, Label::open("reason")],
        "Times that a slave was left out for failing calls in a row, by the last failure's kind.",
    ),
    Metric::counter(
        LINK_CONNECTS,
        &[SLAVE, Label::of("dialect", &["native", "plain"])],
        "Links that came up.",
    ),
    Metric::counter(
        LINK_DISCONNECTS,
        &[SLAVE, DEPARTURES],
        "Links that ended: replaced, asked (this proxy goes down), code_removed, code_expired, labels_not_allowed, closed, drained (closed by a slave that went down), silent, protocol_error, lost.",
    ),
    Metric::counter(
        LINK_RECONNECTS,
        &[SLAVE, DEPARTURES],
        "Links of a slave process that came back, by why the one before had ended (as above).",
    ),
    Metric::counter(
        AUTH_FAILURES,
        &[Label::of(
            "reason",
            &["no_auth", "invalid_code", "code_expired", "labels_not_allowed", "not_auth", "rate", "tls", "closed", "full"],
        )],
        "Connections to the slaves' port that did not become a link. code_expired: or not valid yet; rate: sent away by HANDSHAKE_RATE; tls: handshake failed, or no accepted client certificate; full: MAX_SLAVES.",
    ),
    Metric::gauge(
        ROUND_TRIP,
        &[SLAVE],
        "The last ping of the slave's link, from question to answer; grows while one is unanswered. Of slaves that share a name, the one measured last.",
    )
    .in_unit(Unit::Seconds),
    Metric::counter(LINK_BYTES, &[Label::of("direction", &["to_slave", "from_slave"])], "Bytes of frames on links.")
        .in_unit(Unit::Bytes),
    Metric::counter(UNKNOWN_CALLS, &[], "Frames and answers for calls that are not under way."),
    Metric::counter(
        STALLS,
        &[],
        "Times that a call's message to a slave had to wait for the slave's credit.",
    ),
    Metric::gauge(
        JOURNAL,
        &[Label::of("direction", &["to_slave", "from_slave"])],
        "Bytes of calls in memory: to_slave sent or to be sent and not acknowledged, from_slave received and not taken by the client.",
    )
    .in_unit(Unit::Bytes),
    Metric::counter(
        RESUMED,
        &[Label::of("outcome", &["resumed", "gone"])],
        "Calls that were asked for (attach) when their slave's link came back: resumed, or gone (the slave has them no more).",
    ),
    Metric::counter(SLAVE_DRAINS, &[SLAVE], "Times that a slave said that it goes down."),
    Metric::gauge(DRAINING, &[], "1 while this proxy goes down and finishes its calls."),
    Metric::gauge(PEERS, &[], "Proxies that slaves are linked to, this one included."),
];

pub(super) const CERTIFICATE_EXPIRES: &str = "mcp_relay_tls_certificate_expires_seconds";
pub(super) const CODE_EXPIRES: &str = "mcp_relay_slave_code_expires_seconds";
pub(super) const CODE_LINKS: &str = "mcp_relay_slave_code_links";
pub(super) const TOOLS_LEFT_OUT: &str = "mcp_relay_slave_tools_left_out";
pub(super) const CONFIG_RELOADS: &str = "mcp_relay_config_reloads_total";
pub(super) const LAST_LOAD: &str = "mcp_relay_config_last_load_timestamp_seconds";

/// Codes, certificates and files.
pub const CONFIGURATION: &[Metric] = &[
    Metric::gauge(
        CERTIFICATE_EXPIRES,
        &[],
        "Time until the certificate of TLS_CERT in use expires. Not there without TLS.",
    )
    .in_unit(Unit::Seconds)
    .when_known(),
    Metric::gauge(
        CODE_EXPIRES,
        &[Label::open("code")],
        "Time until the next slave code of this name expires; +Inf: none does any more; negative: it has.",
    )
    .in_unit(Unit::Seconds),
    Metric::gauge(CODE_LINKS, &[Label::open("code")], "Links that are up with slave codes of this name."),
    Metric::gauge(TOOLS_LEFT_OUT, &[SLAVE], "Tools of a slave that its code does not allow."),
    Metric::counter(
        CONFIG_RELOADS,
        &[FILE, Label::of("outcome", &["ok", "failed"])],
        "Files of the configuration that were read again; failed: what was before stays.",
    ),
    Metric::gauge(
        LAST_LOAD,
        &[FILE],
        "Unix time at which a file of the configuration was last read with success.",
    )
    .in_unit(Unit::Seconds)
    .when_known(),
];
