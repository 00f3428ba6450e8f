//! Members near the outside of a large JSON object, found in one pass that takes many bytes of long strings at a time. Must not know what
//! the members mean.
//!
//! A general reader of JSON takes several times as long for a message whose bulk is one string. It reads what has no outline, and all
//! that is small.

use std::ops::Range;

use serde::Deserialize;

use super::scan::{Observer, Scanner, ValueKind};

/// Bytes from which on a text is worth an outline.
const LARGE: usize = 4 * 1024;

/// Members that an outline has room for.
const MAX_MEMBERS: usize = 48;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its key, written without escapes.
    pub key: &'a [u8],
    /// Where its value stands in the text.
    pub value: Range<usize>,
}

/// Members of a JSON object, and of the object that is the value of one of them.
#[derive(Debug)]
pub struct Outline<'a> {
    text: &'a [u8],
    /// Members of the object itself.
    pub outer: Vec<Member<'a>>,
    /// Members of the inner object.
    pub inner: Vec<Member<'a>>,
}

impl<'a> Outline<'a> {
    /// Returns the outline of a text, whose member `inside` is looked into where it is an object. `None`: the text is small, or not one JSON object on one line
    /// in UTF-8 with few members whose keys have no escapes, none of them twice.
    pub fn of(text: &'a [u8], inside: &'static str) -> Option<Self> {
        if text.len() < LARGE {
            return None;
        }
        let outline = Self { text, outer: Vec::with_capacity(8), inner: Vec::with_capacity(8) };
        let mut collector = Collector {
            outline,
            inside: inside.as_bytes(),
            under_way: [(0..0, 0), (0..0, 0)],
            enters: false,
            fits: true,
        };
        let mut scanner = Scanner::new();
        scanner.feed(text, &mut collector).ok()?;
        scanner.finish(&mut collector).ok()?;
        let Collector { outline, fits, .. } = collector;
        (fits && is_each_once(&outline.outer) && is_each_once(&outline.inner)).then_some(outline)
    }

    /// Returns where the value of a member of the object itself stands.
    pub fn find(&self, key: &[u8]) -> Option<&Range<usize>> {
        self.outer.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// Returns the JSON of a value.
    pub fn json(&self, value: &Range<usize>) -> &'a [u8] {
        self.text.get(value.clone()).unwrap_or_default()
    }

    /// Reads a value; `None` where it has another form.
    pub fn read<T: Deserialize<'a>>(&self, value: &Range<usize>) -> Option<T> {
        serde_json::from_slice(self.json(value)).ok()
    }
}

fn is_each_once(members: &[Member<'_>]) -> bool {
    members
        .iter()
        .enumerate()
        .all(|(index, one)| members.iter().skip(index + 1).all(|other| other.key != one.key))
}

/// Observer that collects the members.
struct Collector<'a> {
    outline: Outline<'a>,
    /// Key of the member that is looked into.
    inside: &'static [u8],
    /// Keys under way and where their values begin: of the object itself, and of the inner one.
    under_way: [(Range<usize>, usize); 2],
    /// The value under way is the one that is looked into.
    enters: bool,
    /// All is so far as an outline can have it.
    fits: bool,
}

impl Observer for Collector<'_> {
    fn watches(&self, depth: usize) -> bool {
        depth <= 1 || depth == 2 && self.enters
    }

    fn begin(&mut self, depth: usize, kind: ValueKind, at: usize) {
        if depth == 1 {
            self.enters &= kind == ValueKind::Object;
        }
        match depth.checked_sub(1).and_then(|level| self.under_way.get_mut(level)) {
            Some(member) => member.1 = at,
            None => self.fits &= kind == ValueKind::Object,
        }
    }

    fn text(&mut self, _: &[u8]) {}

    fn end_key(&mut self, depth: usize, key: Range<usize>) {
        let text = self.outline.json(&key);
        self.fits &= memchr::memchr(b'\\', text).is_none();
        if depth == 1 {
            self.enters = text == self.inside;
        }
        if let Some(member) = depth.checked_sub(1).and_then(|level| self.under_way.get_mut(level)) {
            member.0 = key;
        }
    }

    fn end_value(&mut self, depth: usize, end: usize) {
        let Some((key, at)) = depth.checked_sub(1).and_then(|level| self.under_way.get(level)) else {
            return;
        };
        let member = Member { key: self.outline.json(key), value: *at..end };
        let members = if depth == 1 { &mut self.outline.outer } else { &mut self.outline.inner };
        if members.len() < MAX_MEMBERS {
            members.push(member);
        } else {
            self.fits = false;
        }
        if depth == 1 {
            self.enters = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn large(rest: &str) -> String {
        format!(r#"{{"bulk":"{}"{rest}}}"#, "x".repeat(LARGE))
    }

    fn shown<'a>(outline: &Outline<'a>, members: &[Member<'a>]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        members.iter().map(|member| (text(member.key), text(outline.json(&member.value)))).collect()
    }

    #[test]
    fn members_of_the_object_and_of_the_one_inside_are_found_with_their_values() {
        let text = large(
            r#", "id" : 1.5e3 ,"params":{ "a":[{"b":"c"}] , "é":null},"other":{"d":true},"params2":"\"{" "#,
        );
        let outline = Outline::of(text.as_bytes(), "params").unwrap();
        let outer = shown(&outline, &outline.outer);
        let expected = [
            ("id", "1.5e3"),
            ("params", r#"{ "a":[{"b":"c"}] , "é":null}"#),
            ("other", r#"{"d":true}"#),
            ("params2", r#""\"{""#),
        ];
        assert_eq!(outer[1..], expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let inner = shown(&outline, &outline.inner);
        assert_eq!(
            inner,
            [("a", r#"[{"b":"c"}]"#), ("é", "null")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert_eq!(outline.read::<f64>(&outline.outer[1].value), Some(1500.0));
        assert_eq!(outline.read::<String>(&outline.outer[1].value), None);
    }

    #[test]
    fn what_the_general_reader_has_to_read_has_no_outline() {
        let many = (0..=MAX_MEMBERS).map(|n| format!(r#","m{n}":0"#)).collect::<Vec<_>>().concat();
        for text in [
            r#"{"id":1}"#.to_owned(),
            format!("[{}]", large("")),
            format!("{} 1", large("")),
            large(r#","id":1,"id":1"#),
            large(r#","params":{"a":1,"a":1}"#),
            large(r#","i\u0064":1"#),
            large(r#","params":{"\"":1}"#),
            large(",\n\"id\":1"),
            large(r#","id":01"#),
            large(&many),
        ] {
            assert!(
                Outline::of(text.as_bytes(), "params").is_none(),
                "{}",
                &text[text.len().saturating_sub(40)..]
            );
        }
        let mut not_utf8 = large(r#","a":"b""#).into_bytes();
        let at = not_utf8.len() - 3;
        not_utf8[at] = 0xff;
        assert!(Outline::of(&not_utf8, "params").is_none());
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(Value::from("y".repeat(LARGE))),
        ];
        scalar.prop_recursive(3, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c]|params", inner), 0..5)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_outline_says_what_the_general_reader_says(value in value()) {
            let text = value.to_string();
            let Some(outline) = Outline::of(text.as_bytes(), "params") else {
                prop_assert!(text.len() < LARGE || !value.is_object());
                return Ok(());
            };
            let read = |members: &[Member<'_>]| -> Map<String, Value> {
                shown(&outline, members).into_iter().map(|(key, json)| (key, serde_json::from_str(&json).unwrap())).collect()
            };
            let object = value.as_object().unwrap();
            prop_assert_eq!(&read(&outline.outer), object);
            let inner = object.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
            prop_assert_eq!(read(&outline.inner), inner);
        }
    }
}
