//! One address that is dialed, and when it is due. Must not know names or the discovery.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;

use super::backoff::DialBackoff;
use crate::link::DisconnectReason;

/// First wait for an address that never led to a proxy, while others of its name did: of the two addresses of `localhost`,
/// one may have no server.
const UNPROVEN_BACKOFF: Duration = Duration::from_secs(1);

/// Longest wait for such an address.
const MAX_UNPROVEN_BACKOFF: Duration = Duration::from_mins(1);

/// An address behind a URL; `url` is the URL's place in `PROXY_SERVER_URL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) url: usize,
    pub(super) address: SocketAddr,
}

/// State of a target without a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetState {
    /// The target is to be dialed at this time.
    Due(Instant),
    /// The target is being dialed.
    Dialing,
    /// The target leads to a proxy that has a link over another address: dialed again when a link ends.
    Covered,
}

/// What is known of a target.
pub(super) struct TargetEntry {
    /// The name still has the address.
    pub(super) listed: bool,
    pub(super) links: usize,
    pub(super) state: TargetState,
    /// The address led to a proxy once.
    pub(super) proven: bool,
    /// The proxy refused or replaced this slave: dialing is not expedited.
    pub(super) unwanted: bool,
    pub(super) backoff: DialBackoff,
    pub(super) unproven: Backoff,
}

impl TargetEntry {
    /// Creates an entry that is to be dialed now. `reconnect_max` is `RECONNECT_MAX`.
    pub(super) fn new(reconnect_max: Duration, now: Instant) -> Self {
        Self {
            listed: true,
            links: 0,
            state: TargetState::Due(now),
            proven: false,
            unwanted: false,
            backoff: DialBackoff::new(reconnect_max),
            unproven: Backoff::new(UNPROVEN_BACKOFF, MAX_UNPROVEN_BACKOFF),
        }
    }

    /// Has the target wait until this time, after a link or an attempt ended.
    pub(super) fn wait(&mut self, reason: &DisconnectReason, until: Instant) {
        self.state = TargetState::Due(until);
        self.unwanted = matches!(reason, DisconnectReason::Refused(_) | DisconnectReason::Replaced);
    }

    /// Returns when the target is to be dialed for a link of its own.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            TargetState::Due(at) if self.listed && self.links == 0 => Some(at),
            _ => None,
        }
    }
}
