//! Templates of a command line: texts with places for a call's arguments. Must not know processes, files or schemas.
//!
//! There is no shell: an element of a template becomes exactly one argument of the program, whatever the value holds; only a
//! list that stands alone in an element becomes one argument an item. A value cannot become an option of the program where the
//! template has none: at the beginning of an element it may not begin with `-`, unless the place is written `{{name!}}` or a
//! literal element `--` stands before it.

mod element;
mod error;
mod parse;
mod values;

pub(super) use element::{Element, command_line};
pub(super) use error::{ExpandError, TemplateError};
pub(super) use values::{ArgumentValue, Arguments};

/// Bytes of the longest argument that Linux starts a program with (`MAX_ARG_STRLEN`, which counts the NUL at its end).
const MAX_ELEMENT: usize = 128 * 1024 - 1;

/// Bytes of all arguments together: half of what Linux takes with its usual limit of the stack, environment included.
const MAX_TOTAL: usize = 1024 * 1024;

/// A text with places for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The text itself.
    Literal(String),
    /// The place of a value.
    Place(Place),
}

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: Source,
    pub(super) absence: Absence,
    pub(super) dashes: Dashes,
}

/// What stands in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An argument of the call, by its name.
    Argument(String),
    /// All arguments as one JSON object (`{{*}}`).
    All,
    /// The path of the file that the program writes (`{{output}}`).
    Output,
}

/// What happens where a value is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// The call fails.
    Fails,
    /// The element is left out (`{{name?}}`).
    LeavesOut,
}

/// Whether a value at the beginning of an element may begin with `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dashes {
    /// It may not.
    Refused,
    /// It may (`{{name!}}`).
    Allowed,
}

impl Template {
    /// Returns the places in their order.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(place) => Some(place),
            Part::Literal(_) => None,
        })
    }

    /// Returns the text of a template without places.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Replaces what is literal; places stay as they are.
    pub(super) fn map_literals(&mut self, mut change: impl FnMut(&str) -> String) {
        for part in &mut self.parts {
            if let Part::Literal(text) = part {
                *text = change(text);
            }
        }
    }

    /// Returns the text with all values in place; lists and objects as JSON, absent values as nothing. For standard input, where
    /// any byte may stand.
    pub(super) fn text(&self, arguments: &Arguments) -> Result<String, ExpandError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Place(place) => match arguments.value(&place.source)? {
                    Some(value) => out.push_str(&value.into_text()),
                    None if place.absence == Absence::LeavesOut => {}
                    None => return Err(ExpandError::missing(&place.source)),
                },
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
