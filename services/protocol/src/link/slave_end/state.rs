//! State of the slave's end, and its changes when links come and go or time passes. Must not know
//! sockets.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::call::{Call, CallState};
use super::event::SlaveEvent;
use super::peer::ProxyPeer;
use super::tombstones::Tombstones;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::{CallId, CallMap, LinkId};
use crate::link::journal::Journal;
use crate::link::limits::LinkLimits;
use crate::link::outbox::Outbox;
use crate::link::stats::LinkStats;

/// Time beyond the proxy's grace for which a slave keeps calls without a link: each side notices a loss in its own time.
pub const RETENTION_MARGIN: Duration = Duration::from_secs(10);

pub(super) struct Link {
    pub(super) outbox: Outbox,
    /// The proxy behind the link.
    pub(super) peer: ProxyPeer,
    pub(super) catalogs: Journal,
    /// Calls for which `accepted` is sent at this time, unless they write or end before.
    pub(super) pending_accepted: VecDeque<(Instant, CallId)>,
    /// Calls whose `open` was not whole when so much of it had come that the proxy must be told.
    pub(super) owed_credits: HashSet<CallId>,
    /// Shortest round trip, once one was measured.
    pub(super) trip: Option<Duration>,
}

/// The slave's end of all links of one process, with its calls.
pub struct SlaveEnd {
    pub(super) limits: LinkLimits,
    pub(super) calls: CallMap<Call>,
    pub(super) links: BTreeMap<LinkId, Link>,
    pub(super) events: VecDeque<SlaveEvent>,
    /// Messages that make up the whole catalog.
    pub(super) catalog: Vec<Bytes>,
    pub(super) journal_bytes: usize,
    pub(super) assembly_bytes: usize,
    pub(super) draining: bool,
    pub(super) tombstones: Tombstones,
    /// Calls that the owner was told to stop and has not ended yet. Their ids are not free: what the owner still writes would go
    /// to another call.
    pub(super) stopping: HashSet<CallId>,
    /// No call's retention ends before this time.
    pub(super) next_expiry: Option<Instant>,
    pub(super) stats: LinkStats,
    /// The latest time that the owner has told.
    pub(super) clock: Option<Instant>,
}

impl SlaveEnd {
    /// Makes an end without links. `limits.window` is what this slave announces in its hello; `catalog` what it offers at
    /// first: parts (JSON) that make up the whole.
    pub fn new(limits: LinkLimits, catalog: Vec<Bytes>) -> Self {
        Self {
            limits,
            calls: CallMap::default(),
            links: BTreeMap::new(),
            events: VecDeque::new(),
            catalog,
            journal_bytes: 0,
            assembly_bytes: 0,
            draining: false,
            tombstones: Tombstones::default(),
            stopping: HashSet::new(),
            next_expiry: None,
            stats: LinkStats::default(),
            clock: None,
        }
    }

    /// Returns the number of calls that are running or whose response was not taken yet.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Returns the number of calls that were started and have not ended.
    pub fn running(&self) -> usize {
        self.calls.values().filter(|call| call.state.is_running()).count()
    }

    /// Returns the bytes written and not acknowledged.
    pub fn journal_bytes(&self) -> usize {
        self.journal_bytes
    }

    /// Returns the bytes of requests that have not come in full.
    pub fn assembly_bytes(&self) -> usize {
        self.assembly_bytes
    }

    /// Takes what was counted since the last time, if there is anything.
    pub fn take_stats(&mut self) -> Option<LinkStats> {
        self.stats.take()
    }

    /// Returns journal and assembly bytes, counted anew over all calls: tests hold them against the two above.
    pub fn recount(&self) -> (usize, usize) {
        let calls = || self.calls.values();
        (calls().map(|c| c.response.bytes()).sum(), calls().map(Call::pending_bytes).sum())
    }

    /// Takes the shortest round trip of a link so far ([`crate::link::window`]).
    pub fn set_trip(&mut self, link: LinkId, trip: Duration) {
        if let Some(link) = self.links.get_mut(&link) {
            link.trip = Some(trip);
        }
    }

    /// Starts a link, which is sent the catalog.
    pub fn link_up(&mut self, link: LinkId, peer: ProxyPeer) {
        let unlimited = LinkLimits { window: usize::MAX, ..self.limits.clone() };
        let state = Link {
            outbox: Outbox::default(),
            peer,
            catalogs: Journal::new(&unlimited),
            pending_accepted: VecDeque::new(),
            owed_credits: HashSet::new(),
            trip: None,
        };
        self.links.insert(link, state);
        let whole = self.catalog.clone();
        self.send_catalog(link, &whole);
        if self.draining {
            self.enqueue_control(link, Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }

    /// Ends a link. Its calls wait to be attached; those of which not all of the `open` has come are forgotten.
    pub fn link_down(&mut self, link: LinkId, now: Instant) {
        let Some(gone) = self.links.remove(&link) else { return };
        let retention_ends_at = now + gone.peer.grace + RETENTION_MARGIN;
        let mut assembly = 0;
        let mut journal = 0;
        self.calls.retain(|_, call| {
            if call.link != Some(link) {
                return true;
            }
            if call.state == CallState::Receiving {
                assembly += call.pending_bytes();
                journal += call.response.bytes();
                return false;
            }
            call.link = None;
            call.queued = false;
            call.stalled_since = None;
            call.retention_ends_at = Some(retention_ends_at);
            self.next_expiry =
                Some(self.next_expiry.map_or(retention_ends_at, |at| at.min(retention_ends_at)));
            true
        });
        self.assembly_bytes -= assembly;
        self.journal_bytes -= journal;
    }

    /// Ends a link whose proxy drained and closed with 1001, and therefore never comes back. Ends that it did not acknowledge
    /// are forgotten; calls that still run (their clients went, or the grace was over) go on without a reader.
    pub fn proxy_gone(&mut self, link: LinkId, now: Instant) {
        let of_link = |(id, call): (&CallId, &Call)| (call.link == Some(link)).then_some((*id, call.state));
        let calls: Vec<(CallId, CallState)> = self.calls.iter().filter_map(of_link).collect();
        self.link_down(link, now);
        for (id, state) in calls {
            self.tombstones.insert(id);
            if state == CallState::Ended {
                self.remove(id);
            } else if let Some(call) = self.calls.get_mut(&id) {
                call.state = CallState::NoReader;
            }
        }
    }

    /// Forgets a call, and has it stopped if it runs.
    pub(super) fn remove(&mut self, id: CallId) {
        self.release(id, true);
    }

    /// Forgets a call likewise. `may_return`: its client may come back to what the owner retains of it.
    pub(super) fn release(&mut self, id: CallId, may_return: bool) {
        let Some(call) = self.calls.remove(&id) else { return };
        if call.retained {
            self.events.push_back(SlaveEvent::Released { call: id, may_return });
        }
        self.journal_bytes -= call.response.bytes();
        self.assembly_bytes -= call.pending_bytes();
        if call.state.is_running() {
            self.stop(id);
        }
    }

    /// Has the owner stop a call.
    pub(super) fn stop(&mut self, id: CallId) {
        self.stopping.insert(id);
        self.events.push_back(SlaveEvent::Stop { call: id });
    }

    /// Forgets the calls whose retention is over. To be called at [`SlaveEnd::poll_timeout`].
    pub fn expire(&mut self, now: Instant) {
        let is_over = |call: &Call| call.retention_ends_at.is_some_and(|at| at <= now);
        let over: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| is_over(call)).map(|(id, _)| *id).collect();
        for id in over {
            self.tombstones.insert(id);
            self.remove(id);
        }
        self.next_expiry = self.calls.values().filter_map(|call| call.retention_ends_at).min();
    }

    /// Returns when [`SlaveEnd::expire`] may have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_expiry
    }

    /// Returns the next event for the owner.
    pub fn poll_event(&mut self) -> Option<SlaveEvent> {
        self.events.pop_front()
    }
}
