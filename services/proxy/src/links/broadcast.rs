//! Messages of the registry to all slaves, and session ends that slaves pass on from other proxies. Must not know sockets.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use protocol::link::session_fact::SessionEnd;

use super::close_reason::CloseReason;
use super::registry::Registry;
use super::slave::Slave;

impl Registry {
    /// Sends facts about a client session to every slave. Slaves whose link is down get them when they are back.
    pub(crate) fn broadcast(&self, facts: &Bytes) {
        for slave in self.all() {
            slave.send_session_facts(facts);
        }
    }

    /// Sends the known proxies to every slave that takes `peers` frames.
    pub(super) fn broadcast_peers(&self, peers: &Bytes) {
        for slave in self.all() {
            slave.send_peers(peers);
        }
    }

    /// Sets the listener for sessions that clients ended at other proxies. Only the first listener is kept.
    pub(crate) fn on_session_end(&self, listener: impl Fn(&SessionEnd) + Send + Sync + 'static) {
        let _ = self.session_end.set(Box::new(listener));
    }

    /// Notifies the listener that a client ended a session at another proxy, as a slave forwards it. Nobody but a proxy of the
    /// fleet can end a session.
    pub(super) fn on_forwarded_session_end(&self, end: &SessionEnd, slave: &Slave) {
        let now = Instant::now();
        if slave.is_distrusted(now) {
            return;
        }
        if !self.fleet().is_genuine(end) {
            return slave.record_false_fact("session", now);
        }
        if let Some(listener) = self.session_end.get() {
            listener(end);
        }
    }

    /// Announces the shutdown to every slave, those that connect later included.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        for slave in self.all() {
            slave.send_drain();
        }
    }

    /// Closes every link.
    pub(crate) fn close_all(&self) {
        for slave in self.all() {
            slave.close(CloseReason::GoingAway);
        }
    }
}
