//! Server-sent events from any bytes: no panic, bounded memory, and the same events however the bytes arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::http_client::{Event, EventReader, EventTooLong};

/// Longest event that is taken, below the longest input.
const LIMIT: usize = 512;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Result<(), EventTooLong>) {
    let (mut reader, mut events) = (EventReader::new(LIMIT), Vec::new());
    let mut pieces = pieces;
    let end = pieces.try_for_each(|piece| reader.feed(piece, &mut events));
    (events, end)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, data)) = data.split_first() else { return };
    let (whole, end) = read(std::iter::once(data));
    let (pieces, pieces_end) = read(data.chunks(usize::from(*size).max(1)));
    let (bytes, bytes_end) = read(data.chunks(1));
    assert_eq!((&pieces, pieces_end), (&whole, end));
    assert_eq!((&bytes, bytes_end), (&whole, end));
    for event in whole {
        assert!(event.data.len() <= LIMIT);
        assert!(event.id.is_none_or(|id| !id.contains('\0')));
    }
});
