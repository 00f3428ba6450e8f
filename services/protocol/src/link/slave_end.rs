//! The slave's end of all its links: the journals of its calls, whichever link reads them.
//!
//! Feed frames in with [`SlaveEnd::receive`], take frames out with [`SlaveEnd::poll_transmit`], learn what to do from
//! [`SlaveEnd::poll_event`]. Never waits, never panics; memory is bounded by [`LinkLimits::journal`] and `assembly`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, CallMap, LinkId};
use crate::link::journal::{Journal, MessageHeader};
use crate::link::limits::LinkLimits;
use crate::link::outbox::Outbox;
use crate::link::stats::LinkStats;
use crate::mcp::failure::Failure;

/// How much longer than the proxies' grace a slave keeps what nobody reads: each side notices a loss in its own time.
pub const RETENTION_MARGIN: Duration = Duration::from_secs(10);

/// What the owner of the links has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum SlaveEvent {
    /// Run this call: `header` is the JSON call header, `message` the client's JSON-RPC request.
    Start {
        /// Its name from now on.
        call: CallId,
        /// JSON of [`crate::link::header::CallHeader`].
        header: Bytes,
        /// Whole JSON-RPC request, as the client sent it.
        message: Bytes,
    },
    /// Nobody wants the call any more: stop it. What it still says is dropped.
    Stop {
        /// Which call.
        call: CallId,
    },
    /// The reader has caught up: a producer that was told to wait may go on.
    Room {
        /// Which call.
        call: CallId,
    },
    /// A fact about a client session (JSON of [`crate::link::header::SessionFacts`]), and the link that brought it.
    Session(LinkId, Bytes),
    /// Which proxies there are, as the one behind this link knows (JSON of [`crate::link::peers::Peers`]).
    Peers(LinkId, Bytes),
    /// The proxy behind this link opens nothing new.
    ProxyDraining(LinkId),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Go on.
    More,
    /// Kept, but wait for [`SlaveEvent::Room`] before the next.
    Wait,
    /// Nobody wants the call any more.
    Gone,
}

mod call;
mod receive;
mod tombstones;

use call::{Call, Stage};
use tombstones::Tombstones;

struct Link {
    outbox: Outbox,
    window: usize,
    retention: Duration,
    catalogs: Journal,
    /// Calls whose `accepted` was not sent: most end before it is worth a frame.
    unannounced: VecDeque<(Instant, CallId)>,
}

/// One slave process: its calls and its links.
pub struct SlaveEnd {
    limits: LinkLimits,
    calls: CallMap<Call>,
    links: HashMap<LinkId, Link>,
    events: VecDeque<SlaveEvent>,
    catalog: Bytes,
    journal_bytes: usize,
    assembly_bytes: usize,
    draining: bool,
    forgotten: Tombstones,
    /// No call is to be forgotten before this time.
    expiry: Option<Instant>,
    tally: LinkStats,
}

impl SlaveEnd {
    /// `limits.window` is what this slave announces in its hello; `catalog` what it offers at first (JSON).
    pub fn new(limits: LinkLimits, catalog: Bytes) -> Self {
        Self {
            limits,
            calls: CallMap::default(),
            links: HashMap::new(),
            events: VecDeque::new(),
            catalog,
            journal_bytes: 0,
            assembly_bytes: 0,
            draining: false,
            forgotten: Tombstones::default(),
            expiry: None,
            tally: LinkStats::default(),
        }
    }

    /// Calls that are running or whose answer was not taken yet.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Calls that have not ended.
    pub fn running(&self) -> usize {
        self.calls.values().filter(|call| matches!(call.stage, Stage::Running | Stage::Unheard)).count()
    }

    /// Bytes written and not acknowledged.
    pub fn journal_bytes(&self) -> usize {
        self.journal_bytes
    }

    /// Bytes of messages not yet complete.
    pub fn assembly_bytes(&self) -> usize {
        self.assembly_bytes
    }

    /// What was counted since the last time, if there is anything.
    pub fn take_stats(&mut self) -> Option<LinkStats> {
        self.tally.take()
    }

    /// Journal and assembly bytes, counted anew over all calls: a test of the two above.
    pub fn recount(&self) -> (usize, usize) {
        let calls = || self.calls.values();
        (calls().map(|c| c.down.bytes()).sum(), calls().map(|c| c.intake.pending()).sum())
    }

    /// A link is there; it is told the catalog. `window` and `grace` are what the proxy's hello said.
    pub fn link_up(&mut self, link: LinkId, window: u32, grace: Duration) {
        let retention = grace + RETENTION_MARGIN;
        let unbounded = LinkLimits { window: usize::MAX, ..self.limits.clone() };
        let fresh = Link {
            outbox: Outbox::default(),
            window: window as usize,
            retention,
            catalogs: Journal::new(&unbounded),
            unannounced: VecDeque::new(),
        };
        self.links.insert(link, fresh);
        self.send_catalog(link);
        if self.draining {
            self.control(link, Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }

    /// A link is gone: its calls wait to be attached; half-received ones never were.
    pub fn link_down(&mut self, link: LinkId, now: Instant) {
        let Some(gone) = self.links.remove(&link) else { return };
        let mut assembly = 0;
        let mut journal = 0;
        self.calls.retain(|_, call| {
            if call.link != Some(link) {
                return true;
            }
            if call.stage == Stage::Receiving {
                assembly += call.intake.pending();
                journal += call.down.bytes();
                return false;
            }
            call.link = None;
            call.queued = false;
            call.forget_at = Some(now + gone.retention);
            self.expiry = Some(self.expiry.map_or(now + gone.retention, |at| at.min(now + gone.retention)));
            true
        });
        self.assembly_bytes -= assembly;
        self.journal_bytes -= journal;
    }

    /// A link is gone whose proxy had drained and said goodbye: that never comes back. Ends that it did not acknowledge
    /// are forgotten; calls that still run (their clients went, or its grace was over) end unheard.
    pub fn link_over(&mut self, link: LinkId, now: Instant) {
        let of_link = |(id, call): (&CallId, &Call)| (call.link == Some(link)).then_some((*id, call.stage));
        let calls: Vec<(CallId, Stage)> = self.calls.iter().filter_map(of_link).collect();
        self.link_down(link, now);
        for (id, stage) in calls {
            self.forgotten.add(id);
            if stage == Stage::Ended {
                self.stop(id);
            } else if let Some(call) = self.calls.get_mut(&id) {
                call.stage = Stage::Unheard;
            }
        }
    }

    /// What is offered from now on (JSON); every link is told.
    pub fn set_catalog(&mut self, catalog: Bytes) {
        self.catalog = catalog;
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.send_catalog(link);
        }
    }

    fn send_catalog(&mut self, link: LinkId) {
        let Some(to) = self.links.get_mut(&link) else { return };
        to.catalogs.write(
            MessageHeader { kind: FrameKind::Catalog, flags: Flags::NONE, aux: 0 },
            self.catalog.clone(),
        );
        while let Some(frame) = to.catalogs.send(CallId::LINK) {
            to.outbox.control(frame);
        }
        to.catalogs.forget_sent();
    }

    /// Tells a proxy which others this slave is linked to (JSON of [`crate::link::peers::Peers`], at most one chunk). Only for
    /// proxies that announced `peers`.
    pub fn peers(&mut self, link: LinkId, peers: Bytes) {
        self.control(link, Frame { payload: peers, ..Frame::bare(FrameKind::Peers, CallId::LINK, 0) });
    }

    /// Passes a fact about a client session on to a proxy. Only for proxies that announced `peers`.
    pub fn session(&mut self, link: LinkId, facts: Bytes) {
        self.control(link, Frame { payload: facts, ..Frame::bare(FrameKind::Session, CallId::LINK, 0) });
    }

    pub(super) fn control(&mut self, link: LinkId, frame: Frame) {
        if let Some(to) = self.links.get_mut(&link) {
            to.outbox.control(frame);
        }
    }

    /// Takes no new call from now on; every proxy is told.
    pub fn drain(&mut self) {
        self.draining = true;
        for link in self.links.values_mut() {
            link.outbox.control(Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }

    pub(super) fn queue(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(link) = call.link.and_then(|link| self.links.get_mut(&link)) else { return };
        if !call.queued && call.down.can_send() {
            call.queued = true;
            link.outbox.ready(id);
        }
    }

    /// Writes one event of a call (a whole JSON-RPC message, no newlines). `request`: it wants a reply.
    pub fn event(&mut self, id: CallId, message: Bytes, request: Flags) -> WriteOutcome {
        let call = match self.calls.get_mut(&id) {
            Some(call) if call.stage == Stage::Running => call,
            Some(call) if call.stage == Stage::Unheard => return WriteOutcome::More,
            _ => return WriteOutcome::Gone,
        };
        if self.journal_bytes + message.len() > self.limits.journal {
            self.fail(id, &self.journal_full());
            self.events.push_back(SlaveEvent::Stop { call: id });
            return WriteOutcome::Gone;
        }
        self.journal_bytes += message.len();
        call.down.write(MessageHeader { kind: FrameKind::Event, flags: request, aux: 0 }, message);
        call.waiting = call.down.bytes() > call.room();
        let wrote = if call.waiting { WriteOutcome::Wait } else { WriteOutcome::More };
        self.queue(id);
        wrote
    }

    /// Ends a call with a result or, flagged [`Flags::ERROR`], an error object. `status` is an HTTP status hint.
    /// [`WriteOutcome::Gone`]: nobody is there who will ask for it, and the call is forgotten.
    pub fn end(&mut self, id: CallId, payload: Bytes, flags: Flags, status: u16) -> WriteOutcome {
        let call = match self.calls.get_mut(&id) {
            Some(call) if call.stage == Stage::Running => call,
            Some(call) if call.stage == Stage::Unheard => {
                call.stage = Stage::Ended;
                self.stop(id);
                return WriteOutcome::Gone;
            }
            _ => return WriteOutcome::Gone,
        };
        if self.journal_bytes + payload.len() > self.limits.journal {
            self.fail(id, &self.journal_full());
            return WriteOutcome::More;
        }
        call.stage = Stage::Ended;
        self.journal_bytes += payload.len();
        call.down.write(MessageHeader { kind: FrameKind::End, flags, aux: status }, payload);
        self.queue(id);
        WriteOutcome::More
    }

    fn journal_full(&self) -> Failure {
        let limit = self.limits.journal;
        Failure::ResultTooLarge(format!("the slave's journal is full ({limit} bytes, SLAVE_JOURNAL_BYTES)"))
    }

    /// Ends a call with an error of ours, in place of the messages that were not begun to be sent.
    pub(super) fn fail(&mut self, id: CallId, failure: &Failure) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let object = Bytes::from(failure.error_object());
        self.journal_bytes -= call.down.drop_unsent_messages();
        self.journal_bytes += object.len();
        call.stage = Stage::Ended;
        call.down.write(MessageHeader { kind: FrameKind::End, flags: Flags::ERROR, aux: 0 }, object);
        self.queue(id);
    }

    pub(super) fn stop(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.journal_bytes -= call.down.bytes();
        self.assembly_bytes -= call.intake.pending();
        if matches!(call.stage, Stage::Running | Stage::Unheard) {
            self.events.push_back(SlaveEvent::Stop { call: id });
        }
    }

    /// Forgets what nobody came back for; call at the time that [`SlaveEnd::poll_timeout`] names.
    pub fn expire(&mut self, now: Instant) {
        let due = |call: &Call| call.forget_at.is_some_and(|at| at <= now);
        let over: Vec<CallId> = self.calls.iter().filter(|(_, call)| due(call)).map(|(id, _)| *id).collect();
        for id in over {
            self.forgotten.add(id);
            self.stop(id);
        }
        self.expiry = self.calls.values().filter_map(|call| call.forget_at).min();
    }

    /// When [`SlaveEnd::expire`] may have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.expiry
    }

    /// Whether this link's [`SlaveEnd::poll_transmit`] has something right now.
    pub fn wants_to_send(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.outbox.has_urgent())
    }

    /// When this link's [`SlaveEnd::poll_transmit`] has something though nothing else happens.
    pub fn link_timeout(&self, link: LinkId) -> Option<Instant> {
        self.links.get(&link).and_then(|link| link.unannounced.front().map(|(at, _)| *at))
    }

    /// The next frame for this link's socket.
    pub fn poll_transmit(&mut self, link: LinkId, now: Instant) -> Option<Frame> {
        self.announce(link, now);
        let to = self.links.get_mut(&link)?;
        if let Some(frame) = to.outbox.next_control(now) {
            return Some(frame);
        }
        while let Some(id) = to.outbox.next_call() {
            let Some(call) = self.calls.get_mut(&id).filter(|call| call.link == Some(link)) else { continue };
            call.queued = false;
            if let Some(frame) = call.down.send(id) {
                if call.down.can_send() {
                    call.queued = true;
                    to.outbox.ready(id);
                } else {
                    self.tally.stalls += u64::from(call.down.has_unsent());
                }
                return Some(frame);
            }
        }
        None
    }

    /// Says `accepted` for calls that have run for a while without saying anything themselves.
    fn announce(&mut self, link: LinkId, now: Instant) {
        let Some(to) = self.links.get_mut(&link) else { return };
        while let Some((_, id)) = to.unannounced.pop_front_if(|(at, _)| *at <= now) {
            let Some(call) = self.calls.get_mut(&id).filter(|call| call.link == Some(link)) else { continue };
            if !call.announced && call.down.next() == 0 {
                to.outbox.control(Frame::bare(FrameKind::Accepted, id, call.intake.next()));
            }
            call.announced = true;
        }
    }

    /// What the owner has to do next.
    pub fn poll_event(&mut self) -> Option<SlaveEvent> {
        self.events.pop_front()
    }
}
