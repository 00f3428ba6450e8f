//! The read buffer of a connection, whose size follows the traffic. Must not know frames.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Smallest read of a link in use, in bytes.
const MIN_READ: usize = 4 * 1024;

/// Read of an idle link, in bytes: there are thousands of them, and all that comes is pings and pongs.
const IDLE_READ: usize = 512;

/// Bytes of a read from which on the link is in use: no ping is as long.
const IN_USE: usize = 128;

/// Largest read, in bytes: of the largest frame, or of two with chunks of a large result. Larger ones take memory from the caches of the
/// processor (`mcp-relay-bench --only calls`).
const MAX_READ: usize = 136 * 1024;

/// Length of a frame, in bytes, from which on it is long: the next may be as long, and where its end has no room behind its beginning,
/// what was read is copied.
const LONG_FRAME: usize = 64 * 1024;

/// Longest header of a frame, in bytes (RFC 6455, 5.2).
const MAX_FRAME_HEADER: usize = 14;

/// Consecutive reads that fill less than a quarter of the space before the space is halved.
const SHRINK_AFTER: u8 = 16;

/// The read buffer of a connection. Bytes that are taken out share its memory.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: BytesMut,
    /// Smallest space for the next read, in bytes.
    size: usize,
    max_size: usize,
    /// Bytes that the frame under way still lacks, to be read at once.
    missing: usize,
    /// Length of the last long frame, in bytes; 0: none of late.
    long: usize,
    small_reads: u8,
    /// Nothing more than pings and pongs was read since the last look.
    idle: bool,
    /// The memory is larger than an idle link's.
    is_large: bool,
}

impl ReadBuffer {
    /// Creates a buffer that already holds `bytes` and never reads more than about `max_message` bytes at once.
    pub(crate) fn new(bytes: BytesMut, max_message: usize) -> Self {
        let mut buffer = Self {
            bytes,
            size: MIN_READ,
            max_size: MIN_READ,
            missing: 0,
            long: 0,
            small_reads: 0,
            idle: false,
            is_large: true,
        };
        buffer.set_limit(max_message);
        buffer
    }

    /// Sets the longest message, in bytes.
    pub(crate) fn set_limit(&mut self, max_message: usize) {
        self.max_size = max_message.clamp(MIN_READ, MAX_READ);
    }

    /// Returns the bytes that were read and not yet taken.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes `len` bytes from the front if there are as many; otherwise records how many are missing.
    pub(crate) fn take(&mut self, len: usize) -> Option<BytesMut> {
        self.missing = len.saturating_sub(self.bytes.len());
        if len >= LONG_FRAME {
            self.long = len.min(MAX_READ);
        }
        (self.missing == 0).then(|| self.bytes.split_to(len))
    }

    /// Reads once into spare capacity. Returns the number of bytes; 0 at the end of the stream.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let spare = self.make_room();
        let polled = pin!(stream.read_buf(&mut self.bytes)).poll(cx);
        if let Poll::Ready(Ok(read)) = polled {
            self.idle &= read < IN_USE;
            self.adapt(read, spare);
        }
        polled
    }

    /// Reserves space for the next read. Returns the largest number of bytes to read.
    fn make_room(&mut self) -> usize {
        let spare = self.bytes.capacity() - self.bytes.len();
        let missing = self.missing.min(MAX_READ);
        let long = if self.long > 0 { self.long + MAX_FRAME_HEADER } else { 0 };
        let lacking = if missing > 0 { missing } else { long.saturating_sub(self.bytes.len()) };
        if spare < (self.size / 2).max(lacking) {
            // Room for two of them: what is short and comes between does not need a new buffer each time.
            let wanted = self.size.max(missing).max((2 * long).min(MAX_READ));
            self.bytes.reserve(wanted);
            self.is_large |= wanted > IDLE_READ;
        }
        self.bytes.capacity() - self.bytes.len()
    }

    fn adapt(&mut self, read: usize, spare: usize) {
        if read == spare {
            self.size = (self.size * 2).clamp(MIN_READ, self.max_size);
            self.small_reads = 0;
        } else if self.size < MIN_READ {
            if read >= IN_USE {
                self.size = MIN_READ;
            }
        } else if read < self.size / 4 {
            self.small_reads += 1;
            if self.small_reads >= SHRINK_AFTER {
                self.long = 0;
                self.size = (self.size / 2).max(MIN_READ);
                self.small_reads = 0;
            }
        } else {
            self.small_reads = 0;
        }
    }

    /// Frees memory if no more than pings and pongs were read since the last call.
    pub(crate) fn shrink_if_idle(&mut self) {
        if std::mem::replace(&mut self.idle, true) && self.bytes.is_empty() && self.is_large {
            self.size = IDLE_READ;
            self.long = 0;
            self.bytes = BytesMut::new();
            self.is_large = false;
        }
    }

    /// Returns the memory that the buffer itself holds, in bytes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn fill(buffer: &mut ReadBuffer, mut from: &[u8]) -> usize {
        let before = from.len();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(buffer.poll_fill(&mut from, &mut cx), Poll::Ready(Ok(_))));
        before - from.len()
    }

    #[test]
    fn reads_grow_while_they_are_filled_and_shrink_when_idle() {
        let flood = vec![7; 1 << 20];
        let mut buffer = ReadBuffer::new(BytesMut::new(), usize::MAX);
        let mut reads = Vec::new();
        for _ in 0..12 {
            let read = fill(&mut buffer, &flood);
            reads.push(read);
            drop(buffer.take(read));
        }
        assert!(reads[0] <= 2 * MIN_READ, "{reads:?}");
        assert!(reads.iter().any(|read| *read >= MAX_READ / 2), "{reads:?}");
        assert!(reads.iter().all(|read| *read <= 2 * MAX_READ), "{reads:?}");
        buffer.shrink_if_idle();
        assert!(buffer.size > MIN_READ, "something was read since");
        buffer.shrink_if_idle();
        assert!(buffer.size == IDLE_READ && buffer.capacity() == 0);
    }

    #[test]
    fn a_link_with_nothing_but_pings_keeps_little_and_one_in_use_reads_as_before() {
        let mut buffer = ReadBuffer::new(BytesMut::new(), usize::MAX);
        fill(&mut buffer, &[7; 3000]);
        drop(buffer.take(3000));
        let ping = |buffer: &mut ReadBuffer| {
            fill(buffer, &[7; 14]);
            drop(buffer.take(14));
        };
        for _ in 0..3 {
            ping(&mut buffer);
            buffer.shrink_if_idle();
        }
        for _ in 0..200 {
            ping(&mut buffer);
            buffer.shrink_if_idle();
            assert!(buffer.capacity() <= IDLE_READ, "{}", buffer.capacity());
        }
        fill(&mut buffer, &[7; 200]);
        assert_eq!(buffer.size, MIN_READ);
        drop(buffer.take(200));
        for _ in 0..10 {
            fill(&mut buffer, &[7; 200]);
            drop(buffer.take(200));
        }
        buffer.shrink_if_idle();
        assert_eq!(buffer.size, MIN_READ, "it is in use");
    }

    #[test]
    fn a_long_frame_is_read_at_once_when_its_length_is_known() {
        let flood = vec![7; 1 << 20];
        let mut buffer = ReadBuffer::new(BytesMut::new(), usize::MAX);
        let first = fill(&mut buffer, &flood);
        assert!(buffer.take(100_000).is_none());
        let second = fill(&mut buffer, &flood);
        assert!(first + second >= 100_000, "{first} {second}");
        assert_eq!(buffer.take(100_000).map(|bytes| bytes.len()), Some(100_000));
    }

    #[test]
    fn long_frames_that_come_in_parts_are_not_copied_once_one_has_come() {
        const FRAME: usize = 131_000;
        let flood = vec![7; FRAME];
        let mut buffer = ReadBuffer::new(BytesMut::new(), usize::MAX);
        let next = |buffer: &mut ReadBuffer, header: usize| {
            fill(buffer, &flood[..header]);
            drop(buffer.take(header));
            let mut begins_at = None;
            let frame = loop {
                if let Some(frame) = buffer.take(FRAME) {
                    break frame;
                }
                let lacks = FRAME - buffer.bytes().len();
                fill(buffer, &flood[..lacks.min(40_000)]);
                begins_at.get_or_insert(buffer.bytes().as_ptr());
            };
            (begins_at == Some(frame.as_ptr()), frame)
        };
        let mut kept = vec![next(&mut buffer, 4).1];
        for header in [4, 10, 14, 4, 14, 14, 10, 4] {
            let (is_in_place, frame) = next(&mut buffer, header);
            assert!(is_in_place);
            kept.push(frame);
        }
        for _ in 0..SHRINK_AFTER {
            fill(&mut buffer, &flood[..100]);
            drop(buffer.take(100));
        }
        assert_eq!(buffer.long, 0, "only short ones of late");
    }

    #[test]
    fn small_reads_make_the_space_shrink_again() {
        let flood = vec![7; 1 << 20];
        let mut buffer = ReadBuffer::new(BytesMut::new(), usize::MAX);
        for _ in 0..12 {
            let read = fill(&mut buffer, &flood);
            drop(buffer.take(read));
        }
        for _ in 0..200 {
            fill(&mut buffer, &flood[..100]);
            drop(buffer.take(100));
        }
        assert_eq!(buffer.size, MIN_READ);
    }
}
