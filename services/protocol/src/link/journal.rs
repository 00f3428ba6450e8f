//! One direction of one call as its writer keeps it: numbered chunks, forgotten when the reader has taken them.
//!
//! The same structure carries a request up and events and result down. Knows neither link nor peer.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, Seq};
use crate::link::limits::{LinkLimits, MAX_CHUNKS_UNDER_WAY};

#[derive(Debug)]
struct Chunk {
    kind: FrameKind,
    flags: Flags,
    aux: u16,
    payload: Bytes,
}

/// A message to be written: what its frames say besides the payload.
#[derive(Clone, Copy, Debug)]
pub struct MessageHeader {
    /// Kind of every chunk.
    pub kind: FrameKind,
    /// Flags of every chunk ([`Flags::MORE`] is added to all but the last).
    pub flags: Flags,
    /// `aux` of every chunk.
    pub aux: u16,
}

/// The peer spoke of a chunk that it cannot know, or that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {seq} is outside of what can be acknowledged or sent again ({from} to {to})")]
pub struct OutOfRange {
    seq: Seq,
    from: Seq,
    to: Seq,
}

/// Chunks that were not yet taken by the reader, and how far they have been sent.
#[derive(Debug)]
pub struct Journal {
    chunks: VecDeque<Chunk>,
    base: Seq,
    sent: Seq,
    bytes: usize,
    in_flight: usize,
    chunk: usize,
    window: usize,
    /// The last chunk that was forgotten has [`Flags::MORE`]: `base` is inside a message.
    base_within: bool,
}

impl Journal {
    /// An empty journal; at most `limits.window` bytes are under way unacknowledged.
    pub fn new(limits: &LinkLimits) -> Self {
        Self {
            chunks: VecDeque::new(),
            base: 0,
            sent: 0,
            bytes: 0,
            in_flight: 0,
            chunk: limits.chunk,
            window: limits.window.max(limits.chunk),
            base_within: false,
        }
    }

    /// Number of the next chunk to be written.
    pub fn next(&self) -> Seq {
        self.base + self.chunks.len() as Seq
    }

    /// Number of the next chunk to be sent.
    pub fn sent(&self) -> Seq {
        self.sent
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes sent and not acknowledged; never more than the window.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes that may be under way at once.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Whether everything written was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Writes one message, cut into chunks that share its memory. An empty message is one empty chunk.
    pub fn write(&mut self, heading: MessageHeader, mut message: Bytes) {
        self.bytes += message.len();
        loop {
            let payload = message.split_to(message.len().min(self.chunk));
            let last = message.is_empty();
            let flags = if last { heading.flags } else { heading.flags.with(Flags::MORE) };
            self.chunks.push_back(Chunk { kind: heading.kind, flags, aux: heading.aux, payload });
            if last {
                return;
            }
        }
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.base)?).ok()
    }

    /// Whether something was written that was not sent, for lack of credit or of a turn.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.next()
    }

    /// Whether a chunk can go out now.
    pub fn can_send(&self) -> bool {
        self.peek().is_some()
    }

    fn peek(&self) -> Option<&Chunk> {
        let chunk = self.chunks.get(self.index(self.sent)?)?;
        let fits = self.in_flight + chunk.payload.len() <= self.window;
        (fits && self.sent - self.base < MAX_CHUNKS_UNDER_WAY).then_some(chunk)
    }

    /// The next chunk, if there is one and the reader has room for it.
    pub fn send(&mut self, call: CallId) -> Option<Frame> {
        let seq = self.sent;
        let chunk = self.peek()?;
        let frame = Frame {
            kind: chunk.kind,
            flags: chunk.flags,
            aux: chunk.aux,
            call,
            seq,
            payload: chunk.payload.clone(),
        };
        self.in_flight += frame.payload.len();
        self.sent += 1;
        Some(frame)
    }

    /// The reader has taken every chunk below `seq`. Returns the bytes that were let go. An older position than the last is no news.
    pub fn acknowledge(&mut self, seq: Seq) -> Result<usize, OutOfRange> {
        if seq > self.sent {
            return Err(OutOfRange { seq, from: self.base, to: self.sent });
        }
        let mut freed = 0;
        while self.base < seq {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.base += 1;
            self.base_within = chunk.flags.has(Flags::MORE);
            freed += chunk.payload.len();
        }
        self.in_flight -= freed;
        self.bytes -= freed;
        Ok(freed)
    }

    /// After a broken link: the reader has everything below `seq` (taken or not) and wants the rest again.
    pub fn rewind(&mut self, seq: Seq) -> Result<(), OutOfRange> {
        if seq < self.base || seq > self.sent {
            return Err(OutOfRange { seq, from: self.base, to: self.sent });
        }
        let kept = usize::try_from(seq - self.base).unwrap_or(usize::MAX);
        self.in_flight = self.chunks.iter().take(kept).map(|chunk| chunk.payload.len()).sum();
        self.sent = seq;
        Ok(())
    }

    /// For what is never acknowledged: forgets what was sent.
    pub fn forget_sent(&mut self) {
        let sent = self.sent;
        // Cannot fail: everything below `sent` was sent.
        let _ = self.acknowledge(sent);
    }

    /// Drops what was written but not sent, whole messages and the rest of one. Only where nothing is sent any more.
    pub fn drop_unsent(&mut self) -> usize {
        let keep = self.index(self.sent).unwrap_or(0);
        self.truncate(keep)
    }

    /// Drops the messages of which nothing was sent; one that was begun stays whole. Returns the bytes let go.
    pub fn drop_unsent_messages(&mut self) -> usize {
        let mut keep = self.index(self.sent).unwrap_or(0);
        while self.is_within_message(keep) {
            keep += 1;
        }
        self.truncate(keep)
    }

    /// Whether the chunk at this index goes on with the message of the one before it.
    fn is_within_message(&self, index: usize) -> bool {
        let begun = match index.checked_sub(1) {
            None => self.base_within,
            Some(before) => self.chunks.get(before).is_some_and(|chunk| chunk.flags.has(Flags::MORE)),
        };
        begun && index < self.chunks.len()
    }

    fn truncate(&mut self, keep: usize) -> usize {
        let freed: usize = self.chunks.drain(keep..).map(|chunk| chunk.payload.len()).sum();
        self.bytes -= freed;
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId(1);

    fn journal(chunk: usize, window: usize) -> Journal {
        Journal::new(&LinkLimits { chunk, window, ..LinkLimits::default() })
    }

    fn event() -> MessageHeader {
        MessageHeader { kind: FrameKind::Event, flags: Flags::NONE, aux: 0 }
    }

    #[test]
    fn a_message_is_cut_and_marked() {
        let mut journal = journal(4, 64);
        journal.write(event(), Bytes::from_static(b"abcdefghi"));
        journal.write(event(), Bytes::new());
        let frames: Vec<_> = std::iter::from_fn(|| journal.send(CALL)).collect();
        let seen: Vec<_> = frames.iter().map(|f| (f.seq, &f.payload[..], f.flags.has(Flags::MORE))).collect();
        assert_eq!(seen, [(0, &b"abcd"[..], true), (1, b"efgh", true), (2, b"i", false), (3, b"", false)]);
    }

    #[test]
    fn the_window_holds_and_credit_opens_it() {
        let mut journal = journal(4, 8);
        journal.write(event(), Bytes::from_static(b"abcdefghijkl"));
        assert_eq!(std::iter::from_fn(|| journal.send(CALL)).count(), 2);
        assert_eq!(journal.acknowledge(1), Ok(4));
        assert_eq!(journal.send(CALL).unwrap().seq, 2);
        assert!(journal.acknowledge(4).is_err());
        assert_eq!(journal.acknowledge(3), Ok(8));
        assert!(journal.is_empty());
        assert_eq!((journal.bytes(), journal.in_flight()), (0, 0));
    }

    #[test]
    fn rewinding_sends_exactly_the_rest_again() {
        let mut journal = journal(4, 64);
        journal.write(event(), Bytes::from_static(b"abcdefgh"));
        journal.write(event(), Bytes::from_static(b"x"));
        while journal.send(CALL).is_some() {}
        assert_eq!(journal.acknowledge(1), Ok(4));
        assert_eq!(journal.rewind(2), Ok(()));
        assert_eq!(journal.in_flight(), 4, "delivered but not taken");
        let again: Vec<_> = std::iter::from_fn(|| journal.send(CALL)).map(|f| f.seq).collect();
        assert_eq!(again, [2]);
        assert!(journal.rewind(0).is_err());
        assert!(journal.rewind(4).is_err());
    }

    #[test]
    fn a_message_that_was_begun_is_not_cut_off() {
        let mut journal = journal(4, 8);
        journal.write(event(), Bytes::from_static(b"abcdefghijkl"));
        journal.write(event(), Bytes::from_static(b"dropped"));
        assert_eq!(journal.send(CALL).unwrap().seq, 0);
        assert_eq!(journal.acknowledge(1), Ok(4));
        assert_eq!(journal.drop_unsent_messages(), 7);
        assert_eq!((journal.next(), journal.bytes()), (3, 8));
        assert_eq!(journal.drop_unsent_messages(), 0);
        assert_eq!(journal.drop_unsent(), 8);
    }

    #[test]
    fn the_number_of_chunks_under_way_is_bounded_too() {
        let mut journal = journal(4, 8);
        for _ in 0..=MAX_CHUNKS_UNDER_WAY {
            journal.write(event(), Bytes::new());
        }
        assert_eq!(std::iter::from_fn(|| journal.send(CALL)).count() as u64, MAX_CHUNKS_UNDER_WAY);
        assert_eq!(journal.acknowledge(1), Ok(0));
        assert!(journal.can_send());
    }
}
