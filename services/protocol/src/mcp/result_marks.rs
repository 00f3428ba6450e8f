//! What the relay looks for at the outside of a result, as far as it is known from reading the message that the result came in. Must not
//! know who looks for it.
//!
//! Searching a large result costs as much as reading it, and nearly none has any of this: what was read once need not be searched.

use super::outline::{Member, Outline};

/// Something that the relay looks for at the outside of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultMark {
    /// `isError` that is not `false`.
    ToolError,
    /// `resultType`.
    Type,
    /// `resultType` that is not `"complete"`.
    OtherType,
    /// `requestState`.
    State,
    /// `task`, `taskId` or `_meta`, which may have the id of a task.
    Task,
}

impl ResultMark {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Marks that a result may have: those that are not among these it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultMarks(u8);

impl ResultMarks {
    /// All marks: nothing is known of the result.
    pub const ANY: Self = Self(u8::MAX);

    /// No marks.
    pub const NONE: Self = Self(0);

    /// Returns the marks of the result that is the inner object of an outline.
    pub fn of_inner(outline: &Outline<'_>) -> Self {
        outline.inner.iter().fold(Self::NONE, |marks, Member { key, value }| {
            let json = outline.json(value);
            match *key {
                b"isError" if json != b"false" => marks.with(ResultMark::ToolError),
                b"resultType" if json == br#""complete""# => marks.with(ResultMark::Type),
                b"resultType" => marks.with(ResultMark::Type).with(ResultMark::OtherType),
                b"requestState" => marks.with(ResultMark::State),
                b"task" | b"taskId" | b"_meta" => marks.with(ResultMark::Task),
                _ => marks,
            }
        })
    }

    /// Adds a mark.
    #[must_use]
    pub const fn with(self, mark: ResultMark) -> Self {
        Self(self.0 | mark.bit())
    }

    /// Returns whether the result may have this mark.
    pub const fn may_have(self, mark: ResultMark) -> bool {
        self.0 & mark.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the marks of a result, which stands in a message that is large enough for an outline.
    fn marks(result: &str) -> ResultMarks {
        let message = format!(r#"{{"id":1,"result":{result},"x":"{}"}}"#, "x".repeat(5000));
        ResultMarks::of_inner(&Outline::of(message.as_bytes(), "result").unwrap())
    }

    #[test]
    fn only_the_outermost_members_are_marked_and_by_their_values() {
        use ResultMark::{OtherType, State, Task, ToolError, Type};
        for (result, expected) in [
            (r#"{"content":[{"isError":true,"taskId":"a","requestState":"x"}]}"#, &[][..]),
            (r#"{"content":[],"isError":false}"#, &[]),
            (r#"{"isError" : true}"#, &[ToolError]),
            (r#"{"isError":"false"}"#, &[ToolError]),
            (r#"{"resultType":"complete"}"#, &[Type]),
            (r#"{"resultType":"task","taskId":"1"}"#, &[Type, OtherType, Task]),
            (r#"{"resultType":null}"#, &[Type, OtherType]),
            (r#"{"requestState":"x"}"#, &[State]),
            (r#"{"task":{"taskId":"1"}}"#, &[Task]),
            (r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"1"}}}"#, &[Task]),
        ] {
            let found = marks(result);
            for mark in [ToolError, Type, OtherType, State, Task] {
                assert_eq!(found.may_have(mark), expected.contains(&mark), "{result} {mark:?}");
                assert!(ResultMarks::ANY.may_have(mark) && !ResultMarks::NONE.may_have(mark));
            }
        }
    }
}
