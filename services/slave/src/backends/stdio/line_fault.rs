//! What is odd about a line of a child's standard output, as metrics, logs and clients name it. Must not know how it is found.

use crate::metrics::ODD_LINES;

/// What is odd about a line. The text says it of an answer, without an excerpt: it reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineFault {
    /// Bytes that are not UTF-8.
    #[error("the backend's answer is not JSON: it is not UTF-8")]
    NotUtf8,
    /// A word in the place of a number that JSON does not have.
    #[error("the backend's answer is not JSON: it has NaN or Infinity, which JSON does not know")]
    NotANumber,
    /// A control character in a string that is not escaped.
    #[error("the backend's answer is not JSON: a string has a control character that is not escaped")]
    ControlCharacter,
    /// The line ends before its value does.
    #[error("the backend's answer is not JSON on one line: the line ends in the middle of it")]
    Truncated,
    /// A member of the message stands there twice.
    #[error("the backend's answer is ambiguous: a member of the message appears twice")]
    DuplicateMember,
    /// Other text that JSON does not allow.
    #[error("the backend's answer is not JSON")]
    Syntax,
    /// An answer whose id was never given to a request.
    #[error("the backend's answer has no id of a request")]
    NoId,
    /// An answer with neither a result nor an error, or with both.
    #[error("the backend's answer has neither a result nor an error, or both")]
    NoAnswer,
    /// A result or error of a form that the call may not have.
    #[error("the backend's answer is of a form that the call may not have")]
    BadForm,
    /// A line longer than `MAX_OUTPUT_BYTES`.
    #[error("the backend's answer has too many bytes (MAX_OUTPUT_BYTES)")]
    TooLong,
    /// Text that is no message at all.
    #[error("standard output has a line that is no JSON-RPC message")]
    Noise,
    /// An id that is the text of a number, taken as the number.
    #[error("an id is a text in place of a number")]
    TextId,
    /// Several messages in an array, taken one by one.
    #[error("several messages are in one array")]
    Batch,
    /// A byte order mark before the message, skipped.
    #[error("a byte order mark stands before the message")]
    ByteOrderMark,
}

impl LineFault {
    /// Every fault, in the order of the enum.
    pub(super) const ALL: [Self; 14] = [
        Self::NotUtf8,
        Self::NotANumber,
        Self::ControlCharacter,
        Self::Truncated,
        Self::DuplicateMember,
        Self::Syntax,
        Self::NoId,
        Self::NoAnswer,
        Self::BadForm,
        Self::TooLong,
        Self::Noise,
        Self::TextId,
        Self::Batch,
        Self::ByteOrderMark,
    ];

    /// Returns the label of the metric.
    pub(super) fn label(self) -> &'static str {
        ODD_LINES[self as usize]
    }

    /// Returns whether the message is taken all the same.
    pub(super) fn is_taken(self) -> bool {
        matches!(self, Self::TextId | Self::Batch | Self::ByteOrderMark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_the_label_of_its_place() {
        for (index, fault) in LineFault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
        assert_eq!(LineFault::ALL.len(), ODD_LINES.len());
        assert_eq!(
            (LineFault::NotUtf8.label(), LineFault::ByteOrderMark.label()),
            ("not_utf8", "byte_order_mark")
        );
        assert_eq!((LineFault::TooLong.label(), LineFault::Noise.label()), ("too_long", "noise"));
    }
}
