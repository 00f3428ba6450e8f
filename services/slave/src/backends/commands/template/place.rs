//! The places of values in a template, and how long arguments may be. Must not know values.

/// Bytes of the longest argument that Linux starts a program with (`MAX_ARG_STRLEN`, which counts the NUL at its end).
pub(super) const MAX_ELEMENT: usize = 128 * 1024 - 1;

/// Bytes of all arguments together: half of what Linux takes with its usual limit of the stack, environment included.
pub(super) const MAX_TOTAL: usize = 1024 * 1024;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) enum Part {
    /// The text itself.
    Literal(String),
    /// The place of a value.
    Place(Place),
}

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) struct Place {
    pub(in crate::backends::commands) source: Source,
    pub(in crate::backends::commands) absence: Absence,
    pub(in crate::backends::commands) dashes: Dashes,
}

/// What stands in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) enum Source {
    /// An argument of the call, by its name.
    Argument(String),
    /// All arguments as one JSON object (`{{*}}`).
    All,
    /// The path of the file that the program writes (`{{output}}`).
    Output,
}

/// What happens where a value is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) enum Absence {
    /// The call fails.
    Fails,
    /// The element is left out (`{{name?}}`).
    LeavesOut,
}

/// Whether a value at the beginning of an element may begin with `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) enum Dashes {
    /// It may not.
    Refused,
    /// It may (`{{name!}}`).
    Allowed,
}

impl Source {
    /// Returns the name for messages.
    pub(in crate::backends::commands) fn name(&self) -> &str {
        match self {
            Self::Argument(name) => name,
            Self::All => "*",
            Self::Output => "output",
        }
    }
}
