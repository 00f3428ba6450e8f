//! Both ends of the link, step by step: regression tests, each named by the rule that was broken once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "pair/pair.rs"]
mod pair;

use std::time::Duration;

use bytes::Bytes;
use pair::{CALL, GRACE, Pair, Received};
use protocol::link::call::ResponseEvent;
use protocol::link::error::LinkError;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::CallId;
use protocol::link::limits::MAX_CHUNKS_UNDER_WAY;
use protocol::link::outbox::ACK_DELAY;
use protocol::link::proxy_end::PROBABLY_LOST;
use protocol::link::reassembler::ReassemblyError;
use protocol::link::slave_end::{RETENTION_MARGIN, SlaveEvent, WriteOutcome};
use protocol::mcp::failure::Failure;

fn chunk(kind: FrameKind, seq: u64, flags: Flags, len: usize) -> Frame {
    Frame { flags, payload: Bytes::from(vec![b'x'; len]), ..Frame::bare(kind, CALL, seq) }
}

#[test]
fn what_a_reader_takes_while_a_call_is_attached_is_credited() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    assert_eq!(pair.slave.event(CALL, Bytes::from(vec![b'e'; 1024]), Flags::NONE), WriteOutcome::Wait);
    pair.flow();
    assert_eq!(pair.received().len(), 2, "a window's worth");
    pair.down();
    pair.up();
    pair.deliver_to_slave();
    pair.proxy.acknowledge(CALL, 2, 512, pair.now);
    pair.flow();
    assert_eq!(pair.received().len(), 2, "the slave waits for credit without end");
}

#[test]
fn the_first_chunk_of_a_response_acknowledges_its_open() {
    let mut pair = Pair::new();
    pair.open(&[b'm'; 256]);
    pair.deliver_to_slave();
    assert_eq!(
        pair.proxy.buffered_bytes().0,
        258,
        "header and message are kept until the slave is known to have them"
    );
    pair.slave.event(CALL, Bytes::from_static(b"e"), Flags::NONE);
    pair.deliver_to_proxy();
    assert_eq!(pair.proxy.buffered_bytes().0, 0);
}

#[test]
fn a_reply_breaks_the_protocol() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    let reply = chunk(FrameKind::Reply, 1, Flags::NONE, 1);
    let refused = Err(LinkError::Unexpected(FrameKind::Reply));
    assert_eq!(pair.slave.receive(pair.link, reply.clone(), pair.now), refused);
    assert_eq!(pair.proxy.receive(reply, pair.now), refused);
}

#[test]
fn a_reader_that_takes_after_its_call_was_abandoned_changes_nothing() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.slave.event(CALL, Bytes::from(vec![b'e'; 512]), Flags::NONE);
    pair.flow();
    pair.proxy.abandon(CALL, pair.now);
    pair.proxy.acknowledge(CALL, 1, 256, pair.now);
    pair.flow();
    assert_eq!(pair.slave.journal_bytes(), 0, "credit went back");
}

#[test]
fn a_call_that_ran_and_was_given_up_is_never_unsent() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.deliver_to_slave();
    // The slave loses the link and keeps the call for its retention; the proxy was paused and notices the loss only afterwards.
    pair.slave.link_down(pair.link, pair.now);
    pair.now += GRACE + RETENTION_MARGIN;
    pair.slave.expire(pair.now);
    assert!(matches!(pair.events()[..], [SlaveEvent::Start { .. }, SlaveEvent::Stop { call: CALL }]));
    pair.proxy.link_down(pair.now);
    pair.up();
    pair.flow();
    assert_eq!(pair.received(), [Received::Event(ResponseEvent::Failed(Failure::OutcomeUnknown))]);
}

#[test]
fn an_open_that_never_arrived_is_unsent() {
    let mut pair = Pair::new();
    pair.open(b"m");
    while pair.proxy.poll_transmit(pair.now).is_some() {}
    pair.down();
    pair.up();
    pair.flow();
    assert_eq!(pair.received(), [Received::Unsent]);
}

#[test]
fn readers_learn_again_and_again_that_a_slave_is_probably_lost_until_it_is_back() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.down();
    let due = pair.now + PROBABLY_LOST;
    for (after, expected) in
        [(Duration::ZERO, 0), (PROBABLY_LOST, 1), (PROBABLY_LOST, 0), (2 * PROBABLY_LOST, 1)]
    {
        pair.proxy.report_loss(pair.now + after);
        assert_eq!(
            pair.received(),
            (0..expected).map(|_| Received::ProbablyLost).collect::<Vec<_>>(),
            "{after:?}"
        );
    }
    assert!(pair.proxy.poll_timeout().is_some_and(|at| at > due && at <= due + 2 * PROBABLY_LOST));
    pair.up();
    pair.proxy.report_loss(pair.now + 9 * PROBABLY_LOST);
    pair.flow();
    assert_eq!(pair.received(), [], "the call goes on");
    pair.down();
    pair.proxy.presume_dead(pair.now);
    pair.proxy.report_loss(pair.now);
    assert_eq!(pair.received(), [Received::ProbablyLost], "a slave that was silent before is not waited for");
}

#[test]
fn a_full_journal_does_not_cut_off_a_message_that_was_begun() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.slave.event(CALL, Bytes::from(vec![b'e'; 1000]), Flags::NONE);
    pair.flow();
    assert_eq!(pair.slave.event(CALL, Bytes::from(vec![b'f'; 4000]), Flags::NONE), WriteOutcome::Gone);
    let (mut seq, mut event) = (0, 0);
    for received in std::iter::from_fn(|| {
        pair.flow();
        let received = pair.received();
        seq += received.len() as u64;
        pair.proxy.acknowledge(CALL, seq, 512, pair.now);
        (!received.is_empty()).then_some(received)
    })
    .flatten()
    {
        match received {
            Received::Event(ResponseEvent::Event { payload, .. }) => event += payload.len(),
            Received::Event(ResponseEvent::End { error: true, more: false, .. }) => {
                assert_eq!(event, 1000, "cut off");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(event, 1000);
    pair.now += ACK_DELAY;
    pair.flow();
    assert_eq!(pair.slave.journal_bytes(), 0);
}

#[test]
fn a_slave_that_mixes_messages_is_refused() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.proxy.receive(chunk(FrameKind::Event, 0, Flags::MORE, 1), pair.now).unwrap();
    let mixed = pair.proxy.receive(chunk(FrameKind::End, 1, Flags::NONE, 1), pair.now);
    assert_eq!(mixed, Err(LinkError::Reassembly(ReassemblyError::Mixed(FrameKind::End))));
}

#[test]
fn empty_chunks_are_limited_as_well() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    for seq in 0..MAX_CHUNKS_UNDER_WAY {
        pair.proxy.receive(chunk(FrameKind::Event, seq, Flags::NONE, 0), pair.now).unwrap();
    }
    let one_more = chunk(FrameKind::Event, MAX_CHUNKS_UNDER_WAY, Flags::NONE, 0);
    assert_eq!(pair.proxy.receive(one_more, pair.now), Err(LinkError::Overrun { window: 512 }));
}

#[test]
fn a_link_that_is_down_sends_nothing_and_ignores_frames() {
    let mut pair = Pair::new();
    pair.open(b"m");
    let frames: Vec<_> = std::iter::from_fn(|| pair.proxy.poll_transmit(pair.now)).collect();
    pair.down();
    for frame in frames {
        assert_eq!(pair.slave.receive(pair.link, frame, pair.now), Ok(()));
    }
    assert_eq!((pair.slave.calls(), pair.events()), (0, vec![]));
    assert_eq!(pair.proxy.receive(chunk(FrameKind::End, 0, Flags::NONE, 1), pair.now), Ok(()));
    assert_eq!(pair.received(), []);
    assert_eq!(pair.proxy.poll_transmit(pair.now), None);
    assert_eq!(pair.slave.poll_transmit(pair.link, pair.now), None);
}

#[test]
fn a_cancel_while_the_link_is_down_is_sent_when_it_is_back() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.down();
    pair.proxy.cancel(CALL);
    pair.up();
    pair.flow();
    assert!(pair.events().contains(&SlaveEvent::Stop { call: CALL }));
    assert_eq!((pair.slave.calls(), pair.received()), (0, vec![]));
}

#[test]
fn session_facts_while_the_link_is_down_are_sent_when_it_is_back() {
    let mut pair = Pair::new();
    pair.down();
    pair.proxy.session(Bytes::from_static(b"of no call"));
    pair.up();
    pair.open(b"m");
    pair.flow();
    pair.down();
    pair.proxy.session(Bytes::from_static(b"of a call"));
    pair.up();
    pair.flow();
    let sent = |event| match event {
        SlaveEvent::Session(_, facts) => Some(facts),
        _ => None,
    };
    let sent: Vec<Bytes> = pair.events().into_iter().filter_map(sent).collect();
    assert_eq!(sent, ["of a call"]);
}

#[test]
fn unacknowledged_ends_of_a_proxy_that_is_gone_are_forgotten_and_running_calls_go_on_without_reader() {
    const OTHER: CallId = CallId(8);
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.proxy.open(OTHER, b"{}", Bytes::from_static(b"n"), pair.ear.clone()).unwrap();
    pair.flow();
    assert_eq!(pair.slave.end(CALL, Bytes::from_static(b"{}"), Flags::NONE, 0), WriteOutcome::More);
    assert_eq!((pair.slave.calls(), pair.slave.running()), (2, 1));
    pair.slave.proxy_gone(pair.link, pair.now);
    assert_eq!((pair.slave.calls(), pair.slave.running()), (1, 1));
    assert_eq!(pair.slave.journal_bytes(), 0);
    // More than journal and window hold: the producer is not held up.
    for _ in 0..10 {
        assert_eq!(pair.slave.event(OTHER, vec![b' '; 1000].into(), Flags::NONE), WriteOutcome::More);
    }
    assert_eq!(pair.slave.end(OTHER, Bytes::from_static(b"{}"), Flags::NONE, 0), WriteOutcome::Gone);
    assert_eq!((pair.slave.calls(), pair.slave.journal_bytes()), (0, 0));
    assert_eq!(pair.slave.recount(), (0, 0));
}

#[test]
fn a_running_call_of_a_proxy_that_is_gone_is_stopped_after_its_retention() {
    let mut pair = Pair::new();
    pair.open(b"m");
    pair.flow();
    pair.events();
    pair.slave.proxy_gone(pair.link, pair.now);
    let due = pair.slave.poll_timeout().unwrap();
    assert_eq!(due, pair.now + GRACE + RETENTION_MARGIN);
    pair.slave.expire(due);
    assert_eq!(pair.events(), [SlaveEvent::Stop { call: CALL }]);
}
