//! State of one call at the slave's end. Must not know links or other calls.

use std::time::Instant;

use crate::link::fleet::FleetKeys;
use crate::link::ids::{LinkId, Seq};
use crate::link::journal::Journal;
use crate::link::limits::LinkLimits;
use crate::link::reassembler::Reassembler;
use crate::link::window::GrantedWindow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallState {
    /// Not all of the `open` has come.
    Receiving,
    /// The owner was told to run the call.
    Running,
    /// The call runs, but its proxy is gone for good: nobody will ask for what it writes.
    NoReader,
    /// The end is written.
    Ended,
}

impl CallState {
    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::NoReader)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any combination")]
pub(super) struct Call {
    pub(super) state: CallState,
    /// Fleet of the proxy that opened the call.
    pub(super) fleet: FleetKeys,
    /// Digest of the client whose call it is; `None`: a client like no other.
    pub(super) client: Option<u64>,
    /// The owner retains what the call writes, and is told when its proxy is done with it.
    pub(super) retained: bool,
    /// The link that reads the call; `None` while it waits to be attached.
    pub(super) link: Option<LinkId>,
    /// Chunks of the `open`.
    pub(super) request: Reassembler,
    /// Number of the first chunk of the `open` that was not credited.
    pub(super) credited: Seq,
    /// Bytes of the `open` received since credit was last sent.
    pub(super) uncredited: usize,
    /// What the proxy may send of the `open` without credit.
    pub(super) window: GrantedWindow,
    /// Events and end.
    pub(super) response: Journal,
    /// `accepted` was sent, or something else told the proxy that the call is here.
    pub(super) accepted: bool,
    /// The call stands in its link's outbox.
    pub(super) queued: bool,
    /// The producer was told to wait.
    pub(super) producer_waits: bool,
    /// Since when the reader has taken nothing though there is more: its credit is used up.
    pub(super) stalled_since: Option<Instant>,
    /// When the call is forgotten unless a link attaches to it.
    pub(super) retention_ends_at: Option<Instant>,
}

impl Call {
    /// Makes a call of which nothing has come, opened on `link` by a proxy of `fleet`. `limits.window` is what that proxy announced, `window`
    /// what this slave did.
    pub(super) fn new(
        link: LinkId,
        fleet: FleetKeys,
        request: Reassembler,
        limits: &LinkLimits,
        window: usize,
    ) -> Self {
        Self {
            state: CallState::Receiving,
            fleet,
            client: None,
            retained: false,
            link: Some(link),
            request,
            credited: 0,
            uncredited: 0,
            window: GrantedWindow::new(window),
            response: Journal::new(limits),
            accepted: false,
            queued: false,
            producer_waits: false,
            stalled_since: None,
            retention_ends_at: None,
        }
    }

    /// Returns whether the producer is further ahead of the reader than a credit window.
    pub(super) fn is_full(&self) -> bool {
        self.response.bytes() > self.response.window()
    }
}
