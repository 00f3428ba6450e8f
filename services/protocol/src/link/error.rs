//! Why a link has to be closed. Must not know sockets or close codes.

use crate::link::frame::FrameKind;
use crate::link::journal::OutOfRange;
use crate::link::reassembler::ReassemblyError;

/// The slave broke the protocol: close the link (1002).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A frame that only the other side sends, or that this state of the call does not allow.
    #[error("unexpected {} frame", .0.name())]
    Unexpected(FrameKind),
    /// Chunks out of order, mixed or without end.
    #[error(transparent)]
    Reassembler(#[from] ReassemblyError),
    /// A position that cannot be.
    #[error(transparent)]
    Position(#[from] OutOfRange),
    /// More than the credit allows.
    #[error("credit window of {window} bytes overrun")]
    Overrun {
        /// Bytes allowed.
        window: usize,
    },
    /// A call header that is missing or too long.
    #[error("call header of {0} bytes")]
    Header(usize),
    /// It makes us answer faster than it reads.
    #[error("too many unread control frames")]
    Flood,
}
