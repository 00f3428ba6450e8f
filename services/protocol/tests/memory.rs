//! Memory that decoding takes for hostile input, by a counting allocator: never more than a small multiple of the limits.

#![allow(clippy::cast_possible_truncation, reason = "small random numbers")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the simulations use the rest")]
#[path = "simulation/rng.rs"]
mod rng;

use std::hint::black_box;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::handshake::{Auth, AuthReply};
use protocol::link::ids::CallId;
use protocol::link::limits::{MAX_AUTH, MAX_BATCH, MAX_CHUNK};
use protocol::link::reassembler::Reassembler;
use protocol::mcp::catalog::{CatalogPart, ListChange, ListKind, MAX_CATALOG, RawList, backend_at_head};
use protocol::mcp::envelope;
use rng::Rng;

/// Bytes that a batch takes to count those who share it.
const SHARED_COUNT: u64 = 64;

/// Largest memory for parsed JSON, in bytes for each byte of the text: an element of two bytes becomes a value of some 32, and the
/// list doubles while it grows.
const JSON_FACTOR: u64 = 100;

/// Returns the most bytes that were allocated at once while this ran.
fn peak<T>(run: impl FnOnce() -> T) -> u64 {
    measure(|| drop(black_box(run()))).bytes_max
}

/// Reads a batch to its end or its first fault.
fn read(batch: &mut Bytes) {
    while let Ok(Some(frame)) = Frame::decode(batch) {
        drop(frame);
    }
}

fn assert_peak(what: &str, text_len: usize, peak: u64, limit: u64) {
    assert!(peak <= limit, "{what} of {text_len} bytes took {peak}, at most {limit} allowed");
}

/// Texts of about this length that cost much to parse, each with what it is.
fn hostile_json(len: usize) -> Vec<(&'static str, String)> {
    let list = |element: &str| vec![element; len / (element.len() + 1)].join(",");
    let members = (0..len / 10).map(|n| format!("\"{n:06}\":0")).collect::<Vec<_>>().join(",");
    vec![
        ("an open list of numbers", format!("[{}", list("0"))),
        ("a list of numbers", format!("[{}]", list("0"))),
        ("a list of lists", format!("[{}]", list("[]"))),
        ("deep nesting", "[".repeat(len)),
        ("a long string", format!("\"{}\"", "x".repeat(len))),
        ("a string of escapes", format!("\"{}\"", "\\n".repeat(len / 2))),
        ("an object of many members", format!("{{{members}}}")),
    ]
}

#[test]
fn a_batch_of_frames_is_read_without_a_copy() {
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let mut bytes: Vec<u8> = (0..rng.between(0, MAX_BATCH / 16)).map(|_| rng.next() as u8).collect();
        // Mostly frames that can be read up to their length or further.
        if let Some(head) = bytes.get_mut(..8) {
            head.copy_from_slice(&[rng.between(1, 12) as u8, 0, 0, 0, 0, 0, rng.below(256) as u8, 0]);
        }
        let mut batch = Bytes::from(bytes);
        let peak = peak(|| read(&mut batch));
        assert!(peak <= SHARED_COUNT, "{peak} bytes");
    }
    let mut batch = BytesMut::new();
    let chunk = Frame { payload: vec![0; 100].into(), ..Frame::bare(FrameKind::Event, CallId(1), 0) };
    (0..1000).for_each(|_| chunk.encode(&mut batch));
    let mut batch = batch.freeze();
    assert!(peak(|| read(&mut batch)) <= SHARED_COUNT);
}

#[test]
fn a_first_message_takes_memory_in_proportion_to_its_limit_and_none_beyond_it() {
    let limit = JSON_FACTOR * MAX_AUTH as u64;
    for (what, json) in hostile_json(MAX_AUTH - 100) {
        for text in [
            json.clone(),
            format!(r#"{{"type":"auth","slaveCode":"c","protocol":{json}}}"#),
            format!(
                r#"{{"type":"auth","slaveCode":"c","protocol":{{"name":"mcp-relay","versions":{json}}}}}"#
            ),
            format!(r#"{{"type":"auth","slaveCode":{json}}}"#),
        ] {
            assert_peak(what, text.len(), peak(|| Auth::parse(&text)), limit);
            assert_peak(what, text.len(), peak(|| AuthReply::parse(&text)), limit);
        }
        let beyond = json.repeat(20);
        assert_peak(what, beyond.len(), peak(|| Auth::parse(&beyond)), 0);
    }
}

/// Reads a part of a catalog with its lists, as the proxy does.
fn read_part(json: &[u8]) {
    let Ok(CatalogPart::Backend(part)) = CatalogPart::parse(json) else { return };
    for (kind, list) in ListKind::ALL.into_iter().zip(part.lists) {
        let ListChange::Replaced(list) = list else { continue };
        let Ok(list) = RawList::parse(kind, list) else { continue };
        drop(black_box(list.entries()));
    }
}

#[test]
fn a_part_of_a_catalog_takes_memory_in_proportion_to_its_length_and_none_beyond_its_limit() {
    let len = 256 * 1024;
    let of = |lists: &str| format!(r#"{{"backend":"b","lists":{{{lists}}}}}"#);
    let uris = vec![r#"{"uri":""}"#; len / 11].join(",");
    let names: Vec<String> = (0..len / 18).map(|n| format!(r#"{{"name":"{n:06}"}}"#)).collect();
    let lists = [
        of(&format!(r#""resources":{{"items":[{uris}]}}"#)),
        of(&format!(r#""tools":{{"items":[{}]}}"#, names.join(","))),
    ];
    let nested = hostile_json(len).into_iter().flat_map(|(_, json)| {
        let list = of(&format!(r#""tools":{{"items":{json}}}"#));
        [list, of(&format!(r#""tools":{json}"#)), format!(r#"{{"backend":{json}}}"#), json]
    });
    for text in lists.into_iter().chain(nested) {
        let limit = JSON_FACTOR * text.len() as u64;
        assert_peak("a part", text.len(), peak(|| read_part(text.as_bytes())), limit);
        // The name of a backend, unescaped once, and a quotation of it in an error.
        let limit = 8 * text.len() as u64 + 1024;
        assert_peak("its head", text.len(), peak(|| backend_at_head(text.as_bytes())), limit);
    }
    let beyond = vec![b' '; MAX_CATALOG + 1];
    assert_peak("a part", beyond.len(), peak(|| read_part(&beyond)), 0);
}

#[test]
fn an_envelope_takes_memory_for_single_strings_only() {
    for (what, json) in hostile_json(256 * 1024) {
        for text in [
            json.clone(),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{json}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{json}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":{json},"method":{json}}}"#),
        ] {
            // The parser's buffer for one string doubles while it grows; an error quotes the string with its escapes.
            let limit = 8 * text.len() as u64 + 1024;
            assert_peak(what, text.len(), peak(|| envelope::parse(text.as_bytes()).is_ok()), limit);
        }
    }
}

#[test]
fn a_reassembler_holds_no_more_than_its_limit_allows() {
    let limit = 10 * MAX_CHUNK;
    let payload = Bytes::from(vec![0; MAX_CHUNK]);
    let peak = peak(|| {
        let mut reassembler = Reassembler::new(limit);
        for _ in 0..1000 {
            let seq = reassembler.next();
            let chunk = Frame::bare(FrameKind::Event, CallId(1), seq);
            let _ = reassembler.push(Frame { flags: Flags::MORE, payload: payload.clone(), ..chunk });
        }
        reassembler
    });
    assert_peak("a message", limit, peak, 4 * limit as u64);
}
