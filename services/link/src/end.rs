//! What a link's driver feeds: the state machine at this end, seen as messages, output and times. Must not know sockets.

use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::liveness::RttEstimator;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::ConnectionError;
use crate::message::CloseFrame;
use crate::outgoing::Outgoing;

/// One end of a link. The driver calls the methods of one round in the order in which they stand here; an `Err` ends
/// the link. None of them may wait.
pub trait LinkEnd {
    /// Why a link ended.
    type Stop;

    /// Begins a round: registers the task with all that may have something to send. An error ends the link at once.
    fn register(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Self::Stop>;

    /// Takes a binary message. The payload shares memory with the read buffer.
    fn on_binary(&mut self, batch: Bytes, now: Instant) -> Result<(), Self::Stop>;

    /// Takes a text message.
    fn on_text(&mut self, text: Utf8Bytes, now: Instant) -> Result<(), Self::Stop>;

    /// Takes a pong, after the round trips were brought up to date.
    fn on_pong(&mut self, payload: &[u8], now: Instant) -> Result<(), Self::Stop>;

    /// Takes note of the round trips: a pong came (`answered` is the newest round trip), or a measuring ping was sent.
    fn on_round_trip(&mut self, trips: &RttEstimator, answered: Option<Duration>, now: Instant);

    /// Ends the reading of this round, if anything was read.
    fn on_read(&mut self, now: Instant) -> Result<(), Self::Stop>;

    /// Returns whether there is something to send whose sender waits.
    fn wants_to_send(&mut self) -> bool;

    /// Returns whether other tasks may well have something for the same batch.
    fn is_busy(&self) -> bool;

    /// Queues at most one message. Called only when all before it is written. Returns whether there may be more.
    fn transmit(&mut self, out: &mut Outgoing, now: Instant) -> Result<bool, Self::Stop>;

    /// Sees to what is due. Returns when to be called again though nothing happens; `None`: no need.
    fn on_timer(&mut self, now: Instant) -> Result<Option<Instant>, Self::Stop>;

    /// Names the reason: the peer closed the connection.
    fn on_close(&mut self, frame: Option<CloseFrame>) -> Self::Stop;

    /// Names the reason: the connection failed, or the peer broke RFC 6455.
    fn on_error(&mut self, error: ConnectionError) -> Self::Stop;

    /// Names the reason: nothing came in for so long.
    fn on_silence(&mut self, silence: Duration) -> Self::Stop;
}
