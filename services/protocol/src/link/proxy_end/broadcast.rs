//! What a slave is told that is of no call: about clients' sessions, and which proxies there are.

use bytes::Bytes;

use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::CallId;

/// Facts about sessions that wait for a broken link. They are soft: with more a slave hears of some cancellations too
/// late, and nothing else goes wrong.
const MAX_PENDING_FACTS: usize = 256;

impl<S: Sink> ProxyEnd<S> {
    /// Tells the slave a fact about a client session; while its link is down, when it is back: the calls that it may
    /// concern come back too.
    pub fn session(&mut self, facts: Bytes) {
        if !self.linked {
            if !self.calls.is_empty() && self.pending_facts.len() < MAX_PENDING_FACTS {
                self.pending_facts.push(facts);
            }
        } else if !self.outbox.is_flooded(self.calls.len()) {
            self.outbox.control(Frame { payload: facts, ..Frame::bare(FrameKind::Session, CallId::LINK, 0) });
        }
    }

    pub(super) fn flush_facts(&mut self) {
        for facts in std::mem::take(&mut self.pending_facts) {
            self.session(facts);
        }
    }

    /// Tells the slave which proxies there are (JSON of [`crate::link::peers::Peers`], at most one chunk). Only for slaves that
    /// announced `linked`.
    pub fn peers(&mut self, peers: Bytes) {
        if self.linked && !self.outbox.is_flooded(self.calls.len()) {
            self.outbox.control(Frame { payload: peers, ..Frame::bare(FrameKind::Peers, CallId::LINK, 0) });
        }
    }

    /// Tells the slave that this proxy opens nothing new.
    pub fn drain(&mut self) {
        if self.linked {
            self.outbox.control(Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }
}
