//! The state that all links share, and the writing of journals. Must not know sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::Signal;
use parking_lot::Mutex;
use protocol::link::frame::Flags;
use protocol::link::ids::{CallId, LinkId};
use protocol::link::limits::LinkLimits;
use protocol::link::revocation::RevocationFact;
use protocol::link::rotation::RotationFact;
use protocol::link::slave_end::{SlaveEnd, WriteOutcome};
use protocol::mcp::request_state::{has_state, with_label};
use protocol::mcp::result_marks::ResultMark;
use tokio::sync::{Notify, watch};

use super::call_table::CallTable;
use super::known_grant_facts::KnownGrantFacts;
use super::known_proxies::{KnownProxies, PeerDiscovery};
use super::stage::Stage;
use super::state_labels::StateLabels;
use crate::call::{CallEnd, Execute};
use crate::metrics::LinkUsage;
use crate::retention::Retention;

/// Time after a call for which a slave counts as in use.
const RECENT_USE: Duration = Duration::from_mins(1);

/// A link that is up.
pub(super) struct LinkUp {
    pub(super) id: LinkId,
    /// Wakes the link's task.
    pub(super) wake: Arc<Signal>,
    /// Whether the proxy is known to have read that the slave drains: no call of it can still be on the way.
    pub(super) drained: bool,
    /// Whether the link's task asks for frames by itself soon, and need not be woken for it.
    pub(super) gathers: bool,
}

/// The state under the lock.
pub(super) struct State {
    pub(super) end: SlaveEnd,
    pub(super) links: Vec<LinkUp>,
    pub(super) last_link: u64,
    pub(super) proxies: KnownProxies,
    pub(super) labels: StateLabels,
    pub(super) revocations: KnownGrantFacts<RevocationFact>,
    pub(super) rotations: KnownGrantFacts<RotationFact>,
    /// Requests of plain proxies that run, or whose answers were not sent.
    pub(super) plain_calls: usize,
    /// The last report of linked proxies that was sent to proxies.
    pub(super) reported: Bytes,
}

/// The slave's end of all its links, with the executor behind it.
pub(crate) struct Endpoint {
    pub(super) state: Mutex<State>,
    pub(super) calls: Mutex<CallTable>,
    pub(super) executor: Box<dyn Execute>,
    /// What is kept of calls for clients that come back.
    pub(super) retention: Arc<Retention>,
    /// Notified when the next expiry may have changed, or there are events that no link reads.
    pub(super) chores: Notify,
    /// Changed only under the lock of `state`.
    pub(super) stage: watch::Sender<Stage>,
    /// Changed only under the lock of `state`.
    pub(super) discovery: watch::Sender<PeerDiscovery>,
}

impl Endpoint {
    /// Returns an endpoint without links. `catalog` is the first catalog, in parts (JSON).
    pub(crate) fn new(
        executor: impl Execute,
        retention: Arc<Retention>,
        limits: LinkLimits,
        catalog: Vec<Bytes>,
    ) -> Arc<Self> {
        let state = State {
            end: SlaveEnd::new(limits, catalog),
            links: Vec::new(),
            last_link: 0,
            proxies: KnownProxies::default(),
            labels: StateLabels::default(),
            revocations: KnownGrantFacts::default(),
            rotations: KnownGrantFacts::default(),
            plain_calls: 0,
            reported: Bytes::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            calls: Mutex::default(),
            executor: Box::new(executor),
            retention,
            chores: Notify::new(),
            stage: watch::Sender::default(),
            discovery: watch::Sender::default(),
        })
    }

    /// Returns the number of links that are up.
    pub(crate) fn links(&self) -> usize {
        self.state.lock().links.len()
    }

    /// Returns the number of calls that run or whose end was not taken yet.
    pub(crate) fn calls(&self) -> usize {
        self.state.lock().calls()
    }

    /// Returns whether clients use this slave: there are calls, or was one a short time ago.
    pub(crate) fn was_in_use(&self, now: Instant) -> bool {
        self.state.lock().calls() > 0 || self.calls.lock().was_in_use(now, RECENT_USE)
    }

    /// Records that the number of a plain proxy's requests has changed.
    pub(crate) fn count_plain(&self, before: usize, after: usize) {
        let mut state = self.state.lock();
        state.plain_calls = (state.plain_calls + after).saturating_sub(before);
        self.check_drained(&state);
    }

    /// Returns the number of calls and journal bytes that are held for proxies.
    pub(crate) fn usage(&self) -> LinkUsage {
        let state = self.state.lock();
        LinkUsage { calls: state.calls(), journal: state.end.journal_bytes() }
    }

    /// Returns the number of calls that the executor runs.
    #[cfg(test)]
    pub(crate) fn running_calls(&self) -> usize {
        self.calls.lock().len()
    }

    /// Replaces the catalog by these parts (JSON), and sends those that changed on all links.
    pub(crate) fn set_catalog(&self, whole: Vec<Bytes>, changed: &[Bytes]) {
        let mut state = self.state.lock();
        state.end.set_catalog(whole, changed);
        state.wake_senders();
    }

    /// Changes the journals and wakes the links that have something to send then.
    pub(super) fn write<R>(&self, change: impl FnOnce(&mut SlaveEnd) -> R) -> R {
        let mut state = self.state.lock();
        let changed = change(&mut state.end);
        state.wake_senders();
        changed
    }

    /// Writes one event of a call. When the journals are full, the state machine has ended the call by itself.
    pub(super) fn write_event(&self, call: CallId, json: Bytes) -> WriteOutcome {
        self.write_message(call, json, Flags::NONE)
    }

    /// Writes one request of a backend to the client of a call.
    pub(super) fn write_request(&self, call: CallId, json: Bytes) -> WriteOutcome {
        self.write_message(call, json, Flags::REQUEST)
    }

    fn write_message(&self, call: CallId, json: Bytes, flags: Flags) -> WriteOutcome {
        let outcome = self.write(|end| end.event(call, json, flags));
        if outcome == WriteOutcome::Gone {
            // The state machine's stop event must be taken out, though the writer stops the call as well.
            self.chores.notify_one();
        }
        outcome
    }

    /// Tells the proxy that a call's backend shows life.
    pub(super) fn write_alive(&self, call: CallId) {
        self.write(|end| end.alive(call));
    }

    /// Writes the end of a call.
    pub(super) fn write_end(&self, call: CallId, end: CallEnd) {
        let error = if end.error { Flags::ERROR } else { Flags::NONE };
        let tool_error = if end.tool_error { Flags::TOOL_ERROR } else { Flags::NONE };
        let may_have_state = !end.error && end.marks.may_have(ResultMark::State);
        let payload = if may_have_state { self.label(call, end.payload) } else { end.payload };
        let outcome = self.write(|to| to.end(call, payload, error.with(tool_error), end.status));
        if outcome == WriteOutcome::Gone {
            // The call may have been the last that a drain waits for.
            self.chores.notify_one();
        }
        self.calls.lock().remove(call);
    }

    /// Returns a result as the client of this call may get it.
    fn label(&self, call: CallId, result: Bytes) -> Bytes {
        // Nearly no result has a state: the lock is not taken for the others.
        if !has_state(&result) {
            return result;
        }
        match self.state_label(call) {
            Some(label) => with_label(result, &label),
            None => result,
        }
    }

    /// Returns the label of this process at the proxy of a call.
    pub(super) fn state_label(&self, call: CallId) -> Option<Arc<str>> {
        self.state.lock().labels.of(call.proxy())
    }

    /// Returns where the writer of a call waits for its reader; `None` if the call has ended.
    pub(super) fn space(&self, call: CallId) -> Option<Arc<Notify>> {
        self.calls.lock().space(call)
    }
}

impl State {
    /// Returns the number of calls that run or whose end was not taken yet.
    pub(super) fn calls(&self) -> usize {
        self.end.calls() + self.plain_calls
    }

    /// Wakes the tasks of all links that have something to send.
    pub(super) fn wake_senders(&self) {
        for link in self.links.iter().filter(|link| !link.gathers && self.end.wants_to_send(link.id)) {
            link.wake.raise();
        }
    }
}
