//! Messages put together from chunks. Knows neither link nor peer; bounded by what the caller allows.

use bytes::{Bytes, BytesMut};

use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::Seq;

/// A message that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassembled {
    /// Kind of its chunks.
    pub kind: FrameKind,
    /// `aux` of its first chunk.
    pub aux: u16,
    /// The whole of it.
    pub message: Bytes,
}

/// Why a chunk cannot be taken. Each but `TooLong` closes the link: the peer breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReassemblyError {
    /// Not the number that follows the last.
    #[error("chunk {found} where {expected} was due")]
    Gap {
        /// Number due.
        expected: Seq,
        /// Number found.
        found: Seq,
    },
    /// Another kind within a message.
    #[error("{} chunk inside a message of another kind", .0.name())]
    Mixed(FrameKind),
    /// The message grows beyond the limit.
    #[error("message of more than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
}

/// The receiving side of one direction of one call.
#[derive(Debug)]
pub struct Reassembler {
    next: Seq,
    limit: usize,
    open: Option<(FrameKind, u16, BytesMut)>,
}

impl Reassembler {
    /// Takes messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { next: 0, limit, open: None }
    }

    /// Number of the next chunk due.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Bytes of the message not yet complete.
    pub fn pending(&self) -> usize {
        self.open.as_ref().map_or(0, |(_, _, bytes)| bytes.len())
    }

    /// Takes one chunk; a message when it was the last. A message of one chunk shares the chunk's memory.
    pub fn take(&mut self, frame: Frame) -> Result<Option<Reassembled>, ReassemblyError> {
        if frame.seq != self.next {
            return Err(ReassemblyError::Gap { expected: self.next, found: frame.seq });
        }
        if self.open.as_ref().is_some_and(|(kind, _, _)| *kind != frame.kind) {
            return Err(ReassemblyError::Mixed(frame.kind));
        }
        self.next += 1;
        if self.pending() + frame.payload.len() > self.limit {
            self.open = None;
            return Err(ReassemblyError::TooLong { limit: self.limit });
        }
        let more = frame.flags.has(Flags::MORE);
        match (self.open.take(), more) {
            (None, false) => {
                Ok(Some(Reassembled { kind: frame.kind, aux: frame.aux, message: frame.payload }))
            }
            (None, true) => {
                self.open = Some((frame.kind, frame.aux, BytesMut::from(&frame.payload[..])));
                Ok(None)
            }
            (Some((kind, aux, mut bytes)), more) => {
                bytes.extend_from_slice(&frame.payload);
                if more {
                    self.open = Some((kind, aux, bytes));
                    return Ok(None);
                }
                Ok(Some(Reassembled { kind, aux, message: bytes.freeze() }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ids::CallId;

    fn chunk(seq: Seq, flags: Flags, payload: &'static [u8]) -> Frame {
        Frame { flags, payload: Bytes::from_static(payload), ..Frame::bare(FrameKind::Event, CallId(1), seq) }
    }

    #[test]
    fn chunks_become_messages() {
        let mut intake = Reassembler::new(8);
        assert_eq!(intake.take(chunk(0, Flags::MORE, b"abc")), Ok(None));
        assert_eq!(intake.pending(), 3);
        let whole = intake.take(chunk(1, Flags::NONE, b"de")).unwrap().unwrap();
        assert_eq!(&whole.message[..], b"abcde");
        let single = intake.take(chunk(2, Flags::NONE, b"f")).unwrap().unwrap();
        assert_eq!(&single.message[..], b"f");
    }

    #[test]
    fn gaps_mixtures_and_excess_are_refused() {
        let mut intake = Reassembler::new(4);
        assert!(matches!(
            intake.take(chunk(1, Flags::NONE, b"")),
            Err(ReassemblyError::Gap { expected: 0, found: 1 })
        ));
        assert_eq!(intake.take(chunk(0, Flags::MORE, b"abc")), Ok(None));
        let other = Frame { kind: FrameKind::Open, ..chunk(1, Flags::NONE, b"") };
        assert_eq!(intake.take(other), Err(ReassemblyError::Mixed(FrameKind::Open)));
        assert_eq!(intake.take(chunk(1, Flags::NONE, b"de")), Err(ReassemblyError::TooLong { limit: 4 }));
        assert_eq!(intake.pending(), 0);
    }
}
