//! One end of a link with a peer that sends arbitrary frames: the end never panics, keeps its limits, and reports consistent events
//! to its owner. Choices come from a seed here, and from the fuzzer in the fuzz targets.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::fleet::{FleetKey, FleetKeys};
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::{CallId, InstanceId, LinkId, Seq};
use protocol::link::limits::{LinkLimits, MAX_CHUNKS_UNDER_WAY};
use protocol::link::proxy_end::{Deadlines, ProxyEnd, Sink};
use protocol::link::slave_end::{ProxyPeer, SlaveEnd, SlaveEvent};

/// Source of numbers below the given one; `None` when the run is over.
pub(crate) type Choose<'a> = dyn FnMut(usize) -> Option<usize> + 'a;

const CALLS: usize = 6;

const OF_SLAVES: [FrameKind; 10] = [
    FrameKind::Accepted,
    FrameKind::Event,
    FrameKind::Event,
    FrameKind::Event,
    FrameKind::End,
    FrameKind::Credit,
    FrameKind::Catalog,
    FrameKind::Drain,
    FrameKind::Peers,
    FrameKind::Session,
];

const OF_PROXIES: [FrameKind; 8] = [
    FrameKind::Open,
    FrameKind::Open,
    FrameKind::Cancel,
    FrameKind::Credit,
    FrameKind::Attach,
    FrameKind::Session,
    FrameKind::Drain,
    FrameKind::Peers,
];

fn limits() -> LinkLimits {
    LinkLimits {
        chunk: 64,
        window: 256,
        message: 700,
        journal: 2000,
        assembly: 1000,
        grace: Duration::from_secs(30),
    }
}

/// Makes a frame, mostly of these kinds, which the other side may send: a link that ends at once tests little.
fn any_frame(choose: &mut Choose<'_>, usual: &[FrameKind]) -> Option<Frame> {
    let kinds = if choose(40)? == 0 { &FrameKind::ALL[..] } else { usual };
    let kind = kinds[choose(kinds.len())?];
    let call = if kind.is_about_a_call() { CallId(choose(CALLS)? as u128 + 1) } else { CallId::LINK };
    let flags = Flags([0, 0, 0, 0, 1, 1, 1, 1, 2, 8, 10, 31][choose(12)?]);
    let aux = [0, 1, 1, 1, 4, 600, u16::MAX][choose(7)?];
    let seq = if choose(30)? == 0 { u64::MAX } else { choose(12)? as u64 };
    let payload = Bytes::from(vec![b'x'; [0, 1, 1, 5, 5, 64, 64, 200][choose(8)?]]);
    Some(Frame { kind, flags, aux, call, seq, payload })
}

/// What the reader of one call received.
#[derive(Default)]
struct Received {
    parts: Vec<(Seq, usize)>,
    next: Seq,
    partial_is_end: Option<bool>,
    over: bool,
}

struct ReaderSink(Rc<RefCell<Received>>);

impl Sink for ReaderSink {
    fn on_event(&mut self, event: ResponseEvent) {
        let mut received = self.0.borrow_mut();
        assert!(!received.over, "something follows the end");
        received.over = event.is_last();
        let (end, more, seq, payload) = match event {
            ResponseEvent::Event { seq, more, payload, .. } => (false, more, seq, payload),
            ResponseEvent::End { seq, more, payload, .. } => (true, more, seq, payload),
            ResponseEvent::Failed(_) => return,
        };
        assert!(received.partial_is_end.is_none_or(|kind| kind == end), "a part of another message between");
        assert_eq!(seq, received.next, "lost or doubled chunk");
        received.partial_is_end = more.then_some(end);
        received.next += 1;
        received.parts.push((seq, payload.len()));
        let bytes: usize = received.parts.iter().map(|(_, len)| len).sum();
        assert!(bytes <= limits().window, "more than the window");
        assert!(received.parts.len() as u64 <= MAX_CHUNKS_UNDER_WAY, "more chunks than allowed");
    }

    fn on_unsent(&mut self) {
        let mut received = self.0.borrow_mut();
        assert!(!received.over && received.next == 0, "unsent after something was received");
        received.over = true;
    }
}

/// Runs a proxy's end with a hostile slave.
pub(crate) fn slave(choose: &mut Choose<'_>) -> Option<()> {
    let mut now = Instant::now();
    let mut end = ProxyEnd::new(limits());
    let mut readers: BTreeMap<CallId, Rc<RefCell<Received>>> = BTreeMap::new();
    end.link_up(256);
    loop {
        let call = CallId(choose(CALLS)? as u128 + 1);
        match choose(16)? {
            0 if !readers.contains_key(&call) => {
                let received = Rc::<RefCell<Received>>::default();
                let message = Bytes::from(vec![b'm'; choose(900)?]);
                if end.open(call, b"{}", message, ReaderSink(received.clone())).is_ok() {
                    readers.insert(call, received);
                }
            }
            2 => end.cancel(call),
            3 => end.abandon(call, now),
            4 => end.set_deadline(
                call,
                Deadlines { silence_timeout: Duration::from_millis(50), total_deadline: now },
                now,
            ),
            5 => {
                now += Duration::from_millis(choose(60)? as u64);
                end.time_out(now);
            }
            6 => {
                if choose(8)? == 0 {
                    end.link_down(now);
                    assert_eq!(end.poll_transmit(now), None, "a frame without a link");
                    now += Duration::from_secs(choose(40)? as u64);
                    end.expire(now);
                }
                end.link_up(256);
            }
            7 | 8 => take(&mut end, call, &readers, now),
            9 => while end.poll_transmit(now).is_some() {},
            _ => {
                let mut frame = any_frame(choose, &OF_SLAVES)?;
                if let Some(received) = readers.get(&frame.call).filter(|_| frame.kind.is_chunk()) {
                    // The number that is due: a random one would hardly ever be right.
                    frame.seq = received.borrow().next;
                }
                if end.receive(frame, now).is_err() {
                    end.link_down(now);
                    end.link_up(256);
                }
            }
        }
        while end.poll_event().is_some() {}
    }
}

fn take(
    end: &mut ProxyEnd<ReaderSink>,
    call: CallId,
    readers: &BTreeMap<CallId, Rc<RefCell<Received>>>,
    now: Instant,
) {
    let Some(received) = readers.get(&call) else { return };
    let parts = std::mem::take(&mut received.borrow_mut().parts);
    if let Some((seq, _)) = parts.last() {
        end.acknowledge(call, seq + 1, parts.iter().map(|(_, len)| len).sum(), now);
    }
}

/// Runs a slave's end with two hostile proxies, which claim the same instance and are of different fleets.
pub(crate) fn proxy(choose: &mut Choose<'_>) -> Option<()> {
    let mut now = Instant::now();
    let mut end = SlaveEnd::new(limits(), vec![Bytes::from_static(b"{}")]);
    let mut running = BTreeSet::new();
    let mut links = [LinkId(1), LinkId(2)];
    let peers = [1, 2].map(|key| ProxyPeer {
        instance: InstanceId(0),
        fleet: FleetKeys::new([FleetKey([key; 32])]),
        window: 256,
        grace: Duration::from_secs(30),
    });
    for (link, peer) in links.into_iter().zip(peers) {
        end.link_up(link, peer);
    }
    loop {
        let which = choose(2)?;
        let call = CallId(choose(CALLS)? as u128 + 1);
        match choose(16)? {
            0 | 1 => drop(end.event(call, Bytes::from(vec![b'e'; choose(300)?]), Flags::REQUEST)),
            2 => {
                end.end(call, Bytes::from(vec![b'r'; choose(300)?]), Flags::NONE, 0);
                running.remove(&call);
            }
            3 => {
                now += Duration::from_millis(choose(60_000)? as u64);
                end.expire(now);
            }
            4 if choose(10)? == 0 => end.drain(),
            5 => {
                let part = Bytes::from(vec![b'c'; choose(300)?]);
                end.set_catalog(vec![part.clone()], &[part]);
            }
            6 | 7 => while end.poll_transmit(links[which], now).is_some() {},
            _ => {
                if end.receive(links[which], any_frame(choose, &OF_PROXIES)?, now).is_err() {
                    end.link_down(links[which], now);
                    assert_eq!(end.poll_transmit(links[which], now), None, "a frame without a link");
                    links[which] = LinkId(links[which].0 + 2);
                    end.link_up(links[which], peers[which]);
                }
            }
        }
        note(&mut end, &mut running);
        assert_eq!((end.journal_bytes(), end.assembly_bytes()), end.recount(), "wrong counts");
        assert!(end.journal_bytes() <= limits().journal + 256 * CALLS, "more journal than allowed");
        assert!(end.assembly_bytes() <= limits().assembly, "more incomplete messages than allowed");
    }
}

fn note(end: &mut SlaveEnd, running: &mut BTreeSet<CallId>) {
    while let Some(event) = end.poll_event() {
        match event {
            SlaveEvent::Start { call, .. } => {
                assert!(running.insert(call), "started while it runs");
            }
            SlaveEvent::Stop { call } => {
                assert!(running.remove(&call), "stopped, but it does not run");
            }
            SlaveEvent::GaveUp { .. }
            | SlaveEvent::Released { .. }
            | SlaveEvent::Writable { .. }
            | SlaveEvent::Session(..)
            | SlaveEvent::Peers(..)
            | SlaveEvent::ProxyDraining(_) => {}
        }
    }
}
