//! One member of a JSON text, found by its pointer (RFC 6901) without building the rest. Knows nothing of calls.

use std::borrow::Cow;
use std::fmt;

use protocol::mcp::envelope::Text;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Where in a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// `/a/0/b`; `~1` stands for `/` and `~0` for `~`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>()?;
        Some(Self { text: text.to_owned(), tokens })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands there.
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

/// The member of this name (of an array: at this index). Of doubled names the last, which is the one that parsers
/// hand on. `None` also where the text is no JSON.
pub(super) fn member<'a>(json: &'a str, name: &str) -> Option<&'a RawValue> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Member(name).deserialize(&mut reader).ok()?
}

/// A text, number or flag as a text: what rules compare. `None` for anything else.
pub(super) fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = entries.next_key_seed(Is(self.0))? {
            if is_it {
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
        let (mut found, mut at) = (None, 0);
        while let Some(item) = items.next_element::<&RawValue>()? {
            if Some(at) == wanted {
                found = Some(item);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// Whether a key is this one.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
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

    fn found(pointer: &str, json: &str) -> Option<String> {
        let json = RawValue::from_string(json.to_owned()).unwrap();
        Pointer::parse(pointer).unwrap().find(&json).map(|value| value.get().to_owned())
    }

    #[test]
    fn members_are_found_as_they_stand() {
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
            assert_eq!(found(pointer, json).as_deref(), expected, "{pointer}");
        }
        for error in ["", "a", "/~", "/~2"] {
            assert_eq!(Pointer::parse(error), None, "{error}");
        }
    }

    #[test]
    fn only_scalars_are_compared() {
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
    fn what_is_no_json_has_no_members() {
        for json in ["", "{", r#"{"a":1"#, "5", r#"{"a":}"#] {
            assert!(member(json, "a").is_none(), "{json}");
        }
        let deep = format!(r#"{{"b":{}1{},"a":2}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(member(&deep, "a").map(RawValue::get), Some("2"));
    }
}
