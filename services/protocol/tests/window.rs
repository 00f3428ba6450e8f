//! Windows that grow over long ways: how many round trips a result or request takes, and what a proxy grants at most.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "pair/pair.rs"]
mod pair;

use std::time::{Duration, Instant};

use bytes::Bytes;
use pair::{CALL, GRACE, LINK, Pair, ReaderSink, Received, peer};
use protocol::link::call::ResponseEvent;
use protocol::link::frame::{Flags, FrameKind};
use protocol::link::ids::{CallId, Seq};
use protocol::link::limits::{DEFAULT_WINDOW, LONG_MESSAGE_CHUNK, LinkLimits, MAX_CHUNK};
use protocol::link::proxy_end::ProxyEnd;
use protocol::link::slave_end::{SlaveEnd, SlaveEvent};
use protocol::link::window::{FAR_DOUBLINGS, MAX_DOUBLINGS, MAX_FAR_CALLS, MAX_GRANTED, doubled};

const TRIP: Duration = Duration::from_millis(40);
const RESULT: usize = 20_000_000;

/// A link of our own ends, whose round trips take [`TRIP`] where that was `measured`.
fn pair(measured: bool) -> Pair {
    let limits = LinkLimits { grace: GRACE, ..LinkLimits::default() };
    let mut pair = Pair {
        now: Instant::now(),
        proxy: ProxyEnd::new(limits.clone()),
        slave: SlaveEnd::new(limits, vec![Bytes::from_static(b"{}")]),
        link: LINK,
        ear: ReaderSink::default(),
    };
    pair.proxy.link_up(DEFAULT_WINDOW);
    pair.slave.link_up(LINK, peer(DEFAULT_WINDOW));
    if measured {
        pair.proxy.set_trip(TRIP);
        pair.slave.set_trip(LINK, TRIP);
    }
    pair
}

/// Number of the part after a part of a result, and its bytes.
fn part(received: &Received) -> (Seq, usize) {
    match received {
        Received::Event(ResponseEvent::End { seq, payload, .. }) => (seq + 1, payload.len()),
        other => panic!("{other:?}"),
    }
}

/// Takes all that has come, part by part. Returns its bytes.
fn take_all(pair: &mut Pair, call: CallId) -> usize {
    let parts: Vec<_> = pair.received().iter().map(part).collect();
    for (next, bytes) in &parts {
        pair.proxy.acknowledge(call, *next, *bytes, pair.now);
    }
    parts.iter().map(|(_, bytes)| bytes).sum()
}

/// Returns the round trips that a result takes whose reader takes everything at once.
fn trips_of_result(bytes: usize, measured: bool) -> usize {
    let mut pair = pair(measured);
    pair.open(b"m");
    pair.deliver_to_slave();
    pair.slave.end(CALL, Bytes::from(vec![b'r'; bytes]), Flags::NONE, 0);
    let (mut taken, mut trips) = (0, 0);
    while taken < bytes {
        pair.deliver_to_proxy();
        taken += take_all(&mut pair, CALL);
        pair.now += TRIP;
        pair.deliver_to_slave();
        trips += 1;
    }
    trips
}

/// Returns the round trips that a request takes.
fn trips_of_request(bytes: usize, measured: bool) -> usize {
    let mut pair = pair(measured);
    pair.open(&vec![b'q'; bytes]);
    for trips in 1.. {
        pair.deliver_to_slave();
        if pair.events().iter().any(|event| matches!(event, SlaveEvent::Start { .. })) {
            return trips;
        }
        pair.now += TRIP;
        assert!(pair.deliver_to_proxy() > 0, "the request stands still");
    }
    unreachable!()
}

#[test]
fn a_large_message_over_a_long_way_takes_few_round_trips() {
    let windows = RESULT.div_ceil(DEFAULT_WINDOW as usize);
    for trips in [trips_of_result, trips_of_request] {
        let (unmeasured, measured) = (trips(RESULT, false), trips(RESULT, true));
        assert!(unmeasured >= windows, "{unmeasured}");
        // Two for each doubling that is left, and one for each of the largest windows.
        let most = usize::from(MAX_DOUBLINGS - FAR_DOUBLINGS) * 2
            + 1
            + RESULT.div_ceil((DEFAULT_WINDOW as usize) << MAX_DOUBLINGS);
        assert!(measured <= most, "{measured} round trips, at most {most} expected");
        assert_eq!(trips(1_000_000, true), 1, "a usual message");
    }
}

#[test]
fn of_many_calls_at_once_the_last_begin_with_the_first_window() {
    let mut pair = pair(true);
    let frames = |pair: &mut Pair| -> Vec<bool> {
        let frames = std::iter::from_fn(|| pair.proxy.poll_transmit(pair.now));
        frames
            .filter(|frame| frame.kind == FrameKind::Open)
            .map(|frame| frame.flags.has(Flags::FAR))
            .collect()
    };
    for call in 1..=20 {
        pair.proxy.open(CallId(call), b"{}", Bytes::from_static(b"m"), ReaderSink::default()).unwrap();
    }
    assert_eq!(frames(&mut pair), [[true; MAX_FAR_CALLS].as_slice(), &[false; 4]].concat());
    for call in 1..=20 {
        pair.proxy.cancel(CallId(call));
    }
    pair.proxy.open(CallId(21), b"{}", Bytes::from_static(b"m"), ReaderSink::default()).unwrap();
    assert_eq!(frames(&mut pair), [true], "what ended gives back what it was granted");
}

#[test]
fn a_reader_that_stops_keeps_no_more_than_the_calls_of_a_slave_are_granted() {
    let mut pair = pair(true);
    let first = DEFAULT_WINDOW as usize;
    let calls: Vec<CallId> = (1..=20).map(CallId).collect();
    let mut ears = Vec::new();
    for call in &calls {
        let ear = ReaderSink::default();
        pair.proxy.open(*call, b"{}", Bytes::from_static(b"m"), ear.clone()).unwrap();
        ears.push(ear);
    }
    pair.deliver_to_slave();
    for call in &calls {
        pair.slave.end(*call, Bytes::from(vec![b'r'; RESULT / 2]), Flags::NONE, 0);
    }
    // All read as fast as they can, for long enough that each window would be at its largest.
    for _ in 0..12 {
        pair.deliver_to_proxy();
        for (call, ear) in calls.iter().zip(&ears) {
            pair.ear = ear.clone();
            take_all(&mut pair, *call);
        }
        pair.now += TRIP;
        pair.deliver_to_slave();
    }
    // Then none reads any more.
    pair.deliver_to_proxy();
    let (_, unread) = pair.proxy.buffered_bytes();
    assert!(unread > 2 * calls.len() * first, "no window has grown: {unread}");
    assert!(unread <= calls.len() * first + MAX_GRANTED, "{unread} bytes of unread results");
}

#[test]
fn a_slow_reader_gets_no_larger_window() {
    let mut pair = pair(true);
    pair.open(b"m");
    pair.deliver_to_slave();
    pair.slave.end(CALL, Bytes::from(vec![b'r'; RESULT]), Flags::NONE, 0);
    let mut waiting: Vec<(Seq, usize)> = Vec::new();
    for _ in 0..100 {
        pair.deliver_to_proxy();
        waiting.extend(pair.received().iter().map(part));
        // One part a round trip.
        let (next, bytes) = waiting.remove(0);
        pair.proxy.acknowledge(CALL, next, bytes, pair.now);
        pair.now += TRIP;
        pair.deliver_to_slave();
    }
    let (_, unread) = pair.proxy.buffered_bytes();
    assert!(unread <= doubled(DEFAULT_WINDOW as usize, FAR_DOUBLINGS), "{unread}");
}

/// A writer that holds a chunk of the largest size, and a reader that has taken less than it must give credit for: neither waits for the other.
#[test]
fn the_largest_chunk_fits_behind_whatever_the_reader_has_taken() {
    let eighth = DEFAULT_WINDOW as usize / 8;
    for before in [1, eighth - 1, eighth, eighth + 1, LONG_MESSAGE_CHUNK, MAX_CHUNK, DEFAULT_WINDOW as usize]
    {
        let mut pair = pair(false);
        pair.open(&vec![b'q'; MAX_CHUNK]);
        pair.flow();
        assert!(matches!(pair.events()[..], [SlaveEvent::Start { .. }]));
        pair.slave.event(CALL, Bytes::from(vec![b'e'; before]), Flags::NONE);
        pair.slave.end(CALL, Bytes::from(vec![b'r'; MAX_CHUNK]), Flags::NONE, 0);
        let mut taken = 0;
        while taken < before + MAX_CHUNK {
            assert!(pair.deliver_to_proxy() > 0, "{before}: it stands still after {taken} bytes");
            for received in pair.received() {
                let (next, bytes) = match received {
                    Received::Event(ResponseEvent::Event { seq, payload, .. }) => (seq + 1, payload.len()),
                    other => part(&other),
                };
                pair.proxy.acknowledge(CALL, next, bytes, pair.now);
                taken += bytes;
            }
            pair.deliver_to_slave();
        }
    }
}

#[test]
fn a_request_of_one_chunk_is_not_copied_behind_its_header() {
    for (len, is_shared) in [(100, false), (MAX_CHUNK, true), (MAX_CHUNK + 1, false)] {
        let mut pair = pair(false);
        pair.open(&vec![b'q'; len]);
        let mut sent = Vec::new();
        while let Some(frame) = pair.proxy.poll_transmit(pair.now) {
            sent.push(frame.payload.clone());
            pair.slave.receive(LINK, frame, pair.now).unwrap();
        }
        let [SlaveEvent::Start { header, message, .. }] = &pair.events()[..] else { panic!("{len}") };
        assert_eq!((&header[..], message.len()), (&b"{}"[..], len));
        assert_eq!(sent.iter().any(|chunk| chunk.as_ptr() == message.as_ptr()), is_shared, "{len}");
        assert_eq!(pair.slave.assembly_bytes(), 0);
    }
}
