//! The declared variables that more than one mode reads. Must not know the values that they become.

crate::variables! {
    /// The mode that runs without a subcommand.
    pub const MODE: Mode;
    /// Texts of [`MODE`].
    pub struct ModeSettings;
    proxy_mode = Value("0"), "1: run as proxy. No other value turns it on.";
    proxy_slave = Value("0"), "1: run as slave. No other value turns it on. With neither, the tools are served standalone; both at once are an error.";
}

crate::variables! {
    /// The variables that proxy, slave and standalone server read.
    pub const EVERY: Every;
    /// Texts of [`EVERY`].
    pub(super) struct Settings;
    mcp_server_host = Value("127.0.0.1"), "Address that MCP clients are served on. 0.0.0.0 for every interface.";
    mcp_server_port = Value("8000"), "Port that MCP clients are served on. 0: any free port; the log names it.";
    ops_port = Says("they share MCP_SERVER_PORT"), "A separate port for health, metrics, API and status page; MCP_SERVER_PORT then answers 404 for their paths. 0: any free port; the log names it.";
    ops_host = Says("the value of MCP_SERVER_HOST"), "Address that the server listens on for OPS_PORT.";
    ui = Value("0"), "1: serve the status page on /ui, and record what it shows: calls under way, the last finished calls, and the last lines of backends' standard error. full (proxy only): operators with the role operate of POLICY also run tools and drain slaves there.";
    dashboards_url = Says("no link"), "URL of dashboards that the status page links to, for example a folder of Grafana: http or https, without user and password.";
    auth_bearer_keys secret = Says("no key is required, and only loopback and private addresses are served"), "Comma-separated keys. If set, every HTTP path but the health checks needs `Authorization: Bearer <key>`.";
    auth_bearer_keys_file path_of_secrets = Says("AUTH_BEARER_KEYS only"), "Path of a file of more keys: one per line, or YAML entries with name and times. Read again when it changes and at SIGHUP; a removed key ends its open responses: see docs/secure/keys.md.";
    auth_custom_header = Says("only Authorization"), "A header, for example x-api-key, that may carry the key in place of Authorization.";
    auth_issuers path_of_secrets = Says("tokens are not accepted"), "Path of a YAML file of OAuth issuers whose access tokens clients may send as `Authorization: Bearer <token>`, beside keys: see docs/secure/issuers.md. Needs PUBLIC_URL, which is what tokens must be meant for. Read again when it changes and at SIGHUP.";
    ops_keys secret = Says("clients' keys are operators' keys too"), "Comma-separated keys of operators. If set, /metrics, /api and the status page take these keys only, and these keys call no tool.";
    ops_keys_file path_of_secrets = Says("OPS_KEYS only"), "Path of a file of more operators' keys, in the form of AUTH_BEARER_KEYS_FILE.";
    allow_anonymous = Value("0"), "1: where no keys are set, every address is served without a key, not only loopback and private ones.";
    allowed_hosts = Says("with keys any host; without keys addresses, localhost, names of one label and the host of PUBLIC_URL"), "Comma-separated host names, without ports, that requests may name in Host; *.example.com for all below a domain, * for any. Addresses, localhost and the host of PUBLIC_URL are always accepted.";
    public_url = Says("not set"), "URL under which clients reach this server, with the path of MCP; requests may name its host. With AUTH_ISSUERS it is the resource that access tokens are for.";
    allowed_origins = Says("loopback origins"), "Comma-separated origins of web pages that may send requests; * for any. Unset: pages served from this machine.";
    max_body_bytes = Value("16777216"), "Largest request body in bytes (1024 to 67108864); a larger one is refused with 413.";
    max_bodies_bytes = Value("134217728"), "Memory in bytes for all request bodies at once, until the proxy no longer needs them; at least twice MAX_BODY_BYTES. One client (key, else address) may use half of it (429), all together seven eighths (503); bodies of at most 16 KiB may use another eighth.";
    max_connections = Says("half of the descriptor limit, at most 10000"), "Client connections that may be open at once; further ones get 503. The other descriptors are for slaves, operators, backends and files.";
    max_connections_per_address = Says("half of MAX_CONNECTIONS"), "Client connections that one address (IPv6: /64 network) may have open at once; further ones get 503. Addresses of TRUSTED_PROXIES are exempt.";
    max_streams_per_client = Value("2000"), "Calls and GET streams that one client (key, else address) may have open at once; further ones get 429.";
    client_stall_timeout = Value("60"), "Seconds after which a client that sends nothing of its request body (408), or reads nothing of its response (the connection is closed), is disconnected.";
    request_timeout = Value("300"), "Seconds of silence after which a call fails. Each progress message restarts the time.";
    request_timeout_total = Value("3600"), "Largest duration of a call in seconds. Raised to REQUEST_TIMEOUT automatically where only that is set.";
    session_key secret = Says("random, with a warning"), "At least 32 characters that seal legacy session ids; the same on every proxy replica. Random: sessions end with the process.";
    session_key_file path_of_secrets = Says("SESSION_KEY"), "Path of a file with the session key, instead of SESSION_KEY; with two keys, one per line, the first seals and both open. Read again when it changes and at SIGHUP: see docs/secure/keys.md.";
    session_ttl = Value("86400"), "Seconds for which a legacy session id is valid.";
    shutdown_delay = Value("0"), "Seconds after SIGTERM or SIGINT in which /readyz says unready and calls are still taken: time for load balancers to stop sending requests here. SHUTDOWN_GRACE begins after it.";
    shutdown_grace = Value("30"), "Seconds that running calls get to finish after SIGTERM or SIGINT. A second signal ends the process at once.";
    log_format = Value("text"), "text: human-readable lines, with [PROXY], [SLAVE] or (standalone) [SERVER]; json: one object per line. Also the format of the last line of a server that cannot start or continue.";
    log_output = Value("stderr"), "stderr or stdout: where the log goes. The existing server wrote to stdout.";
    log_level = Value("info"), "trace, debug, info, warn, error or off; also for single parts, for example info,proxy=debug.";
    log_calls = Value("sampled"), "Lines about single calls. sampled: of the first 5 calls of each second, further calls are counted by outcome in one line a second; all: of every call; off: none, except that calls that failed are logged as with sampled.";
    sse_after_ms = Value("2000"), "Milliseconds of silence after which a call opens its stream of events: then its result comes as an event and errors have status 200. Less than the time that ingress and load balancer give a server to begin its answer. 0: at once.";
    sse_keepalive = Value("15"), "Seconds of silence (1 to 3600) after which a stream of events sends a comment: less than the idle timeout of every ingress and load balancer before this server.";
    list_ttl_ms = Value("5000"), "Milliseconds that clients may keep a list of tools (`ttlMs` of modern list results).";
    link_ping_interval_ms = Value("1500"), "Milliseconds of silence on a link after which a ping is sent (proxy and slave).";
    link_ping_timeout_ms = Value("4000"), "Milliseconds of silence on a link after which the link is closed; at least twice LINK_PING_INTERVAL_MS.";
}
