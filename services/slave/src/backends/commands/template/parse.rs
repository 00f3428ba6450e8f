//! The parser of templates. Must not know values.

use super::error::TemplateError;
use super::place::{Absence, Dashes, Part, Place, Source};
use super::text::Template;

impl Template {
    /// Reads a template: `{{name}}`, `{{name?}}`, `{{name!}}`, both signs in any order, and `{{*}}`; spaces around the name are
    /// ignored. `\{{` stands for two braces, `\\{{` for a backslash before a place.
    pub(in crate::backends::commands) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.contains('\0') {
            return Err(TemplateError::Nul);
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let bare = before.trim_end_matches('\\');
            let backslashes = before.len() - bare.len();
            literal.push_str(bare);
            literal.extend(std::iter::repeat_n('\\', backslashes / 2));
            if backslashes % 2 == 1 {
                literal.push_str("{{");
                rest = after;
                continue;
            }
            let (inside, behind) = after.split_once("}}").ok_or(TemplateError::Unclosed)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Place(place(inside)?));
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }
}

fn place(inside: &str) -> Result<Place, TemplateError> {
    let inside = inside.trim();
    let name = inside.trim_end_matches(['?', '!']);
    let signs = inside.get(name.len()..).unwrap_or_default();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"{}?!*".contains(c);
    let source = match name {
        "*" => Source::All,
        _ if !name.is_empty() && name.chars().all(plain) => Source::Argument(name.to_owned()),
        _ => return Err(TemplateError::Name),
    };
    if signs.matches('?').count() > 1 || signs.matches('!').count() > 1 {
        return Err(TemplateError::Name);
    }
    Ok(Place {
        source,
        absence: if signs.contains('?') { Absence::LeavesOut } else { Absence::Fails },
        dashes: if signs.contains('!') { Dashes::Allowed } else { Dashes::Refused },
    })
}
