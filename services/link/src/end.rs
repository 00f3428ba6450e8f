//! The interface between a link's driver and the state machine at this end: messages in, messages out, timers. Must not
//! know sockets.

use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::liveness::RttEstimator;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::ConnectionError;
use crate::message::CloseFrame;
use crate::outgoing::Outgoing;

/// The state machine of one end of a link. The driver calls the methods of a round in the order of their declaration;
/// an `Err` ends the link. No method may block.
pub trait LinkEnd {
    /// The reason for the end of a link.
    type Stop;

    /// Begins a round: registers the task with every source of messages to send. An error ends the link at once.
    fn register(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Self::Stop>;

    /// Handles a binary message. The payload shares memory with the read buffer.
    fn on_binary(&mut self, batch: Bytes, now: Instant) -> Result<(), Self::Stop>;

    /// Handles a text message.
    fn on_text(&mut self, text: Utf8Bytes, now: Instant) -> Result<(), Self::Stop>;

    /// Handles a pong, after the round trips were updated.
    fn on_pong(&mut self, payload: &[u8], now: Instant) -> Result<(), Self::Stop>;

    /// Records the round trips after a pong arrived (`answered` is the newest round trip) or a measuring ping was sent.
    fn on_round_trip(&mut self, trips: &RttEstimator, answered: Option<Duration>, now: Instant);

    /// Returns whether this end wants to know of a peer that sends nothing after a message to it: the driver then pings such a
    /// peer soon.
    fn expects_answers(&self) -> bool {
        false
    }

    /// Records that the peer is overdue: something was sent to it a while ago, and nothing has come from it since. The link
    /// stays up.
    fn on_overdue(&mut self) {}

    /// Records that a peer that was overdue has sent something.
    fn on_answer(&mut self) {}

    /// Ends the reading of this round, if anything was read.
    fn on_read(&mut self, now: Instant) -> Result<(), Self::Stop>;

    /// Returns whether there is something urgent to send.
    fn wants_to_send(&mut self) -> bool;

    /// Returns whether other tasks are likely to add messages to the same batch.
    fn is_busy(&self) -> bool;

    /// Ends a round without a write: the next begins by itself, after other tasks have run. Until then, what is short need not
    /// wake the task, or it would be written before the others have added theirs.
    fn gather(&mut self);

    /// Queues at most one message. Called only when all earlier messages are written. Returns whether there may be
    /// more.
    fn transmit(&mut self, out: &mut Outgoing, now: Instant) -> Result<bool, Self::Stop>;

    /// Handles timers that are due. Returns the time of the next call, or `None` where no timer is set.
    fn on_timer(&mut self, now: Instant) -> Result<Option<Instant>, Self::Stop>;

    /// Returns the reason for a connection that the peer closed.
    fn on_close(&mut self, frame: Option<CloseFrame>) -> Self::Stop;

    /// Returns the reason for a connection that failed, or whose peer violated RFC 6455.
    fn on_error(&mut self, error: ConnectionError) -> Self::Stop;

    /// Returns the reason for a peer that was silent for this time.
    fn on_silence(&mut self, silence: Duration) -> Self::Stop;
}
