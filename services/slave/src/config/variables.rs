//! The slave's declared variables.

use runtime::config::{AUDIT, EVERY, TRACES};
use runtime::env::Var;

runtime::variables! {
    /// The slave's own variables; the standalone server reads those that have to do with tools.
    pub const VARIABLES: Slave;
    /// Texts of [`VARIABLES`].
    pub(super) struct Settings;
    proxy_server_url = Says("required for a slave"), "WebSocket URL of the proxy: ws://host:8001, or wss:// for TLS. Several separated by commas. A link is kept to every proxy behind every address of the host.";
    proxy_resolve_interval = Value("10"), "Seconds between two look-ups of the hosts in PROXY_SERVER_URL; also looked up whenever a link is lost.";
    slave_code secret = Says("required for a slave, here or in SLAVE_CODE_FILE"), "The code that the proxy must have in SLAVE_CODES. Spaces around it do not count, case does.";
    slave_code_file = Says("none"), "Path of a file that holds the code, in place of SLAVE_CODE. Read again within a second of a change and at SIGHUP: links are renewed with the changed code.";
    proxy_ca_file = Says("the system's roots, or those in SSL_CERT_FILE"), "PEM file of the authorities that a wss:// proxy's certificate must come from, in place of the system's. Read again at each new connection.";
    proxy_client_cert = Says("none is shown"), "PEM file of a certificate to show to a proxy that asks for one (its TLS_CLIENT_CA). Read again at each new connection.";
    proxy_client_key = Says("needed with PROXY_CLIENT_CERT"), "PEM file of its key.";
    slave_name = Says("the host name"), "Name in logs, metrics and tool prefixes: 1 to 63 letters, digits, -, _ or . characters.";
    slave_labels = Says("none"), "Comma-separated key=value pairs that routing can select by.";
    slave_capacity = Value("0"), "Calls that this slave runs at once; 0 for no limit.";
    slave_weight = Value("100"), "Share of the calls that this slave should get beside others of the same tool, in percent of an ordinary slave's.";
    slave_backends = Says("none"), "Path of a JSON file in the mcpServers format: the MCP servers whose tools are offered. Read again within a second of a change and at SIGHUP; unchanged servers are not touched.";
    mr_pilot_command = Says("mr-pilot, if it is on PATH"), "Program behind the tool review_merge_request. One path or name, run without a shell.";
    demo_tools = Value("0"), "1: offer the tools echo, sleep, payload and fail, for trying things out.";
    slave_probe_interval = Value("0"), "Seconds between two probes of each backend: ping or server/discover for stdio servers, for mr-pilot whether it is still there. One that misses three is restarted. For servers that answer while they work. 0: off.";
    reconnect_max = Value("5"), "Most seconds between two attempts to connect (full-jitter backoff).";
    slave_journal_bytes = Value("268435456"), "Bytes of events not yet taken by the proxy that are kept over all calls, for a link that breaks.";
    max_output_bytes = Value("67108864"), "Largest single message (result or event) that a backend may produce, in bytes.";
}

runtime::variables! {
    /// Handed on to `mr-pilot` by the same names; `NODE_ENV` is accepted and has no effect.
    pub const PASSED_ON: PassedOn;
    /// Texts of [`PASSED_ON`].
    pub(super) struct PassedOnSettings;
    gitlab_token secret = Says("not set"), "GitLab access token.";
    gitlab_api = Says("not set"), "GitLab API, an http:// or https:// URL.";
    gitlab_default_project = Says("not set"), "Project that a bare merge request number belongs to.";
    github_token secret = Says("not set"), "GitHub access token.";
    github_default_repo = Says("not set"), "Repository (owner/repo) that a bare pull request number belongs to.";
    llm_provider = Says("not set"), "Language model provider, for example openrouter.";
    llm_api_key secret = Says("not set"), "Key for it.";
    llm_model = Says("not set"), "Model.";
    llm_api_url = Says("not set"), "Its API, an http:// or https:// URL.";
    max_diff_chars = Says("not set"), "Largest diff that is reviewed, in characters; at least 1000.";
    node_env = Says("not set"), "Accepted for compatibility with the existing server; has no effect.";
}

/// The tables that a slave's configuration is read from.
pub const TABLES: &[&[Var]] = &[EVERY, VARIABLES, PASSED_ON, AUDIT, TRACES];
