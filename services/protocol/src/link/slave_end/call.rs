//! State of one call at the slave's end. Must not know links or other calls.

use std::time::Instant;

use bytes::Bytes;

use crate::link::fleet::FleetKeys;
use crate::link::frame::{Flags, Frame};
use crate::link::ids::{LinkId, Seq};
use crate::link::journal::Journal;
use crate::link::limits::LinkLimits;
use crate::link::reassembler::{Reassembler, ReassemblyError};
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

/// An `open` that has come.
pub(super) struct Opened {
    /// The call header (JSON).
    pub(super) header: Bytes,
    /// The client's request.
    pub(super) message: Bytes,
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
    /// Header of a call of which it alone has come.
    header: Bytes,
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
            header: Bytes::new(),
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

    /// Takes a chunk of the `open`. Returns the whole with the last. A header that is a chunk of its own is kept apart: the message need not be
    /// copied behind it.
    ///
    /// # Errors
    /// Those of [`Reassembler::push`].
    pub(super) fn push_open(&mut self, frame: Frame) -> Result<Option<Opened>, ReassemblyError> {
        let is_header = frame.seq == 0 && frame.payload.len() == usize::from(frame.aux);
        if is_header && frame.flags.has(Flags::MORE) {
            self.request.skip(&frame)?;
            // A copy, since it may wait, and would keep the read buffer.
            self.header = Bytes::copy_from_slice(&frame.payload);
            return Ok(None);
        }
        let Some(whole) = self.request.push(frame)? else { return Ok(None) };
        let mut message = whole.message;
        let mut header = std::mem::take(&mut self.header);
        if header.is_empty() {
            header = message.split_to(usize::from(whole.aux).min(message.len()));
        }
        Ok(Some(Opened { header, message }))
    }

    /// Returns the bytes of an `open` of which not all has come.
    pub(super) fn pending_bytes(&self) -> usize {
        self.header.len() + self.request.pending_bytes()
    }

    /// Returns whether the producer is further ahead of the reader than a credit window.
    pub(super) fn is_full(&self) -> bool {
        self.response.bytes() > self.response.window()
    }
}
