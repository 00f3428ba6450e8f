//! Frames, as properties over any bytes: what is written is read again, and no bytes make the reader panic or copy.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use protocol::link::frame::{Flags, Frame, FrameError, FrameKind, HEADER_LEN};
use protocol::link::ids::CallId;
use protocol::link::limits::MAX_CHUNK;

fn frame() -> impl Strategy<Value = Frame> {
    let payload = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (0..=MAX_CHUNK).prop_map(|len| vec![7; len]),
    ];
    let kind = prop::sample::select(FrameKind::ALL.to_vec());
    (kind, 0u8..32, any::<u16>(), 1u128.., any::<u64>(), payload).prop_map(
        |(kind, flags, aux, call, seq, payload)| Frame {
            kind,
            flags: Flags(flags),
            aux,
            call: if kind.is_about_a_call() { CallId(call) } else { CallId::LINK },
            seq,
            payload: payload.into(),
        },
    )
}

fn batch(frames: &[Frame]) -> Bytes {
    let mut out = BytesMut::new();
    for frame in frames {
        frame.encode(&mut out);
    }
    out.freeze()
}

/// Reads a batch to its end or to its first fault; payloads must be slices of the batch.
fn read(mut batch: Bytes) -> (Vec<Frame>, Option<FrameError>) {
    let range = batch.as_ptr_range();
    let mut frames = Vec::new();
    loop {
        match Frame::decode(&mut batch) {
            Ok(Some(frame)) => {
                let payload = frame.payload.as_ptr_range();
                assert!(
                    frame.payload.is_empty() || (range.start <= payload.start && payload.end <= range.end)
                );
                frames.push(frame);
            }
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

proptest! {
    #[test]
    fn a_batch_gives_its_frames_back(frames in prop::collection::vec(frame(), 0..8)) {
        let bytes = batch(&frames);
        prop_assert_eq!(bytes.len(), frames.iter().map(Frame::encoded_len).sum::<usize>());
        prop_assert_eq!(read(bytes), (frames, None));
    }

    #[test]
    fn a_batch_that_is_cut_short_gives_its_whole_frames_and_says_so(
        frames in prop::collection::vec(frame(), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = batch(&frames);
        let len = cut.index(whole.len());
        let (read, error) = read(whole.slice(..len));
        prop_assert_eq!(&read[..], &frames[..read.len()]);
        let used: usize = read.iter().map(Frame::encoded_len).sum();
        prop_assert_eq!(error.is_none(), used == len);
        if let Some(error) = error {
            prop_assert!(matches!(error, FrameError::Truncated { .. }), "{:?}", error);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(bytes.into());
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_harmless(
        frames in prop::collection::vec(frame(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let mut bytes = BytesMut::from(&batch(&frames)[..]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (read, error) = read(bytes.freeze());
        // A flip in a payload changes that payload; a flip in a header changes at most the fields of that frame.
        prop_assert!(error.is_some() || read.iter().map(Frame::encoded_len).sum::<usize>() == batch(&frames).len());
        for frame in &read {
            prop_assert!(frame.payload.len() <= MAX_CHUNK);
            prop_assert_eq!(frame.kind.is_about_a_call(), frame.call != CallId::LINK);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_the_payload_is_there(len in MAX_CHUNK + 1..=u32::MAX as usize) {
        let mut header = BytesMut::from(&batch(&[Frame::bare(FrameKind::Event, CallId(1), 0)])[..]);
        header[4..8].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        prop_assert_eq!(header.len(), HEADER_LEN);
        prop_assert_eq!(read(header.freeze()), (vec![], Some(FrameError::TooLong(len))));
    }
}
