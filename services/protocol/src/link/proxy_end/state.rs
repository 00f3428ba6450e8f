//! State of the proxy's end, and what happens to it when a link comes, breaks or does not come back.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::call::{Call, Carrier};
use super::event::ProxyEvent;
use super::sink::Sink;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::{CallId, CallMap};
use crate::link::limits::LinkLimits;
use crate::link::outbox::Outbox;
use crate::link::reassembler::Reassembler;
use crate::link::stats::LinkStats;
use crate::mcp::catalog::MAX_CATALOG;
use crate::mcp::failure::Failure;

/// One slave process as the proxy sees it.
pub struct ProxyEnd<S> {
    pub(super) limits: LinkLimits,
    /// The same with the window that the slave announced, for what goes up.
    pub(super) up_limits: LinkLimits,
    pub(super) calls: CallMap<Call<S>>,
    pub(super) outbox: Outbox,
    pub(super) events: VecDeque<ProxyEvent>,
    pub(super) cancels: Vec<CallId>,
    /// Facts about sessions that are to be told when the link is back.
    pub(super) pending_facts: Vec<Bytes>,
    pub(super) catalog: Reassembler,
    pub(super) linked: bool,
    pub(super) forget_at: Option<Instant>,
    pub(super) look_at: Option<Instant>,
    pub(super) tally: LinkStats,
}

impl<S: Sink> ProxyEnd<S> {
    /// `limits.window` is what this proxy announced in its hello.
    pub fn new(limits: LinkLimits) -> Self {
        Self {
            up_limits: limits.clone(),
            limits,
            calls: CallMap::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            cancels: Vec::new(),
            pending_facts: Vec::new(),
            catalog: Reassembler::new(MAX_CATALOG),
            linked: false,
            forget_at: None,
            look_at: None,
            tally: LinkStats::default(),
        }
    }

    /// Calls under way.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// What was counted since the last time, if there is anything.
    pub fn take_stats(&mut self) -> Option<LinkStats> {
        self.tally.take()
    }

    /// Bytes of all calls in memory: to the slave and not acknowledged, from it and not taken by the reader.
    pub fn held(&self) -> (usize, usize) {
        let calls = || self.calls.values();
        (calls().map(|call| call.up.bytes()).sum(), calls().map(|call| call.untaken).sum())
    }

    /// A link to the same slave process is there (again): asks for every call that it may have.
    ///
    /// `window` is the credit window in bytes that the slave announced for each call.
    pub fn link_up(&mut self, window: u32) {
        self.linked = true;
        self.up_limits.window = window as usize;
        self.forget_at = None;
        self.outbox.clear();
        self.catalog = Reassembler::new(MAX_CATALOG);
        for call in self.cancels.drain(..) {
            self.outbox.control(Frame::bare(FrameKind::Cancel, call, 0));
        }
        self.flush_facts();
        let mut calls: Vec<_> = self.calls.iter_mut().collect();
        calls.sort_unstable_by_key(|(id, _)| **id);
        for (id, call) in calls {
            call.carrier = Carrier::Attaching;
            call.queued = false;
            self.outbox.control(Frame::bare(FrameKind::Attach, *id, call.next));
            self.outbox.control(Frame::bare(FrameKind::Credit, *id, call.credit()));
        }
    }

    /// The link is gone. Calls whose `open` never went out whole may go elsewhere; the others wait for the grace.
    pub fn link_down(&mut self, now: Instant) {
        self.linked = false;
        self.outbox.clear();
        self.calls.retain(|_, call| {
            if !call.accepted && call.up.sent() < call.open_end {
                call.unsent();
                return false;
            }
            call.carrier = Carrier::Nothing;
            call.queued = false;
            true
        });
        self.forget_at = Some(now + self.limits.grace);
    }

    /// The slave process is known not to come back: what it had is lost.
    pub fn lose_all(&mut self) {
        for (_, mut call) in self.calls.drain() {
            call.fail(Failure::OutcomeUnknown);
        }
        self.cancels.clear();
        self.pending_facts.clear();
    }

    /// The slave process is known to be gone while no link is up: everything is lost now, without waiting for the grace.
    pub fn give_up(&mut self, now: Instant) {
        if !self.linked {
            self.lose_all();
            self.forget_at = Some(now);
        }
    }

    /// When the grace is over and a broken link has not come back, everything that waited is lost.
    /// Returns whether the slave is to be forgotten.
    pub fn expire(&mut self, now: Instant) -> bool {
        let over = self.forget_at.is_some_and(|at| at <= now);
        if over {
            self.lose_all();
        }
        over
    }

    /// When [`ProxyEnd::expire`] or [`ProxyEnd::poll_transmit`] has something to do though nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let other = if self.linked { self.outbox.timeout() } else { self.forget_at };
        [other, self.look_at].into_iter().flatten().min()
    }

    /// What the owner of the link should know next.
    pub fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.events.pop_front()
    }
}
