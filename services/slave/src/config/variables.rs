//! The slave's declared variables.

use runtime::config::{AUDIT, EVERY, TRACES};
use runtime::env::Fallback::{Says, Value};
use runtime::env::Group::{PassedOn, Slave};
use runtime::env::Var;

/// The slave's own variables; the standalone server reads those that have to do with tools.
#[rustfmt::skip]
pub const VARIABLES: &[Var] = &[
    Var::new(Slave, "PROXY_SERVER_URL", Says("required for a slave"), "WebSocket URL of the proxy: ws://host:8001, or wss:// for TLS. Several separated by commas. A link is kept to every proxy behind every address of the host."),
    Var::new(Slave, "PROXY_RESOLVE_INTERVAL", Value("10"), "Seconds between two look-ups of the hosts in PROXY_SERVER_URL; also looked up whenever a link is lost."),
    Var::new(Slave, "SLAVE_CODE", Says("required for a slave, here or in SLAVE_CODE_FILE"), "The code that the proxy must have in SLAVE_CODES. Spaces around it do not count, case does.").secret(),
    Var::new(Slave, "SLAVE_CODE_FILE", Says("none"), "Path of a file that holds the code, in place of SLAVE_CODE. Read again within a second of a change and at SIGHUP: links are renewed with the changed code."),
    Var::new(Slave, "PROXY_CA_FILE", Says("the system's roots, or those in SSL_CERT_FILE"), "PEM file of the authorities that a wss:// proxy's certificate must come from, in place of the system's. Read again at each new connection."),
    Var::new(Slave, "PROXY_CLIENT_CERT", Says("none is shown"), "PEM file of a certificate to show to a proxy that asks for one (its TLS_CLIENT_CA). Read again at each new connection."),
    Var::new(Slave, "PROXY_CLIENT_KEY", Says("needed with PROXY_CLIENT_CERT"), "PEM file of its key."),
    Var::new(Slave, "SLAVE_NAME", Says("the host name"), "Name in logs, metrics and tool prefixes: 1 to 63 letters, digits, -, _ or . characters."),
    Var::new(Slave, "SLAVE_LABELS", Says("none"), "Comma-separated key=value pairs that routing can select by."),
    Var::new(Slave, "SLAVE_CAPACITY", Value("0"), "Calls that this slave runs at once; 0 for no limit."),
    Var::new(Slave, "SLAVE_WEIGHT", Value("100"), "Share of the calls that this slave should get beside others of the same tool, in percent of an ordinary slave's."),
    Var::new(Slave, "SLAVE_BACKENDS", Says("none"), "Path of a JSON file in the mcpServers format: the MCP servers whose tools are offered. Read again within a second of a change and at SIGHUP; unchanged servers are not touched."),
    Var::new(Slave, "MR_PILOT_COMMAND", Says("mr-pilot, if it is on PATH"), "Program behind the tool review_merge_request. One path or name, run without a shell."),
    Var::new(Slave, "DEMO_TOOLS", Value("0"), "1: offer the tools echo, sleep, payload and fail, for trying things out."),
    Var::new(Slave, "SLAVE_PROBE_INTERVAL", Value("0"), "Seconds between two probes of each backend: ping or server/discover for stdio servers, for mr-pilot whether it is still there. One that misses three is restarted. For servers that answer while they work. 0: off."),
    Var::new(Slave, "RECONNECT_MAX", Value("5"), "Most seconds between two attempts to connect (full-jitter backoff)."),
    Var::new(Slave, "SLAVE_JOURNAL_BYTES", Value("268435456"), "Bytes of events not yet taken by the proxy that are kept over all calls, for a link that breaks."),
    Var::new(Slave, "MAX_OUTPUT_BYTES", Value("67108864"), "Largest single message (result or event) that a backend may produce, in bytes."),
];

/// Handed on to `mr-pilot` by the same names; `NODE_ENV` is accepted and has no effect.
#[rustfmt::skip]
pub const PASSED_ON: &[Var] = &[
    Var::new(PassedOn, "GITLAB_TOKEN", Says("not set"), "GitLab access token.").secret(),
    Var::new(PassedOn, "GITLAB_API", Says("not set"), "GitLab API, an http:// or https:// URL."),
    Var::new(PassedOn, "GITLAB_DEFAULT_PROJECT", Says("not set"), "Project that a bare merge request number belongs to."),
    Var::new(PassedOn, "GITHUB_TOKEN", Says("not set"), "GitHub access token.").secret(),
    Var::new(PassedOn, "GITHUB_DEFAULT_REPO", Says("not set"), "Repository (owner/repo) that a bare pull request number belongs to."),
    Var::new(PassedOn, "LLM_PROVIDER", Says("not set"), "Language model provider, for example openrouter."),
    Var::new(PassedOn, "LLM_API_KEY", Says("not set"), "Key for it.").secret(),
    Var::new(PassedOn, "LLM_MODEL", Says("not set"), "Model."),
    Var::new(PassedOn, "LLM_API_URL", Says("not set"), "Its API, an http:// or https:// URL."),
    Var::new(PassedOn, "MAX_DIFF_CHARS", Says("not set"), "Largest diff that is reviewed, in characters; at least 1000."),
    Var::new(PassedOn, "NODE_ENV", Says("not set"), "Accepted for compatibility with the existing server; has no effect."),
];

/// The tables that a slave's configuration is read from.
pub const TABLES: &[&[Var]] = &[EVERY, VARIABLES, PASSED_ON, AUDIT, TRACES];
