//! The series of the slave and of the standalone server. Those of the edge are in `front::metrics`, those of the process
//! in `runtime::metrics`. docs/METRICS.md is generated from them. Names of tools are bounded where they are counted; names
//! of backends are the operator's.

use front::metrics::{OPERATION_BUCKETS, OPERATION_LABELS};
use metrics::Unit;
use runtime::metrics::{Buckets, Label, Metric};

/// All tables of a slave process.
pub const TABLES: &[&[Metric]] =
    &[METRICS, front::metrics::METRICS, runtime::audit::METRICS, runtime::traces::METRICS];

const TOOL: Label = Label::open("tool");
const BACKEND: Label = Label::open("backend");

pub(super) const CALLS: &str = "mcp_relay_slave_calls_total";
pub(super) const CALL_DURATION: &str = "mcp_relay_slave_call_duration_seconds";
pub(super) const IN_FLIGHT: &str = "mcp_relay_slave_calls_in_flight";
pub(super) const CAPACITY: &str = "mcp_relay_slave_capacity";
pub(super) const READY: &str = "mcp_relay_slave_backend_ready";
pub(super) const BACKEND_CALLS: &str = "mcp_relay_slave_backend_calls_total";
pub(super) const STARTS: &str = "mcp_relay_slave_backend_starts_total";
pub(super) const RESTARTS: &str = "mcp_relay_slave_backend_restarts_total";
pub(super) const EXITS: &str = "mcp_relay_slave_backend_exits_total";
pub(super) const CHILDREN: &str = "mcp_relay_slave_backend_children";
pub(super) const CHILD_ENDS: &str = "mcp_relay_slave_backend_children_ended_total";
pub(super) const DROPPED: &str = "mcp_relay_slave_backend_messages_dropped_total";
pub(super) const ODD: &str = "mcp_relay_slave_backend_odd_lines_total";
pub(super) const PROBES: &str = "mcp_relay_slave_backend_probes_total";
/// `mcp.client.operation.duration`.
pub(super) const CLIENT_OPERATIONS: &str = "mcp_client_operation_duration_seconds";

pub(super) const PARKED: &str = "mcp_relay_slave_parked_calls";
pub(super) const PARKED_ENDS: &str = "mcp_relay_slave_parked_calls_ended_total";

pub(super) const DENIED: &str = "mcp_relay_slave_policy_denied_total";
pub(super) const REFUSED: &str = "mcp_relay_slave_backends_refused";
pub(super) const CONFIG_RELOADS: &str = "mcp_relay_slave_config_reloads_total";

pub(super) const LINKS: &str = "mcp_relay_slave_links";
pub(super) const LINKS_WANTED: &str = "mcp_relay_slave_links_wanted";
pub(super) const DIALS: &str = "mcp_relay_slave_dials_total";
pub(super) const LINK_CONNECTS: &str = "mcp_relay_slave_link_connects_total";
pub(super) const LINK_DISCONNECTS: &str = "mcp_relay_slave_link_disconnects_total";
pub(super) const LINK_RECONNECTS: &str = "mcp_relay_slave_link_reconnects_total";
pub(super) const ROUND_TRIP: &str = "mcp_relay_slave_link_round_trip_seconds";
pub(super) const LINK_BYTES: &str = "mcp_relay_slave_link_bytes_total";
pub(super) const STALLS: &str = "mcp_relay_slave_credit_stalls_total";
pub(super) const RESUMED: &str = "mcp_relay_slave_calls_resumed_total";
pub(super) const RETAINED: &str = "mcp_relay_slave_retained_bytes";
pub(super) const RETAINED_CALLS: &str = "mcp_relay_slave_retained_calls";
pub(super) const JOURNAL: &str = "mcp_relay_slave_journal_bytes";
pub(super) const JOURNAL_LIMIT: &str = "mcp_relay_slave_journal_limit_bytes";
pub(super) const KEPT: &str = "mcp_relay_slave_calls_kept";
/// Subscriptions of sessions to updates of resources.
pub(super) const SUBSCRIPTIONS: &str = "mcp_relay_slave_resource_subscriptions";
pub(super) const DRAINING: &str = "mcp_relay_slave_draining";

/// What is odd about a line of a backend's standard output.
pub(crate) const ODD_LINES: &[&str] = &[
    "not_utf8",
    "not_a_number",
    "control_character",
    "truncated",
    "duplicate_member",
    "syntax",
    "no_id",
    "no_answer",
    "bad_form",
    "too_long",
    "noise",
    "text_id",
    "batch",
    "byte_order_mark",
];

/// Why links end.
const ENDS: Label = Label::of(
    "reason",
    &[
        "refused",
        "replaced",
        "renewed",
        "busy",
        "going_down",
        "lost",
        "protocol_error",
        "closing",
        "already_linked",
    ],
);

/// The slave's own series.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        CALLS,
        &[TOOL, Label::open("outcome")],
        "Calls that ended on this slave, by tool (those of the catalog; else empty) and outcome (ok, tool_error, error, or the failure's kind).",
    ),
    Metric::seconds(
        CALL_DURATION,
        Buckets {
            bounds: &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0],
            why: "From cached responses to the hour that a call may take (REQUEST_TIMEOUT_TOTAL).",
        },
        &[TOOL],
        "Time from a call's arrival at the executor to its end, including the wait for free capacity.",
    ),
    Metric::gauge(IN_FLIGHT, &[TOOL], "Calls that wait for free capacity or run."),
    Metric::gauge(CAPACITY, &[], "Calls that may run at once (SLAVE_CAPACITY); 0: no limit."),
    Metric::gauge(
        PARKED,
        &[],
        "Calls that wait for the answers of a client of MCP 2026-07-28, which come with a later request.",
    ),
    Metric::counter(
        PARKED_ENDS,
        &[Label::of("outcome", &["resumed", "expired", "refused"])],
        "Calls that were to wait for their client's answers. resumed: the answers came; expired: they did not come within PARKED_TTL; refused: too many waited already.",
    ),
    Metric::gauge(
        READY,
        &[BACKEND],
        "1 while the backend runs, else 0. While it is started again its tools stay listed, and calls wait for it.",
    ),
    Metric::counter(
        BACKEND_CALLS,
        &[BACKEND, Label::of("outcome", &["ok", "tool_error", "error", "failed"])],
        "Calls that ended, by backend. error: a JSON-RPC error of the backend; failed: no response, or the client did not wait for it.",
    ),
    Metric::counter(
        STARTS,
        &[BACKEND],
        "Processes that were started for a backend. mr-pilot starts one for each review.",
    ),
    Metric::counter(RESTARTS, &[BACKEND], "Restarts of a backend after a failure."),
    Metric::counter(
        EXITS,
        &[
            BACKEND,
            Label::of("reason", &["exited", "killed", "closed", "unusable", "start_failed", "stopped"]),
            Label::open("code"),
        ],
        "Processes of a backend that ended. code: the exit code or signal, if known.",
    ),
    Metric::gauge(
        CHILDREN,
        &[BACKEND],
        "Processes that a backend runs for sessions or clients (\"sessions\" of its entry), beside its first one; at most maxChildren.",
    ),
    Metric::counter(
        CHILD_ENDS,
        &[
            BACKEND,
            Label::of("reason", &["idle", "session_ended", "gave_way", "exited", "start_failed", "stopped"]),
        ],
        "Processes of sessions or clients that ended. gave_way: another session needed the place (maxChildren); exited: by itself; stopped: with its entry or the slave.",
    ),
    Metric::counter(
        DROPPED,
        &[
            BACKEND,
            Label::of("reason", &["garbage", "unknown_id", "unroutable", "slow_reader", "unread_stdin"]),
        ],
        "Messages from or to a backend that were dropped.",
    ),
    Metric::counter(
        ODD,
        &[BACKEND, Label::of("kind", ODD_LINES)],
        "Lines of a backend's standard output that are not one strict JSON-RPC message. text_id, batch and byte_order_mark are taken all the same; noise is skipped; of the others the call fails that the line belongs to. Each kind is logged at most once a minute.",
    ),
    Metric::counter(
        PROBES,
        &[BACKEND, Label::of("outcome", &["answered", "missed"])],
        "Health probes of a backend (SLAVE_PROBE_INTERVAL).",
    ),
    Metric::seconds(
        CLIENT_OPERATIONS,
        OPERATION_BUCKETS,
        OPERATION_LABELS,
        "OpenTelemetry's mcp.client.operation.duration: requests of this slave, as a client, to backends that speak MCP: tool calls, tools/list, the handshake and health probes. Only tool calls have the version.",
    ),
    Metric::gauge(LINKS, &[], "Links to a proxy that are up."),
    Metric::gauge(
        LINKS_WANTED,
        &[],
        "Links that there should be: one to each proxy that proxies announce or PROXY_PEERS names. If this is larger than the number of links for more than a minute, the slave cannot reach a proxy.",
    ),
    Metric::counter(
        DIALS,
        &[Label::of("outcome", &["linked", "already_linked", "refused", "failed"])],
        "Attempts to make a link. already_linked: the slave looked for other proxies and reached one that it is linked to.",
    ),
    Metric::counter(
        LINK_CONNECTS,
        &[Label::of("dialect", &["native", "plain"])],
        "Links to a proxy that were authenticated.",
    ),
    Metric::counter(
        LINK_DISCONNECTS,
        &[ENDS],
        "Links that ended, and failed attempts. busy: refused by the proxy's HANDSHAKE_RATE; renewed: replaced by a link with the changed code of SLAVE_CODE_FILE.",
    ),
    Metric::counter(
        DENIED,
        &[
            Label::of("decision", &["deny", "forbidden"]),
            Label::of("kind", &["tool", "prompt", "resource", "task", "method"]),
        ],
        "Calls that the slave's own policy (SLAVE_POLICY) refused, by what the client was told: deny (there is no such entry), forbidden (not with these arguments).",
    ),
    Metric::gauge(
        REFUSED,
        &[Label::of("file", &["backends", "tools"])],
        "Entries of SLAVE_BACKENDS and SLAVE_TOOLS that cannot be used and are left out; the log and doctor say why.",
    ),
    Metric::counter(
        CONFIG_RELOADS,
        &[
            Label::of(
                "file",
                &[
                    "backends",
                    "tools",
                    "code",
                    "policy",
                    "client_keys",
                    "ops_keys",
                    "session_keys",
                    "issuers",
                ],
            ),
            Label::of("outcome", &["ok", "failed"]),
        ],
        "Files of the configuration (SLAVE_BACKENDS, SLAVE_TOOLS, SLAVE_CODE_FILE, SLAVE_POLICY, AUTH_BEARER_KEYS_FILE, OPS_KEYS_FILE, SESSION_KEY_FILE, AUTH_ISSUERS) that were read again after a change or at SIGHUP. failed: the previous content stays in use.",
    ),
    Metric::counter(
        LINK_RECONNECTS,
        &[ENDS],
        "Links that reconnected, by the reason for which the previous link had ended.",
    ),
    Metric::seconds(
        ROUND_TRIP,
        Buckets {
            bounds: &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5],
            why: "From one machine to another continent; a link with much longer round trips is ended by LINK_PING_TIMEOUT_MS.",
        },
        &[],
        "Round trip times of pings, one every 15 s on each link.",
    ),
    Metric::counter(
        LINK_BYTES,
        &[Label::of("direction", &["in", "out"])],
        "Bytes on the links' sockets before TLS.",
    )
    .in_unit(Unit::Bytes),
    Metric::counter(
        STALLS,
        &[],
        "Times that the response of a call had to wait for credit: the client reads more slowly than the tool writes.",
    ),
    Metric::counter(
        RESUMED,
        &[Label::of("outcome", &["resumed", "gone"])],
        "Calls that a proxy resumed (attach) when its link came back. gone: the call was given up, or had never arrived.",
    ),
    Metric::gauge(JOURNAL, &[], "Bytes of responses that proxies have not acknowledged.")
        .in_unit(Unit::Bytes),
    Metric::gauge(JOURNAL_LIMIT, &[], "Bytes of responses that may be unacknowledged (SLAVE_JOURNAL_BYTES).")
        .in_unit(Unit::Bytes),
    Metric::gauge(
        RETAINED,
        &[],
        "Bytes that are kept of calls for clients that may come back (RETENTION_BYTES).",
    )
    .in_unit(Unit::Bytes),
    Metric::gauge(RETAINED_CALLS, &[], "Calls of which something is kept for clients that may come back."),
    Metric::gauge(KEPT, &[], "Calls of proxies that run, or whose response is not acknowledged."),
    Metric::gauge(
        SUBSCRIPTIONS,
        &[],
        "Resources that legacy sessions have subscribed to, each counted once for a session.",
    ),
    Metric::gauge(DRAINING, &[], "1 while this slave shuts down and finishes its calls."),
];
