//! The endpoint's operations for a single link: up, down, received frames in, frames to be sent out. Must not know
//! sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{Signal, is_complete};
use parking_lot::MutexGuard;
use protocol::link::error::LinkError;
use protocol::link::frame::Frame;
use protocol::link::ids::LinkId;
use protocol::link::slave_end::SlaveEvent;

use super::proven_proxy::ProvenProxy;
use super::stage::Stage;
use super::state::{Endpoint, LinkUp, State};
use crate::metrics;

/// Instructions for a link besides the frames that it is to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transmit {
    /// The time at which the link has to ask for frames again, whatever happens.
    pub(crate) poll_at: Option<Instant>,
    /// Number of calls that run or whose end was not taken.
    pub(crate) calls: usize,
    /// Whether the batch is full, so that there may be more to send right now.
    pub(crate) more: bool,
    /// The stage of the shutdown.
    pub(crate) stage: Stage,
}

impl Endpoint {
    /// Adds a link that was authenticated. `proxy` is a proxy of the native dialect; without it the link is plain: it carries no frames, but is woken and drained like any other. `code_generation` is that of the code
    /// that opened the link.
    ///
    /// An older link to the same proxy is down from then on, even with messages unread: the proxy attaches to its calls on
    /// the new link, and a call that is reported as unknown there must not arrive later on the old one.
    pub(crate) fn link_up(&self, proxy: Option<&ProvenProxy>, code_generation: u64) -> (LinkId, Arc<Signal>) {
        let wake = Arc::new(Signal::new());
        let mut state = self.state.lock();
        for older in state.proxies.links_to_same_proxy(proxy) {
            state.remove_link(older);
        }
        state.last_link += 1;
        let id = LinkId(state.last_link);
        if let Some(proxy) = proxy {
            state.end.link_up(id, proxy.peer());
            state.labels.on_link(proxy);
        }
        state.links.push(LinkUp { id, wake: Arc::clone(&wake), drained: false, gathers: false });
        metrics::set_links(state.links.len());
        state.proxies.add(id, proxy, code_generation);
        self.on_proxies_changed(&mut state);
        if let Some(proxy) = proxy {
            state.tell_grant_facts(id, proxy);
        }
        (id, wake)
    }

    /// Removes a link: its calls wait to be attached by another.
    pub(crate) fn link_down(&self, link: LinkId) {
        let mut state = self.state.lock();
        state.remove_link(link);
        self.on_link_removed(state);
    }

    /// Removes a link that the proxy closed with a close frame: if the proxy had drained, the link's calls are forgotten.
    pub(crate) fn link_over(&self, link: LinkId) {
        let mut state = self.state.lock();
        if state.proxies.is_draining(link) {
            state.end.proxy_gone(link, Instant::now());
        }
        state.remove_link(link);
        self.on_link_removed(state);
    }

    fn on_link_removed(&self, mut state: MutexGuard<'_, State>) {
        metrics::set_links(state.links.len());
        self.on_proxies_changed(&mut state);
        self.check_drained(&state);
        drop(state);
        self.chores.notify_one();
    }

    /// Takes frames that a link read, in order, and does what follows from them. On an error the link must be closed.
    /// `frames` is empty afterwards; `events` is scratch space of the caller.
    pub(crate) fn receive(
        self: &Arc<Self>,
        link: LinkId,
        frames: &mut Vec<Frame>,
        events: &mut Vec<SlaveEvent>,
    ) -> Result<(), LinkError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let taken = frames.drain(..).try_for_each(|frame| state.end.receive(link, frame, now));
        while let Some(event) = state.end.poll_event() {
            events.push(event);
        }
        self.check_drained(&state);
        drop(state);
        self.handle(events);
        taken
    }

    /// Takes the shortest round trip of a link so far.
    pub(crate) fn set_trip(&self, link: LinkId, shortest: Duration) {
        self.state.lock().end.set_trip(link, shortest);
    }

    /// Lets what is written wait for the next round of a link's task, which comes in any case and asks for frames.
    pub(crate) fn gather(&self, link: LinkId) {
        self.state.lock().set_gathering(link, true);
    }

    /// Moves the frames that a link is to send next into `frames`: at most one batch.
    pub(crate) fn collect(&self, link: LinkId, frames: &mut Vec<Frame>) -> Transmit {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.set_gathering(link, false);
        if let Some(stats) = state.end.take_stats() {
            metrics::record_link_stats(stats);
        }
        let (mut bytes, mut more) = (0, false);
        while !more && let Some(frame) = state.end.poll_transmit(link, now) {
            bytes += frame.encoded_len();
            more = is_complete(bytes, &frame);
            frames.push(frame);
        }
        Transmit {
            poll_at: state.end.link_timeout(link),
            calls: state.end.calls(),
            more,
            stage: self.stage(),
        }
    }
}

impl State {
    fn set_gathering(&mut self, link: LinkId, gathers: bool) {
        if let Some(up) = self.links.iter_mut().find(|up| up.id == link) {
            up.gathers = gathers;
        }
    }

    fn remove_link(&mut self, link: LinkId) {
        self.end.link_down(link, Instant::now());
        self.links.retain(|up| up.id != link);
        self.proxies.remove(link);
    }
}
