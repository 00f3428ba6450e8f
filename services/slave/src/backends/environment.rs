//! The environment that a backend's process gets: a safe base and what its configuration names, nothing else of the
//! slave's. Must not know what the processes are.

use tokio::process::Command;

use runtime::secret::Secret;
use runtime::traces::TraceContext;

/// Variables of the slave that every backend gets: what programs need to find themselves and to write text. None of
/// them holds a credential.
pub const SAFE: [&str; 9] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Gives the command [`SAFE`] and `own`, which goes first where both have a name.
pub(super) fn limit(command: &mut Command, own: &[(String, Secret)]) {
    command.env_clear();
    for name in SAFE {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for (name, value) in own {
        command.env(name, value.expose());
    }
}

/// Gives the command the span that its own are to hang on (OpenTelemetry, "Environment Variables as Context Propagation
/// Carriers").
pub(super) fn carry(command: &mut Command, carried: Option<&TraceContext>) {
    let Some(TraceContext { traceparent, tracestate }) = carried else { return };
    command.env("TRACEPARENT", traceparent);
    if let Some(state) = tracestate {
        command.env("TRACESTATE", state);
    }
}
