//! Members of a JSON object in their order, values as they stand: for messages of which one member changes.
//!
//! Must not know what the object means.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

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

/// Returns the object with another value for its member `name`, all else as it stands; `None` where it has no such member or
/// that value already.
///
/// # Errors
/// The text is not a JSON object.
pub fn with_name(object: &RawValue, name: &str) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    let mut members = serde_json::from_str::<Members<'_>>(object.get())?.0;
    let value = serde_json::value::to_raw_value(name)?;
    let Some(member) = members.iter_mut().find(|(key, _)| key == "name") else { return Ok(None) };
    if member.1.get() == value.get() {
        return Ok(None);
    }
    member.1 = &value;
    compose(&members).map(Some)
}

/// Returns the object without its members of this key, all else as it stands; `None` where it has none.
///
/// # Errors
/// The text is not a JSON object.
pub fn without(object: &RawValue, key: &str) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    let mut members = serde_json::from_str::<Members<'_>>(object.get())?.0;
    let before = members.len();
    members.retain(|(known, _)| known != key);
    if members.len() == before { Ok(None) } else { compose(&members).map(Some) }
}

/// Writes an object with these members.
fn compose(members: &[(String, &RawValue)]) -> Result<Box<RawValue>, serde_json::Error> {
    let mut text = String::new();
    for (key, value) in members {
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(&serde_json::to_string(key)?);
        text.push(':');
        text.push_str(value.get());
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
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
            r#"{"z":1.0,"name":"b\"","n":[1e400]}"#
        );
        assert_eq!(renamed(r#"{"name":"b\""}"#), None);
        assert_eq!(renamed(r#"{"title":"a"}"#), None);
        let object = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let left = |text: &str| without(&object(text), "x").unwrap().map(|object| object.get().to_owned());
        assert_eq!(left(r#"{"a":1.0,"x":[1,2], "b":2}"#).unwrap(), r#"{"a":1.0,"b":2}"#);
        assert_eq!(left(r#"{"x":1,"x":2}"#).unwrap(), "{}");
        assert_eq!(left(r#"{"a":{"x":1}}"#), None);
        assert!(with_name(&RawValue::from_string("[]".into()).unwrap(), "b").is_err());
    }
}
