//! Replacement of parts of a JSON message; all other bytes are copied as they are. Must not know which message it is.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

/// Returns the range of `raw`, borrowed from `source`, in `source`; an empty range if it does not stand there.
pub fn range_in(source: &[u8], raw: &RawValue) -> Range<usize> {
    let text = raw.get();
    let start = (text.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
    if start > source.len() || text.len() > source.len() - start {
        return 0..0;
    }
    start..start + text.len()
}

/// The replacement of one range of bytes. An empty range inserts.
pub struct Edit<'a> {
    /// The bytes that are replaced.
    pub range: Range<usize>,
    /// The bytes that take their place.
    pub with: &'a [u8],
}

/// Returns `source` with the edits made, in one allocation that has room for `spare` more bytes. Edits may come in any
/// order; they must not overlap.
pub fn splice(source: &[u8], edits: &mut [Edit<'_>], spare: usize) -> Vec<u8> {
    edits.sort_by_key(|edit| edit.range.start);
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut out = Vec::with_capacity(source.len() + added + spare);
    let mut copied = 0;
    for edit in edits {
        out.extend_from_slice(source.get(copied..edit.range.start).unwrap_or_default());
        out.extend_from_slice(edit.with);
        copied = edit.range.end;
    }
    out.extend_from_slice(source.get(copied..).unwrap_or_default());
    out
}

/// Returns the range of a member, key and comma included, whose value has this range in `source`; `None` where there is no key before
/// it.
pub fn member_at(source: &[u8], value: &Range<usize>) -> Option<Range<usize>> {
    let key_end = source.get(..value.start)?.iter().rposition(|byte| *byte == b'"')?;
    // A key has no quotation mark inside that is not escaped, and an escaped one is preceded by a backslash.
    let mut start = source.get(..key_end)?.iter().rposition(|byte| *byte == b'"')?;
    while start > 0 && source.get(start - 1) == Some(&b'\\') {
        start = source.get(..start)?.iter().rposition(|byte| *byte == b'"')?;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let before = source.get(..start)?.iter().rposition(|byte| !is_space(byte))?;
    if source.get(before) == Some(&b',') {
        return Some(before..value.end);
    }
    let after = source.get(value.end..)?.iter().position(|byte| !is_space(byte))?;
    let comma = usize::from(source.get(value.end + after) == Some(&b','));
    Some(start..value.end + if comma == 1 { after + 1 } else { 0 })
}

/// Returns `source` with one range replaced.
pub fn replace(source: &[u8], range: Range<usize>, with: &[u8]) -> Bytes {
    splice(source, &mut [Edit { range, with }], 0).into()
}

/// Replaces newlines by spaces: in JSON they can only stand between tokens, where a space means the same.
pub fn strip_newlines(json: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = json.get(from..).and_then(|rest| memchr::memchr2(b'\n', b'\r', rest)) {
        json[from + at] = b' ';
        from += at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_in_any_order_keep_the_rest() {
        let out = splice(
            b"0123456789",
            &mut [
                Edit { range: 8..10, with: b"" },
                Edit { range: 2..4, with: b"xyz" },
                Edit { range: 5..5, with: b"+" },
            ],
            0,
        );
        assert_eq!(out, b"01xyz4+567");
        assert_eq!(splice(b"abc", &mut [], 0), b"abc");
    }

    #[test]
    fn a_range_is_found_only_in_its_own_source() {
        #[derive(serde::Deserialize)]
        struct A<'a> {
            #[serde(borrow)]
            a: &'a RawValue,
        }
        let source = String::from(r#"{"a": [1,2]}"#);
        let parsed: A<'_> = serde_json::from_str(&source).unwrap();
        let range = range_in(source.as_bytes(), parsed.a);
        assert_eq!(&source[range], "[1,2]");
        let elsewhere = RawValue::from_string("[1,2]".into()).unwrap();
        assert_eq!(range_in(b"x", &elsewhere), 0..0);
    }

    #[test]
    fn a_member_is_found_with_its_key_and_one_comma() {
        for (source, left) in [
            (r#"{"a":1 , "x" : {"y":2},"b":3}"#, r#"{"a":1 ,"b":3}"#),
            (r#"{"x":{"y":2}, "b":3}"#, r#"{ "b":3}"#),
            (r#"{ "x":{"y":2} }"#, "{  }"),
            (r#"{"a":1,"x":{"y":2}}"#, r#"{"a":1}"#),
            (r#"{"a":"\\\"","\u0078":{"y":2}}"#, r#"{"a":"\\\""}"#),
        ] {
            let at = source.find("{\"y\":2}").unwrap();
            let member = member_at(source.as_bytes(), &(at..at + 7)).unwrap();
            assert_eq!(replace(source.as_bytes(), member, b"").as_ref(), left.as_bytes(), "{source}");
        }
        assert_eq!(member_at(b"[1]", &(1..2)), None);
    }

    #[test]
    fn newlines_become_spaces() {
        let mut json = b"{\r\n\"a\\n\":\n1}".to_vec();
        strip_newlines(&mut json);
        assert_eq!(json, b"{  \"a\\n\": 1}");
    }
}
