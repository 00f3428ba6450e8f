//! Templates of a command line: texts with places for a call's arguments. Must not know processes, files or schemas.
//!
//! There is no shell: an element of a template becomes exactly one argument of the program, whatever the value holds; only a
//! list that stands alone in an element becomes one argument an item. A value cannot become an option of the program where the
//! template has none: at the beginning of an element it may not begin with `-`, unless the place is written `{{name!}}` or a
//! literal element `--` stands before it.

mod element;
mod error;
mod parse;
mod place;
mod text;
mod values;

pub(super) use element::{Element, command_line};
pub(super) use error::ExpandError;
pub(super) use place::{Absence, Part, Source};
pub(super) use text::Template;
pub(super) use values::Arguments;

#[cfg(test)]
mod tests;
