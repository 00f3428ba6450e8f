//! Frames to the slave that concern no call: facts about client sessions, other proxies, drain.

use bytes::Bytes;

use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::CallId;

/// Largest number of session facts kept while the link is down. Facts are soft: beyond that the slave learns of some
/// cancellations too late, and nothing else goes wrong.
pub const MAX_PENDING_FACTS: usize = 256;

impl<S: Sink> ProxyEnd<S> {
    /// Sends a fact about a client session (JSON of [`crate::link::session_fact::SessionFact`]). While the link is down the fact is
    /// kept until the link is back, if calls wait that it may concern.
    pub fn session(&mut self, facts: Bytes) {
        if !self.linked {
            if !self.calls.is_empty() && self.pending_facts.len() < MAX_PENDING_FACTS {
                self.pending_facts.push(facts);
            }
        } else if !self.outbox.is_flooded(self.calls.len()) {
            let frame = Frame { payload: facts, ..Frame::bare(FrameKind::Session, CallId::LINK, 0) };
            self.outbox.enqueue_control(frame);
        }
    }

    pub(super) fn flush_facts(&mut self) {
        for facts in std::mem::take(&mut self.pending_facts) {
            self.session(facts);
        }
    }

    /// Sends which proxies there are (JSON of [`crate::link::peers::Peers`], at most one chunk). Only for slaves that announced
    /// `linked`.
    pub fn peers(&mut self, peers: Bytes) {
        if self.linked && !self.outbox.is_flooded(self.calls.len()) {
            let frame = Frame { payload: peers, ..Frame::bare(FrameKind::Peers, CallId::LINK, 0) };
            self.outbox.enqueue_control(frame);
        }
    }

    /// Tells the slave that this proxy opens nothing new.
    pub fn drain(&mut self) {
        if self.linked {
            self.outbox.enqueue_control(Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }
}
