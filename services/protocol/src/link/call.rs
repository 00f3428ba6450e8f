//! Response of a call, as every reader of a call gets it. Must not know where it comes from.

use bytes::Bytes;

use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::Seq;
use crate::mcp::failure::Failure;

/// Part of a call's response. Parts of one message (`more`) follow each other without parts of another between them.
///
/// Nothing follows the last `End` part (`more` is false) or `Failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseEvent {
    /// JSON-RPC notification or request of the backend, or a part of it, without line breaks.
    Event {
        /// Number of the part within the call.
        seq: Seq,
        /// The message goes on in the next part.
        more: bool,
        /// The message is a request.
        request: bool,
        /// Raw JSON.
        payload: Bytes,
    },
    /// JSON-RPC `result` value or `error` object, or a part of it, without line breaks.
    End {
        /// Number of the part within the call.
        seq: Seq,
        /// The value goes on in the next part.
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
    /// End of the call without a response of the backend.
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

    /// Returns whether nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::End { more: false, .. } | Self::Failed(_))
    }
}
