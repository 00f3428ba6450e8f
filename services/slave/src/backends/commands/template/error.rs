//! Why a template cannot be read, and why a command line cannot be made. The texts quote no value.

use super::place::{MAX_ELEMENT, MAX_TOTAL, Source};

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::backends::commands) enum TemplateError {
    /// `{{` without `}}`.
    #[error("\"}}}}\" behind each \"{{{{\" (a literal one is written \"\\{{{{\")")]
    Unclosed,
    /// Something else than a name stands between the braces.
    #[error(
        "the name of an argument in \"{{{{name}}}}\", \"{{{{name?}}}}\" or \"{{{{name!}}}}\" (literal braces are written \"\\{{{{\")"
    )]
    Name,
    /// No program can be given a NUL.
    #[error("a text without NUL characters")]
    Nul,
}

/// Why the arguments of a call make no command line. The text is for the model that made the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::backends::commands) enum ExpandError {
    /// The program would take the value for an option.
    #[error("argument {name:?} must not begin with \"-\": the program would take it for an option")]
    Dash {
        /// The argument.
        name: String,
    },
    /// No program can be given a NUL.
    #[error("argument {name:?} has NUL characters: leave them out")]
    Nul {
        /// The argument.
        name: String,
    },
    /// The value is absent, and nothing says what to do then.
    #[error("argument {name:?} is missing")]
    Missing {
        /// The argument.
        name: String,
    },
    /// The value is text of no program: half of a surrogate pair.
    #[error("argument {name:?} is no text that can be written as UTF-8")]
    Unreadable {
        /// The argument.
        name: String,
    },
    /// A list where there is place for one value.
    #[error("argument {name:?} is a list, where the command has place for one value")]
    List {
        /// The argument.
        name: String,
    },
    /// A list of other things than texts and numbers.
    #[error("argument {name:?} must be a list of texts, numbers or flags: it has a list or an object in it")]
    Nested {
        /// The argument.
        name: String,
    },
    /// The system does not start programs with so long an argument.
    #[error("argument {name:?} has {len} bytes, but at most {MAX_ELEMENT} can stand on a command line")]
    Long {
        /// The argument.
        name: String,
        /// Bytes of the whole element.
        len: usize,
    },
    /// The system does not start programs with so long a command line.
    #[error("the arguments have {len} bytes together, but at most {MAX_TOTAL} can stand on a command line")]
    AllLong {
        /// Bytes of the command line.
        len: usize,
    },
}

impl ExpandError {
    pub(super) fn missing(source: &Source) -> Self {
        Self::Missing { name: source.name().to_owned() }
    }
}
