//! Room in a slave's full journal: calls whose readers stopped give way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "pair/pair.rs"]
mod pair;

use std::time::Duration;

use bytes::Bytes;
use pair::{CALL, Pair, ReaderSink, Received};
use protocol::link::call::ResponseEvent;
use protocol::link::frame::Flags;
use protocol::link::ids::CallId;
use protocol::link::slave_end::{STALLED_AFTER, SlaveEvent, WriteOutcome};
use protocol::mcp::failure::Failure;

/// Opens calls 7 and up, and ends each with a result of so many bytes, which nobody reads.
fn unread_results(pair: &mut Pair, results: &[usize]) {
    for (index, size) in results.iter().enumerate() {
        let id = CallId(CALL.0 + index as u128);
        pair.proxy.open(id, b"{}", Bytes::from_static(b"m"), pair.ear.clone()).unwrap();
        pair.flow();
        pair.slave.end(id, Bytes::from(vec![b'r'; *size]), Flags::NONE, 0);
        pair.flow();
        pair.now += Duration::from_millis(10);
    }
    pair.received();
}

#[test]
fn calls_whose_readers_stopped_give_way_to_new_results_the_longest_stopped_first() {
    let mut pair = Pair::new();
    unread_results(&mut pair, &[1900, 1900]);
    pair.now += STALLED_AFTER;
    let (new, ear) = (CallId(100), ReaderSink::default());
    pair.proxy.open(new, b"{}", Bytes::from_static(b"m"), ear.clone()).unwrap();
    pair.flow();
    assert_eq!(pair.slave.end(new, Bytes::from(vec![b'n'; 500]), Flags::NONE, 0), WriteOutcome::More);
    pair.flow();
    let failed = Received::Event(ResponseEvent::Failed(Failure::OutcomeUnknown));
    assert_eq!(pair.received(), [failed], "one call gave way");
    assert!(matches!(&ear.0.borrow()[..], [Received::Event(ResponseEvent::End { error: false, .. }), ..]));
    assert_eq!(pair.slave.calls(), 2);
    assert_eq!(pair.slave.recount(), (pair.slave.journal_bytes(), 0));
}

#[test]
fn a_result_fails_where_the_readers_of_all_others_read() {
    let mut pair = Pair::new();
    unread_results(&mut pair, &[1900, 1900]);
    // They took nothing for a short time only.
    pair.now += STALLED_AFTER / 2;
    let (new, ear) = (CallId(100), ReaderSink::default());
    pair.proxy.open(new, b"{}", Bytes::from_static(b"m"), ear.clone()).unwrap();
    pair.flow();
    pair.slave.end(new, Bytes::from(vec![b'n'; 500]), Flags::NONE, 0);
    pair.flow();
    assert_eq!(pair.received(), [], "none gave way");
    assert!(matches!(&ear.0.borrow()[..], [Received::Event(ResponseEvent::End { error: true, .. })]));
    // Nor do they where that would not be enough.
    pair.now += STALLED_AFTER;
    pair.proxy.open(CallId(101), b"{}", Bytes::from_static(b"m"), ear).unwrap();
    pair.flow();
    pair.slave.end(CallId(101), Bytes::from(vec![b'n'; 4097]), Flags::NONE, 0);
    pair.flow();
    assert_eq!(pair.received(), []);
}

#[test]
fn a_call_that_writes_on_and_is_not_read_is_stopped_when_it_gives_way() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.events();
    assert_eq!(pair.slave.event(CALL, Bytes::from(vec![b'e'; 4000]), Flags::NONE), WriteOutcome::Wait);
    pair.flow();
    pair.received();
    pair.now += STALLED_AFTER;
    let new = CallId(100);
    pair.proxy.open(new, b"{}", Bytes::from_static(b"m"), ReaderSink::default()).unwrap();
    pair.flow();
    pair.slave.end(new, Bytes::from(vec![b'n'; 500]), Flags::NONE, 0);
    let stopped = SlaveEvent::Stop { call: CALL };
    assert_eq!(pair.events().into_iter().filter(|event| *event == stopped).count(), 1);
    pair.flow();
    assert_eq!(pair.received(), [Received::Event(ResponseEvent::Failed(Failure::OutcomeUnknown))]);
    assert_eq!(pair.slave.end(CALL, Bytes::new(), Flags::NONE, 0), WriteOutcome::Gone);
}

#[test]
fn the_client_that_holds_most_gives_way_first_and_others_keep_what_they_have() {
    let mut pair = Pair::new();
    // The first call is the oldest; the two others are one client's and hold more together.
    unread_results(&mut pair, &[1500, 1000, 1000]);
    for (call, client) in [(0, 1), (1, 2), (2, 2)] {
        pair.slave.set_client(CallId(CALL.0 + call), Some(client));
    }
    pair.now += STALLED_AFTER;
    let (new, ear) = (CallId(100), ReaderSink::default());
    pair.proxy.open(new, b"{}", Bytes::from_static(b"m"), ear.clone()).unwrap();
    pair.flow();
    assert_eq!(pair.slave.end(new, Bytes::from(vec![b'n'; 1000]), Flags::NONE, 0), WriteOutcome::More);
    let gave_up = |pair: &mut Pair| {
        let events = pair.events().into_iter();
        events
            .filter_map(|event| match event {
                SlaveEvent::GaveUp { call } => Some(call.0 - CALL.0),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(gave_up(&mut pair), [1], "the longer stopped call of the client with 2000 bytes");
    // Now the first client holds most.
    pair.now += STALLED_AFTER;
    pair.proxy.open(CallId(101), b"{}", Bytes::from_static(b"m"), ear).unwrap();
    pair.flow();
    pair.slave.end(CallId(101), Bytes::from(vec![b'n'; 1000]), Flags::NONE, 0);
    assert_eq!(gave_up(&mut pair), [0]);
}
