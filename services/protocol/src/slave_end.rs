//! The slave's end of all its links: the journals of its calls, whichever link reads them.
//!
//! Feed frames in with [`SlaveEnd::receive`], take frames out with [`SlaveEnd::poll_transmit`], learn what to do from
//! [`SlaveEnd::poll_event`]. Never waits, never panics; memory is bounded by [`LinkLimits::journal`] and `assembly`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::failure::Failure;
use crate::frame::{Flags, Frame, FrameKind};
use crate::ids::{CallId, LinkId};
use crate::intake::{Assembled, Intake, IntakeError};
use crate::journal::{Heading, Journal};
use crate::limits::{LinkLimits, MAX_HEADER};
use crate::outbox::{LAZY, Outbox};
use crate::proxy_end::LinkError;

/// How much longer than the proxies' grace a slave keeps what nobody reads: each side notices a loss in its own time.
pub const RETENTION_MARGIN: Duration = Duration::from_secs(10);

/// What the owner of the links has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum SlaveEvent {
    /// Run this call: `header` is the JSON call header, `message` the client's JSON-RPC request.
    Start {
        /// Its name from now on.
        call: CallId,
        /// JSON of [`crate::header::CallHeader`].
        header: Bytes,
        /// Whole JSON-RPC request, as the client sent it.
        message: Bytes,
    },
    /// The client's message for a running call.
    Reply {
        /// Which call.
        call: CallId,
        /// Whole JSON-RPC message.
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
    /// A fact about a client session (JSON of [`crate::header::SessionFacts`]).
    Session(Bytes),
    /// The proxy behind this link opens nothing new.
    ProxyDraining(LinkId),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// Go on.
    More,
    /// Kept, but wait for [`SlaveEvent::Room`] before the next.
    Wait,
    /// Nobody wants the call any more.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its `open` is not all there.
    Receiving,
    /// The owner was told to run it.
    Running,
    /// Its end is written.
    Ended,
}

struct Call {
    link: Option<LinkId>,
    intake: Intake,
    uncredited: usize,
    stage: Stage,
    announced: bool,
    queued: bool,
    waiting: bool,
    down: Journal,
    forget_at: Option<Instant>,
}

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
    calls: HashMap<CallId, Call>,
    links: HashMap<LinkId, Link>,
    events: VecDeque<SlaveEvent>,
    catalog: Bytes,
    journal_bytes: usize,
    assembly_bytes: usize,
    draining: bool,
    /// No call is to be forgotten before this time.
    expiry: Option<Instant>,
}

impl SlaveEnd {
    /// `limits.window` is what this slave announces in its hello; `catalog` what it offers at first (JSON).
    pub fn new(limits: LinkLimits, catalog: Bytes) -> Self {
        Self {
            limits,
            calls: HashMap::new(),
            links: HashMap::new(),
            events: VecDeque::new(),
            catalog,
            journal_bytes: 0,
            assembly_bytes: 0,
            draining: false,
            expiry: None,
        }
    }

    /// Calls that are running or whose answer was not taken yet.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Calls that have not ended.
    pub fn running(&self) -> usize {
        self.calls.values().filter(|call| call.stage == Stage::Running).count()
    }

    /// Bytes written and not acknowledged.
    pub fn journal_bytes(&self) -> usize {
        self.journal_bytes
    }

    /// Bytes of messages not yet complete.
    pub fn assembly_bytes(&self) -> usize {
        self.assembly_bytes
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
        to.catalogs
            .write(Heading { kind: FrameKind::Catalog, flags: Flags::NONE, aux: 0 }, self.catalog.clone());
        while let Some(frame) = to.catalogs.send(CallId::LINK) {
            to.outbox.control(frame);
        }
        to.catalogs.forget_sent();
    }

    fn control(&mut self, link: LinkId, frame: Frame) {
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

    /// Takes one frame of a proxy. On an error that link must be closed.
    pub fn receive(&mut self, link: LinkId, frame: Frame, now: Instant) -> Result<(), LinkError> {
        if self.links.get(&link).is_some_and(|link| link.outbox.is_flooded()) {
            return Err(LinkError::Flood);
        }
        match frame.kind {
            FrameKind::Open => self.receive_open(link, frame, now),
            FrameKind::Reply => self.receive_reply(link, frame),
            FrameKind::Cancel => {
                self.stop(frame.call);
                Ok(())
            }
            FrameKind::Credit => self.receive_credit(&frame),
            FrameKind::Attach => self.receive_attach(link, &frame),
            FrameKind::Session => {
                self.events.push_back(SlaveEvent::Session(frame.payload));
                Ok(())
            }
            FrameKind::Drain => {
                self.events.push_back(SlaveEvent::ProxyDraining(link));
                Ok(())
            }
            FrameKind::Accepted | FrameKind::Event | FrameKind::End | FrameKind::Catalog => {
                Err(LinkError::Unexpected(frame.kind))
            }
        }
    }

    fn receive_open(&mut self, link: LinkId, frame: Frame, now: Instant) -> Result<(), LinkError> {
        let id = frame.call;
        let header_len = usize::from(frame.aux);
        if frame.seq == 0 && (header_len == 0 || header_len > MAX_HEADER || header_len > frame.payload.len())
        {
            return Err(LinkError::Header(header_len));
        }
        if !self.calls.contains_key(&id) {
            if frame.seq != 0 {
                // The rest of a call that was refused or cancelled.
                return Ok(());
            }
            if self.draining {
                let gone = Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, id, 0) };
                self.control(link, gone);
                return Ok(());
            }
            self.begin(link, id);
        }
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.stage != Stage::Receiving || call.link != Some(link) {
            return Err(LinkError::Unexpected(FrameKind::Open));
        }
        let before = call.intake.pending();
        let taken = call.intake.take(frame);
        let pending = call.intake.pending();
        self.assembly_bytes = self.assembly_bytes + pending - before;
        match taken {
            Ok(Some(whole)) => self.start(link, id, &whole, now),
            Ok(None) if self.assembly_bytes > self.limits.assembly => {
                self.refuse(
                    id,
                    &Failure::Busy { what: "the slave's memory for incoming messages is full".into() },
                );
            }
            Ok(None) => self.credit_upload(link, id, pending - before),
            Err(IntakeError::TooLong { limit }) => self.refuse(id, &Failure::BodyTooLarge { limit }),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn begin(&mut self, link: LinkId, id: CallId) {
        let window = self.links.get(&link).map_or(self.limits.window, |l| l.window);
        let down = Journal::new(&LinkLimits { window, ..self.limits.clone() });
        let call = Call {
            link: Some(link),
            intake: Intake::new(self.limits.message + MAX_HEADER),
            uncredited: 0,
            stage: Stage::Receiving,
            announced: false,
            queued: false,
            waiting: false,
            down,
            forget_at: None,
        };
        self.calls.insert(id, call);
    }

    fn start(&mut self, link: LinkId, id: CallId, whole: &Assembled, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.stage = Stage::Running;
        if let Some(link) = self.links.get_mut(&link) {
            link.unannounced.push_back((now + LAZY, id));
        }
        let mut message = whole.message.clone();
        let header = message.split_to(usize::from(whole.aux).min(message.len()));
        self.events.push_back(SlaveEvent::Start { call: id, header, message });
    }

    /// Refuses a call that is not wholly received; the rest of its `open` is ignored.
    fn refuse(&mut self, id: CallId, failure: &Failure) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.assembly_bytes -= call.intake.pending();
        if let Some(link) = call.link {
            let payload = Bytes::from(failure.error_object());
            self.control(link, Frame { flags: Flags::ERROR, payload, ..Frame::bare(FrameKind::End, id, 0) });
        }
    }

    fn credit_upload(&mut self, link: LinkId, id: CallId, bytes: usize) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.uncredited += bytes;
        if call.uncredited >= self.limits.window / 4 {
            call.uncredited = 0;
            let credit = Frame::bare(FrameKind::Credit, id, call.intake.next());
            self.control(link, credit);
        }
    }

    fn receive_reply(&mut self, link: LinkId, frame: Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.stage == Stage::Receiving || call.link != Some(link) {
            return Err(LinkError::Unexpected(FrameKind::Reply));
        }
        let before = call.intake.pending();
        let taken = call.intake.take(frame);
        let pending = call.intake.pending();
        self.assembly_bytes = self.assembly_bytes + pending - before;
        let whole = taken?;
        self.credit_upload(link, id, self.limits.window);
        if let Some(whole) = whole {
            self.events.push_back(SlaveEvent::Reply { call: id, message: whole.message });
        }
        Ok(())
    }

    fn receive_credit(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        self.journal_bytes -= call.down.acknowledge(frame.seq)?;
        if call.waiting && call.down.bytes() <= call.room() {
            call.waiting = false;
            self.events.push_back(SlaveEvent::Room { call: id });
        }
        if call.stage == Stage::Ended && call.down.is_empty() {
            self.calls.remove(&id);
        } else {
            self.queue(id);
        }
        Ok(())
    }

    fn receive_attach(&mut self, link: LinkId, frame: &Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.stage != Stage::Receiving) else {
            let gone = Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, id, frame.seq) };
            self.control(link, gone);
            return Ok(());
        };
        call.down.rewind(frame.seq)?;
        call.link = Some(link);
        call.forget_at = None;
        call.announced = true;
        call.queued = false;
        let accepted = Frame::bare(FrameKind::Accepted, id, call.intake.next());
        self.control(link, accepted);
        self.queue(id);
        Ok(())
    }

    fn queue(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(link) = call.link.and_then(|link| self.links.get_mut(&link)) else { return };
        if !call.queued && call.down.can_send() {
            call.queued = true;
            link.outbox.ready(id);
        }
    }

    /// Writes one event of a call (a whole JSON-RPC message, no newlines). `request`: it wants a reply.
    pub fn event(&mut self, id: CallId, message: Bytes, request: Flags) -> Wrote {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.stage != Stage::Ended) else {
            return Wrote::Gone;
        };
        if self.journal_bytes + message.len() > self.limits.journal {
            self.overflow(id);
            self.events.push_back(SlaveEvent::Stop { call: id });
            return Wrote::Gone;
        }
        self.journal_bytes += message.len();
        call.down.write(Heading { kind: FrameKind::Event, flags: request, aux: 0 }, message);
        call.waiting = call.down.bytes() > call.room();
        let wrote = if call.waiting { Wrote::Wait } else { Wrote::More };
        self.queue(id);
        wrote
    }

    /// Ends a call with a result or, flagged [`Flags::ERROR`], an error object. `status` is an HTTP status hint.
    pub fn end(&mut self, id: CallId, payload: Bytes, flags: Flags, status: u16) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.stage != Stage::Ended) else { return };
        if self.journal_bytes + payload.len() > self.limits.journal {
            self.overflow(id);
            return;
        }
        call.stage = Stage::Ended;
        self.journal_bytes += payload.len();
        call.down.write(Heading { kind: FrameKind::End, flags, aux: status }, payload);
        self.queue(id);
    }

    /// The journal is full: the call ends with an error that says so, in place of what was not sent yet.
    fn overflow(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let limit = self.limits.journal;
        let failure = Failure::ResultTooLarge(format!(
            "the slave's journal is full ({limit} bytes, SLAVE_JOURNAL_BYTES)"
        ));
        let object = Bytes::from(failure.error_object());
        self.journal_bytes -= call.down.drop_unsent();
        self.journal_bytes += object.len();
        call.stage = Stage::Ended;
        call.down.write(Heading { kind: FrameKind::End, flags: Flags::ERROR, aux: 0 }, object);
        self.queue(id);
    }

    fn stop(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.journal_bytes -= call.down.bytes();
        self.assembly_bytes -= call.intake.pending();
        if call.stage == Stage::Running {
            self.events.push_back(SlaveEvent::Stop { call: id });
        }
    }

    /// Forgets what nobody came back for; call at the time that [`SlaveEnd::poll_timeout`] names.
    pub fn expire(&mut self, now: Instant) {
        let due = |call: &Call| call.forget_at.is_some_and(|at| at <= now);
        let over: Vec<CallId> = self.calls.iter().filter(|(_, call)| due(call)).map(|(id, _)| *id).collect();
        for id in over {
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
        self.links.get(&link).is_some_and(|link| link.outbox.is_eager())
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

impl Call {
    /// Bytes a producer may be ahead of the reader.
    fn room(&self) -> usize {
        self.down.window()
    }
}
