//! Nesting limit of the JSON that this relay checks or compares. Must not know who does.

/// Largest number of arrays and objects that may be open at once: `[[]]` has two.
pub const MAX_DEPTH: usize = 512;
