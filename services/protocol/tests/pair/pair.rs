//! Both ends of a link, joined without a socket: frames go over when a test says so.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::fleet::{FleetKey, FleetKeys};
use protocol::link::ids::{CallId, InstanceId, LinkId};
use protocol::link::limits::LinkLimits;
use protocol::link::proxy_end::{ProxyEnd, Sink};
use protocol::link::slave_end::{ProxyPeer, SlaveEnd, SlaveEvent};

pub(crate) const CALL: CallId = CallId(7);
pub(crate) const LINK: LinkId = LinkId(1);
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// The proxy behind the link: the one that opens the calls.
pub(crate) fn peer(window: u32) -> ProxyPeer {
    let fleet = FleetKeys::new([FleetKey([1; 32])]);
    ProxyPeer { instance: InstanceId(0), fleet, window, grace: GRACE }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Event(ResponseEvent),
    Unsent,
    ProbablyLost,
}

/// What came for the reader, and whether its client got no ids.
#[derive(Clone, Default)]
pub(crate) struct ReaderSink(pub(crate) Rc<RefCell<Vec<Received>>>, pub(crate) Rc<Cell<bool>>);

impl Sink for ReaderSink {
    fn on_event(&mut self, event: ResponseEvent) {
        self.0.borrow_mut().push(Received::Event(event));
    }

    fn on_unsent(&mut self) {
        self.0.borrow_mut().push(Received::Unsent);
    }

    fn on_probably_lost(&mut self) {
        self.0.borrow_mut().push(Received::ProbablyLost);
    }

    fn may_return(&self) -> bool {
        !self.1.get()
    }
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) proxy: ProxyEnd<ReaderSink>,
    pub(crate) slave: SlaveEnd,
    pub(crate) link: LinkId,
    pub(crate) ear: ReaderSink,
}

pub(crate) fn limits() -> LinkLimits {
    LinkLimits { chunk: 256, window: 512, message: 4096, journal: 4096, assembly: 1000, grace: GRACE }
}

impl Pair {
    pub(crate) fn new() -> Self {
        let proxy = ProxyEnd::new(limits());
        let slave = SlaveEnd::new(limits(), vec![Bytes::from_static(b"{}")]);
        let mut pair = Self { now: Instant::now(), proxy, slave, link: LINK, ear: ReaderSink::default() };
        pair.up();
        pair
    }

    pub(crate) fn up(&mut self) {
        self.link = LinkId(self.link.0 + 1);
        self.proxy.link_up(512);
        self.slave.link_up(self.link, peer(512));
    }

    pub(crate) fn down(&mut self) {
        self.proxy.link_down(self.now);
        self.slave.link_down(self.link, self.now);
    }

    pub(crate) fn open(&mut self, message: &[u8]) {
        self.proxy.open(CALL, b"{}", Bytes::copy_from_slice(message), self.ear.clone()).unwrap();
    }

    /// Delivers the frames of the proxy to the slave.
    pub(crate) fn deliver_to_slave(&mut self) -> usize {
        let frames: Vec<_> = std::iter::from_fn(|| self.proxy.poll_transmit(self.now)).collect();
        let many = frames.len();
        for frame in frames {
            self.slave.receive(self.link, frame, self.now).unwrap();
        }
        many
    }

    /// Delivers the frames of the slave to the proxy.
    pub(crate) fn deliver_to_proxy(&mut self) -> usize {
        let frames: Vec<_> = std::iter::from_fn(|| self.slave.poll_transmit(self.link, self.now)).collect();
        let many = frames.len();
        for frame in frames {
            self.proxy.receive(frame, self.now).unwrap();
        }
        many
    }

    pub(crate) fn flow(&mut self) {
        while self.deliver_to_slave() + self.deliver_to_proxy() > 0 {}
    }

    pub(crate) fn events(&mut self) -> Vec<SlaveEvent> {
        std::iter::from_fn(|| self.slave.poll_event()).collect()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.ear.0.borrow_mut().drain(..).collect()
    }
}
