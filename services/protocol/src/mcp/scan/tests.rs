//! The scanner agrees with another reader of JSON on every text, however the text is cut.

use std::ops::Range;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use crate::mcp::depth::MAX_DEPTH;

fn scan(text: &[u8], cuts: &[usize]) -> Result<(), ScanFault> {
    let mut scanner = Scanner::new();
    let mut from = 0;
    for &cut in cuts.iter().filter(|cut| **cut < text.len()) {
        let cut = cut.max(from);
        scanner.feed(&text[from..cut], &mut Unobserved)?;
        from = cut;
    }
    scanner.feed(&text[from..], &mut Unobserved)?;
    scanner.finish(&mut Unobserved)
}

/// Returns the verdict of `serde_json`, which takes line breaks between tokens and any nesting, and does not check the UTF-8 of what
/// it ignores.
fn is_json(text: &[u8]) -> bool {
    let one_line = !text.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    std::str::from_utf8(text).is_ok_and(|text| one_line && serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[test]
fn valid_texts_are_taken_at_every_cut() {
    let long = format!("\"{}é{}\\n😀\"", "a".repeat(100), "b".repeat(70));
    for text in [
        "0",
        "-0",
        "10",
        "-1.5e+10",
        "1E0",
        "0.0",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ 1 ,\t2 ] ",
        "[[],{}]",
        r#"{"a":{"b":[1,"x",null]},"":0}"#,
        r#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00\ud800""#,
        "\"é€😀\u{7f}\"",
        &long,
    ] {
        assert!(is_json(text.as_bytes()), "{text}");
        for cut in 0..=text.len() {
            assert_eq!(scan(text.as_bytes(), &[cut]), Ok(()), "{text} cut at {cut}");
        }
        let every: Vec<usize> = (1..text.len()).collect();
        assert_eq!(scan(text.as_bytes(), &every), Ok(()), "{text} byte by byte");
    }
}

/// Texts that are refused.
const INVALID: &[(&[u8], ScanFault)] = &[
    (b"", ScanFault::Truncated),
    (b" ", ScanFault::Truncated),
    (b"[", ScanFault::Truncated),
    (b"[1", ScanFault::Truncated),
    (b"{\"a\"", ScanFault::Truncated),
    (b"\"a", ScanFault::Truncated),
    (b"\"\\", ScanFault::Truncated),
    (b"\"\\u00", ScanFault::Truncated),
    (b"-", ScanFault::Truncated),
    (b"1.", ScanFault::Truncated),
    (b"1e", ScanFault::Truncated),
    (b"tru", ScanFault::Truncated),
    (b"{} {}", ScanFault::Syntax),
    (b"{},\"id\":8", ScanFault::Syntax),
    (b"1 2", ScanFault::Syntax),
    (b"01", ScanFault::Syntax),
    (b"+1", ScanFault::Syntax),
    (b".5", ScanFault::Syntax),
    (b"1.e1", ScanFault::Syntax),
    (b"-a", ScanFault::Syntax),
    (b"truE", ScanFault::Syntax),
    (b"nul1", ScanFault::Syntax),
    (b"[1,]", ScanFault::Syntax),
    (b"{,}", ScanFault::Syntax),
    (b"{\"a\":1,}", ScanFault::Syntax),
    (b"{\"a\" 1}", ScanFault::Syntax),
    (b"{1:2}", ScanFault::Syntax),
    (b"[1}", ScanFault::Syntax),
    (b"{\"a\":1]", ScanFault::Syntax),
    (b"]", ScanFault::Syntax),
    (b"}", ScanFault::Syntax),
    (b",", ScanFault::Syntax),
    (b"'a'", ScanFault::Syntax),
    (b"\"\x00\"", ScanFault::Syntax),
    (b"\"\n\"", ScanFault::Syntax),
    (b"\"\\x\"", ScanFault::Syntax),
    (b"\"\\u00g0\"", ScanFault::Syntax),
    (b"NaN", ScanFault::Syntax),
    (b"\xef\xbb\xbf{}", ScanFault::Syntax),
    (b"{\"a\":1 \"b\":2}", ScanFault::Syntax),
    (b"\"\xff\"", ScanFault::NotUtf8),
    (b"\"\xc3\"", ScanFault::NotUtf8),
    (b"\"\xed\xa0\x80\"", ScanFault::NotUtf8),
    (b"\"\xc0\xaf\"", ScanFault::NotUtf8),
    (b"\"\xf5\x80\x80\x80\"", ScanFault::NotUtf8),
    (b"\"\xe2\x82", ScanFault::Truncated),
    (b"[1,\n2]", ScanFault::LineBreak),
    (b"{}\r", ScanFault::LineBreak),
];

#[test]
fn invalid_texts_are_refused_for_what_they_are() {
    let deep = "[".repeat(MAX_DEPTH + 1);
    let too_deep = (deep.as_bytes(), ScanFault::TooDeep);
    for (text, fault) in INVALID.iter().chain([&too_deep]) {
        assert_eq!(scan(text, &[]), Err(*fault), "{}", String::from_utf8_lossy(text));
        let every: Vec<usize> = (1..text.len()).collect();
        assert_eq!(scan(text, &every), Err(*fault), "{} byte by byte", String::from_utf8_lossy(text));
    }
    let most = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(scan(most.as_bytes(), &[]), Ok(()));
}

/// Observer that writes down what it gets, down to depth 1.
#[derive(Default)]
struct Recorder {
    text: Vec<u8>,
    seen: Vec<(usize, String)>,
}

impl Observer for Recorder {
    fn watches(&self, depth: usize) -> bool {
        depth <= 1
    }
    fn begin(&mut self, depth: usize, kind: ValueKind, _: usize) {
        self.text.clear();
        self.seen.push((depth, format!("{kind:?}")));
    }
    fn text(&mut self, part: &[u8]) {
        self.text.extend_from_slice(part);
    }
    fn end_key(&mut self, depth: usize, _: Range<usize>) {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        self.seen.push((depth, text));
    }
    fn end_value(&mut self, depth: usize, _: usize) {
        let text = std::mem::take(&mut self.text);
        self.seen.push((depth, format!("={}", text.escape_ascii())));
    }
}

#[test]
fn an_observer_gets_decoded_text_however_it_is_cut() {
    let text =
        r#"{"\u0069d":"a\n\uD83D\uDE00\uD83Dé","n":-1.5e2,"o":{"x":"y"},"l":null,"a":["z"]}"#.as_bytes();
    let expected = [
        (0, "Object"),
        (1, "id"),
        (1, "String"),
        (1, r"=a\n\xf0\x9f\x98\x80\xed\xa0\xbd\xc3\xa9"),
        (1, "n"),
        (1, "Number"),
        (1, "=-1.5e2"),
        (1, "o"),
        (1, "Object"),
        (1, "="),
        (1, "l"),
        (1, "Literal"),
        (1, "="),
        (1, "a"),
        (1, "Array"),
        (1, "="),
        (0, "="),
    ];
    for cut in 0..text.len() {
        let (mut scanner, mut recorder) = (Scanner::new(), Recorder::default());
        scanner.feed(&text[..cut], &mut recorder).unwrap();
        scanner.feed(&text[cut..], &mut recorder).unwrap();
        scanner.finish(&mut recorder).unwrap();
        let seen: Vec<(usize, &str)> =
            recorder.seen.iter().map(|(depth, text)| (*depth, text.as_str())).collect();
        assert_eq!(seen, expected, "cut at {cut}");
    }
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,60}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_taken_at_any_cuts(value in value(), mut cuts in prop::collection::vec(0_usize..400, 0..8)) {
        cuts.sort_unstable();
        prop_assert_eq!(scan(value.to_string().as_bytes(), &cuts), Ok(()));
    }

    #[test]
    fn a_damaged_value_gets_the_verdict_of_another_reader(
        value in value(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"\"\\{}[],:0.e-tfn "[..])],
        mut cuts in prop::collection::vec(0_usize..400, 0..8),
    ) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        cuts.sort_unstable();
        prop_assert_eq!(scan(&text, &cuts).is_ok(), is_json(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_bytes_get_the_verdict_of_another_reader(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(&b"\"\\u00dD8[]{},:0123.eE+-truefalsn \xc3\xa9\t"[..]), 0..24),
        ],
        mut cuts in prop::collection::vec(0_usize..40, 0..8),
    ) {
        cuts.sort_unstable();
        prop_assert_eq!(scan(&text, &cuts).is_ok(), is_json(&text), "{}", String::from_utf8_lossy(&text));
    }
}
