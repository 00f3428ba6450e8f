//! Tests of the lenient scanner, by tables and by properties. Must not know what is done about a message.

use proptest::prelude::*;

use super::*;

fn sketch(text: &[u8]) -> MessageSketch {
    let mut sketch = MessageSketch::default();
    sketch.feed(text);
    sketch
}

fn owner(text: &str) -> MessageOwner {
    sketch(text.as_bytes()).owner()
}

#[test]
fn the_id_is_found_wherever_it_stands_and_whatever_is_wrong() {
    for text in [
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"xxxx"#,
        r#" { "id" : 7 , "result":{"#,
        r#"{"result":{"id":1,"a":[{"id":2}]},"jsonrpc":"2.0","id":7}"#,
        r#"{"result":{"text":"\"id\":1, \\"},"id": "7" }"#,
        r#"{"result":{"x":NaN,"y":-Infinity},"id":7}"#,
        "{\"result\":{\"text\":\"a\u{1}\tb\nc\"},\"id\":7}",
        r#"{"id":7.0,"result":{}"#,
        r"{'jsonrpc': '2.0', 'id': 7, 'result': {'content': []}}",
        r#"{"jsonrpc":"2.0","id":7,"id":7,"result":{}}"#,
        r#"[{"jsonrpc":"2.0","id":7,"result":{"x":nan}}]"#,
        r#"{"id":7,"result":{"text":"a "quoted" word"},"id":9}"#,
    ] {
        assert_eq!(owner(text), MessageOwner::Requests(vec![7]), "{text}");
    }
    assert_eq!(owner(r#"{"id":7,"id":8,"result":{}}"#), MessageOwner::Requests(vec![7, 8]));
    let batch = r#"[{"id":1,"result":{}},{"method":"x","id":2},{"error":{"id":3},"id":4},{"id":"#;
    assert_eq!(owner(batch), MessageOwner::Requests(vec![1, 4]));
}

#[test]
fn text_that_only_looks_like_an_id_is_not_taken() {
    for text in [
        r#"{"jsonrpc":"2.0","id":7"#,
        r#"{"jsonrpc":"2.0","id":"7"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{"id":7}}"#,
        r#"{"result":{"content":[]},"more":{"id":7}}"#,
        r#"{"result":{"text":"\",\"id\":7,\""}}"#,
        r#"{"jsonrpc":"2.0","\u0069d":7}"#,
        r#"{"jsonrpc":"2.0","id":-7,"x":"id"}"#,
        r#"[{"jsonrpc":"2.0","result":[{"id":7}]}"#,
    ] {
        assert_eq!(owner(text), MessageOwner::Unknown, "{text}");
    }
}

#[test]
fn other_text_belongs_to_no_request() {
    for text in [
        "",
        "listening on 3000",
        "[INFO] id: 7, ready",
        "[7]",
        r#"{"level":"info","msg":"x"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":NaN}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"#,
        r#"{"method":"ping","id":7"#,
    ] {
        assert_eq!(owner(text), MessageOwner::NoRequest, "{text}");
    }
}

#[test]
fn faults_are_told_apart() {
    for (text, fault) in [
        (r#"{"id":7,"result":{"x":NaN}}"#, LineFault::NotANumber),
        (r#"{"id":7,"result":[-Infinity]}"#, LineFault::NotANumber),
        ("{\"id\":7,\"result\":{\"text\":\"a\tb\"}}", LineFault::ControlCharacter),
        (r#"{"id":7,"result":{"text":"ab"#, LineFault::Truncated),
        (r#"{"id":7,"result":{}"#, LineFault::Truncated),
        (r#"{"id":7,"id":7,"result":{}}"#, LineFault::DuplicateMember),
        (r#"{"id":7,"result":{},"result":{}}"#, LineFault::DuplicateMember),
        (r#"{"id":7,"result":{"x":undefined}}"#, LineFault::Syntax),
        (r#"{"id":7,"result":{"x":1,}}"#, LineFault::Syntax),
        (r"{'id':7}", LineFault::Syntax),
    ] {
        assert_eq!(sketch(text.as_bytes()).fault(), fault, "{text}");
    }
}

/// JSON of any form, nested up to three deep, whose members are often named like those of a message.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<u32>().prop_map(serde_json::Value::from),
        "[\\x00-\\x7f]{0,12}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map("(id|method|result|x)", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_answer_s_own_id_is_found_however_it_is_cut_and_damaged(
        id in any::<u64>(), result in json(), last in any::<bool>(), cuts in prop::collection::vec(0usize..400, 0..6),
        damage in prop::option::of((0usize..400, prop::sample::select(&[b'\x80', b'\x01', b'\xff'][..]))),
    ) {
        let text = if last {
            format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{id}}}"#)
        } else {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
        };
        let mut text = text.into_bytes();
        // Damage inside strings of the result only: elsewhere it changes what the message is.
        if let Some((at, byte)) = damage
            && let Some(place) = text.iter_mut().skip(30).filter(|b| b.is_ascii_lowercase() && **b == b'x').nth(at % 7)
        {
            *place = byte;
        }
        let mut pieces = MessageSketch::default();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            pieces.feed(&text[from..cut]);
            from = cut;
        }
        prop_assert_eq!(pieces.owner(), MessageOwner::Requests(vec![id]));
    }

    #[test]
    fn a_truncated_answer_is_never_another_one_s(id in any::<u64>(), result in json(), end in 0usize..500) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let end = end % (text.len() + 1);
        match sketch(&text.as_bytes()[..end]).owner() {
            MessageOwner::Requests(ids) => prop_assert_eq!(ids, vec![id]),
            MessageOwner::NoRequest | MessageOwner::Unknown => {}
        }
    }

    #[test]
    fn nothing_disturbs_the_scanner_or_makes_it_grow(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let sketch = sketch(&bytes);
        let _ = (sketch.owner(), sketch.fault());
        prop_assert!(sketch.ids.len() <= MAX_IDS && sketch.word.len() <= MAX_WORD + 1);
    }
}
