//! State of the proxy's end, and its changes when a link comes, breaks or does not come back. Must not
//! know sockets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::call::{Call, CallLocation};
use super::event::ProxyEvent;
use super::sink::Sink;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::CallMap;
use crate::link::limits::LinkLimits;
use crate::link::outbox::Outbox;
use crate::link::reassembler::Reassembler;
use crate::link::stats::LinkStats;
use crate::mcp::catalog::MAX_CATALOG;
use crate::mcp::failure::Failure;

/// Time without a link after which a slave is probably dead. One that lives dials again within half a second.
pub const PROBABLY_LOST: Duration = Duration::from_secs(1);

/// The proxy's end of the link to one slave process.
pub struct ProxyEnd<S> {
    pub(super) limits: LinkLimits,
    /// `limits` with the window that the slave announced: for requests.
    pub(super) request_limits: LinkLimits,
    pub(super) calls: CallMap<Call<S>>,
    pub(super) outbox: Outbox,
    pub(super) events: VecDeque<ProxyEvent>,
    /// `cancel` for the calls that were cancelled while the link was down.
    pub(super) pending_cancels: Vec<Frame>,
    /// Session facts that came while the link was down.
    pub(super) pending_facts: Vec<Bytes>,
    pub(super) catalog: Reassembler,
    /// Whether the rest of a part of the catalog is not wanted.
    pub(super) skips_catalog: bool,
    pub(super) linked: bool,
    /// Shortest round trip of the link, once one was measured.
    pub(super) trip: Option<Duration>,
    /// When the grace for a broken link is over.
    pub(super) grace_ends_at: Option<Instant>,
    /// When the readers of calls that wait for the slave learn that it is probably dead.
    pub(super) loss_reported_at: Option<Instant>,
    pub(super) next_timeout_check: Option<Instant>,
    pub(super) stats: LinkStats,
}

impl<S: Sink> ProxyEnd<S> {
    /// Makes an end without a link. `limits.window` is what this proxy announced in its hello.
    pub fn new(limits: LinkLimits) -> Self {
        Self {
            request_limits: limits.clone(),
            limits,
            calls: CallMap::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            pending_cancels: Vec::new(),
            pending_facts: Vec::new(),
            catalog: Reassembler::new(MAX_CATALOG),
            skips_catalog: false,
            linked: false,
            trip: None,
            grace_ends_at: None,
            loss_reported_at: None,
            next_timeout_check: None,
            stats: LinkStats::default(),
        }
    }

    /// Returns the number of calls under way.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Returns whether there is no call, and nothing waits to be told to the slave about one.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.pending_cancels.is_empty() && self.pending_facts.is_empty()
    }

    /// Returns the bytes of a part of the catalog that is not yet complete.
    pub fn incomplete_catalog(&self) -> usize {
        self.catalog.pending_bytes()
    }

    /// Drops the part of the catalog that is not yet complete, and the rest of it when it comes. Returns what had come of it.
    pub fn refuse_catalog(&mut self) -> Bytes {
        let head = self.catalog.abandon();
        self.skips_catalog |= !head.is_empty();
        head
    }

    /// Takes what was counted since the last time, if there is anything.
    pub fn take_stats(&mut self) -> Option<LinkStats> {
        self.stats.take()
    }

    /// Returns the bytes of all calls in memory: of requests that the slave has not acknowledged, and of responses that
    /// readers have not taken.
    pub fn buffered_bytes(&self) -> (usize, usize) {
        let calls = || self.calls.values();
        (calls().map(|call| call.request.bytes()).sum(), calls().map(|call| call.unread_bytes).sum())
    }

    /// Starts a link to the same slave process, and attaches to every call that the slave may have.
    ///
    /// `window` is the credit window in bytes that the slave announced for each call.
    pub fn link_up(&mut self, window: u32) {
        self.linked = true;
        self.trip = None;
        self.request_limits.window = window as usize;
        self.grace_ends_at = None;
        self.loss_reported_at = None;
        self.outbox.clear();
        self.catalog = Reassembler::new(MAX_CATALOG);
        self.skips_catalog = false;
        for cancel in self.pending_cancels.drain(..) {
            self.outbox.enqueue_control(cancel);
        }
        self.flush_facts();
        let mut calls: Vec<_> = self.calls.iter_mut().collect();
        calls.sort_unstable_by_key(|(id, _)| **id);
        for (id, call) in calls {
            call.location = CallLocation::Attaching;
            call.queued = false;
            self.outbox.enqueue_control(Frame::bare(FrameKind::Attach, *id, call.next));
            self.outbox.enqueue_control(call.credit_frame(*id));
        }
    }

    /// Takes the shortest round trip of the link so far. Over a long one, calls get larger windows where that lets their results come
    /// faster.
    pub fn set_trip(&mut self, trip: Duration) {
        self.trip = Some(trip);
    }

    /// Returns the bytes that calls were granted beyond their first windows.
    pub(super) fn granted(&self) -> usize {
        self.calls.values().map(|call| call.window.granted()).sum()
    }

    /// Ends the link. Calls of which not all of the `open` was sent may go elsewhere; the others wait for the grace.
    pub fn link_down(&mut self, now: Instant) {
        self.linked = false;
        self.outbox.clear();
        self.calls.retain(|_, call| {
            if !call.accepted && call.is_being_sent() {
                call.report_unsent();
                return false;
            }
            call.location = CallLocation::Detached;
            call.queued = false;
            true
        });
        self.grace_ends_at = Some(now + self.limits.grace);
        self.loss_reported_at = Some(now + PROBABLY_LOST);
    }

    /// Takes the slave for dead as of now, so that its calls' readers learn of it at the next [`ProxyEnd::report_loss`]: it was
    /// silent before its link was given up. Does nothing while a link is up.
    pub fn presume_dead(&mut self, now: Instant) {
        if !self.linked {
            self.loss_reported_at = Some(now);
        }
    }

    /// Tells the readers of calls that wait for the slave that it is probably dead, if its link has been down for
    /// [`PROBABLY_LOST`], and again after that time. To be called at [`ProxyEnd::poll_timeout`].
    pub fn report_loss(&mut self, now: Instant) {
        if self.linked || self.loss_reported_at.is_none_or(|at| at > now) {
            return;
        }
        self.loss_reported_at = Some(now + PROBABLY_LOST);
        for call in self.calls.values_mut() {
            call.report_loss();
        }
    }

    /// Fails every call with "outcome unknown": the slave process is known not to come back.
    pub fn fail_all(&mut self) {
        for (_, mut call) in self.calls.drain() {
            call.fail(Failure::OutcomeUnknown);
        }
        self.pending_cancels.clear();
        self.pending_facts.clear();
    }

    /// Ends the grace now: the slave process is known to be gone. Does nothing while a link is up.
    pub fn end_grace(&mut self, now: Instant) {
        if !self.linked {
            self.fail_all();
            self.grace_ends_at = Some(now);
        }
    }

    /// Fails every call if the grace for a broken link is over. Returns whether the slave is to be forgotten.
    pub fn expire(&mut self, now: Instant) -> bool {
        let over = self.grace_ends_at.is_some_and(|at| at <= now);
        if over {
            self.fail_all();
        }
        over
    }

    /// Returns when [`ProxyEnd::expire`], [`ProxyEnd::time_out`] or [`ProxyEnd::poll_transmit`] has something to do though
    /// nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_link = if self.linked { self.outbox.timeout() } else { self.grace_ends_at };
        [of_link, self.loss_reported_at, self.next_timeout_check].into_iter().flatten().min()
    }

    /// Returns the next event for the owner of the link.
    pub fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.events.pop_front()
    }
}
