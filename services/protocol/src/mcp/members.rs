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
    let mut text = String::with_capacity(object.get().len() + name.len());
    for (key, value) in &members {
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(&serde_json::to_string(key)?);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    RawValue::from_string(text).map(Some)
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
        assert!(with_name(&RawValue::from_string("[]".into()).unwrap(), "b").is_err());
    }
}
