//! The declared variables of the proxy. Must not know the values that they become.

runtime::variables! {
    /// The proxy's own variables.
    pub const VARIABLES: Proxy;
    /// Texts of [`VARIABLES`].
    pub(super) struct Settings;
    proxy_ws_host = Value("0.0.0.0"), "Address that slaves connect to.";
    proxy_ws_port = Value("8001"), "WebSocket port that slaves connect to. 0: any free port; the log names it.";
    slave_codes secret = Says("no slave can connect"), "Comma-separated codes; a slave must present one of them. Spaces around a code are ignored; upper and lower case differ.";
    slave_codes_file path_of_secrets = Says("SLAVE_CODES only"), "Path of a file of more codes: one per line, or YAML entries with name, labels, tools, provided names, bounds and times. Read again when it changes and at SIGHUP: see docs/secure/slave-codes.md.";
    slaves_on_client_port = Value("0"), "1: slaves may connect to the clients' port, too, at the path /link (PROXY_SERVER_URL=wss://host/link), so that one name, one port and one certificate serve both. Their codes, rates and accounts are those of the slaves' port, which stays open.";
    handshake_rate = Value("250"), "Slave connections that may begin per second, half as many at once; the rest are rejected (503 with Retry-After). 0: no limit.";
    trusted_proxies = Says("no forwarding header is trusted"), "Comma-separated networks of ingresses and load balancers whose X-Forwarded-For or Forwarded names the real client or slave.";
    tls_cert path = Says("both ports are plain"), "PEM file of the proxy's certificate and its chain; both ports then use TLS. TLS files are read again when they change and at SIGHUP.";
    tls_key path_of_secrets = Says("needed with TLS_CERT"), "PEM file of the key of TLS_CERT.";
    tls_http = Value("1"), "0: the clients' port stays plain although TLS_CERT is set.";
    tls_ops = Says("as TLS_HTTP"), "1 or 0: whether OPS_PORT speaks TLS, with TLS_CERT.";
    tls_ws = Value("1"), "0: the slaves' port stays plain although TLS_CERT is set.";
    tls_client_ca path = Says("slaves need no certificate"), "PEM file of authorities: a slave must present a certificate from one of them, in addition to its code.";
    tls_http_client_ca path = Says("clients are asked for no certificate"), "PEM file of authorities of clients' certificates. The names in a certificate say who the client is, in addition to a key or token.";
    tls_http_client_cert = Value("accepted"), "accepted: a client that presents a certificate of TLS_HTTP_CLIENT_CA needs no key or token; required: each client must present one, in addition to a key or token if those are configured.";
    slave_mode = Value("multi"), "multi: any number of slaves at once; single: a new slave replaces the one before (close code 4001).";
    tool_conflict = Value("namespace"), "Different tools under one name: namespace shows the owner's under that name and each other one as provider__tool; refuse lists none of them, except the owner's of an exclusive name. Always reported in the log: see docs/secure/slave-codes.md.";
    routes path = Says("built-in rules only"), "Path of a YAML file of rules that send calls to slaves by their labels. Read again when it changes and at SIGHUP: see docs/operate/routing.md.";
    policy path = Says("every client may use everything"), "Path of a YAML file that says which client may use which tool, prompt and resource, and which operator may read what. Read again when it changes and at SIGHUP; while it is gone, nothing is allowed: see docs/secure/policy.md.";
    link_grace = Value("12"), "Seconds that running calls wait for their slave after its link broke; then they fail with an unknown outcome. Slaves are told the value and keep results as long. New calls that only this slave can take wait as well, for at most 6 s.";
    ready_min_slaves = Value("0"), "Slaves that must be able to take calls (linked, offering tools, not draining) for /readyz to say ready.";
    start_window = Value("15"), "Seconds after the start in which slaves find this proxy: without a slave it is not ready until they are over, and calls that no slave can take yet wait. 0: none. Without codes there is no window.";
    link_late_ms = Value("1000"), "Round trip time of a link in milliseconds above which its slave is degraded: chosen only where no other slave can take a call.";
    eject_after = Value("5"), "Consecutive calls that a slave fails by its own fault before it is ejected: it gets no calls for EJECT_TIME while other slaves can take them. 0: never.";
    eject_time = Value("10"), "Seconds for which a failing slave is ejected; doubled each time up to 32-fold. Then a few calls test it.";
    retry_idempotent = Value("0"), "1: calls of tools annotated readOnlyHint or idempotentHint (and not destructiveHint) are retried, at most twice, where their outcome is unknown or their backend failed.";
    proxy_peers = Says("not set"), "host:port of a DNS name that has one address for each proxy, for example a headless Service. Needed where slaves reach the proxies through one load balancer address.";
    max_slaves = Value("10000"), "Slaves that may be connected at once.";
    max_links_per_code = Value("64"), "Slaves that may be connected at once with one code, unless limits.links of its entry in SLAVE_CODES_FILE says otherwise.";
    max_catalog_bytes = Value("268435456"), "Bytes of all slaves' catalogs together; a list beyond it is left out and reported. Each code has its own limit besides: see docs/secure/slave-codes.md.";
}
