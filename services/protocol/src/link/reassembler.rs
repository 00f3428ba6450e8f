//! Reassembly of messages from the chunks of one direction of one call. Must not know links or peers.

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
    /// Payloads of all its chunks.
    pub message: Bytes,
}

/// Why a chunk cannot be taken. Each but `TooLong` is a breach of the protocol.
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

/// A message of which not all chunks have come.
#[derive(Debug)]
struct Partial {
    kind: FrameKind,
    aux: u16,
    bytes: BytesMut,
}

impl Partial {
    /// Appends a chunk. Where it does not fit, there is room for another of its size afterwards: many messages are two
    /// chunks, which are copied once then.
    fn append(&mut self, chunk: &[u8], limit: usize) {
        if self.bytes.capacity() - self.bytes.len() < chunk.len() {
            self.bytes.reserve((2 * chunk.len()).min(limit - self.bytes.len()));
        }
        self.bytes.extend_from_slice(chunk);
    }
}

/// Receiving side of one direction of one call. Holds at most one incomplete message, and of that at most `limit` bytes.
#[derive(Debug)]
pub struct Reassembler {
    next: Seq,
    limit: usize,
    partial: Option<Partial>,
}

impl Reassembler {
    /// Makes a reassembler of messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { next: 0, limit, partial: None }
    }

    /// Returns the number of the next chunk due.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Returns the bytes of the message that is not yet complete.
    pub fn pending_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes.len())
    }

    /// Drops the message that is not yet complete, and returns what had come of it.
    pub fn abandon(&mut self) -> Bytes {
        self.partial.take().map(|partial| partial.bytes.freeze()).unwrap_or_default()
    }

    /// Drops one chunk: only its number counts.
    ///
    /// # Errors
    /// The chunk is not the one due.
    pub fn skip(&mut self, frame: &Frame) -> Result<(), ReassemblyError> {
        if frame.seq != self.next {
            return Err(ReassemblyError::Gap { expected: self.next, found: frame.seq });
        }
        self.next += 1;
        Ok(())
    }

    /// Takes one chunk and returns the message if that was its last. A message of one chunk shares the chunk's memory.
    ///
    /// # Errors
    /// The chunk is not the one due, belongs to another message, or makes the message too long, which is dropped then.
    pub fn push(&mut self, frame: Frame) -> Result<Option<Reassembled>, ReassemblyError> {
        if frame.seq != self.next {
            return Err(ReassemblyError::Gap { expected: self.next, found: frame.seq });
        }
        if self.partial.as_ref().is_some_and(|partial| partial.kind != frame.kind) {
            return Err(ReassemblyError::Mixed(frame.kind));
        }
        self.next += 1;
        if self.pending_bytes() + frame.payload.len() > self.limit {
            self.partial = None;
            return Err(ReassemblyError::TooLong { limit: self.limit });
        }
        let more = frame.flags.has(Flags::MORE);
        let Some(mut partial) = self.partial.take() else {
            if more {
                let mut partial = Partial { kind: frame.kind, aux: frame.aux, bytes: BytesMut::new() };
                partial.append(&frame.payload, self.limit);
                self.partial = Some(partial);
                return Ok(None);
            }
            return Ok(Some(Reassembled { kind: frame.kind, aux: frame.aux, message: frame.payload }));
        };
        partial.append(&frame.payload, self.limit);
        if more {
            self.partial = Some(partial);
            return Ok(None);
        }
        let Partial { kind, aux, bytes } = partial;
        Ok(Some(Reassembled { kind, aux, message: bytes.freeze() }))
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
        let mut reassembler = Reassembler::new(8);
        assert_eq!(reassembler.push(chunk(0, Flags::MORE, b"abc")), Ok(None));
        assert_eq!(reassembler.pending_bytes(), 3);
        let whole = reassembler.push(chunk(1, Flags::NONE, b"de")).unwrap().unwrap();
        assert_eq!(&whole.message[..], b"abcde");
        let single = reassembler.push(chunk(2, Flags::NONE, b"f")).unwrap().unwrap();
        assert_eq!(&single.message[..], b"f");
    }

    #[test]
    fn gaps_mixtures_and_excess_are_refused() {
        let mut reassembler = Reassembler::new(4);
        assert!(matches!(
            reassembler.push(chunk(1, Flags::NONE, b"")),
            Err(ReassemblyError::Gap { expected: 0, found: 1 })
        ));
        assert_eq!(reassembler.push(chunk(0, Flags::MORE, b"abc")), Ok(None));
        let other = Frame { kind: FrameKind::Open, ..chunk(1, Flags::NONE, b"") };
        assert_eq!(reassembler.push(other), Err(ReassemblyError::Mixed(FrameKind::Open)));
        assert_eq!(
            reassembler.push(chunk(1, Flags::NONE, b"de")),
            Err(ReassemblyError::TooLong { limit: 4 })
        );
        assert_eq!(reassembler.pending_bytes(), 0);
    }
}
