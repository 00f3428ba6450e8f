//! State of the slave's end, and what happens to it when links come and go or time passes.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::call::{Call, Stage};
use super::event::SlaveEvent;
use super::tombstones::Tombstones;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::{CallId, CallMap, LinkId};
use crate::link::journal::Journal;
use crate::link::limits::LinkLimits;
use crate::link::outbox::Outbox;
use crate::link::stats::LinkStats;

/// How much longer than the proxies' grace a slave keeps what nobody reads: each side notices a loss in its own time.
pub const RETENTION_MARGIN: Duration = Duration::from_secs(10);

pub(super) struct Link {
    pub(super) outbox: Outbox,
    pub(super) window: usize,
    pub(super) retention: Duration,
    pub(super) catalogs: Journal,
    /// Calls whose `accepted` was not sent: most end before it is worth a frame.
    pub(super) unannounced: VecDeque<(Instant, CallId)>,
}

/// One slave process: its calls and its links.
pub struct SlaveEnd {
    pub(super) limits: LinkLimits,
    pub(super) calls: CallMap<Call>,
    pub(super) links: HashMap<LinkId, Link>,
    pub(super) events: VecDeque<SlaveEvent>,
    pub(super) catalog: Bytes,
    pub(super) journal_bytes: usize,
    pub(super) assembly_bytes: usize,
    pub(super) draining: bool,
    pub(super) forgotten: Tombstones,
    /// No call is to be forgotten before this time.
    pub(super) expiry: Option<Instant>,
    pub(super) tally: LinkStats,
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

    /// What the owner has to do next.
    pub fn poll_event(&mut self) -> Option<SlaveEvent> {
        self.events.pop_front()
    }
}
