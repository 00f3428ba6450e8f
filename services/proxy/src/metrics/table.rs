//! The series of the proxy. The series of the edge are in `front::metrics`, those of the process in `runtime::metrics`.
//!
//! docs/METRICS.md is generated from them. Names of tools, slaves, codes and rules are bounded where they are counted.

use ::metrics::Unit;
use protocol::mcp::call_message::MessageFault;
use runtime::metrics::{Buckets, Label, Metric};

use super::refusal::RefusalReason;
use crate::access::ToolDenied;
use crate::slave_state::SlaveState;

const TOOL: Label = Label::open("tool");
const SLAVE: Label = Label::open("slave");
const METHOD: Label =
    Label::of("method", &["tools/call", "prompts/get", "resources/read", "tasks/get", "reply", "other"]);
const FILE: Label = Label::of(
    "file",
    &["codes", "routes", "tls", "client_keys", "ops_keys", "session_keys", "policy", "issuers"],
);
const STATE: Label = Label::of("state", &SlaveState::LABELS);

pub(super) const FORWARDS: &str = "mcp_relay_forwards_total";
pub(super) const FORWARD_DURATION: &str = "mcp_relay_forward_duration_seconds";
pub(super) const CALLS_REFUSED: &str = "mcp_relay_calls_refused_total";
pub(super) const DENIED: &str = "mcp_relay_policy_denied_total";
pub(super) const TIMEOUTS: &str = "mcp_relay_timeouts_total";
pub(super) const IN_FLIGHT: &str = "mcp_relay_calls_in_flight";
pub(super) const UNREAD: &str = "mcp_relay_calls_unread";
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
pub(super) const TOOLS_RENAMED: &str = "mcp_relay_tools_renamed";
pub(super) const TOOLS_REFUSED: &str = "mcp_relay_tools_refused";
pub(super) const EJECTED: &str = "mcp_relay_ejected_members";

/// Series of calls and their routing.
pub const CALLS: &[Metric] = &[
    Metric::counter(
        FORWARDS,
        &[METHOD, TOOL, Label::open("outcome")],
        "Calls that reached the queue or a slave, by tool and outcome: ok, tool_error (isError), error (a JSON-RPC error of the backend), cancelled, abandoned (a legacy client disconnected, the call goes on), or the kind of a failure.",
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
        "Time from a call's arrival to the end of its response, including the wait in the queue.",
    ),
    Metric::counter(
        CALLS_REFUSED,
        &[TOOL, Label::open("kind")],
        "Calls that were refused before they reached the queue or a slave, by tool (empty: no tool of that name is offered) and the failure's kind.",
    ),
    Metric::counter(
        DENIED,
        &[
            Label::of("decision", &["deny", "forbidden", "challenge"]),
            Label::of("kind", &["tool", "prompt", "resource", "template", "task", "method"]),
        ],
        "Requests that the policy (POLICY) refused, by what the client was told: deny (there is no such entry), forbidden (not with these arguments), challenge (a scope is missing).",
    ),
    Metric::counter(TIMEOUTS, &[], "Calls that were ended by REQUEST_TIMEOUT or REQUEST_TIMEOUT_TOTAL."),
    Metric::gauge(
        IN_FLIGHT,
        &[],
        "Calls under way, including those that wait, without those of mcp_relay_calls_unread.",
    ),
    Metric::gauge(
        UNREAD,
        &[],
        "Calls whose clients have taken nothing of the response for two seconds, though there is something.",
    ),
    Metric::counter(
        MOVED,
        &[],
        "Calls that were sent to another slave because the first one never got them.",
    ),
    Metric::counter(
        REPEATS,
        &[Label::of("reason", &["outcome_unknown", "backend_failed"])],
        "Calls that were retried, which their tool allows (RETRY_IDEMPOTENT), by the failure of the first attempt.",
    ),
    Metric::gauge(WAITING, &[TOOL], "Calls that wait for a slave with free capacity."),
    Metric::gauge(
        QUEUE_LIMIT,
        &[TOOL],
        "Calls of a tool that may wait (QUEUE_MAX, or queue_max of its pool). The series appears with the first call that waits.",
    ),
    Metric::seconds(
        QUEUE_WAIT,
        Buckets {
            bounds: &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0],
            why: "Capacity becomes free within milliseconds, or the call ends after QUEUE_TIMEOUT (default 10 s).",
        },
        &[Label::of("outcome", &["sent", "timeout", "cancelled", "no_slave"])],
        "Time that calls waited for free capacity, by the outcome of the wait.",
    ),
    Metric::counter(
        REFUSALS,
        &[Label::of("reason", &RefusalReason::LABELS)],
        "Calls that were refused by limits or full queues. rate_limited_slave_wait: calls that had to wait because of slaves' rate limits.",
    ),
    Metric::counter(
        STICKY_MISSES,
        &[],
        "Calls that were sent to a slave other than their client's sticky one.",
    ),
    Metric::counter(
        ROUTED,
        &[Label::open("rule")],
        "Calls that matched a routing rule, including built-in rules.",
    ),
    Metric::counter(
        UNROUTABLE,
        &[Label::open("rule")],
        "Calls that matched a routing rule and were refused because no slave has the labels that the rule selects.",
    ),
    Metric::gauge(TOOLS, &[], "Tools offered to clients."),
    Metric::gauge(
        TOOLS_RENAMED,
        &[],
        "Tools that clients are offered under another name than their slaves', because the name is another provider's.",
    ),
    Metric::gauge(
        TOOL_CONFLICTS,
        &[],
        "Names under which slaves offer different tools, or that are another provider's.",
    ),
    Metric::gauge(
        TOOLS_REFUSED,
        &[],
        "Slaves' tools that clients are not offered because of their names: TOOL_CONFLICT=refuse, or the name is another tool's shown name.",
    ),
    Metric::gauge(
        EJECTED,
        &[TOOL],
        "Slaves that are ejected from a tool's calls after consecutive failures, or are being tested after an ejection.",
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
pub(super) const BAD_ANSWERS: &str = "mcp_relay_link_bad_answers_total";
pub(super) const STALLS: &str = "mcp_relay_credit_stalls_total";
pub(super) const JOURNAL: &str = "mcp_relay_journal_bytes";
pub(super) const RESUMED: &str = "mcp_relay_calls_resumed_total";
pub(super) const SLAVE_DRAINS: &str = "mcp_relay_link_drains_total";
pub(super) const DRAINING: &str = "mcp_relay_draining";
pub(super) const CATALOG_BYTES: &str = "mcp_relay_catalog_bytes";
pub(super) const CATALOG_REFUSALS: &str = "mcp_relay_catalog_refusals_total";
pub(super) const CATALOG_WAITS: &str = "mcp_relay_catalog_waits_total";
pub(super) const PEERS: &str = "mcp_relay_peers";
pub(super) const REJECTED_FACTS: &str = "mcp_relay_rejected_facts_total";

/// The reason for the end of a link, as [`crate::links`] names it.
const DISCONNECT_REASON: Label = Label::open("reason");

/// Series of slaves and their links.
pub const LINKS: &[Metric] = &[
    Metric::gauge(SLAVE_STATE, &[SLAVE, STATE], "Slaves of a name in a state (docs/operate/health.md, \"States of a slave\")."),
    Metric::counter(
        LINK_CALLS,
        &[SLAVE, Label::of("outcome", &["ok", "tool_error", "failed", "cancelled"])],
        "Calls that ended while this slave had them. failed: with a JSON-RPC error or a failure; cancelled: the client disconnected.",
    ),
    Metric::gauge(LINK_IN_FLIGHT, &[SLAVE], "Calls that slaves of this name have at the moment."),
    Metric::counter(
        EJECTIONS,
        &[SLAVE, Label::open("reason")],
        "Ejections of a slave after consecutive failures, by the kind of the last failure.",
    ),
    Metric::counter(
        LINK_CONNECTS,
        &[SLAVE, Label::of("dialect", &["native", "plain"])],
        "Links that were established.",
    ),
    Metric::counter(
        LINK_DISCONNECTS,
        &[SLAVE, DISCONNECT_REASON],
        "Links that ended: replaced, asked (this proxy shuts down), code_removed, code_expired, certificate_not_allowed, bad_answers, closed, drained (closed by a slave that shuts down), silent, protocol_error, lost.",
    ),
    Metric::counter(
        LINK_RECONNECTS,
        &[SLAVE, DISCONNECT_REASON],
        "Links of a slave process that reconnected, by the reason for which the previous link had ended (as above).",
    ),
    Metric::counter(
        AUTH_FAILURES,
        &[Label::of(
            "reason",
            &["no_auth", "invalid_code", "code_expired", "certificate_not_allowed", "not_auth", "no_websocket", "rate", "unauthenticated", "tls", "closed", "full", "code_full"],
        )],
        "Connections to the slaves' port that did not become a link. code_expired: or not valid yet; no_websocket: a plain HTTP request (but for health checks), or no HTTP; rate: refused by HANDSHAKE_RATE; unauthenticated: too many connections, of one address or of all, had not authenticated; tls: handshake failed, or no accepted client certificate; full: MAX_SLAVES; code_full: the code has all the links that it may have.",
    ),
    Metric::gauge(
        ROUND_TRIP,
        &[SLAVE],
        "Round trip time of the last ping on the slave's link; grows while a ping is unanswered. Of slaves that share a name, the one that was measured last.",
    )
    .in_unit(Unit::Seconds),
    Metric::counter(LINK_BYTES, &[Label::of("direction", &["to_slave", "from_slave"])], "Bytes of frames on links.")
        .in_unit(Unit::Bytes),
    Metric::counter(
        BAD_ANSWERS,
        &[SLAVE, Label::of("kind", &MessageFault::NAMES)],
        "Calls that failed because their slave sent what they may not have (docs/PROTOCOL.md, \"What an event and an end may say\"), by what was wrong.",
    ),
    Metric::counter(UNKNOWN_CALLS, &[], "Frames and responses for calls that are not under way."),
    Metric::counter(
        STALLS,
        &[],
        "Times that a call's message to a slave had to wait for the slave's credit.",
    ),
    Metric::gauge(
        JOURNAL,
        &[Label::of("direction", &["to_slave", "from_slave"])],
        "Bytes of calls in memory. to_slave: sent, or waiting to be sent, and not acknowledged; from_slave: received, and not read by the client.",
    )
    .in_unit(Unit::Bytes),
    Metric::counter(
        RESUMED,
        &[Label::of("outcome", &["resumed", "gone"])],
        "Calls that were resumed (attach) when their slave's link came back: resumed, or gone (the slave no longer has them).",
    ),
    Metric::counter(SLAVE_DRAINS, &[SLAVE], "Shutdowns that slaves have announced."),
    Metric::gauge(DRAINING, &[], "1 while this proxy shuts down and finishes its calls."),
    Metric::gauge(CATALOG_BYTES, &[], "Bytes of all slaves' catalogs, lists that slaves of one code offer alike once (MAX_CATALOG_BYTES).")
        .in_unit(Unit::Bytes),
    Metric::counter(
        CATALOG_REFUSALS,
        &[Label::of("reason", &["bytes", "entries", "total", "unreadable"])],
        "Lists that are left out of slaves' catalogs. bytes: limits.catalog_bytes of the code; entries: limits.tools; total: MAX_CATALOG_BYTES; unreadable: a definition cannot be read.",
    ),
    Metric::counter(
        CATALOG_WAITS,
        &[],
        "Changes of catalogs that wait because their code has used up its changes of a minute (limits.catalog_changes).",
    ),
    Metric::gauge(PEERS, &[], "Proxies that slaves are linked to, including this one."),
    Metric::counter(
        REJECTED_FACTS,
        &[Label::of("kind", &["peer", "revocation", "rotation", "session"])],
        "Facts of other proxies, passed on by slaves, that this proxy does not accept: made with another SESSION_KEY, too old, or made up. peer: a proxy; revocation: of a grant of the OAuth broker; rotation: a refresh token that the broker issued; session: the end of a client's session.",
    ),
];

pub(super) const CERTIFICATE_EXPIRES: &str = "mcp_relay_tls_certificate_expires_seconds";
pub(super) const CODE_EXPIRES: &str = "mcp_relay_slave_code_expires_seconds";
pub(super) const CODE_LINKS: &str = "mcp_relay_slave_code_links";
pub(super) const TOOLS_LEFT_OUT: &str = "mcp_relay_slave_tools_left_out";
pub(super) const CONFIG_RELOADS: &str = "mcp_relay_config_reloads_total";
pub(super) const LAST_LOAD: &str = "mcp_relay_config_last_load_timestamp_seconds";

/// Series of codes, certificates and files.
pub const CONFIGURATION: &[Metric] = &[
    Metric::gauge(
        CERTIFICATE_EXPIRES,
        &[],
        "Time until the certificate of TLS_CERT expires. Absent without TLS.",
    )
    .in_unit(Unit::Seconds)
    .when_known(),
    Metric::gauge(
        CODE_EXPIRES,
        &[Label::open("code")],
        "Time until the next slave code of this name expires. +Inf: no code expires; negative: expired.",
    )
    .in_unit(Unit::Seconds),
    Metric::gauge(CODE_LINKS, &[Label::open("code")], "Links that are up with slave codes of this name."),
    Metric::gauge(
        TOOLS_LEFT_OUT,
        &[SLAVE, Label::of("reason", &ToolDenied::LABELS)],
        "Tools of a slave that its code does not allow. other_definition: the code pins another definition.",
    ),
    Metric::counter(
        CONFIG_RELOADS,
        &[FILE, Label::of("outcome", &["ok", "failed"])],
        "Files of the configuration that were read again. failed: the previous content stays in use.",
    ),
    Metric::gauge(
        LAST_LOAD,
        &[FILE],
        "Unix time at which a file of the configuration was last read with success.",
    )
    .in_unit(Unit::Seconds)
    .when_known(),
];
