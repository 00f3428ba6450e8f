//! The proxy's end of the link to one slave process: calls outlive the socket, the socket is somebody else's.
//!
//! Feed frames in with [`ProxyEnd::receive`], take frames out with [`ProxyEnd::poll_transmit`]; answers go to the
//! [`Sink`] of their call at once. Never waits, never panics, holds at most one credit window a call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::link::call::ResponseEvent;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, CallMap, Seq};
use crate::link::journal::{Journal, MessageHeader, OutOfRange};
use crate::link::limits::LinkLimits;
use crate::link::outbox::Outbox;
use crate::link::reassembler::{Reassembler, ReassemblyError};
use crate::link::stats::LinkStats;
use crate::mcp::catalog::MAX_CATALOG;
use crate::mcp::failure::Failure;

mod call;
mod facts;
mod receive;

pub use call::Deadlines;
use call::{Call, Carrier, Reader};

/// Where a call's answer goes.
pub trait Sink {
    /// One piece of the answer. Must not block; credit bounds what can come.
    fn part(&mut self, part: ResponseEvent);
    /// The call never reached the slave and may go to another. Nothing follows.
    fn unsent(&mut self);
}

/// What the owner of the link wants to know besides answers.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyEvent {
    /// A new catalog, complete.
    Catalog(Bytes),
    /// The slave takes no new calls.
    Draining,
    /// Which proxies the slave is linked to (JSON of [`crate::link::peers::Peers`]).
    Peers(Bytes),
    /// A fact about a client session that another proxy told the slave (JSON of [`crate::link::header::SessionFacts`]).
    Session(Bytes),
    /// A frame for a call that is not (or no longer) under way here; ignored.
    Stray(FrameKind),
}

/// The slave broke the protocol: close the link (1002).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A frame that only the other side sends, or that this state of the call does not allow.
    #[error("unexpected {} frame", .0.name())]
    Unexpected(FrameKind),
    /// Chunks out of order, mixed or without end.
    #[error(transparent)]
    Reassembler(#[from] ReassemblyError),
    /// A position that cannot be.
    #[error(transparent)]
    Position(#[from] OutOfRange),
    /// More than the credit allows.
    #[error("credit window of {window} bytes overrun")]
    Overrun {
        /// Bytes allowed.
        window: usize,
    },
    /// A call header that is missing or too long.
    #[error("call header of {0} bytes")]
    Header(usize),
    /// It makes us answer faster than it reads.
    #[error("too many unread control frames")]
    Flood,
}

/// The slave cannot take a call now: there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slave is not linked")]
pub struct NotLinked;

/// How often calls are looked over for those that took too long.
const LOOK: Duration = Duration::from_millis(100);

/// One slave process as the proxy sees it.
pub struct ProxyEnd<S> {
    limits: LinkLimits,
    /// The same with the window that the slave announced, for what goes up.
    up_limits: LinkLimits,
    calls: CallMap<Call<S>>,
    outbox: Outbox,
    events: VecDeque<ProxyEvent>,
    cancels: Vec<CallId>,
    /// Facts about sessions that are to be told when the link is back.
    pending_facts: Vec<Bytes>,
    catalog: Reassembler,
    linked: bool,
    forget_at: Option<Instant>,
    look_at: Option<Instant>,
    tally: LinkStats,
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

    /// Begins a call: `header` is the JSON call header, `message` the client's.
    ///
    /// `id` must be new. The caller bounds header and message ([`crate::link::limits::MAX_HEADER`], `MAX_BODY_BYTES`).
    pub fn open(&mut self, id: CallId, header: &[u8], message: Bytes, sink: S) -> Result<(), NotLinked> {
        if !self.linked {
            return Err(NotLinked);
        }
        let aux = u16::try_from(header.len()).unwrap_or(u16::MAX);
        let heading = MessageHeader { kind: FrameKind::Open, flags: Flags::NONE, aux };
        let mut up = Journal::new(&self.up_limits);
        // One copy of a small message buys one frame; a long one keeps its memory and follows its header.
        if message.len() <= self.up_limits.chunk.saturating_sub(header.len()) {
            let mut whole = BytesMut::with_capacity(header.len() + message.len());
            whole.extend_from_slice(header);
            whole.extend_from_slice(&message);
            up.write(heading, whole.freeze());
        } else {
            up.write(MessageHeader { flags: Flags::MORE, ..heading }, Bytes::copy_from_slice(header));
            up.write(heading, message);
        }
        let call = Call {
            sink,
            reader: Reader::Listening,
            patience: None,
            open_end: up.next(),
            up,
            carrier: Carrier::Link,
            queued: true,
            accepted: false,
            within: None,
            next: 0,
            taken: 0,
            untaken: 0,
            credited: 0,
            uncredited: 0,
            ended: false,
            give_up: None,
        };
        self.calls.insert(id, call);
        self.outbox.ready(id);
        Ok(())
    }

    /// Gives a call so much time from now; without this it has no limit.
    pub fn set_deadline(&mut self, id: CallId, patience: Deadlines, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.patience = Some(patience);
            call.give_up = Some(patience.last.min(now + patience.silence));
            self.look_at.get_or_insert(now + LOOK);
        }
    }

    /// Fails the calls that took too long; the slave is told to stop them. Call at [`ProxyEnd::poll_timeout`].
    /// Returns how many there were.
    pub fn time_out(&mut self, now: Instant) -> usize {
        if self.look_at.is_none_or(|at| at > now) {
            return 0;
        }
        let due = |call: &Call<S>| call.give_up.is_some_and(|at| at <= now);
        let mut late: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| due(call)).map(|(id, _)| *id).collect();
        late.sort_unstable();
        let mut failed = 0;
        for id in late {
            if let Some(call) = self.calls.get_mut(&id) {
                // One that has ended waits for its reader alone: the slave may forget it.
                failed += usize::from(!call.ended);
                call.fail(Failure::Timeout);
            }
            self.cancel(id);
        }
        self.look_at = (!self.calls.is_empty()).then_some(now + LOOK);
        failed
    }

    /// Ends a call from this side. Nothing more is delivered; the slave is told, if need be when it is back.
    pub fn cancel(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        if call.up.sent() == 0 {
            return;
        }
        if self.linked {
            self.outbox.control(Frame::bare(FrameKind::Cancel, id, 0));
        } else {
            self.cancels.push(id);
        }
    }

    /// Nobody reads the answer any more, but the call is to run to its end.
    pub fn abandon(&mut self, id: CallId, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.reader = Reader::Gone;
            let (bytes, next) = (call.untaken, call.next);
            self.taken(id, next, bytes, now);
        }
    }

    /// The reader has taken every chunk below `seq`, `bytes` more than at the last time: the slave may send as much again.
    pub fn taken(&mut self, id: CallId, seq: Seq, bytes: usize, now: Instant) {
        // A reader may still take what it had when the call was abandoned: that is no news.
        let Some(call) = self.calls.get_mut(&id).filter(|call| seq >= call.taken) else { return };
        call.untaken = call.untaken.saturating_sub(bytes);
        call.uncredited += bytes;
        call.taken = seq;
        let credit = Frame::bare(FrameKind::Credit, id, seq);
        if call.ended && seq == call.next {
            let linked = call.carrier == Carrier::Link;
            self.calls.remove(&id);
            match linked {
                true => self.outbox.lazy(credit, now),
                // The slave keeps the whole of it until it is told to forget.
                false if self.linked => self.outbox.control(Frame::bare(FrameKind::Cancel, id, 0)),
                false => self.cancels.push(id),
            }
        } else if call.owes_credit(self.limits.window) && call.carrier == Carrier::Link {
            call.credit();
            self.outbox.control(credit);
        }
    }

    /// Tells the slave that this proxy opens nothing new.
    pub fn drain(&mut self) {
        if self.linked {
            self.outbox.control(Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }

    fn queue(outbox: &mut Outbox, id: CallId, call: &mut Call<S>) {
        if call.carrier == Carrier::Link && !call.queued && call.up.can_send() {
            call.queued = true;
            outbox.ready(id);
        }
    }

    /// The next frame for the socket. What it returns counts as written: an `open` taken here whole may have arrived.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        if !self.linked {
            return None;
        }
        if let Some(frame) = self.outbox.next_control(now) {
            return Some(frame);
        }
        while let Some(id) = self.outbox.next_call() {
            let Some(call) = self.calls.get_mut(&id) else { continue };
            call.queued = false;
            if let Some(frame) = call.up.send(id) {
                Self::queue(&mut self.outbox, id, call);
                self.tally.stalls += u64::from(!call.queued && call.up.has_unsent());
                self.outbox.flush_delayed();
                return Some(frame);
            }
        }
        None
    }

    /// Whether [`ProxyEnd::poll_transmit`] has something right now.
    pub fn wants_to_send(&self) -> bool {
        self.linked && self.outbox.has_urgent()
    }

    /// What the owner of the link should know next.
    pub fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.events.pop_front()
    }
}
