//! The interface through which a scanner tells what stands near the outside of the value. Must not know what the observer looks for.

use std::ops::Range;

/// Form of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Object.
    Object,
    /// Array.
    Array,
    /// String.
    String,
    /// Number.
    Number,
    /// `true`, `false` or `null`.
    Literal,
}

/// Receiver of keys and values near the outside of a JSON value. Depth is the number of arrays and objects around them.
///
/// The text of a key or string comes decoded, in any number of pieces, which may split characters; half a surrogate pair comes as the
/// three bytes that UTF-8's scheme gives its number. A number comes as it stands. Positions are those in the piece at hand: of keys and
/// values that began in an earlier piece they mean nothing.
pub trait Observer {
    /// Returns whether keys and values at this depth are wanted.
    fn watches(&self, depth: usize) -> bool;
    /// A value begins at this position.
    fn begin(&mut self, depth: usize, kind: ValueKind, at: usize);
    /// Part of the key, string or number under way.
    fn text(&mut self, part: &[u8]);
    /// A key has ended, which stands there between its quotes.
    fn end_key(&mut self, depth: usize, key: Range<usize>);
    /// A value has ended before this position.
    fn end_value(&mut self, depth: usize, end: usize);
}

/// Observer that wants nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn watches(&self, _: usize) -> bool {
        false
    }
    fn begin(&mut self, _: usize, _: ValueKind, _: usize) {}
    fn text(&mut self, _: &[u8]) {}
    fn end_key(&mut self, _: usize, _: Range<usize>) {}
    fn end_value(&mut self, _: usize, _: usize) {}
}
