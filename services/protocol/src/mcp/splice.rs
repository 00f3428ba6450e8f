//! Replacement of parts of a JSON message; all other bytes are copied as they are. Must not know which message it is.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

/// Bytes from which on it pays to share memory in place of copying.
const MIN_SHARED: usize = 4 * 1024;

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

/// A text in pieces, one behind the other.
#[derive(Clone, Debug)]
pub struct Pieces {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl From<Bytes> for Pieces {
    fn from(whole: Bytes) -> Self {
        Self { first: whole, rest: Vec::new() }
    }
}

impl Pieces {
    /// Returns the whole text.
    pub fn join(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.into_iter().collect::<Vec<_>>().concat().into() }
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::iter::Once<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.rest)
    }
}

/// Returns `source` with the edits made and with `end` behind it, as [`splice`] does, in pieces: what is long and stays as it is shares
/// the memory of `source`.
pub fn splice_shared(source: &Bytes, edits: &mut [Edit<'_>], end: &[u8]) -> Pieces {
    edits.sort_by_key(|edit| edit.range.start);
    let (mut pieces, mut copied, mut from) = (Vec::with_capacity(4), Vec::new(), 0);
    let last = Edit { range: source.len()..source.len(), with: end };
    for edit in edits.iter().chain([&last]) {
        let kept = from..edit.range.start;
        if kept.len() < MIN_SHARED {
            copied.extend_from_slice(source.get(kept).unwrap_or_default());
        } else {
            pieces.push(std::mem::take(&mut copied).into());
            pieces.push(source.slice(kept));
        }
        copied.extend_from_slice(edit.with);
        from = edit.range.end;
    }
    pieces.push(copied.into());
    let mut pieces = pieces.into_iter();
    Pieces { first: pieces.next().unwrap_or_default(), rest: pieces.collect() }
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
    fn pieces_are_the_spliced_text_and_share_what_is_long() {
        let source = Bytes::from((0..=255).cycle().take(30_000).collect::<Vec<u8>>());
        for ranges in
            [vec![], vec![0..0, 1..2], vec![5..9, 10..10, 20_000..20_001], vec![4096..25_903, 26_000..30_000]]
        {
            let mut edits: Vec<Edit<'_>> =
                ranges.iter().rev().map(|range| Edit { range: range.clone(), with: b"new" }).collect();
            let expected = [splice(&source, &mut edits, 0), b"end".to_vec()].concat();
            let pieces = splice_shared(&source, &mut edits, b"end");
            for piece in pieces.clone() {
                let is_shared = source.as_ptr_range().contains(&piece.as_ptr());
                assert_eq!(is_shared, piece.len() >= MIN_SHARED, "{ranges:?}: {}", piece.len());
            }
            assert_eq!(pieces.join(), expected, "{ranges:?}");
        }
        assert_eq!(Pieces::from(source.clone()).join().as_ptr(), source.as_ptr());
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
