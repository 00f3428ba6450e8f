"""What the dashboards show: panels with their queries, one function a dashboard. The form is in panels.py."""

from panels import heatmap, query_variable, row, stat, table, timeseries

JOB = 'job=~"$job", instance=~"$instance"'
TOOL = JOB + ', tool=~"$tool"'
SLAVE = JOB + ', slave=~"$slave"'

VARIABLES = {
    "job": query_variable("job", "Job", "label_values(mcp_relay_build_info, job)"),
    "instance": query_variable("instance", "Instance", 'label_values(mcp_relay_build_info{job=~"$job"}, instance)'),
    "slave": query_variable("slave", "Slave", 'label_values(mcp_relay_slave_state{job=~"$job", instance=~"$instance"}, slave)'),
    "tool": query_variable("tool", "Tool", 'label_values(mcp_relay_forwards_total{job=~"$job", instance=~"$instance"}, tool)'),
}


def rate(series, labels=JOB, by=""):
    """Events a second, summed over the labels that are named."""
    return f"sum by ({by}) (rate({series}{{{labels}}}[$__rate_interval]))"


def quantiles(series, labels=JOB, by="le"):
    """Half, and all but a few, as lines."""
    inner = f"sum by ({by}) (rate({series}_bucket{{{labels}}}[$__rate_interval]))"
    more = "".join(f" {{{{{name}}}}}" for name in by.split(", ") if name != "le")
    return [(f"histogram_quantile({q}, {inner})", f"{int(q * 100)} %{more}") for q in (0.5, 0.95, 0.99)]


def ratio(part, whole):
    return f"{part} / {whole}"


FAULTS = "no_slave|no_slave_for_tool|timeout|outcome_unknown|backend_failed|busy|bad_answer|result_too_large|internal"
ALL_CALLS = f'(sum(rate(mcp_relay_forwards_total{{{JOB}}}[$__rate_interval])) + (sum(rate(mcp_relay_calls_refused_total{{{JOB}}}[$__rate_interval])) or vector(0)))'
FAILED_CALLS = (
    f'((sum(rate(mcp_relay_forwards_total{{{JOB}, outcome=~"{FAULTS}"}}[$__rate_interval])) or vector(0))'
    f' + (sum(rate(mcp_relay_calls_refused_total{{{JOB}, kind=~"{FAULTS}"}}[$__rate_interval])) or vector(0)))'
)


def overview():
    return [
        row("Now"),
        stat("Calls", "reqps", "Tool calls a second that slaves or the queue had.", (rate("mcp_relay_forwards_total"), "calls")),
        stat("Failed", "percentunit", "Share of calls that failed by the fault of relay, slaves or backends (as the alerts count).",
             (ratio(FAILED_CALLS, ALL_CALLS), "failed"), steps=[(0.01, "orange"), (0.05, "red")]),
        stat("In flight", "short", "Calls under way at the proxies, waiting ones included.", (f"sum(mcp_relay_calls_in_flight{{{JOB}}})", "calls")),
        stat("Waiting", "short", "Calls that wait for a slave with a free place.", (f"sum(mcp_relay_queue_length{{{JOB}}})", "calls"),
             steps=[(1, "orange"), (100, "red")]),
        stat("Slaves", "short", "Slaves that can take calls (ready or degraded), at the proxy that has most of them.",
             (f'max(sum by (instance) (mcp_relay_slave_state{{{JOB}, state=~"ready|degraded"}}))', "slaves")),
        stat("Tools", "short", "Tools that clients are offered.", (f"max(mcp_relay_tools{{{JOB}}})", "tools")),
        row("Calls"),
        timeseries("Calls by outcome", "reqps", "ok, tool_error and error are answers; cancelled and abandoned: the client went; the rest are failures, by kind.",
                   (rate("mcp_relay_forwards_total", by="outcome"), "{{outcome}}"), stack=True),
        timeseries("Time of a call", "s", "From a call's arrival at the proxy to the end of its answer.", *quantiles("mcp_relay_forward_duration_seconds")),
        timeseries("Calls in flight", "short", "Calls under way, by proxy; unread: those whose clients stopped reading.",
                   (f"sum by (instance) (mcp_relay_calls_in_flight{{{JOB}}})", "{{instance}}"),
                   (f"sum by (instance) (mcp_relay_calls_unread{{{JOB}}})", "{{instance}} unread")),
        timeseries("Refused at once", "reqps", "Calls refused before a slave or the queue had them, by kind.",
                   (rate("mcp_relay_calls_refused_total", by="kind"), "{{kind}}"),
                   (rate("mcp_relay_policy_denied_total", by="decision"), "policy: {{decision}}")),
        timeseries("Limits and queues", "reqps", "Calls that limits or full queues refused; rate_limited_slave_wait had to wait.",
                   (rate("mcp_relay_refusals_total", by="reason"), "{{reason}}")),
        timeseries("Time in the queue", "s", "How long calls waited for a place.", *quantiles("mcp_relay_queue_wait_seconds")),
        timeseries("Waiting calls and their limit", "short", "Calls that wait, by tool, and how many may (QUEUE_MAX).",
                   (f"sum by (tool) (mcp_relay_queue_length{{{JOB}}})", "{{tool}}"), (f"max(mcp_relay_queue_limit{{{JOB}}})", "limit")),
        timeseries("Given up, moved, run again", "reqps", "Calls given up after their time; calls that went to another slave; calls run again (RETRY_IDEMPOTENT).",
                   (rate("mcp_relay_timeouts_total"), "given up"), (rate("mcp_relay_calls_moved_total"), "moved"),
                   (rate("mcp_relay_retries_total", by="reason"), "again after {{reason}}")),
        timeseries("Rules", "reqps", "Calls that routing rules were for, and those that no slave had the labels for.",
                   (rate("mcp_relay_routed_calls_total", by="rule"), "{{rule}}"), (rate("mcp_relay_unroutable_calls_total", by="rule"), "{{rule}}: no slave"),
                   (rate("mcp_relay_sticky_misses_total"), "not its client's own slave")),
        row("Clients"),
        timeseries("Other requests", "reqps", "Requests answered without a call, by method. Of proxies and of slaves' own ports.",
                   (rate("mcp_relay_edge_requests_total", by="method"), "{{method}}")),
        timeseries("Refused requests", "reqps", "Requests refused without a call, by kind; unauthorized: without a key.",
                   (rate("mcp_relay_edge_requests_total", JOB + ', kind!="ok"', "kind"), "{{kind}}")),
        timeseries("Sign-ins and tokens", "reqps", "The OAuth broker (OAUTH_BROKER): sign-ins of users by outcome, tokens issued, refusals by error, grants revoked by reason.",
                   (rate("mcp_relay_broker_sign_ins_total", by="outcome"), "sign-in: {{outcome}}"),
                   (rate("mcp_relay_broker_decisions_total", by="decision"), "user {{decision}}"),
                   (rate("mcp_relay_broker_registrations_total"), "clients registered"),
                   (rate("mcp_relay_broker_tokens_total", by="grant"), "tokens by {{grant}}"),
                   (rate("mcp_relay_broker_refusals_total", by="error"), "refused: {{error}}"),
                   (rate("mcp_relay_broker_revocations_total", by="reason"), "revoked: {{reason}}")),
        timeseries("Sessions", "reqps", "Legacy clients' sessions: begun, ended by the client, refused as unknown.",
                   (rate("mcp_relay_sessions_total", by="event"), "{{event}}")),
        timeseries("MCP requests, time (OpenTelemetry)", "s", "mcp.server.operation.duration of all methods: what clients of MCP see.",
                   *quantiles("mcp_server_operation_duration_seconds", by="le, mcp_method_name")[1:2], w=16),
        timeseries("Requests by protocol version", "reqps", "The version of MCP that clients speak, in requests of all methods.",
                   (rate("mcp_server_operation_duration_seconds_count", by="mcp_protocol_version"), "{{mcp_protocol_version}}")),
        timeseries("Client programs", "reqps", "Programs that get to know the server (initialize; server/discover and tools/list of MCP 2026-07-28), by what clientInfo says: other is a name that is not known, none no name.",
                   (rate("mcp_relay_client_introductions_total", by="client"), "{{client}}")),
        timeseries("Client programs by protocol version", "reqps", "The version of MCP that each program speaks when it gets to know the server.",
                   (rate("mcp_relay_client_introductions_total", by="client, mcp_protocol_version"), "{{client}} {{mcp_protocol_version}}")),
        timeseries("Listening clients", "short", "GET streams that legacy clients have open.", (f"sum by (instance) (mcp_relay_listening_streams{{{JOB}}})", "{{instance}}")),
        row("Processes"),
        timeseries("CPU", "percentunit", "Cores in use, by process.", (rate("process_cpu_seconds_total", by="job, instance"), "{{job}} {{instance}}")),
        timeseries("Memory", "bytes", "Resident memory, by process.", (f"sum by (job, instance) (process_resident_memory_bytes{{{JOB}}})", "{{job}} {{instance}}")),
        timeseries("Descriptors", "percentunit", "Share of the file descriptors that may be open.",
                   (f"process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}}", "{{job}} {{instance}}"), min=0),
        timeseries("Spans", "cps", "Ended spans by what became of them: exported, failed (the collector did not take their batch), dropped (too many waited). All 0 where traces are off.",
                   (rate("mcp_relay_trace_spans_total", by="job, outcome"), "{{job}} {{outcome}}")),
        timeseries("Audit lines", "cps", "Lines of the audit stream by what became of them: written, failed (AUDIT_LOG could not be written), dropped (too many waited). All 0 where it is off.",
                   (rate("mcp_relay_audit_lines_total", by="job, outcome"), "{{job}} {{outcome}}")),
        timeseries("Tasks", "short", "Tasks of the async runtime, and those that wait for a worker.",
                   (f"sum by (job, instance) (tokio_alive_tasks{{{JOB}}})", "{{job}} {{instance}}"),
                   (f"sum by (job, instance) (tokio_global_queue_depth{{{JOB}}})", "waiting {{job}} {{instance}}")),
        timeseries("Workers busy", "percentunit", "Share of the time that the async runtime's workers were busy.",
                   (f"{rate('tokio_worker_busy_seconds_total', by='job, instance')} / sum by (job, instance) (tokio_workers{{{JOB}}})", "{{job}} {{instance}}"), min=0),
        timeseries("Threads", "short", "Threads, by process.", (f"sum by (job, instance) (process_threads{{{JOB}}})", "{{job}} {{instance}}")),
        table("What runs", "short", "Programs with version, revision and role.",
              (f"max by (job, instance, role, version, revision, profile) (mcp_relay_build_info{{{JOB}}})", ""), w=16, h=7, rename={"Value": "is"}),
        timeseries("Uptime", "s", "Time since the process started. A fall is a new start.",
                   (f"time() - max by (job, instance) (process_start_time_seconds{{{JOB}}})", "{{job}} {{instance}}"), h=7),
    ]


def links():
    return [
        row("Slaves, as proxies see them"),
        timeseries("Slaves by state", "short", "connecting, ready, degraded, draining, lost: see docs/operate/health.md.",
                   (f"sum by (instance, state) (mcp_relay_slave_state{{{SLAVE}}}) > 0", "{{state}} at {{instance}}"), stack=True),
        timeseries("Calls by slave", "reqps", "Calls that ended while a slave had them.", (rate("mcp_relay_link_calls_total", SLAVE, "slave"), "{{slave}}")),
        timeseries("Failed calls by slave", "reqps", "Those that ended with a JSON-RPC error or a failure.",
                   (rate("mcp_relay_link_calls_total", SLAVE + ', outcome="failed"', "slave"), "{{slave}}")),
        timeseries("Calls that slaves have", "short", "Calls in flight, by slave.", (f"sum by (slave) (mcp_relay_link_calls_in_flight{{{SLAVE}}})", "{{slave}}")),
        timeseries("Round trip", "s", "The last ping of each slave's link; grows while one is unanswered.",
                   (f"max by (slave, instance) (mcp_relay_link_round_trip_seconds{{{SLAVE}}})", "{{slave}} at {{instance}}")),
        timeseries("Left out", "short", "Slaves left out for failing calls in a row, and members of tools that are.",
                   (f"sum by (slave, reason) (increase(mcp_relay_ejections_total{{{SLAVE}}}[$__rate_interval]))", "{{slave}}: {{reason}}"),
                   (f"sum by (tool) (mcp_relay_ejected_members{{{JOB}}})", "members of {{tool}}")),
        row("Links"),
        timeseries("Links that came up", "short", "Links that came up, by dialect.", (f"sum by (dialect) (increase(mcp_relay_link_connects_total{{{SLAVE}}}[$__rate_interval]))", "{{dialect}}")),
        timeseries("Links lost", "short", "Links that ended, by reason.",
                   (f"sum by (slave, reason) (increase(mcp_relay_link_disconnects_total{{{SLAVE}}}[$__rate_interval]))", "{{slave}}: {{reason}}")),
        timeseries("Links that came back", "short", "Reconnects of the same slave process, by why the link before had ended.",
                   (f"sum by (slave, reason) (increase(mcp_relay_link_reconnects_total{{{SLAVE}}}[$__rate_interval]))", "{{slave}}: {{reason}}")),
        timeseries("Refused slaves", "short", "Connections to the slaves' port that did not become a link, by reason.",
                   (f"sum by (reason) (increase(mcp_relay_link_auth_failures_total{{{JOB}}}[$__rate_interval]))", "{{reason}}")),
        timeseries("Calls resumed", "short", "Calls that were asked for when a link came back: resumed, or gone.",
                   (f"sum by (outcome) (increase(mcp_relay_calls_resumed_total{{{JOB}}}[$__rate_interval]))", "{{outcome}} (proxy)"),
                   (f"sum by (outcome) (increase(mcp_relay_slave_calls_resumed_total{{{JOB}}}[$__rate_interval]))", "{{outcome}} (slave)")),
        timeseries("Drains", "short", "Slaves that said that they go down; proxies and slaves that are going down now.",
                   (f"sum by (slave) (increase(mcp_relay_link_drains_total{{{SLAVE}}}[$__rate_interval]))", "{{slave}} said so"),
                   (f"sum(mcp_relay_draining{{{JOB}}})", "proxies now"), (f"sum(mcp_relay_slave_draining{{{JOB}}})", "slaves now")),
        timeseries("Traffic", "Bps", "Bytes of frames on links, as proxies count them.", (rate("mcp_relay_link_bytes_total", by="direction"), "{{direction}}")),
        timeseries("Waiting for credit", "ops", "Times that a message had to wait for the peer's credit: to slaves (proxy), and answers whose client reads slowly (slave).",
                   (rate("mcp_relay_credit_stalls_total"), "requests (proxy)"), (rate("mcp_relay_slave_credit_stalls_total"), "answers (slave)")),
        timeseries("Bytes of calls in memory", "bytes", "Sent or received and not acknowledged or taken, at proxies and slaves.",
                   (f"sum by (direction) (mcp_relay_journal_bytes{{{JOB}}})", "{{direction}} (proxy)"), (f"sum by (instance) (mcp_relay_slave_journal_bytes{{{JOB}}})", "{{instance}} (slave)")),
        timeseries("Kept for clients that come back", "bytes", "Events and results of calls whose clients may resume (RETENTION_SECS, RETENTION_BYTES), and of how many calls.",
                   (f"sum by (instance) (mcp_relay_slave_retained_bytes{{{JOB}}})", "{{instance}}"), (f"sum by (instance) (mcp_relay_slave_retained_calls{{{JOB}}})", "{{instance}} (calls)")),
        timeseries("Stray frames", "ops", "Frames and answers for calls that are not under way.", (rate("mcp_relay_link_stray_frames_total", by="instance"), "{{instance}}")),
        timeseries("Proxies", "short", "Proxies that slaves are linked to, as each proxy hears of them.", (f"max by (instance) (mcp_relay_peers{{{JOB}}})", "{{instance}}")),
        table("Slave codes", "s", "Time until the next code of each name expires (+Inf: never), and its links.",
              (f"min by (code) (mcp_relay_slave_code_expires_seconds{{{JOB}}})", ""), rename={"Value": "expires in"}),
        row("What peers may take and say"),
        timeseries("Refused clients (limits)", "short", "Requests and connections of clients that were refused or closed for a limit, by reason.",
                   (f"sum by (reason) (increase(mcp_relay_client_refusals_total{{{JOB}}}[$__rate_interval]))", "{{reason}}")),
        timeseries("Clients' connections and streams", "short", "Open connections of clients, and their calls and GET streams.",
                   (f"sum by (instance) (mcp_relay_client_connections{{{JOB}}})", "connections at {{instance}}"),
                   (f"sum by (instance) (mcp_relay_client_streams{{{JOB}}})", "streams at {{instance}}")),
        timeseries("Bytes of bodies and catalogs", "bytes", "Request bodies in memory (MAX_BODIES_BYTES) and catalogs of slaves (MAX_CATALOG_BYTES).",
                   (f"sum by (instance) (mcp_relay_request_body_bytes{{{JOB}}})", "bodies at {{instance}}"),
                   (f"sum by (instance) (mcp_relay_catalog_bytes{{{JOB}}})", "catalogs at {{instance}}")),
        timeseries("Catalogs left out or waiting", "short", "Lists that were left out for a limit of their code, and changes that wait for its rate.",
                   (f"sum by (reason) (increase(mcp_relay_catalog_refusals_total{{{JOB}}}[$__rate_interval]))", "left out: {{reason}}"),
                   (f"sum(increase(mcp_relay_catalog_waits_total{{{JOB}}}[$__rate_interval]))", "waited")),
        timeseries("Malformed answers and facts", "short", "Answers that a call may not have, and facts of other proxies that do not verify.",
                   (f"sum by (slave, kind) (increase(mcp_relay_link_bad_answers_total{{{SLAVE}}}[$__rate_interval]))", "{{slave}}: {{kind}}"),
                   (f"sum by (kind) (increase(mcp_relay_rejected_facts_total{{{JOB}}}[$__rate_interval]))", "fact: {{kind}}")),
        row("Links, as slaves see them"),
        timeseries("Links up and wanted", "short", "Links of each slave, and how many there should be.",
                   (f"sum by (instance) (mcp_relay_slave_links{{{JOB}}})", "{{instance}}"), (f"sum by (instance) (mcp_relay_slave_links_wanted{{{JOB}}})", "{{instance}} wanted")),
        timeseries("Dials", "short", "Attempts to make a link, by outcome.", (f"sum by (outcome) (increase(mcp_relay_slave_dials_total{{{JOB}}}[$__rate_interval]))", "{{outcome}}")),
        timeseries("Round trip (slaves' pings)", "s", "Pings of slaves, from question to answer.",
                   (f"histogram_quantile(0.5, sum by (le, instance) (rate(mcp_relay_slave_link_round_trip_seconds_bucket{{{JOB}}}[$__rate_interval])))", "50 % {{instance}}"),
                   (f"histogram_quantile(0.99, sum by (le, instance) (rate(mcp_relay_slave_link_round_trip_seconds_bucket{{{JOB}}}[$__rate_interval])))", "99 % {{instance}}")),
        timeseries("Links ended (slaves)", "short", "Links and attempts that ended, and links that came back, by reason.",
                   (f"sum by (reason) (increase(mcp_relay_slave_link_disconnects_total{{{JOB}}}[$__rate_interval]))", "{{reason}}"),
                   (f"sum by (reason) (increase(mcp_relay_slave_link_reconnects_total{{{JOB}}}[$__rate_interval]))", "back after {{reason}}")),
        timeseries("Traffic (slaves)", "Bps", "Bytes on the links' sockets before TLS.", (rate("mcp_relay_slave_link_bytes_total", by="direction"), "{{direction}}")),
        timeseries("Configuration read again", "short", "Files that were read again, by file and outcome.",
                   (f"sum by (file, outcome) (increase(mcp_relay_config_reloads_total{{{JOB}}}[$__rate_interval]))", "{{file}}: {{outcome}}"),
                   (f"sum by (file, outcome) (increase(mcp_relay_slave_config_reloads_total{{{JOB}}}[$__rate_interval]))", "slaves' {{file}}: {{outcome}}")),
    ]


def tools():
    return [
        row("Rate, errors, duration"),
        timeseries("Calls by tool", "reqps", "Calls that slaves or the queue had.", (rate("mcp_relay_forwards_total", TOOL, "tool"), "{{tool}}")),
        timeseries("Failures by tool", "reqps", "Calls without an answer of their tool, by outcome; cancelled: the client went.",
                   (rate("mcp_relay_forwards_total", TOOL + ', outcome!~"ok|tool_error|error"', "tool, outcome"), "{{tool}}: {{outcome}}")),
        timeseries("Errors of the tools' own", "reqps", "Results that say isError, and JSON-RPC errors of backends.",
                   (rate("mcp_relay_forwards_total", TOOL + ', outcome=~"tool_error|error"', "tool, outcome"), "{{tool}}: {{outcome}}")),
        timeseries("Median time", "s", "Half of the calls took less.",
                   (f"histogram_quantile(0.5, sum by (le, tool) (rate(mcp_relay_forward_duration_seconds_bucket{{{TOOL}}}[$__rate_interval])))", "{{tool}}")),
        timeseries("95 % time", "s", "All but 5 % of the calls took less.",
                   (f"histogram_quantile(0.95, sum by (le, tool) (rate(mcp_relay_forward_duration_seconds_bucket{{{TOOL}}}[$__rate_interval])))", "{{tool}}")),
        heatmap("Times of calls", "s", "How many calls took how long.", f"sum by (le) (increase(mcp_relay_forward_duration_seconds_bucket{{{TOOL}}}[$__rate_interval]))"),
        timeseries("Refused at once", "reqps", "Calls of a tool refused before a slave or the queue had them.",
                   (f'sum by (tool, kind) (rate(mcp_relay_calls_refused_total{{{JOB}, tool=~"|$tool"}}[$__rate_interval]))', "{{tool}}: {{kind}}")),
        timeseries("Waiting", "short", "Calls that wait for a slave with a free place.", (f"sum by (tool) (mcp_relay_queue_length{{{TOOL}}})", "{{tool}}")),
        timeseries("Without fault", "percentunit", "Share of a tool's calls that ended without a fault of relay, slaves or backends.",
                   (f'1 - (sum by (tool) (rate(mcp_relay_forwards_total{{{TOOL}, outcome=~"{FAULTS}"}}[$__rate_interval]))'
                    f' or 0 * sum by (tool) (rate(mcp_relay_forwards_total{{{TOOL}}}[$__rate_interval])))'
                    f' / sum by (tool) (rate(mcp_relay_forwards_total{{{TOOL}}}[$__rate_interval]))', "{{tool}}"), max=1),
        row("Where they run"),
        timeseries("Calls on slaves", "reqps", "Calls that ended on slaves, their own ports included.",
                   (rate("mcp_relay_slave_calls_total", TOOL, "tool, outcome"), "{{tool}}: {{outcome}}")),
        timeseries("Time on slaves, 95 %", "s", "From a call's arrival at the slave to its end. The proxy's time less this is the way and the queue.",
                   (f"histogram_quantile(0.95, sum by (le, tool) (rate(mcp_relay_slave_call_duration_seconds_bucket{{{TOOL}}}[$__rate_interval])))", "{{tool}}")),
        timeseries("In flight on slaves", "short", "Calls that wait for a place on their slave or run.", (f"sum by (tool) (mcp_relay_slave_calls_in_flight{{{TOOL}}})", "{{tool}}")),
        row("OpenTelemetry's conventions"),
        timeseries("Server operations", "reqps", "mcp.server.operation.duration: operations a second by method, tool and error.",
                   (f'sum by (mcp_method_name, gen_ai_tool_name, error_type) (rate(mcp_server_operation_duration_seconds_count{{{JOB}}}[$__rate_interval]))',
                    "{{mcp_method_name}} {{gen_ai_tool_name}} {{error_type}}"), w=12),
        timeseries("Operations by protocol version", "reqps", "The version of MCP that clients speak when they call tools.",
                   (f'sum by (mcp_protocol_version) (rate(mcp_server_operation_duration_seconds_count{{{JOB}, mcp_method_name="tools/call"}}[$__rate_interval]))',
                    "{{mcp_protocol_version}}"), w=12),
    ]


def backends():
    return [
        row("Backends"),
        table("Backends now", "short", "1: its tools are offered.", (f"min by (instance, backend) (mcp_relay_slave_backend_ready{{{JOB}}})", ""), rename={"Value": "ready"}),
        timeseries("Calls by backend", "reqps", "Calls that ended, by outcome; failed: without an answer.",
                   (rate("mcp_relay_slave_backend_calls_total", by="backend, outcome"), "{{backend}}: {{outcome}}")),
        timeseries("Failed share", "percentunit", "Share of a backend's calls that ended without an answer.",
                   (f'{rate("mcp_relay_slave_backend_calls_total", JOB + chr(44) + " outcome=" + chr(34) + "failed" + chr(34), "backend")}'
                    f' / {rate("mcp_relay_slave_backend_calls_total", by="backend")}', "{{backend}}"), min=0),
        timeseries("Starts and restarts", "short", "Processes that were started, and starts after a failure.",
                   (f"sum by (backend) (increase(mcp_relay_slave_backend_starts_total{{{JOB}}}[$__rate_interval]))", "{{backend}} started"),
                   (f"sum by (backend) (increase(mcp_relay_slave_backend_restarts_total{{{JOB}}}[$__rate_interval]))", "{{backend}} again")),
        timeseries("Exits", "short", "Processes that ended, by reason and exit code or signal.",
                   (f"sum by (backend, reason, code) (increase(mcp_relay_slave_backend_exits_total{{{JOB}}}[$__rate_interval]))", "{{backend}}: {{reason}} {{code}}")),
        timeseries("Processes of sessions and clients", "short", "Of entries with sessions: per-session or per-client, beside their first processes.",
                   (f"sum by (backend, instance) (mcp_relay_slave_backend_children{{{JOB}}})", "{{backend}} {{instance}}")),
        timeseries("Ends of these processes", "short", "By reason; gave_way: another session needed the place (maxChildren).",
                   (f"sum by (backend, reason) (increase(mcp_relay_slave_backend_children_ended_total{{{JOB}}}[$__rate_interval]))", "{{backend}}: {{reason}}")),
        timeseries("Messages that reached nobody", "ops", "By reason; slow_reader: the call's client reads too slowly.",
                   (rate("mcp_relay_slave_backend_messages_dropped_total", by="backend, reason"), "{{backend}}: {{reason}}")),
        timeseries("Odd lines of standard output", "ops", "Lines that are not one strict JSON-RPC message, by kind: text_id, batch and byte_order_mark are taken, noise is skipped, of the others a call fails.",
                   (rate("mcp_relay_slave_backend_odd_lines_total", by="backend, kind"), "{{backend}}: {{kind}}")),
        timeseries("Calls that wait for their client", "short", "Calls whose tool asked a client of MCP 2026-07-28 for input, which comes with a later request.",
                   (f"sum by (instance) (mcp_relay_slave_parked_calls{{{JOB}}})", "{{instance}}")),
        timeseries("Waits that ended", "ops", "expired: no answer within PARKED_TTL; refused: too many waited already.",
                   (rate("mcp_relay_slave_parked_calls_ended_total", by="outcome"), "{{outcome}}")),
        timeseries("Entries left out", "short", "Entries of SLAVE_BACKENDS that cannot be used; the log and doctor say why.",
                   (f"sum by (instance) (mcp_relay_slave_backends_refused{{{JOB}}})", "{{instance}}")),
        timeseries("Probes", "ops", "Times that a backend was asked whether it still answers (SLAVE_PROBE_INTERVAL).",
                   (rate("mcp_relay_slave_backend_probes_total", by="backend, outcome"), "{{backend}}: {{outcome}}")),
        timeseries("Tool calls of backends, 95 % time (OpenTelemetry)", "s", "mcp.client.operation.duration: what slaves, as clients, see of backends that speak MCP.",
                   (f"histogram_quantile(0.95, sum by (le, gen_ai_tool_name) (rate(mcp_client_operation_duration_seconds_bucket{{{JOB}}}[$__rate_interval])))", "{{gen_ai_tool_name}}"), w=16),
        row("Room"),
        timeseries("Calls and capacity", "short", "Calls that run or wait on each slave, and SLAVE_CAPACITY where it is set.",
                   (f"sum by (instance) (mcp_relay_slave_calls_in_flight{{{JOB}}})", "{{instance}}"), (f"sum by (instance) (mcp_relay_slave_capacity{{{JOB}}}) > 0", "{{instance}} may have")),
        timeseries("Answers kept", "percentunit", "Share of SLAVE_JOURNAL_BYTES that answers fill which proxies have not taken.",
                   (f"mcp_relay_slave_journal_bytes{{{JOB}}} / mcp_relay_slave_journal_limit_bytes{{{JOB}}}", "{{instance}}"), min=0),
        timeseries("Calls kept", "short", "Calls of proxies that run, or whose answer was not taken yet.", (f"sum by (instance) (mcp_relay_slave_calls_kept{{{JOB}}})", "{{instance}}")),
        timeseries("Subscriptions of sessions", "short", "Resources that legacy sessions have subscribed to, each counted once for a session.", (f"sum by (instance) (mcp_relay_slave_resource_subscriptions{{{JOB}}})", "{{instance}}")),
    ]
