//! Look-up of one member of a JSON text by its pointer (RFC 6901) without building a tree. Must not know calls.

use std::borrow::Cow;
use std::fmt;

use protocol::mcp::envelope::Text;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses `/a/0/b`, in which `~1` stands for `/` and `~0` for `~`. The empty pointer is refused.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>()?;
        Some(Self { text: text.to_owned(), tokens })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the raw text of the member that the pointer names.
    pub(super) fn find<'a>(&self, value: &'a RawValue) -> Option<&'a RawValue> {
        self.tokens.iter().try_fold(value, |value, token| member(value.get(), token))
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let (sign, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    Some(plain)
}

/// Returns the member of an object with this name, or the item of an array with this index. Of duplicate names the last
/// counts, as in most parsers. `None` also if the text is not JSON.
pub(super) fn member<'a>(json: &'a str, name: &str) -> Option<&'a RawValue> {
    let mut reader = serde_json::Deserializer::from_str(json);
    FindMember(name).deserialize(&mut reader).ok()?
}

/// Returns a string, number or boolean as the text that rules compare; `None` for other values.
pub(super) fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// Finds the member with this name or index.
struct FindMember<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for FindMember<'_> {
    type Value = Option<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FindMember<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_equal) = entries.next_key_seed(KeyEquals(self.0))? {
            if is_equal {
                found = Some(entries.next_value()?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let digits =
            self.0.bytes().all(|b| b.is_ascii_digit()) && (self.0 == "0" || !self.0.starts_with('0'));
        let wanted = self.0.parse::<usize>().ok().filter(|_| digits);
        let (mut found, mut index) = (None, 0);
        while let Some(item) = items.next_element::<&RawValue>()? {
            if Some(index) == wanted {
                found = Some(item);
            }
            index += 1;
        }
        Ok(found)
    }
}

/// Compares a key with this name without copying the key.
struct KeyEquals<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for KeyEquals<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyEquals<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(pointer: &str, json: &str) -> Option<String> {
        let json = RawValue::from_string(json.to_owned()).unwrap();
        Pointer::parse(pointer).unwrap().find(&json).map(|value| value.get().to_owned())
    }

    #[test]
    fn a_pointer_finds_the_raw_text_of_a_member() {
        let json = r#"{"a":{"b/c":[1,{"~":1e400}]},"":7,"x":"1","x":"2","pl\u0061t":true}"#;
        for (pointer, expected) in [
            ("/a/b~1c/0", Some("1")),
            ("/a/b~1c/1/~0", Some("1e400")),
            ("/", Some("7")),
            ("/x", Some("\"2\"")),
            ("/plat", Some("true")),
            ("/a/b~1c/00", None),
            ("/a/b~1c/2", None),
            ("/a/b~1c/-1", None),
            ("/x/0", None),
            ("/nothing", None),
        ] {
            assert_eq!(lookup(pointer, json).as_deref(), expected, "{pointer}");
        }
        for error in ["", "a", "/~", "/~2"] {
            assert_eq!(Pointer::parse(error), None, "{error}");
        }
    }

    #[test]
    fn only_strings_numbers_and_booleans_are_scalars() {
        let text = |json: &str| {
            let value = RawValue::from_string(json.to_owned()).unwrap();
            scalar(&value).map(Cow::into_owned)
        };
        assert_eq!(text(r#""a\u0062""#).as_deref(), Some("ab"));
        assert_eq!(text("5.0").as_deref(), Some("5.0"));
        assert_eq!(text("true").as_deref(), Some("true"));
        assert_eq!((text("null"), text("[]"), text("{}")), (None, None, None));
    }

    #[test]
    fn text_that_is_not_json_has_no_members() {
        for json in ["", "{", r#"{"a":1"#, "5", r#"{"a":}"#] {
            assert!(member(json, "a").is_none(), "{json}");
        }
        let deep = format!(r#"{{"b":{}1{},"a":2}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(member(&deep, "a").map(RawValue::get), Some("2"));
    }
}
