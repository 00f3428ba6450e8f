//! Metrics of backends. Knows them by name only.

use metrics::{counter, gauge};
use nix::sys::signal::Signal;

use super::table::{DROPPED, EXITS, ODD, PROBES, READY, RESTARTS, STARTS};

/// Sets whether a backend's tools are in the catalog.
pub(crate) fn set_backend_ready(backend: &str, ready: bool) {
    gauge!(READY, "backend" => backend.to_owned()).set(u32::from(ready));
}

/// Counts a process that was started for a backend.
pub(crate) fn record_backend_start(backend: &str) {
    counter!(STARTS, "backend" => backend.to_owned()).increment(1);
}

/// Counts a backend that is started again after a failure.
pub(crate) fn record_backend_restart(backend: &str) {
    counter!(RESTARTS, "backend" => backend.to_owned()).increment(1);
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Otherwise, for this reason.
    Other(&'static str),
}

impl From<&'static str> for Exit {
    fn from(reason: &'static str) -> Self {
        Self::Other(reason)
    }
}

impl Exit {
    /// Returns the reason, one of a fixed set.
    pub(crate) fn reason(self) -> &'static str {
        self.labels().0
    }

    fn labels(self) -> (&'static str, String) {
        match self {
            Self::Code(code) => ("exited", code.to_string()),
            Self::Signal(number) => {
                let name = Signal::try_from(number)
                    .map_or_else(|_| number.to_string(), |signal| signal.as_str().into());
                ("killed", name)
            }
            Self::Other(reason) => (reason, String::new()),
        }
    }
}

/// Counts a process of a backend that ended.
pub(crate) fn record_backend_exit(backend: &str, exit: impl Into<Exit>) {
    let (reason, code) = exit.into().labels();
    counter!(EXITS, "backend" => backend.to_owned(), "reason" => reason, "code" => code).increment(1);
}

/// The outcome of a health probe of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeOutcome {
    /// The backend answered in time.
    Answered,
    /// The backend did not answer in time.
    Missed,
}

/// Counts a health probe of a backend.
pub(crate) fn record_backend_probe(backend: &str, outcome: ProbeOutcome) {
    let outcome = match outcome {
        ProbeOutcome::Answered => "answered",
        ProbeOutcome::Missed => "missed",
    };
    counter!(PROBES, "backend" => backend.to_owned(), "outcome" => outcome).increment(1);
}

/// Why a message from or to a backend was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Not JSON-RPC.
    Garbage,
    /// A response to no pending request: late, duplicate or invented.
    UnknownId,
    /// A notification that belongs to no call, or to none in particular.
    Unroutable,
    /// The call's reader takes events more slowly than the backend sends them.
    SlowReader,
    /// The backend does not read its standard input.
    UnreadStdin,
}

impl DropReason {
    fn label(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::UnknownId => "unknown_id",
            Self::Unroutable => "unroutable",
            Self::SlowReader => "slow_reader",
            Self::UnreadStdin => "unread_stdin",
        }
    }
}

/// Counts a message from or to a backend that was dropped.
pub(crate) fn record_backend_drop(backend: &str, reason: DropReason) {
    counter!(DROPPED, "backend" => backend.to_owned(), "reason" => reason.label()).increment(1);
}

/// Counts a line of a backend's standard output that is odd in this way, one of [`super::ODD_LINES`].
pub(crate) fn record_odd_line(backend: &str, kind: &'static str) {
    counter!(ODD, "backend" => backend.to_owned(), "kind" => kind).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_have_their_code_or_signal() {
        assert_eq!(Exit::Code(3).labels(), ("exited", "3".into()));
        assert_eq!(Exit::Signal(9).labels(), ("killed", "SIGKILL".into()));
        assert_eq!(Exit::from("stopped").labels(), ("stopped", String::new()));
    }
}
