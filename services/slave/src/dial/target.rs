//! A target, which is an address that is dialed, and the time at which it is due. Must not know names or the discovery.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;

use super::backoff::DialBackoff;
use super::urgency::Urgency;
use crate::link::DisconnectReason;

/// First wait for an address that never led to a proxy while others of its name did. For example, only one of the two
/// addresses of `localhost` may have a server.
const UNPROVEN_BACKOFF: Duration = Duration::from_secs(1);

/// Longest wait for an address that never led to a proxy.
const MAX_UNPROVEN_BACKOFF: Duration = Duration::from_mins(1);

/// An address behind a URL; `url` is the index of the URL in `PROXY_SERVER_URL`.
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
    /// The target leads to a proxy that has a link over another address; it is dialed again when a link ends.
    Covered,
}

/// The state of a target, with its backoff.
pub(super) struct TargetEntry {
    /// Whether the name still has the address.
    pub(super) listed: bool,
    pub(super) links: usize,
    pub(super) state: TargetState,
    /// Whether the address has ever led to a proxy.
    pub(super) proven: bool,
    /// Whether the proxy refused or replaced this slave, so that dialing is not expedited.
    pub(super) unwanted: bool,
    pub(super) backoff: DialBackoff,
    pub(super) unproven: Backoff,
    pub(super) urgency: Urgency,
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
            urgency: Urgency::default(),
        }
    }

    /// Makes the target wait until this time, after a link or an attempt ended.
    pub(super) fn wait(&mut self, reason: &DisconnectReason, until: Instant) {
        self.state = TargetState::Due(until);
        self.unwanted = matches!(reason, DisconnectReason::Refused(_) | DisconnectReason::Replaced);
    }

    /// Returns the time at which the target is to be dialed for a link of its own.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            TargetState::Due(at) if self.listed && self.links == 0 => Some(at),
            _ => None,
        }
    }
}
