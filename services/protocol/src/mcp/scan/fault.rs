//! Why a text is refused. Must not know how it is read.

use crate::mcp::depth::MAX_DEPTH;

/// Why bytes are not one JSON value on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanFault {
    /// A byte that JSON does not allow where it stands, or a second value.
    #[error("it is not one JSON value")]
    Syntax,
    /// The bytes end before the value does.
    #[error("it ends in the middle of a JSON value")]
    Truncated,
    /// More arrays and objects open at once than [`MAX_DEPTH`].
    #[error("its JSON is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A string is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A line break between two tokens.
    #[error("it has a line break between its tokens")]
    LineBreak,
}
