//! Room in the journal: where it is full, calls whose readers stopped reading give way to those whose readers read. Must not
//! know links' sockets.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::call::{Call, CallState};
use super::event::SlaveEvent;
use super::state::SlaveEnd;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::CallId;
use crate::mcp::failure::Failure;

/// How long a reader must have taken nothing before its call gives way.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);

/// Whose unread bytes count together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Client(u64),
    /// A call of a client that is not known.
    Call(CallId),
}

/// Call whose reader stopped.
struct Stalled {
    id: CallId,
    holder: Holder,
    since: Instant,
    held: usize,
}

impl SlaveEnd {
    /// Says whose call this is: where the journal is full, the client that holds most of it unread gives way first. `client` is a digest
    /// that all calls of one client have in common. Calls that are not known are ignored.
    pub fn set_client(&mut self, id: CallId, client: Option<u64>) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.client = client;
        }
    }

    /// Says that the owner retains what a call writes: it learns with [`SlaveEvent::Released`] that the proxy is done with the call,
    /// once, also where the call is stopped. Returns whether the call is known: of another nothing is told.
    pub fn set_retained(&mut self, id: CallId) -> bool {
        let call = self.calls.get_mut(&id);
        call.map(|call| call.retained = true).is_some()
    }

    /// Makes room for so many bytes of a call. Where there is too little, calls whose readers have taken nothing for
    /// [`STALLED_AFTER`] are given up, unless all of them would not be enough: of the client that holds most unread bytes first, and of
    /// that client the longest stalled. Returns whether the bytes fit.
    pub(super) fn make_room(&mut self, id: CallId, bytes: usize) -> bool {
        let missing = (self.journal_bytes + bytes).saturating_sub(self.limits.journal);
        if missing == 0 {
            return true;
        }
        let stalled = self.calls.iter().filter(|(other, _)| **other != id);
        let stalled = stalled.filter_map(|(other, call)| self.stalled(*other, call));
        let mut stalled: Vec<Stalled> = stalled.collect();
        if stalled.iter().map(|call| call.held).sum::<usize>() < missing {
            return false;
        }
        let mut shares: HashMap<Holder, usize> = HashMap::new();
        for call in &stalled {
            *shares.entry(call.holder).or_default() += call.held;
        }
        while self.journal_bytes + bytes > self.limits.journal {
            // The number of clients that stopped is small, and this happens only where the journal is full.
            let share = |call: &Stalled| shares.get(&call.holder).copied().unwrap_or_default();
            let first = stalled
                .iter()
                .enumerate()
                .max_by_key(|(_, call)| (share(call), Reverse((call.since, call.id))));
            let Some((at, _)) = first else { break };
            let call = stalled.swap_remove(at);
            shares.entry(call.holder).and_modify(|share| *share = share.saturating_sub(call.held));
            self.give_up(call.id);
        }
        self.journal_bytes + bytes <= self.limits.journal
    }

    fn stalled(&self, id: CallId, call: &Call) -> Option<Stalled> {
        let since = call.stalled_since.filter(|_| call.link.is_some())?;
        let is_long = self.clock?.saturating_duration_since(since) >= STALLED_AFTER;
        let holder = call.client.map_or(Holder::Call(id), Holder::Client);
        is_long.then(|| Stalled { id, holder, since, held: call.response.bytes() })
    }

    /// Gives up a call whose reader stopped. Where nothing of its end was sent, the end is a failure; else the proxy is told
    /// that the call is gone.
    fn give_up(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (link, before, was_running) =
            (call.link, call.response.bytes(), call.state == CallState::Running);
        self.events.push_back(SlaveEvent::GaveUp { call: id });
        self.fail(id, &reader_stopped());
        if was_running {
            self.stop(id);
        }
        let freed = self.calls.get(&id).is_none_or(|call| call.response.bytes() < before / 2);
        if freed {
            return;
        }
        self.remove(id);
        self.tombstones.insert(id);
        if let Some(link) = link {
            let flags = Flags::GONE.with(Flags::ERROR);
            self.enqueue_control(link, Frame { flags, ..Frame::bare(FrameKind::End, id, 0) });
        }
    }
}

fn reader_stopped() -> Failure {
    Failure::ResultTooLarge(
        "the client stopped reading, and the slave's journal was full (SLAVE_JOURNAL_BYTES)".into(),
    )
}
