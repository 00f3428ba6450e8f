//! Metrics of backends. Knows them by name only.

use metrics::{counter, gauge};
use nix::sys::signal::Signal;

use super::table::{DROPPED, EXITS, PROBES, READY, RESTARTS, STARTS};

/// A backend's tools came into or left the catalog.
pub(crate) fn backend_ready(backend: &str, ready: bool) {
    gauge!(READY, "backend" => backend.to_owned()).set(u32::from(ready));
}

/// A process was started for a backend.
pub(crate) fn backend_started(backend: &str) {
    counter!(STARTS, "backend" => backend.to_owned()).increment(1);
}

/// A backend failed and is started again.
pub(crate) fn backend_restarted(backend: &str) {
    counter!(RESTARTS, "backend" => backend.to_owned()).increment(1);
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Otherwise: the reason.
    Other(&'static str),
}

impl From<&'static str> for Exit {
    fn from(reason: &'static str) -> Self {
        Self::Other(reason)
    }
}

impl Exit {
    /// One of few words for it.
    pub(crate) fn reason(self) -> &'static str {
        self.labels().0
    }

    fn labels(self) -> (&'static str, String) {
        match self {
            Self::Code(code) => ("exited", code.to_string()),
            Self::Signal(number) => {
                let name =
                    Signal::try_from(number).map_or_else(|_| number.to_string(), |it| it.as_str().into());
                ("killed", name)
            }
            Self::Other(reason) => (reason, String::new()),
        }
    }
}

/// A backend's process ended.
pub(crate) fn backend_exited(backend: &str, exit: impl Into<Exit>) {
    let (reason, code) = exit.into().labels();
    counter!(EXITS, "backend" => backend.to_owned(), "reason" => reason, "code" => code).increment(1);
}

/// What came of asking a backend whether it still answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// It does.
    Answered,
    /// Not in time.
    Missed,
}

/// A backend was asked whether it still answers.
pub(crate) fn backend_probed(backend: &str, outcome: Probed) {
    let outcome = match outcome {
        Probed::Answered => "answered",
        Probed::Missed => "missed",
    };
    counter!(PROBES, "backend" => backend.to_owned(), "outcome" => outcome).increment(1);
}

/// Why a message reached nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Not JSON-RPC.
    Garbage,
    /// An answer that nobody waits for: late, doubled or invented.
    UnknownId,
    /// A notification that belongs to no call, or not to a certain one.
    Unroutable,
    /// The call's reader is too slow for its events.
    SlowReader,
    /// The backend does not read what it is told.
    UnreadStdin,
}

impl Dropped {
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

/// A message from or to a backend was dropped.
pub(crate) fn backend_dropped(backend: &str, reason: Dropped) {
    counter!(DROPPED, "backend" => backend.to_owned(), "reason" => reason.label()).increment(1);
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
