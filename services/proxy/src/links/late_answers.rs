//! Late answers of plain slaves: a slave of the existing Node server sends the answer of a lost link on its next one, and names the
//! request by an id that only it was given. Must not know sockets.

use std::time::Instant;

use bytes::Bytes;
use protocol::link::plain::PlainId;

use super::plain::LinkTimeline;
use super::registry::Registry;
use super::slave::{LinkState, Slave};
use crate::access::Identity;

impl Registry {
    /// Delivers a response to a request that was sent on another plain link of the same identity. Returns whether a call waited for it;
    /// calls of other identities are not looked at.
    pub(super) fn deliver_late(&self, id: PlainId, text: &Bytes, from: &Slave) -> bool {
        let grant = from.grant();
        let owners = self.all().into_iter().filter(|slave| slave.is_plain_of(grant.identity()));
        let owner = owners.into_iter().find(|slave| slave.receive_late(id, text));
        if let Some(owner) = &owner {
            tracing::info!(
                slave = from.name,
                "Received response from slave for a request of an earlier link (of slave {})",
                owner.id()
            );
        }
        owner.is_some()
    }

    /// Returns whether the plain slave whose link is down may be back on another link of its identity.
    pub(super) fn is_back_on_another_link(&self, lost: &Slave) -> bool {
        let Some(times) = lost.plain_times() else { return false };
        let grant = lost.grant();
        let later = self.all().into_iter().filter(|slave| slave.key != lost.key);
        let mut later = later.filter(|slave| slave.is_linked() && slave.is_plain_of(grant.identity()));
        later.any(|slave| slave.plain_times().is_some_and(|later| times.may_be_back_on(&later)))
    }
}

impl Slave {
    /// Returns whether this is a plain slave of this identity.
    fn is_plain_of(&self, identity: &Identity) -> bool {
        self.process.is_none() && self.grant().identity() == identity
    }

    /// Returns whether this is a plain slave of this identity, whose link is down.
    pub(super) fn is_lost_plain_of(&self, identity: &Identity) -> bool {
        !self.is_linked() && self.is_plain_of(identity)
    }

    fn receive_late(&self, id: PlainId, text: &Bytes) -> bool {
        match &mut *self.link() {
            LinkState::Plain(end) => end.receive_late(id, text),
            LinkState::Native(_) => false,
        }
    }

    /// Records a sign of life of a plain slave.
    pub(super) fn on_plain_heard(&self, now: Instant) {
        if let LinkState::Plain(end) = &mut *self.link() {
            end.on_heard(now);
        }
    }

    /// Returns when the plain link began and ended; `None`: the link is native.
    fn plain_times(&self) -> Option<LinkTimeline> {
        match &*self.link() {
            LinkState::Plain(end) => Some(end.times()),
            LinkState::Native(_) => None,
        }
    }

    /// Lets the calls of a lost plain link wait for another grace: the slave is back.
    pub(super) fn extend_plain_grace(&self, now: Instant) {
        if let LinkState::Plain(end) = &mut *self.link() {
            end.extend_grace(now);
        }
    }
}

#[cfg(test)]
mod tests;
