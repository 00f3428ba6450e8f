//! Canonical form of a JSON Schema without its wording: the texts for readers that stand where the schema has a schema. Must not know
//! whose schema it is.
//!
//! Only keywords whose value is a schema are followed. Names of properties, values (`const`, `enum`, `default`), unknown keywords and
//! whatever has not the type that its keyword asks for stand as they are: a text that may count for a call is never taken for wording.

use std::ops::Range;

use super::object_order::{FlatForm, Member};

/// What a keyword of a schema has as its value, as far as the value has the type for it.
#[derive(Clone, Copy)]
enum Place {
    /// A schema.
    Schema,
    /// An array of schemas.
    Schemas,
    /// A schema, or an array of schemas.
    SchemaOrSchemas,
    /// An object whose keys are names and whose values are schemas.
    Named,
    /// A value, of which everything counts.
    Value,
    /// A text for readers.
    Text,
    /// An array of values for readers.
    Examples,
}

impl Place {
    /// Returns the place of a keyword's value. All drafts from 4 to 2020-12 are one: a keyword that a draft does not know has no effect.
    fn of(keyword: &[u8]) -> Self {
        match keyword {
            b"title" | b"description" | b"$comment" => Self::Text,
            b"examples" => Self::Examples,
            b"properties" | b"patternProperties" | b"$defs" | b"definitions" | b"dependentSchemas"
            | b"dependencies" => Self::Named,
            b"allOf" | b"anyOf" | b"oneOf" | b"prefixItems" => Self::Schemas,
            b"items" => Self::SchemaOrSchemas,
            b"additionalItems"
            | b"unevaluatedItems"
            | b"contains"
            | b"additionalProperties"
            | b"unevaluatedProperties"
            | b"propertyNames"
            | b"not"
            | b"if"
            | b"then"
            | b"else"
            | b"contentSchema" => Self::Schema,
            _ => Self::Value,
        }
    }

    /// Returns whether a value that begins with this byte is wording.
    fn is_wording(self, first: u8) -> bool {
        matches!((self, first), (Self::Text, b'"') | (Self::Examples, b'['))
    }
}

/// Returns the ordered text of the schema in `range` without its wording. `None`: an object that is written has a key twice.
pub(super) fn without_wording(flat: &FlatForm, range: Range<usize>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(flat, Place::Schema, range, &mut out)?;
    Some(out)
}

fn write(flat: &FlatForm, place: Place, range: Range<usize>, out: &mut Vec<u8>) -> Option<()> {
    match (place, *flat.text.get(range.start)?) {
        (Place::Schema | Place::SchemaOrSchemas, b'{') => write_object(flat, range, Place::of, out),
        (Place::Named, b'{') => write_object(flat, range, |_| Place::Schema, out),
        (Place::Schemas | Place::SchemaOrSchemas, b'[') => write_array(flat, range, out),
        _ => flat.write(range, out),
    }
}

/// Writes the members of an object but for wording. `place`: that of a member's value, by its key.
fn write_object(
    flat: &FlatForm,
    range: Range<usize>,
    place: impl Fn(&[u8]) -> Place,
    out: &mut Vec<u8>,
) -> Option<()> {
    let members = flat.sorted_members(flat.next_object(&range)?)?;
    let is_kept = |member: &Member| {
        let first = flat.text.get(member.value().start);
        first.is_some_and(|first| !place(flat.key(member)).is_wording(*first))
    };
    out.push(b'{');
    for (index, member) in members.iter().filter(|member| is_kept(member)).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let value = member.value();
        out.extend_from_slice(flat.text.get(member.start..value.start)?);
        write(flat, place(flat.key(member)), value, out)?;
    }
    out.push(b'}');
    Some(())
}

/// Writes an array: as schemas if each item is an object or a boolean, else as a value.
fn write_array(flat: &FlatForm, range: Range<usize>, out: &mut Vec<u8>) -> Option<()> {
    let Some(schemas) = objects_of(flat, &range) else { return flat.write(range, out) };
    let mut at = range.start;
    for schema in schemas {
        out.extend_from_slice(flat.text.get(at..schema.start)?);
        at = schema.end;
        write(flat, Place::Schema, schema, out)?;
    }
    out.extend_from_slice(flat.text.get(at..range.end)?);
    Some(())
}

/// Returns the objects of an array. `None`: an item is neither an object nor a boolean.
fn objects_of(flat: &FlatForm, array: &Range<usize>) -> Option<Vec<Range<usize>>> {
    // The brackets are left out, so that one that is found belongs to an item.
    let mut rest = array.start + 1..array.end.checked_sub(1)?;
    let mut objects = Vec::new();
    while let Some(object) = flat.next_object(&rest) {
        is_booleans(flat.text.get(rest.start..object.start)?).then_some(())?;
        objects.push(object.start..object.end);
        rest.start = object.end;
    }
    is_booleans(flat.text.get(rest)?).then_some(objects)
}

/// Returns whether the text has nothing but booleans and the commas around them.
fn is_booleans(text: &[u8]) -> bool {
    text.split(|byte| *byte == b',').all(|item| matches!(item, b"" | b"true" | b"false"))
}

#[cfg(test)]
mod tests;
