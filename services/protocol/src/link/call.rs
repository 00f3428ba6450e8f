//! What comes back for a call, as every reader of a call sees it. Knows nothing of where it comes from.

use bytes::Bytes;

use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::Seq;
use crate::mcp::failure::Failure;

/// One piece of a call's answer, in order. Pieces of one message (`more`) follow each other without others between.
///
/// After the last `End` piece (`more` false) or `Failed` nothing follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseEvent {
    /// (A piece of) a whole JSON-RPC notification or request of the backend, without newlines.
    Event {
        /// Its number within the call.
        seq: Seq,
        /// The message goes on in the next part.
        more: bool,
        /// The backend wants a reply.
        request: bool,
        /// Raw JSON.
        payload: Bytes,
    },
    /// (A piece of) the JSON-RPC `result` value, or of the `error` object, without newlines.
    End {
        /// Its number within the call.
        seq: Seq,
        /// It goes on in the next part.
        more: bool,
        /// An error object rather than a result.
        error: bool,
        /// The result says `isError: true`.
        tool_error: bool,
        /// HTTP status for a modern client; 0: 200.
        status: u16,
        /// Raw JSON.
        payload: Bytes,
    },
    /// The call ended without an answer of the backend.
    Failed(Failure),
}

impl ResponseEvent {
    /// Reads an `event` or `end` frame; `None` for other kinds.
    pub fn from_frame(frame: Frame) -> Option<Self> {
        let more = frame.flags.has(Flags::MORE);
        match frame.kind {
            FrameKind::Event => Some(Self::Event {
                seq: frame.seq,
                more,
                request: frame.flags.has(Flags::REQUEST),
                payload: frame.payload,
            }),
            FrameKind::End => Some(Self::End {
                seq: frame.seq,
                more,
                error: frame.flags.has(Flags::ERROR),
                tool_error: frame.flags.has(Flags::TOOL_ERROR),
                status: frame.aux,
                payload: frame.payload,
            }),
            _ => None,
        }
    }

    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::End { more: false, .. } | Self::Failed(_))
    }
}
