//! Members of a JSON object in their order, values as they stand: for messages of which one member changes.
//!
//! Must not know what the object means.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::mcp::splice::{member_at, range_in};

/// Members of a JSON object, in the object's order; each value is the text that stands there.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(MembersVisitor)
    }
}

/// Members of a JSON object as [`Members`] has them, with keys as bytes: also those that are no text, for half a surrogate pair in them
/// (in the form of WTF-8).
#[derive(Debug, Default)]
pub struct ExactMembers<'a>(pub Vec<(Vec<u8>, &'a RawValue)>);

impl<'a> ExactMembers<'a> {
    /// Reads the members of an object; none where the value is no object.
    pub fn of(value: &'a RawValue) -> Self {
        serde_json::from_str(value.get()).unwrap_or_default()
    }

    /// Returns the value of a member, the last one where it stands twice.
    pub fn get(&self, key: &[u8]) -> Option<&'a RawValue> {
        self.0.iter().rfind(|(known, _)| known == key).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ExactMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = ExactMembers<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(ExactMembers(members))
            }
        }
        from.deserialize_map(MembersVisitor)
    }
}

struct Key(Vec<u8>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_bytes<E>(self, key: &[u8]) -> Result<Key, E> {
                Ok(Key(key.to_owned()))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(Key(key.into()))
            }
        }
        // Unlike a string, bytes may have half a surrogate pair.
        from.deserialize_bytes(KeyVisitor)
    }
}

/// Returns the object with another value for its member `name`, all else as it stands; `None` where it has no such member or
/// that value already.
///
/// # Errors
/// The text is not a JSON object.
pub fn with_name(object: &RawValue, name: &str) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    with_value(object, "name", &serde_json::value::to_raw_value(name)?)
}

/// Returns the object with another value for its member of this key, all else as it stands; `None` where it has no such member or
/// that value already.
///
/// # Errors
/// The text is not a JSON object.
pub fn with_value(
    object: &RawValue,
    key: &str,
    value: &RawValue,
) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    let text = object.get();
    let members = serde_json::from_str::<Members<'_>>(text)?.0;
    match members.iter().find(|(known, _)| known == key) {
        Some((_, before)) if before.get() != value.get() => {
            edited(text, range_in(text.as_bytes(), before), value.get()).map(Some)
        }
        _ => Ok(None),
    }
}

/// Returns the object with this value for its member of this key, which is added at the end where it has none; all else as it stands.
///
/// # Errors
/// The text is not a JSON object.
pub fn with_member(
    object: &RawValue,
    key: &str,
    value: &RawValue,
) -> Result<Box<RawValue>, serde_json::Error> {
    let text = object.get();
    let members = serde_json::from_str::<Members<'_>>(text)?.0;
    if members.iter().any(|(known, _)| known == key) {
        return Ok(with_value(object, key, value)?.unwrap_or_else(|| object.to_owned()));
    }
    let end = text.len().saturating_sub(1);
    let comma = if members.is_empty() { "" } else { "," };
    let member = format!("{comma}{}:{}", serde_json::to_string(key)?, value.get());
    edited(text, end..end, &member)
}

/// Returns the object without its members of this key, all else as it stands; `None` where it has none.
///
/// # Errors
/// The text is not a JSON object.
pub fn without(object: &RawValue, key: &str) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    let mut left: Option<Box<RawValue>> = None;
    loop {
        let text = left.as_deref().unwrap_or(object).get();
        let members = serde_json::from_str::<Members<'_>>(text)?.0;
        let found = members.iter().find(|(known, _)| known == key);
        let member =
            found.and_then(|(_, value)| member_at(text.as_bytes(), &range_in(text.as_bytes(), value)));
        let Some(member) = member else { return Ok(left) };
        left = Some(edited(text, member, "")?);
    }
}

/// Returns a text with one range replaced.
fn edited(text: &str, range: Range<usize>, with: &str) -> Result<Box<RawValue>, serde_json::Error> {
    let mut text = text.to_owned();
    text.replace_range(range, with);
    RawValue::from_string(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_changes() {
        let renamed = |text: &str| {
            let object = RawValue::from_string(text.to_owned()).unwrap();
            with_name(&object, "b\"").unwrap().map(|object| object.get().to_owned())
        };
        assert_eq!(
            renamed(r#"{"z":1.0, "name":"a","n":[1e400]}"#).unwrap(),
            r#"{"z":1.0, "name":"b\"","n":[1e400]}"#
        );
        assert_eq!(renamed(r#"{"name":"b\""}"#), None);
        assert_eq!(renamed(r#"{"title":"a"}"#), None);
        let object = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let left = |text: &str| without(&object(text), "x").unwrap().map(|object| object.get().to_owned());
        assert_eq!(left(r#"{"a":1.0,"x":[1,2], "b":2}"#).unwrap(), r#"{"a":1.0, "b":2}"#);
        assert_eq!(left(r#"{"x":1,"x":2}"#).unwrap(), "{}");
        assert_eq!(left(r#"{"a":{"x":1}}"#), None);
        assert!(with_name(&RawValue::from_string("[]".into()).unwrap(), "b").is_err());
        let with = |text: &str| with_member(&object(text), "x", &object("2")).unwrap().get().to_owned();
        assert_eq!(with(r#"{"a":1.0 }"#), r#"{"a":1.0 ,"x":2}"#);
        assert_eq!((with("{}"), with(r#"{"x":1}"#)), (r#"{"x":2}"#.to_owned(), r#"{"x":2}"#.to_owned()));
        assert_eq!(with(r#"{"x": 2}"#), r#"{"x": 2}"#);
    }

    #[test]
    fn exact_members_have_every_key() {
        let object = RawValue::from_string(r#"{"a\u0062":1,"\ud83d":[1e400],"ab":"\ud83d"}"#.into()).unwrap();
        let members = ExactMembers::of(&object);
        assert_eq!(members.0.len(), 3);
        assert_eq!(members.get(b"ab").unwrap().get(), r#""\ud83d""#, "the last one");
        assert_eq!(members.get(b"\xed\xa0\xbd").unwrap().get(), "[1e400]");
        for other in ["[]", "1", "null"] {
            assert!(ExactMembers::of(&RawValue::from_string(other.into()).unwrap()).0.is_empty());
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(ExactMembers::of(&RawValue::from_string(deep).unwrap()).get(b"a").is_some());
    }
}
