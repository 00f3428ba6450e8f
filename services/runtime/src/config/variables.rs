//! The declared variables that are not of one mode alone.

use crate::env::Fallback::{Says, Value};
use crate::env::Group::{Every, Mode};
use crate::env::Var;

/// Which mode runs where no subcommand says it.
pub const MODE: &[Var] = &[
    Var::new(Mode, "PROXY_MODE", Value("0"), "1: run as proxy."),
    Var::new(
        Mode,
        "PROXY_SLAVE",
        Value("0"),
        "1: run as slave. With neither, the tools are served standalone; both at once are an error.",
    ),
];

/// Read by proxy, slave and standalone server.
#[rustfmt::skip]
pub const EVERY: &[Var] = &[
    Var::new(Every, "MCP_SERVER_HOST", Value("127.0.0.1"), "Address that MCP clients are served on. 0.0.0.0 for every interface."),
    Var::new(Every, "MCP_SERVER_PORT", Value("8000"), "Port that MCP clients are served on. 0: any free port; the log names it."),
    Var::new(Every, "OPS_PORT", Says("they share MCP_SERVER_PORT"), "A port of its own for health, metrics, API and status page; MCP_SERVER_PORT then answers 404 for their paths. 0: any free port; the log names it."),
    Var::new(Every, "OPS_HOST", Says("as MCP_SERVER_HOST"), "Address that OPS_PORT is listened on."),
    Var::new(Every, "UI", Value("0"), "1: serve the status page on /ui, and keep what it shows: calls under way, the last ones, and the last lines of backends' standard error."),
    Var::new(Every, "AUTH_BEARER_KEYS", Says("no key is asked for"), "Comma-separated keys. If set, every HTTP path but the health checks needs `Authorization: Bearer <key>`.").secret(),
    Var::new(Every, "AUTH_CUSTOM_HEADER", Says("only Authorization"), "A header, for example x-api-key, that may carry the key in place of Authorization."),
    Var::new(Every, "ALLOWED_ORIGINS", Says("loopback origins"), "Comma-separated origins of web pages that may send requests; * for any. Unset: pages served from this machine."),
    Var::new(Every, "MAX_BODY_BYTES", Value("16777216"), "Largest request body in bytes (1024 to 67108864); a larger one is refused with 413."),
    Var::new(Every, "REQUEST_TIMEOUT", Value("300"), "Seconds of silence after which a call is given up. Progress starts it anew."),
    Var::new(Every, "REQUEST_TIMEOUT_TOTAL", Value("3600"), "Seconds that a call may take at all. Raised by itself to REQUEST_TIMEOUT where only that is set."),
    Var::new(Every, "SESSION_KEY", Says("random, with a warning"), "At least 32 characters that seal legacy session ids; the same on every proxy replica. Random: sessions end with the process.").secret(),
    Var::new(Every, "SESSION_TTL", Value("86400"), "Seconds that a legacy session id is good for."),
    Var::new(Every, "SHUTDOWN_DELAY", Value("0"), "Seconds after SIGTERM or SIGINT in which /readyz says unready and calls are still taken: time for load balancers to look elsewhere. The grace begins after it."),
    Var::new(Every, "SHUTDOWN_GRACE", Value("30"), "Seconds that running calls get to finish after SIGTERM or SIGINT. A second signal ends at once."),
    Var::new(Every, "LOG_FORMAT", Value("text"), "text: lines for people, with [PROXY], [SLAVE] or (standalone) [SERVER]; json: one object a line. Logs go to standard error."),
    Var::new(Every, "LOG_LEVEL", Value("info"), "trace, debug, info, warn, error or off; also by part, for example info,proxy=debug. Lines about single calls are at debug."),
    Var::new(Every, "LIST_TTL_MS", Value("5000"), "Milliseconds that clients may keep a list of tools (`ttlMs` of modern list results)."),
    Var::new(Every, "LINK_PING_INTERVAL_MS", Value("1500"), "Milliseconds of silence on a link after which it is tested with a ping (proxy and slave)."),
    Var::new(Every, "LINK_PING_TIMEOUT_MS", Value("4000"), "Milliseconds of silence on a link after which it is given up; at least twice LINK_PING_INTERVAL_MS."),
];
