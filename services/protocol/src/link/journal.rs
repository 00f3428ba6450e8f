//! Journal of one direction of one call: numbered chunks, kept by their writer until the reader has taken them.
//!
//! Requests and responses are kept in the same way. Must not know links or peers.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, Seq};
use crate::link::limits::{LONG_MESSAGE_CHUNK, LinkLimits, MAX_CHUNKS_UNDER_WAY};
use crate::link::window::doubled;

#[derive(Debug)]
struct Chunk {
    kind: FrameKind,
    flags: Flags,
    aux: u16,
    payload: Bytes,
}

/// Frame header of a message to be written.
#[derive(Clone, Copy, Debug)]
pub struct MessageHeader {
    /// Kind of every chunk.
    pub kind: FrameKind,
    /// Flags of every chunk ([`Flags::MORE`] is added to all but the last).
    pub flags: Flags,
    /// `aux` of every chunk.
    pub aux: u16,
}

/// Position of a chunk that the peer cannot know or that is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {seq} is outside of what can be acknowledged or sent again ({from} to {to})")]
pub struct OutOfRange {
    seq: Seq,
    from: Seq,
    to: Seq,
}

/// Chunks that the reader has not taken, and how far they have been sent.
#[derive(Debug)]
pub struct Journal {
    chunks: VecDeque<Chunk>,
    /// Number of the first chunk that is kept.
    base: Seq,
    /// Number of the next chunk to be sent.
    sent: Seq,
    bytes: usize,
    in_flight: usize,
    max_chunk: usize,
    /// Bytes that the reader announced, and how often it has doubled them since.
    window: usize,
    doublings: u16,
    /// The chunk before `base` has [`Flags::MORE`].
    base_is_mid_message: bool,
}

impl Journal {
    /// Makes an empty journal, of which at most `limits.window` bytes are unacknowledged at once.
    pub fn new(limits: &LinkLimits) -> Self {
        Self {
            chunks: VecDeque::new(),
            base: 0,
            sent: 0,
            bytes: 0,
            in_flight: 0,
            max_chunk: limits.chunk,
            window: limits.window.max(limits.chunk),
            doublings: 0,
            base_is_mid_message: false,
        }
    }

    /// Returns the number of the next chunk to be written.
    pub fn next(&self) -> Seq {
        self.base + self.chunks.len() as Seq
    }

    /// Returns the number of the next chunk to be sent.
    pub fn sent(&self) -> Seq {
        self.sent
    }

    /// Returns the bytes kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes sent and not acknowledged; never more than the window.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the bytes that may be unacknowledged at once.
    pub fn window(&self) -> usize {
        doubled(self.window, self.doublings)
    }

    /// Takes the window that the reader grants: what it announced, so often doubled. It never gets smaller.
    pub fn grow_window(&mut self, doublings: u16) {
        self.doublings = self.doublings.max(doublings);
    }

    /// Returns whether everything written was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Writes one message, cut into chunks that share its memory where it is longer than one. An empty message is one empty chunk.
    pub fn write(&mut self, header: MessageHeader, mut message: Bytes) {
        self.bytes += message.len();
        let is_long = message.len() > self.max_chunk;
        let size = if is_long { self.max_chunk.min(LONG_MESSAGE_CHUNK) } else { self.max_chunk };
        loop {
            let payload = message.split_to(message.len().min(size));
            let last = message.is_empty();
            let flags = if last { header.flags } else { header.flags.with(Flags::MORE) };
            self.chunks.push_back(Chunk { kind: header.kind, flags, aux: header.aux, payload });
            if last {
                return;
            }
        }
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.base)?).ok()
    }

    /// Returns whether something was written that was not sent.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.next()
    }

    /// Returns whether a chunk can be sent now.
    pub fn can_send(&self) -> bool {
        self.peek().is_some()
    }

    fn peek(&self) -> Option<&Chunk> {
        let chunk = self.chunks.get(self.index(self.sent)?)?;
        let fits = self.in_flight + chunk.payload.len() <= self.window();
        (fits && self.sent - self.base < MAX_CHUNKS_UNDER_WAY).then_some(chunk)
    }

    /// Sends the next chunk, if there is one and the credit allows it.
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

    /// Forgets every chunk below `seq`: the reader has taken them. Returns the bytes forgotten. Ignores positions older than the
    /// last one.
    ///
    /// # Errors
    /// `seq` is beyond what was sent.
    pub fn acknowledge(&mut self, seq: Seq) -> Result<usize, OutOfRange> {
        if seq > self.sent {
            return Err(OutOfRange { seq, from: self.base, to: self.sent });
        }
        let mut freed = 0;
        while self.base < seq {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.base += 1;
            self.base_is_mid_message = chunk.flags.has(Flags::MORE);
            freed += chunk.payload.len();
        }
        self.in_flight -= freed;
        self.bytes -= freed;
        Ok(freed)
    }

    /// Goes back to `seq` after a broken link: the reader has every chunk below (taken or not) and wants the rest again.
    ///
    /// # Errors
    /// `seq` is beyond what was sent, or before what is kept.
    pub fn rewind(&mut self, seq: Seq) -> Result<(), OutOfRange> {
        if seq < self.base || seq > self.sent {
            return Err(OutOfRange { seq, from: self.base, to: self.sent });
        }
        let kept = usize::try_from(seq - self.base).unwrap_or(usize::MAX);
        self.in_flight = self.chunks.iter().take(kept).map(|chunk| chunk.payload.len()).sum();
        self.sent = seq;
        Ok(())
    }

    /// Forgets what was sent. For messages that the peer does not acknowledge.
    pub fn forget_sent(&mut self) {
        let sent = self.sent;
        // Cannot fail: everything below `sent` was sent.
        let _ = self.acknowledge(sent);
    }

    /// Drops what was not sent, also the rest of a message. Only where nothing is sent any more. Returns the bytes dropped.
    pub fn drop_unsent(&mut self) -> usize {
        let keep = self.index(self.sent).unwrap_or(0);
        self.truncate(keep)
    }

    /// Drops the messages of which nothing was sent; a message that was begun stays whole. Returns the bytes dropped.
    pub fn drop_unsent_messages(&mut self) -> usize {
        let mut keep = self.index(self.sent).unwrap_or(0);
        while self.is_within_message(keep) {
            keep += 1;
        }
        self.truncate(keep)
    }

    /// Returns whether the chunk at this index belongs to the message of the chunk before.
    fn is_within_message(&self, index: usize) -> bool {
        let begun = match index.checked_sub(1) {
            None => self.base_is_mid_message,
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
        let sent: Vec<_> = frames.iter().map(|f| (f.seq, &f.payload[..], f.flags.has(Flags::MORE))).collect();
        assert_eq!(sent, [(0, &b"abcd"[..], true), (1, b"efgh", true), (2, b"i", false), (3, b"", false)]);
    }

    #[test]
    fn what_fits_one_chunk_is_one_and_what_is_longer_leaves_room_for_two() {
        let limits = LinkLimits::default();
        for (len, expected) in [
            (limits.chunk, vec![limits.chunk]),
            (limits.chunk + 1, vec![LONG_MESSAGE_CHUNK, limits.chunk + 1 - LONG_MESSAGE_CHUNK]),
            (2 * LONG_MESSAGE_CHUNK, vec![LONG_MESSAGE_CHUNK; 2]),
        ] {
            let mut journal = Journal::new(&limits);
            journal.write(event(), Bytes::from(vec![b'x'; len]));
            let sent: Vec<_> = std::iter::from_fn(|| journal.send(CALL)).map(|f| f.payload.len()).collect();
            assert_eq!(sent, expected);
        }
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
    fn a_granted_window_lets_more_through_and_stays() {
        let mut journal = journal(4, 8);
        journal.write(event(), Bytes::from_static(b"abcdefghijklmnopqrstuvwxyz"));
        assert_eq!(std::iter::from_fn(|| journal.send(CALL)).count(), 2);
        journal.grow_window(1);
        assert_eq!(std::iter::from_fn(|| journal.send(CALL)).count(), 2);
        journal.grow_window(0);
        assert_eq!(journal.window(), 16);
        assert_eq!(journal.rewind(0), Ok(()));
        assert_eq!(std::iter::from_fn(|| journal.send(CALL)).count(), 4, "also after a broken link");
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
