//! Hashes that are the same in every replica and every release, which those of `std` and foldhash do not promise. Must
//! not know what is hashed.
//!
//! Replicas of the proxy must send a sticky client to the same slave, also while old and new releases run side by side.

use std::hash::{Hash, Hasher};

/// FNV-1a with 64 bits.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns the FNV-1a hash of bytes with 64 bits.
pub(crate) fn fnv1a_64(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv1a::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Returns the FNV-1a hash of a value with 64 bits.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = Fnv1a::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Spreads a number over all 64 bits (Steele et al., `SplitMix64`).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_fnv_reference() {
        assert_eq!((fnv1a_64(b""), fnv1a_64(b"foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }
}
