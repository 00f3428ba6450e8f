//! The end of a call as its reader gets it. Must not know the reader.

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::result_marks::ResultMarks;

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// Raw JSON without newlines: the `result` value, or the `error` object.
    pub payload: Bytes,
    /// Whether `payload` is an error object.
    pub error: bool,
    /// Whether the result has `isError: true`; only used for counting.
    pub tool_error: bool,
    /// HTTP status for a modern client; 0 means 200.
    pub status: u16,
    /// What the result may have.
    pub marks: ResultMarks,
}

impl CallEnd {
    /// Returns the end of a call whose result says nothing.
    pub(crate) fn empty() -> Self {
        Self::result(Bytes::from_static(b"{}"))
    }

    /// Returns the end of a call with a result of which nothing is known, and which is no tool's error.
    pub fn result(payload: Bytes) -> Self {
        Self { payload, error: false, tool_error: false, status: 0, marks: ResultMarks::ANY }
    }

    /// Returns the end of a call that this slave, not its backend, failed.
    pub fn failed(failure: &Failure, era: Era) -> Self {
        let status = match failure.status(era) {
            200 => 0,
            other => other,
        };
        Self { error: true, status, ..Self::result(failure.error_object(era).into()) }
    }
}
