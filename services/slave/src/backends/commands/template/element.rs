//! The elements of a command line, and what the arguments of a call make of them. Must not know how a program is started.

use std::ffi::OsString;

use super::error::ExpandError;
use super::place::{Absence, Dashes, MAX_ELEMENT, MAX_TOTAL, Part, Place, Source};
use super::text::Template;
use super::values::{ArgumentValue, Arguments};

/// The literal element behind which programs take nothing for an option.
const END_OF_OPTIONS: &str = "--";

/// Some elements of a command that stand or are left out together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::commands) struct Element {
    /// The argument that must be there, and neither `false` nor an empty list; `None`: none must.
    pub(in crate::backends::commands) when: Option<String>,
    /// The elements.
    pub(in crate::backends::commands) templates: Vec<Template>,
}

impl Element {
    /// Returns an element that stands alone.
    pub(in crate::backends::commands) fn one(template: Template) -> Self {
        Self { when: None, templates: vec![template] }
    }

    /// Returns whether the element stands in the command line of a call with these arguments.
    fn stands(&self, arguments: &Arguments) -> bool {
        let optional = |place: &&Place| place.absence == Absence::LeavesOut;
        let absent = |place: &Place| match &place.source {
            Source::Argument(name) => !arguments.has(name),
            Source::All | Source::Output => false,
        };
        let places = self.templates.iter().flat_map(Template::places);
        self.when.as_ref().is_none_or(|name| arguments.holds(name)) && !places.filter(optional).any(absent)
    }
}

/// Returns the command line that a call's arguments make, the program first.
pub(in crate::backends::commands) fn command_line(
    elements: &[Element],
    arguments: &Arguments,
) -> Result<Vec<OsString>, ExpandError> {
    let mut line = CommandLine::default();
    for element in elements.iter().filter(|element| element.stands(arguments)) {
        for template in &element.templates {
            line.add(template, arguments)?;
        }
    }
    let len = line.len;
    if len > MAX_TOTAL { Err(ExpandError::AllLong { len }) } else { Ok(line.words) }
}

/// A command line that grows.
#[derive(Default)]
struct CommandLine {
    words: Vec<OsString>,
    /// Bytes so far, with the NUL behind each word.
    len: usize,
    /// Whether a literal [`END_OF_OPTIONS`] stands in it.
    options_ended: bool,
}

impl CommandLine {
    fn add(&mut self, template: &Template, arguments: &Arguments) -> Result<(), ExpandError> {
        if let Some(text) = template.literal() {
            self.options_ended |= text == END_OF_OPTIONS;
            self.push(text.to_owned());
            return Ok(());
        }
        if let [Part::Place(place)] = template.parts.as_slice()
            && let Some(ArgumentValue::List(items, _)) = arguments.value(&place.source)?
        {
            for item in items {
                let name = || place.source.name().to_owned();
                let item = item.ok_or_else(|| ExpandError::Nested { name: name() })?;
                self.check(&item, Some(place), place)?;
                self.push(item);
            }
            return Ok(());
        }
        self.add_text(template, arguments)
    }

    /// Adds one word.
    fn add_text(&mut self, template: &Template, arguments: &Arguments) -> Result<(), ExpandError> {
        let (mut text, mut first, mut longest) = (String::new(), None, None);
        for part in &template.parts {
            let place = match part {
                Part::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Part::Place(place) => place,
            };
            let value = match arguments.value(&place.source)? {
                Some(ArgumentValue::One(value)) => value,
                Some(ArgumentValue::List(..)) => {
                    return Err(ExpandError::List { name: place.source.name().to_owned() });
                }
                None => return Err(ExpandError::missing(&place.source)),
            };
            if value.contains('\0') {
                return Err(ExpandError::Nul { name: place.source.name().to_owned() });
            }
            if text.is_empty() && !value.is_empty() {
                first = Some(place);
            }
            if longest.is_none_or(|(len, _)| value.len() > len) {
                longest = Some((value.len(), place));
            }
            text.push_str(&value);
        }
        let Some((_, longest)) = longest else { return Ok(()) };
        self.check(&text, first, longest)?;
        self.push(text);
        Ok(())
    }

    /// Checks a word that begins with the value of `first`, or with a literal text.
    fn check(&self, word: &str, first: Option<&Place>, longest: &Place) -> Result<(), ExpandError> {
        let name = |place: &Place| place.source.name().to_owned();
        if word.contains('\0') {
            return Err(ExpandError::Nul { name: name(longest) });
        }
        if word.len() > MAX_ELEMENT {
            return Err(ExpandError::Long { name: name(longest), len: word.len() });
        }
        match first {
            Some(place)
                if word.starts_with('-') && !self.options_ended && place.dashes == Dashes::Refused =>
            {
                Err(ExpandError::Dash { name: name(place) })
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, word: String) {
        self.len += word.len() + 1;
        self.words.push(word.into());
    }
}
