//! How a backend ended a call, for metrics and spans. Must not know backends or answers.

use front::CallOutcome;

/// The end of a call, as the backend that ran it made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendOutcome {
    /// A result.
    Success,
    /// A result that says `isError`.
    ToolError,
    /// A JSON-RPC error of the backend.
    Error(CallOutcome),
    /// No answer: the failure's kind, and the JSON-RPC code that clients get for it.
    Failed {
        /// The failure's stable kind.
        kind: &'static str,
        /// The failure's JSON-RPC code.
        code: i64,
    },
}

impl BackendOutcome {
    /// Returns the outcome as metrics and log lines name it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Success => "ok",
            Self::ToolError => "tool_error",
            Self::Error(_) => "error",
            Self::Failed { kind, .. } => kind,
        }
    }

    /// Returns the outcome as the slave, a client of the backend, sees it.
    pub(crate) fn of_client(self) -> CallOutcome {
        match self {
            Self::Success => CallOutcome::Success,
            Self::ToolError => CallOutcome::ToolError,
            Self::Error(outcome) => outcome,
            Self::Failed { kind, .. } => CallOutcome::Unanswered(kind),
        }
    }

    /// Returns the outcome as the slave, a server of the call's client, reports it.
    pub(crate) fn of_server(self) -> CallOutcome {
        match self {
            Self::Failed { code, .. } => CallOutcome::Code(code),
            answered => answered.of_client(),
        }
    }
}
