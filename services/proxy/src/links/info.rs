//! Information about a slave that calls do not need: its program, and where its link comes from. Must not know links.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::time::SystemTime;

/// Characters of the program's name and version that are kept.
const MAX_AGENT_CHARS: usize = 100;

/// Where and when the current or last link was established.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectedAt {
    pub(super) peer: SocketAddr,
    pub(super) time: SystemTime,
}

/// Information about a slave for operators.
#[derive(Default)]
pub(super) struct SlaveInfo {
    /// Program and version, as the slave announced them.
    agent: String,
    connected: Mutex<Option<ConnectedAt>>,
}

impl SlaveInfo {
    pub(super) fn new(agent: &str) -> Self {
        Self { agent: agent.chars().take(MAX_AGENT_CHARS).collect(), connected: Mutex::default() }
    }

    pub(super) fn agent(&self) -> &str {
        &self.agent
    }

    /// Records that a link was established from this address just now.
    pub(super) fn on_connected(&self, peer: SocketAddr) {
        *self.connected.lock() = Some(ConnectedAt { peer, time: SystemTime::now() });
    }

    /// Returns where the current or last link comes from. `None`: there was no link yet.
    pub(super) fn connected_at(&self) -> Option<ConnectedAt> {
        *self.connected.lock()
    }
}
