//! Room in the journal: where it is full, calls whose readers stopped reading give way to those whose readers read. Must not
//! know links' sockets.

use std::time::{Duration, Instant};

use super::call::{Call, CallState};
use super::event::SlaveEvent;
use super::state::SlaveEnd;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::CallId;
use crate::mcp::failure::Failure;

/// How long a reader must have taken nothing before its call gives way.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);

impl SlaveEnd {
    /// Makes room for so many bytes of a call. Where there is too little, calls whose readers have taken nothing for
    /// [`STALLED_AFTER`] are given up, the longest stalled first, unless all of them would not be enough. Returns whether the
    /// bytes fit.
    pub(super) fn make_room(&mut self, id: CallId, bytes: usize) -> bool {
        let missing = (self.journal_bytes + bytes).saturating_sub(self.limits.journal);
        if missing == 0 {
            return true;
        }
        let mut stalled: Vec<(Instant, CallId, usize)> =
            self.calls.iter().filter_map(|(other, call)| self.stalled(*other, call)).collect();
        stalled.retain(|(_, other, _)| *other != id);
        if stalled.iter().map(|(_, _, held)| held).sum::<usize>() < missing {
            return false;
        }
        stalled.sort_unstable_by_key(|(since, other, _)| (*since, *other));
        for (_, other, _) in stalled {
            if self.journal_bytes + bytes <= self.limits.journal {
                break;
            }
            self.give_up(other);
        }
        self.journal_bytes + bytes <= self.limits.journal
    }

    fn stalled(&self, id: CallId, call: &Call) -> Option<(Instant, CallId, usize)> {
        let since = call.stalled_since.filter(|_| call.link.is_some())?;
        let is_long = self.clock?.saturating_duration_since(since) >= STALLED_AFTER;
        is_long.then(|| (since, id, call.response.bytes()))
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
