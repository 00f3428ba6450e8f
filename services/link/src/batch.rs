//! An estimate of the traffic from a batch of frames. Must not know how batches are sent.

use protocol::link::frame::{Flags, Frame};

/// Counts the messages of calls that end within these frames. More than one such message means that several calls are
/// under way, so that waiting may make the next batch larger. Acknowledgements and the chunks of one long message do
/// not count.
pub fn completed_messages(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind.is_chunk() && !frame.flags.has(Flags::MORE)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::link::frame::FrameKind;
    use protocol::link::ids::CallId;

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
}
