//! The environment of a backend's process: a safe base and what its configuration names, nothing else of the slave's.
//! Must not know what the processes are.

use tokio::process::Command;

use runtime::secret::Secret;
use runtime::traces::TraceContext;

/// Variables of the slave that every backend inherits: what programs need to find other programs and to write text.
/// None of them holds a credential.
pub const INHERITED: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Limits the command's environment to [`INHERITED`] and `own`; `own` wins where both have a name.
pub(super) fn restrict(command: &mut Command, own: &[(String, Secret)]) {
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for (name, value) in own {
        command.env(name, value.expose());
    }
}

/// Passes a trace context to the command, as the parent of its spans (OpenTelemetry, "Environment Variables as Context
/// Propagation Carriers").
pub(super) fn inherit(command: &mut Command, context: Option<&TraceContext>) {
    let Some(TraceContext { traceparent, tracestate }) = context else { return };
    command.env("TRACEPARENT", traceparent);
    if let Some(state) = tracestate {
        command.env("TRACESTATE", state);
    }
}
