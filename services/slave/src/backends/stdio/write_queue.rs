//! Bytes that wait to be written to a child, each in the memory that it came in. Must not know what they say.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// The queue, which a vectored write takes from.
#[derive(Debug, Default)]
pub(super) struct WriteQueue(VecDeque<Bytes>);

impl Extend<Bytes> for WriteQueue {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, pieces: I) {
        self.0.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }
}

impl Buf for WriteQueue {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        !self.0.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map(Bytes::as_ref).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        into.iter_mut().zip(&self.0).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.0.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_gone_wherever_a_write_ends() {
        for step in 1..=9 {
            let mut queue = WriteQueue::default();
            queue.extend(["ab", "", "cde", "f"].map(Bytes::from));
            let mut written = Vec::new();
            while queue.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = queue.chunks_vectored(&mut slices);
                let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = step.min(all.len());
                assert!(all.starts_with(queue.chunk()) && queue.remaining() == 6 - written.len());
                written.extend_from_slice(&all[..taken]);
                queue.advance(taken);
            }
            assert_eq!((written.as_slice(), queue.remaining()), (&b"abcdef"[..], 0), "{step}");
        }
    }
}
