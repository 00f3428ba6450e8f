//! The declared variables of the slave. Must not know the values that they become.

use runtime::config::{AUDIT, EVERY, OUTBOUND, TRACES};
use runtime::env::Var;

runtime::variables! {
    /// The slave's own variables; the standalone server reads those that concern tools.
    pub const VARIABLES: Slave;
    /// Texts of [`VARIABLES`].
    pub(super) struct Settings;
    proxy_server_url = Value("ws://localhost:8001"), "WebSocket URL of the proxy: ws://host:8001, or wss:// for TLS. Several separated by commas. The slave keeps a link to every proxy behind every address of each host.";
    proxy_resolve_interval = Value("10"), "Seconds between two DNS look-ups of the hosts in PROXY_SERVER_URL. A lost link causes another look-up within half a second.";
    slave_code secret = Says("required for a slave, here or in SLAVE_CODE_FILE"), "The code that the proxy must have in SLAVE_CODES. Spaces around the code are ignored; upper and lower case differ.";
    slave_code_file path_of_secrets = Says("none"), "Path of a file with the code, instead of SLAVE_CODE. Read again within a second of a change and at SIGHUP: links are renewed with the changed code.";
    allow_plaintext = Value("0"), "1: no warning where the code and all calls go over ws:// to another machine.";
    proxy_ca_file path = Says("the system's roots, or those in SSL_CERT_FILE"), "PEM file of the authorities that a wss:// proxy's certificate must come from, instead of the system's. Read again at each new connection.";
    proxy_client_cert path = Says("no certificate is presented"), "PEM file of a certificate to present to a proxy that requires one (its TLS_CLIENT_CA). Read again at each new connection.";
    proxy_client_key path_of_secrets = Says("needed with PROXY_CLIENT_CERT"), "PEM file of the key of PROXY_CLIENT_CERT.";
    slave_name = Says("the host name"), "Name in logs, metrics and tool prefixes: 1 to 63 letters, digits, -, _ or . characters.";
    slave_labels = Says("none"), "Comma-separated key=value pairs that routing can select by.";
    slave_capacity = Value("0"), "Calls that this slave runs at once; 0 for no limit.";
    slave_weight = Value("100"), "Share of the calls of a tool that this slave should get among the slaves that offer it, in percent of an ordinary slave's.";
    slave_backends path_of_secrets = Says("none"), "Path of a JSON file in the mcpServers format: the MCP servers whose tools are offered. Read again within a second of a change and at SIGHUP; unchanged servers keep running.";
    slave_tools path_of_secrets = Says("none"), "Path of a YAML file of tools that are commands: each a program with a template of its arguments, run without a shell (docs/backends/commands.md). Read again within a second of a change and at SIGHUP.";
    slave_policy path = Says("every call is accepted"), "Path of a YAML file that says for which client this slave runs which tool, prompt and resource, whatever the proxy allows. Read again when it changes and at SIGHUP; while it is gone, nothing is allowed: see docs/secure/policy.md.";
    identity_key_file path_of_secrets = Says("backends get no tokens"), "PEM file of a private key (Ed25519 or ECDSA P-256) that signs tokens for HTTP backends whose entry asks for them: who the client of a request is. Further keys in it are published beside the first one. Read again within a second of a change and at SIGHUP: see docs/secure/policy.md.";
    identity_issuer = Says("urn:mcp-relay:slave: and SLAVE_NAME"), "Issuer (iss) of those tokens.";
    mr_pilot_command path = Says("mr-pilot, if it is on PATH"), "Program behind the tool review_merge_request. One path or name, run without a shell.";
    mr_pilot_hosts = Says("gitlab.com, github.com and the host of GITLAB_API"), "Comma-separated hosts that the URL of a review may name: host, host:port or *.domain; * for every host. The tokens of this slave may be sent to them.";
    mr_pilot_allow_comment = Value("1"), "0: refuse reviews that are to be posted as a comment (postComment).";
    mr_pilot_env = Says("none"), "Comma-separated names of further variables of the slave that mr-pilot gets, for example NODE_OPTIONS. Proxy and certificate variables (HTTPS_PROXY, NO_PROXY, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE and the like) are passed to every backend automatically.";
    mr_pilot_cwd path = Says("the slave's own working directory"), "Directory that mr-pilot runs in. It reads a file .env there; variables of the slave win over those of the file.";
    demo_tools = Value("0"), "1: offer the tools echo, sleep, payload and fail, a prompt, a resource and a template, for trying things out.";
    slave_strict = Value("0"), "1: refuse a SLAVE_BACKENDS or SLAVE_TOOLS file if one entry cannot be used. 0: leave that entry out and run the others.";
    backend_start_timeout = Value("120"), "Longest time in seconds from the start of a stdio server until its tools are listed. Generous, since npx or docker may download it first.";
    backend_wait = Value("10"), "Longest time in seconds that a call waits for a stdio server that is being started, for the first time or again; then it fails with backend_failed and retryAfter. 0: it fails at once.";
    parked_ttl = Value("600"), "Longest time in seconds that a call of a tool which asks its client for input (elicitation, sampling, roots) waits for the answers of a client of MCP 2026-07-28, which come with a later request; then the call is cancelled.";
    slave_probe_interval = Value("0"), "Seconds between two probes of each backend: ping or server/discover for stdio servers, for mr-pilot whether its program still exists. A stdio server that misses three probes is restarted. Use it only with servers that answer while a call runs. 0: off.";
    proxy_tunnel_url secret = Says("HTTPS_PROXY for wss://, HTTP_PROXY for ws://, as NO_PROXY says"), "Forward proxy for the link only, in the same form: it replaces the others, and NO_PROXY is ignored. The connection is a tunnel (CONNECT) also for ws://. none: the link goes out directly.";
    reconnect_max = Value("5"), "Longest time in seconds between two attempts to connect (full-jitter backoff).";
    slave_journal_bytes = Value("268435456"), "Largest size in bytes, over all calls, of the events that the proxy has not acknowledged; they are kept to be sent again after a broken link.";
    retention_secs = Value("300"), "Seconds for which events and result of a call are kept after its end, for a client of 2025-11-25 whose stream broke and that comes back with Last-Event-ID. 0: nothing is kept.";
    retention_bytes = Value("67108864"), "Most bytes that are kept in this way, over all calls; the calls of one client keep at most half of it. The calls that ended first are dropped first, then the oldest events of running calls.";
    max_output_bytes = Value("67108864"), "Largest single message (result or event) that a backend may produce, in bytes.";
}

runtime::variables! {
    /// Variables that are passed on to `mr-pilot` under the same names; `NODE_ENV` is accepted and has no effect.
    pub const PASSED_ON: PassedOn;
    /// Texts of [`PASSED_ON`].
    pub(super) struct PassedOnSettings;
    gitlab_token secret = Says("not set"), "GitLab access token.";
    gitlab_api = Says("not set"), "GitLab API, an http:// or https:// URL.";
    gitlab_default_project = Says("not set"), "Project that a bare merge request number belongs to.";
    github_token secret = Says("not set"), "GitHub access token.";
    github_default_repo = Says("not set"), "Repository (owner/repo) that a bare pull request number belongs to.";
    llm_provider = Says("not set"), "Language model provider, for example openrouter.";
    llm_api_key secret = Says("not set"), "API key of the language model provider.";
    llm_model = Says("not set"), "Name of the language model.";
    openrouter_api_key secret = Says("not set"), "API key of OpenRouter, which mr-pilot takes in place of LLM_API_KEY.";
    openrouter_model = Says("not set"), "Name of the language model, which mr-pilot takes in place of LLM_MODEL.";
    llm_api_url = Says("not set"), "API of the language model provider, an http:// or https:// URL.";
    max_diff_chars = Says("not set"), "Largest diff that is reviewed, in characters; at least 1000.";
    node_env = Says("not set"), "Accepted for compatibility with the existing server; has no effect.";
}

/// The tables that a slave's configuration is read from.
pub const TABLES: &[&[Var]] = &[EVERY, VARIABLES, PASSED_ON, AUDIT, OUTBOUND, TRACES];
