//! Masking of payloads (RFC 6455, 5.3). Must not know frames.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::BytesMut;

/// Number of bytes that are masked in one step, as one number: a multiple of the mask's length, so that each step begins with its first
/// byte. Compiled for size, a loop over bytes is one of single bytes.
const BLOCK: usize = size_of::<u128>();

/// Bytes that are copied before they are masked: they are still in the first cache then.
const COPIED: usize = 4 * 1024;

/// A source of unpredictable masks (RFC 6455, 10.3): a keyed hash of a counter.
#[derive(Debug, Default)]
pub(crate) struct MaskSource {
    state: RandomState,
    counter: u64,
}

impl MaskSource {
    /// Returns a fresh mask.
    pub(crate) fn next(&mut self) -> [u8; 4] {
        self.counter = self.counter.wrapping_add(1);
        let [a, b, c, d, ..] = self.state.hash_one(self.counter).to_ne_bytes();
        [a, b, c, d]
    }
}

/// A mask with the current position in it, for a payload that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mask {
    key: [u8; 4],
}

impl Mask {
    pub(crate) fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Advances the position by this number of payload bytes.
    fn advance(&mut self, bytes: usize) {
        self.key.rotate_left(bytes % 4);
    }

    fn block(self) -> [u8; BLOCK] {
        std::array::from_fn(|index| self.key[index % 4])
    }

    /// Masks or unmasks bytes in place.
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
        let block = self.block();
        let (chunks, rest) = bytes.as_chunks_mut::<BLOCK>();
        let mask = u128::from_ne_bytes(block);
        for chunk in chunks {
            *chunk = (u128::from_ne_bytes(*chunk) ^ mask).to_ne_bytes();
        }
        let tail = rest.len();
        for (byte, mask) in rest.iter_mut().zip(block) {
            *byte ^= mask;
        }
        self.advance(tail);
    }

    /// Appends a masked copy of `bytes`.
    pub(crate) fn copy(&mut self, bytes: &[u8], out: &mut BytesMut) {
        out.reserve(bytes.len());
        for piece in bytes.chunks(COPIED) {
            let before = out.len();
            out.extend_from_slice(piece);
            self.apply(&mut out[before..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_in_pieces_is_masked_like_the_whole() {
        let payload: Vec<u8> = (0..=255).cycle().take(9000).collect();
        let key = [1, 2, 3, 250];
        let expected: Vec<u8> =
            payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        for cut in [0, 1, 2, 3, 63, 64, 65, 500, 4095, 4096, 4097, 8997, 9000] {
            let (mut mask, mut out) = (Mask::new(key), BytesMut::new());
            mask.copy(&payload[..cut], &mut out);
            mask.copy(&payload[cut..], &mut out);
            assert_eq!(out, expected, "cut at {cut}");
            let mut mask = Mask::new(key);
            let (head, tail) = out.split_at_mut(cut);
            mask.apply(head);
            mask.apply(tail);
            assert_eq!(out, payload, "cut at {cut}");
        }
    }

    #[test]
    fn successive_masks_differ() {
        let mut source = MaskSource::default();
        let masks: std::collections::BTreeSet<_> = (0..1000).map(|_| source.next()).collect();
        assert!(masks.len() > 990);
    }
}
