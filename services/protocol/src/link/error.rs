//! Why a link has to be closed. Must not know sockets or close codes.

use crate::link::frame::FrameKind;
use crate::link::journal::OutOfRange;
use crate::link::reassembler::ReassemblyError;

/// Breach of the protocol by the peer: the link is closed with 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A frame that only the other side sends, or that the state of its call does not allow.
    #[error("unexpected {} frame", .0.name())]
    Unexpected(FrameKind),
    /// Chunks out of order, mixed or beyond a limit.
    #[error(transparent)]
    Reassembly(#[from] ReassemblyError),
    /// A position of a chunk that was never sent or is no longer kept.
    #[error(transparent)]
    Position(#[from] OutOfRange),
    /// More than the credit allows.
    #[error("credit window of {window} bytes overrun")]
    Overrun {
        /// Bytes allowed.
        window: usize,
    },
    /// An `open` whose call id is not one of the proxy behind the link.
    #[error("a call of another proxy was opened")]
    ForeignCall,
    /// A call header that is missing or too long.
    #[error("call header of {0} bytes")]
    HeaderLength(usize),
    /// More frames to answer than the peer reads answers.
    #[error("too many unread control frames")]
    Flood,
}
