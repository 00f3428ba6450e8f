//! The outcome of one MCP operation: what metrics and spans say of its end. Must not know either of them.

use std::borrow::Cow;

use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::{self, Failure};

/// How an MCP operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// With a result.
    Success,
    /// With a result that says `isError`.
    ToolError,
    /// With this JSON-RPC error code.
    Code(i64),
    /// Without a response, for this reason.
    Unanswered(&'static str),
}

impl CallOutcome {
    /// Returns the outcome that the last event of a response to a client of this era stands for.
    pub fn from_event(event: &ResponseEvent, era: Era) -> Self {
        match event {
            ResponseEvent::End { error: true, payload, .. } => Self::from_error_object(payload),
            ResponseEvent::End { tool_error: true, .. } => Self::ToolError,
            ResponseEvent::End { .. } | ResponseEvent::Event { .. } => Self::Success,
            ResponseEvent::Failed(failure) => Self::of_failure(failure, era),
        }
    }

    /// Returns the outcome of a failure as a client of this era is told of it.
    pub fn of_failure(failure: &Failure, era: Era) -> Self {
        Self::Code(failure.spec().code_for(era).into())
    }

    /// Returns the outcome of a JSON-RPC error object, given as JSON.
    pub fn from_error_object(json: &[u8]) -> Self {
        failure::code_in(json).map_or(Self::Unanswered("_OTHER"), Self::Code)
    }

    /// Returns `error.type` and `rpc.response.status_code` of OpenTelemetry's conventions; empty: not set.
    pub(crate) fn labels(self) -> (Cow<'static, str>, Cow<'static, str>) {
        match self {
            Self::Success => ("".into(), "".into()),
            Self::ToolError => ("tool_error".into(), "".into()),
            Self::Code(code) => (bounded_code(code), bounded_code(code)),
            Self::Unanswered(reason) => (reason.into(), "".into()),
        }
    }
}

/// Returns codes of JSON-RPC and of servers as they are. All others, which a backend may invent, are one label value.
fn bounded_code(code: i64) -> Cow<'static, str> {
    match code {
        -32_700 | -32_603..=-32_600 | -32_099..=-32_000 | -31_099..=-31_000 => code.to_string().into(),
        _ => "_OTHER".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_by_the_code_that_its_client_sees() {
        for failure in [Failure::NoSlave, Failure::Cancelled, Failure::Internal] {
            for era in [Era::Legacy, Era::Modern] {
                let told = CallOutcome::from_error_object(failure.error_object(era).as_bytes());
                assert_eq!(CallOutcome::from_event(&ResponseEvent::Failed(failure.clone()), era), told);
            }
        }
    }

    #[test]
    fn error_labels_follow_the_conventions_and_are_bounded() {
        assert_eq!(CallOutcome::Success.labels(), ("".into(), "".into()));
        assert_eq!(CallOutcome::ToolError.labels(), ("tool_error".into(), "".into()));
        assert_eq!(CallOutcome::Code(-32602).labels(), ("-32602".into(), "-32602".into()));
        assert_eq!(CallOutcome::Code(12_345).labels(), ("_OTHER".into(), "_OTHER".into()));
        assert_eq!(CallOutcome::Unanswered("cancelled").labels().0, "cancelled");
    }
}
