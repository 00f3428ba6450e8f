//! The scanner of JSON on any bytes in any pieces: no panic, the verdict of serde_json, and the same verdict for a call's message
//! whole and in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::mcp::call_message::{CallRules, MessageCheck, MessageFault, MessageShape, ProgressToken};
use protocol::mcp::depth::MAX_DEPTH;
use protocol::mcp::era::Era;
use protocol::mcp::scan::{ScanFault, Scanner, Unobserved};

fuzz_target!(|data: &[u8]| {
    let Some((&size, text)) = data.split_first() else { return };
    let pieces = || text.chunks(usize::from(size).max(1));

    let mut scanner = Scanner::new();
    let scanned = pieces().try_for_each(|piece| scanner.feed(piece, &mut Unobserved));
    let scanned = scanned.and_then(|()| scanner.finish(&mut Unobserved));
    let one_line = !text.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    let is_json = std::str::from_utf8(text)
        .is_ok_and(|text| one_line && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    if scanned != Err(ScanFault::TooDeep) {
        assert_eq!(scanned.is_ok(), is_json);
    } else {
        assert!(text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > MAX_DEPTH);
    }

    let token = ProgressToken::parse("\"t\"");
    let rules = CallRules { era: Era::Legacy, label: None, token: token.as_ref() };
    for shape in [MessageShape::Event, MessageShape::Result, MessageShape::Error] {
        let mut check = MessageCheck::new(shape);
        let in_pieces = pieces().try_for_each(|piece| check.feed(piece, rules));
        let in_pieces: Result<(), MessageFault> = in_pieces.and_then(|()| check.finish(rules));
        assert_eq!(in_pieces.is_ok(), MessageCheck::whole(shape, text, rules).is_ok());
        assert!(in_pieces.is_err() || is_json);
    }
});
