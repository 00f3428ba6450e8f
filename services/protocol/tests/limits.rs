//! Limits and times of docs/PROTOCOL.md, each tested by what happens at it and beyond it. The largest batch is a limit of the
//! owners of sockets; `MAX_AUTH`, windows of hellos and the number of peers are tested in `handshake.rs` and beside their code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use protocol::link::call::ResponseEvent;
use protocol::link::error::LinkError;
use protocol::link::fleet::{FleetKey, FleetKeys};
use protocol::link::frame::{Flags, Frame, FrameError, FrameKind};
use protocol::link::ids::{CallId, InstanceId, LinkId};
use protocol::link::limits::{DEFAULT_WINDOW, LONG_MESSAGE_CHUNK, LinkLimits, MAX_CHUNK, MAX_HEADER};
use protocol::link::outbox::{ACK_DELAY, MAX_PENDING_CONTROL};
use protocol::link::proxy_end::{Deadlines, MAX_PENDING_FACTS, ProxyEnd, Sink};
use protocol::link::reassembler::ReassemblyError;
use protocol::link::slave_end::{MAX_TOMBSTONES, ProxyPeer, RETENTION_MARGIN, SlaveEnd, SlaveEvent};
use protocol::mcp::catalog::MAX_CATALOG;
use protocol::mcp::failure::{Failure, FailureKind, kind_in};

const CALL: CallId = CallId(7);
const LINK: LinkId = LinkId(1);
const GRACE: Duration = Duration::from_secs(30);

/// The proxy behind the link: the one that opens the calls.
fn peer(window: u32) -> ProxyPeer {
    let fleet = FleetKeys::new([FleetKey([1; 32])]);
    ProxyPeer { instance: InstanceId(0), fleet, window, grace: GRACE }
}

#[derive(Clone, Default)]
struct Events(Rc<RefCell<Vec<ResponseEvent>>>);

impl Sink for Events {
    fn on_event(&mut self, event: ResponseEvent) {
        self.0.borrow_mut().push(event);
    }

    fn on_unsent(&mut self) {
        panic!("the call was sent");
    }
}

impl Events {
    fn take(&self) -> Vec<ResponseEvent> {
        self.0.borrow_mut().drain(..).collect()
    }
}

/// A proxy's end with a link and one call of which the whole `open` was sent.
fn proxy_with_call(now: Instant) -> (ProxyEnd<Events>, Events) {
    let events = Events::default();
    let mut proxy = ProxyEnd::new(LinkLimits { grace: GRACE, ..LinkLimits::default() });
    proxy.link_up(DEFAULT_WINDOW);
    proxy.open(CALL, b"{}", Bytes::from_static(b"{}"), events.clone()).unwrap();
    assert_eq!(proxy.poll_transmit(now).unwrap().kind, FrameKind::Open);
    (proxy, events)
}

fn slave() -> SlaveEnd {
    let mut slave = SlaveEnd::new(LinkLimits::default(), vec![Bytes::from_static(b"{}")]);
    slave.link_up(LINK, peer(DEFAULT_WINDOW));
    slave
}

fn frame(kind: FrameKind, seq: u64, flags: Flags, len: usize) -> Frame {
    let call = if kind.is_about_a_call() { CALL } else { CallId::LINK };
    Frame { flags, payload: vec![b'x'; len].into(), ..Frame::bare(kind, call, seq) }
}

fn open(call: CallId, header_len: usize) -> Frame {
    let aux = u16::try_from(header_len).unwrap();
    Frame { aux, payload: vec![b' '; header_len].into(), ..Frame::bare(FrameKind::Open, call, 0) }
}

fn sent_by(slave: &mut SlaveEnd, now: Instant) -> Vec<Frame> {
    std::iter::from_fn(|| slave.poll_transmit(LINK, now)).collect()
}

fn events_of(slave: &mut SlaveEnd) -> Vec<SlaveEvent> {
    std::iter::from_fn(|| slave.poll_event()).collect()
}

#[test]
fn a_payload_beyond_the_largest_chunk_is_an_error() {
    let mut batch = BytesMut::new();
    frame(FrameKind::Event, 0, Flags::NONE, MAX_CHUNK).encode(&mut batch);
    assert!(Frame::decode(&mut batch.clone().freeze()).unwrap().is_some());
    batch.put_u8(b'x');
    batch[4..8].copy_from_slice(&u32::try_from(MAX_CHUNK + 1).unwrap().to_be_bytes());
    assert_eq!(Frame::decode(&mut batch.freeze()), Err(FrameError::TooLong(MAX_CHUNK + 1)));
}

#[test]
fn a_call_header_has_1_to_16384_bytes_in_the_first_chunk() {
    let now = Instant::now();
    for (len, fits) in [(0, false), (1, true), (MAX_HEADER, true), (MAX_HEADER + 1, false)] {
        let expected = if fits { Ok(()) } else { Err(LinkError::HeaderLength(len)) };
        assert_eq!(slave().receive(LINK, open(CALL, len), now), expected, "{len}");
    }
    let cut = Frame { payload: Bytes::from_static(b"{"), ..open(CALL, 2) };
    assert_eq!(slave().receive(LINK, cut, now), Err(LinkError::HeaderLength(2)));
}

#[test]
fn a_catalog_beyond_16_mib_closes_the_link() {
    let now = Instant::now();
    let (mut proxy, _) = proxy_with_call(now);
    for seq in 0..(MAX_CATALOG / LONG_MESSAGE_CHUNK) as u64 {
        proxy.receive(frame(FrameKind::Catalog, seq, Flags::MORE, LONG_MESSAGE_CHUNK), now).unwrap();
    }
    let last = frame(FrameKind::Catalog, (MAX_CATALOG / LONG_MESSAGE_CHUNK) as u64, Flags::NONE, 1);
    let too_long = LinkError::Reassembly(ReassemblyError::TooLong { limit: MAX_CATALOG });
    assert_eq!(proxy.receive(last, now), Err(too_long));
}

#[test]
fn a_slave_that_overruns_the_window_is_cut_off() {
    let now = Instant::now();
    let (mut proxy, _) = proxy_with_call(now);
    let window = DEFAULT_WINDOW as usize;
    for seq in 0..(window / LONG_MESSAGE_CHUNK) as u64 {
        proxy.receive(frame(FrameKind::Event, seq, Flags::NONE, LONG_MESSAGE_CHUNK), now).unwrap();
    }
    let beyond = frame(FrameKind::Event, (window / LONG_MESSAGE_CHUNK) as u64, Flags::NONE, 1);
    assert_eq!(proxy.receive(beyond, now), Err(LinkError::Overrun { window }));
}

#[test]
fn a_request_beyond_the_memory_for_incomplete_ones_ends_with_busy() {
    let now = Instant::now();
    let limits = LinkLimits { assembly: MAX_CHUNK, ..LinkLimits::default() };
    let mut slave = SlaveEnd::new(limits, vec![Bytes::new()]);
    slave.link_up(LINK, peer(DEFAULT_WINDOW));
    sent_by(&mut slave, now);
    let first = Frame { flags: Flags::MORE, ..open(CALL, MAX_HEADER) };
    slave.receive(LINK, first, now).unwrap();
    slave.receive(LINK, frame(FrameKind::Open, 1, Flags::MORE, MAX_CHUNK), now).unwrap();
    assert_eq!((slave.calls(), slave.assembly_bytes()), (0, 0));
    let refusal = sent_by(&mut slave, now).pop().unwrap();
    assert_eq!((refusal.kind, refusal.flags, refusal.seq), (FrameKind::End, Flags::ERROR, 0));
    assert_eq!(kind_in(&refusal.payload), Some(FailureKind::Busy));
    slave.receive(LINK, frame(FrameKind::Open, 2, Flags::NONE, 1), now).expect("the rest is ignored");
    assert_eq!(events_of(&mut slave), []);
}

#[test]
fn a_proxy_that_does_not_read_its_answers_is_cut_off() {
    let now = Instant::now();
    let mut slave = slave();
    let ask = || Frame::bare(FrameKind::Attach, CallId(9), 0);
    let mut asked = 0;
    let error = loop {
        match slave.receive(LINK, ask(), now) {
            Ok(()) => asked += 1,
            Err(error) => break error,
        }
        assert!(asked <= MAX_PENDING_CONTROL + 1, "no limit");
    };
    // The catalog waits as well.
    assert_eq!((error, asked), (LinkError::Flood, MAX_PENDING_CONTROL));
    slave.poll_transmit(LINK, now).unwrap();
    assert_eq!(slave.receive(LINK, ask(), now), Ok(()), "a peer that reads may go on");
}

#[test]
fn a_slave_that_does_not_read_its_answers_is_cut_off() {
    let now = Instant::now();
    let (mut proxy, _) = proxy_with_call(now);
    proxy.abandon(CALL, now);
    let window = DEFAULT_WINDOW as usize;
    let mut seq = 0;
    // Each eighth of the window is answered with credit at once, since nobody reads the call.
    let error = loop {
        match proxy.receive(frame(FrameKind::Event, seq, Flags::NONE, window / 4), now) {
            Ok(()) => seq += 1,
            Err(error) => break error,
        }
        assert!(seq <= MAX_PENDING_CONTROL as u64 + 4, "no limit");
    };
    // Two more for the call that is under way.
    assert_eq!((error, seq), (LinkError::Flood, MAX_PENDING_CONTROL as u64 + 3));
    proxy.poll_transmit(now).unwrap();
    assert_eq!(proxy.receive(frame(FrameKind::Event, seq, Flags::NONE, 1), now), Ok(()));
}

#[test]
fn session_facts_that_wait_for_a_link_are_bounded() {
    let now = Instant::now();
    let (mut proxy, _) = proxy_with_call(now);
    proxy.link_down(now);
    for n in 0..MAX_PENDING_FACTS + 10 {
        proxy.session(n.to_string().into());
    }
    proxy.link_up(DEFAULT_WINDOW);
    let sent: Vec<Bytes> = std::iter::from_fn(|| proxy.poll_transmit(now))
        .filter(|frame| frame.kind == FrameKind::Session)
        .map(|frame| frame.payload)
        .collect();
    let oldest: Vec<Bytes> = (0..MAX_PENDING_FACTS).map(|n| n.to_string().into()).collect();
    assert_eq!(sent, oldest);
}

#[test]
fn a_slave_that_gave_up_too_many_calls_to_remember_calls_none_unsent() {
    let mut now = Instant::now();
    let mut slave = slave();
    let answer = |slave: &mut SlaveEnd, now| {
        slave.receive(LINK, Frame::bare(FrameKind::Attach, CallId(u128::MAX), 0), now).unwrap();
        sent_by(slave, now).pop().unwrap().flags
    };
    let give_up = |slave: &mut SlaveEnd, now: &mut Instant, calls: std::ops::Range<usize>| {
        for call in calls {
            slave.receive(LINK, open(CallId(call as u128 + 1), 2), *now).unwrap();
        }
        slave.link_down(LINK, *now);
        *now += GRACE + RETENTION_MARGIN;
        slave.expire(*now);
        assert_eq!(slave.calls(), 0);
        events_of(slave);
        slave.link_up(LINK, peer(DEFAULT_WINDOW));
    };
    give_up(&mut slave, &mut now, 0..MAX_TOMBSTONES);
    assert_eq!(answer(&mut slave, now), Flags::GONE, "this call never ran, and that is still known");
    give_up(&mut slave, &mut now, MAX_TOMBSTONES..MAX_TOMBSTONES + 1);
    assert_eq!(answer(&mut slave, now), Flags::GONE.with(Flags::ERROR));
}

#[test]
fn accepted_is_sent_after_20_ms_unless_the_call_has_written() {
    let now = Instant::now();
    let mut slave = slave();
    for call in [CALL, CallId(8)] {
        slave.receive(LINK, open(call, 2), now).unwrap();
    }
    slave.event(CallId(8), Bytes::from_static(b"{}"), Flags::NONE);
    let kinds = |slave: &mut SlaveEnd, now| -> Vec<(FrameKind, CallId)> {
        sent_by(slave, now).iter().map(|frame| (frame.kind, frame.call)).collect()
    };
    assert_eq!(kinds(&mut slave, now), [(FrameKind::Catalog, CallId::LINK), (FrameKind::Event, CallId(8))]);
    assert_eq!(slave.link_timeout(LINK), Some(now + ACK_DELAY));
    assert_eq!(kinds(&mut slave, now + ACK_DELAY), [(FrameKind::Accepted, CALL)]);
}

#[test]
fn no_timer_is_armed_for_calls_that_have_written() {
    let now = Instant::now();
    let later = now + ACK_DELAY / 4;
    let mut slave = slave();
    for (call, at) in [(CallId(8), now), (CALL, later)] {
        slave.receive(LINK, open(call, 2), at).unwrap();
    }
    for (call, timeout) in [(CallId(8), Some(later + ACK_DELAY)), (CALL, None)] {
        slave.event(call, Bytes::from_static(b"{}"), Flags::NONE);
        sent_by(&mut slave, later);
        assert_eq!(slave.link_timeout(LINK), timeout);
    }
}

#[test]
fn credit_is_sent_at_an_eighth_of_the_window_and_of_a_finished_call_within_20_ms() {
    let now = Instant::now();
    let (mut proxy, _) = proxy_with_call(now);
    let eighth = DEFAULT_WINDOW as usize / 8;
    proxy.receive(frame(FrameKind::Event, 0, Flags::NONE, eighth - 1), now).unwrap();
    proxy.acknowledge(CALL, 1, eighth - 1, now);
    assert_eq!(proxy.poll_transmit(now), None);
    proxy.receive(frame(FrameKind::Event, 1, Flags::NONE, 1), now).unwrap();
    proxy.acknowledge(CALL, 2, 1, now);
    assert_eq!(proxy.poll_transmit(now), Some(Frame::bare(FrameKind::Credit, CALL, 2)));
    proxy.receive(frame(FrameKind::End, 2, Flags::NONE, 1), now).unwrap();
    proxy.acknowledge(CALL, 3, 1, now);
    assert_eq!((proxy.poll_transmit(now), proxy.poll_timeout()), (None, Some(now + ACK_DELAY)));
    assert_eq!(proxy.poll_transmit(now + ACK_DELAY), Some(Frame::bare(FrameKind::Credit, CALL, 3)));
}

/// Gives a call 2 s of silence and 10 s in all, with this frame each second until `frames` have come. Returns after how many
/// seconds the call failed with a timeout.
fn failed_after(kind: FrameKind, frames: u64) -> Option<u64> {
    let start = Instant::now();
    let (mut proxy, received) = proxy_with_call(start);
    let total_deadline = start + Duration::from_secs(10);
    proxy.set_deadline(CALL, Deadlines { silence_timeout: Duration::from_secs(2), total_deadline }, start);
    for tenth in 0..200 {
        let now = start + Duration::from_millis(tenth * 100);
        if tenth % 10 == 0 && tenth / 10 < frames && proxy.calls() > 0 {
            let sign = match kind {
                FrameKind::Accepted => Frame::bare(kind, CALL, 1),
                _ => frame(kind, tenth / 10, Flags::NONE, 1),
            };
            proxy.receive(sign, now).unwrap();
        }
        if proxy.time_out(now) > 0 {
            assert_eq!(received.take().pop(), Some(ResponseEvent::Failed(Failure::Timeout)));
            let cancel = std::iter::from_fn(|| proxy.poll_transmit(now)).any(|f| f.kind == FrameKind::Cancel);
            assert!(cancel, "the slave is told to stop");
            return Some(tenth / 10);
        }
    }
    None
}

#[test]
fn a_call_with_signs_of_life_outlives_the_silence_timeout_and_not_the_total_one() {
    for kind in [FrameKind::Event, FrameKind::Accepted] {
        assert_eq!(failed_after(kind, 0), Some(2), "silent from the start");
        assert_eq!(failed_after(kind, 5), Some(6), "the last {kind:?} came after 4 s");
        assert_eq!(failed_after(kind, 100), Some(10), "one {kind:?} each second to the end");
    }
}

#[test]
fn a_running_call_s_sign_of_life_is_an_accepted_frame_and_needs_a_link() {
    let now = Instant::now();
    let mut slave = slave();
    let (receiving, more) = (CallId(8), Flags::MORE);
    slave.receive(LINK, open(CALL, 2), now).unwrap();
    slave.receive(LINK, Frame { flags: more, ..open(receiving, 2) }, now).unwrap();
    sent_by(&mut slave, now);
    for call in [CALL, receiving, CallId(9)] {
        slave.alive(call);
    }
    assert_eq!(sent_by(&mut slave, now), [Frame::bare(FrameKind::Accepted, CALL, 1)]);
    assert_eq!(sent_by(&mut slave, now + ACK_DELAY), [], "once is enough");
    slave.event(CALL, Bytes::from_static(b"{}"), Flags::NONE);
    slave.alive(CALL);
    let kinds: Vec<FrameKind> = sent_by(&mut slave, now).iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [FrameKind::Accepted, FrameKind::Event]);
    slave.link_down(LINK, now);
    slave.alive(CALL);
    slave.link_up(LINK, peer(DEFAULT_WINDOW));
    slave.alive(CALL);
    assert!(sent_by(&mut slave, now).iter().all(|frame| frame.kind == FrameKind::Catalog));
    slave.receive(LINK, Frame::bare(FrameKind::Attach, CALL, 1), now).unwrap();
    sent_by(&mut slave, now);
    slave.end(CALL, Bytes::from_static(b"{}"), Flags::NONE, 0);
    slave.alive(CALL);
    let kinds: Vec<FrameKind> = sent_by(&mut slave, now).iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [FrameKind::End], "an ended call shows no life");
}
