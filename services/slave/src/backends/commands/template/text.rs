//! A template as a whole: its literal texts and its places. Must not know how it is written.

use super::error::ExpandError;
use super::place::{Absence, Part, Place};
use super::values::Arguments;

/// A text with places for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) struct Template {
    pub(in crate::backends::commands) parts: Vec<Part>,
}

impl Template {
    /// Returns the places in their order.
    pub(in crate::backends::commands) fn places(&self) -> impl Iterator<Item = &Place> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(place) => Some(place),
            Part::Literal(_) => None,
        })
    }

    /// Returns the text of a template without places.
    pub(in crate::backends::commands) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Replaces what is literal; places stay as they are.
    pub(in crate::backends::commands) fn map_literals(&mut self, mut change: impl FnMut(&str) -> String) {
        for part in &mut self.parts {
            if let Part::Literal(text) = part {
                *text = change(text);
            }
        }
    }

    /// Returns the text with all values in place; lists and objects as JSON, absent values as nothing. For standard input, where
    /// any byte may stand.
    pub(in crate::backends::commands) fn text(&self, arguments: &Arguments) -> Result<String, ExpandError> {
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
