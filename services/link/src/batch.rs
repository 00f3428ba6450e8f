//! An estimate of the traffic from a batch of frames. Must not know how batches are sent.

use protocol::link::frame::{Flags, Frame};

/// Counts the messages of calls that end within these frames. More than one such message means that several calls are
/// under way, so that waiting may make the next batch larger. Acknowledgements and the chunks of one long message do
/// not count.
pub fn completed_messages(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind.is_chunk() && !frame.flags.has(Flags::MORE)).count()
}

/// Bytes from which on a batch is complete: one more chunk still fits into [`MAX_BATCH`](protocol::link::limits::MAX_BATCH).
const FULL: usize = 128 * 1024;

/// Bytes from which on a batch is complete where a message ends. What is read, checked and written at once then stays in the caches of the
/// processor (`mcp-relay-bench --only calls`: 32 calls of 100 KB at once cost an eighth less); a message of many chunks is sent as fast as it
/// is taken in any case, and leaves more room to others in long batches (`--only large`).
const FULL_AT_AN_END: usize = 64 * 1024;

/// Returns whether a batch of so many bytes is complete with its last frame.
pub fn is_complete(bytes: usize, last: &Frame) -> bool {
    bytes >= FULL || bytes >= FULL_AT_AN_END && !last.flags.has(Flags::MORE)
}

/// Largest message, in bytes, that is better sent together with others: the peer is better kept busy with a longer one.
pub const SHORT_MESSAGE: usize = 16 * 1024;

/// What the last batch of a link says of the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastBatch {
    messages: usize,
    is_long: bool,
}

impl LastBatch {
    /// Looks at a batch before it is sent.
    pub fn of(frames: &[Frame]) -> Self {
        let messages = completed_messages(frames);
        let bytes: usize = frames.iter().map(Frame::encoded_len).sum();
        Self { messages, is_long: messages > 0 && bytes > SHORT_MESSAGE * messages }
    }

    /// Returns whether several messages were sent together.
    pub fn is_shared(self) -> bool {
        self.messages > 1
    }

    /// Returns whether its messages were long.
    pub fn is_long(self) -> bool {
        self.is_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::link::frame::{FrameKind, HEADER_LEN};
    use protocol::link::ids::CallId;
    use protocol::link::limits::{MAX_BATCH, MAX_CHUNK};

    #[test]
    fn neither_acknowledgements_nor_chunks_of_one_message_count() {
        let frame = |kind, flags| Frame { flags, ..Frame::bare(kind, CallId(1), 0) };
        let frames = [
            frame(FrameKind::Credit, Flags::NONE),
            frame(FrameKind::End, Flags::MORE),
            frame(FrameKind::End, Flags::NONE),
        ];
        assert_eq!(completed_messages(&frames), 1);
    }

    #[test]
    fn a_batch_is_complete_with_a_message_or_when_it_is_full() {
        let frame = |flags| Frame { flags, ..Frame::bare(FrameKind::End, CallId(1), 0) };
        let (end, more) = (frame(Flags::NONE), frame(Flags::MORE));
        assert!(!is_complete(FULL_AT_AN_END - 1, &end) && is_complete(FULL_AT_AN_END, &end));
        assert!(!is_complete(FULL - 1, &more) && is_complete(FULL, &more));
        const { assert!(FULL - 1 + MAX_CHUNK + HEADER_LEN <= MAX_BATCH) };
    }

    #[test]
    fn a_batch_is_long_by_the_length_of_its_messages() {
        let end = |len: usize, flags| Frame {
            flags,
            payload: vec![0; len].into(),
            ..Frame::bare(FrameKind::End, CallId(1), 0)
        };
        let last = |lens: &[usize]| {
            LastBatch::of(&lens.iter().map(|len| end(*len, Flags::NONE)).collect::<Vec<_>>())
        };
        assert!(!last(&[]).is_shared() && !last(&[]).is_long());
        assert!(!last(&[100]).is_shared() && !last(&[100]).is_long());
        assert!(last(&[100; 300]).is_shared() && !last(&[100; 300]).is_long(), "many short ones");
        assert!(last(&[100, 100_000]).is_shared() && last(&[100, 100_000]).is_long());
        let chunk = LastBatch::of(&[end(64 * 1024, Flags::MORE)]);
        assert!(!chunk.is_shared() && !chunk.is_long(), "a message of many chunks lets others go in between");
    }
}
