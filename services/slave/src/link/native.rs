//! The slave's end of a link of the native dialect: batches of frames between the driver and the endpoint. Must not know
//! calls.

use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::{CloseFrame, ConnectionError, LastBatch, LinkEnd, Outgoing, Signal, completed_messages};
use metrics::Histogram;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::LinkId;
use protocol::link::limits::MAX_BATCH;
use protocol::link::liveness::RttEstimator;
use protocol::link::slave_end::SlaveEvent;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::disconnect::DisconnectReason;
use crate::endpoint::{Endpoint, Stage};
use crate::metrics::round_trips;

/// Payload of the pings that follow the `drain` frame. The answer to the first ping shows that the proxy has read the
/// frame. Calls that the proxy opened before that arrive before the answer to the second ping.
const DRAIN_PING: &[u8] = b"drain";

/// The progress of the drain on this link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CloseState {
    /// The slave does not drain.
    Open,
    /// The slave drains, and waits for this number of answers to pings.
    Draining(u8),
}

/// Largest request, in bytes, that is copied out of the read buffer. A request may be kept for minutes, and without a
/// copy it would keep the buffer.
const COPY_THRESHOLD: usize = 16 * 1024;

/// A link of the native dialect. The vectors are empty between rounds and kept for their capacity.
pub(super) struct NativeLink<'a> {
    endpoint: &'a Arc<Endpoint>,
    id: LinkId,
    signal: Arc<Signal>,
    frames: Vec<Frame>,
    events: Vec<SlaveEvent>,
    /// Whether there may be something to send.
    due: bool,
    /// Time at which there may be something to send without any event.
    due_at: Option<Instant>,
    /// Calls at the last check, messages of the last batch, and messages just read: indications that a batch may grow.
    calls: usize,
    last_batch: LastBatch,
    last_read: usize,
    close: CloseState,
    drain_answered: bool,
    drain_ping_due: bool,
    round_trips: Histogram,
}

impl<'a> NativeLink<'a> {
    pub(super) fn new(endpoint: &'a Arc<Endpoint>, id: LinkId, signal: Arc<Signal>) -> Self {
        Self {
            endpoint,
            id,
            signal,
            frames: Vec::new(),
            events: Vec::new(),
            // The catalog is to be sent first.
            due: true,
            due_at: None,
            calls: 0,
            last_batch: LastBatch::default(),
            last_read: 0,
            close: CloseState::Open,
            drain_answered: false,
            drain_ping_due: false,
            round_trips: round_trips(),
        }
    }

    /// Reads all frames of one message.
    fn decode(&mut self, mut batch: Bytes) -> Result<(), DisconnectReason> {
        let whole = batch.len();
        if whole > MAX_BATCH {
            let what = format!("a message of {whole} bytes, at most {MAX_BATCH} allowed");
            return Err(DisconnectReason::ProtocolError(what));
        }
        while let Some(mut frame) =
            Frame::decode(&mut batch).map_err(|error| DisconnectReason::ProtocolError(error.to_string()))?
        {
            // Requests of more chunks than header and message are copied together anyway.
            if frame.kind == FrameKind::Open && frame.seq <= 1 && !frame.flags.has(Flags::MORE) {
                let len = frame.payload.len();
                if len <= COPY_THRESHOLD || len < whole / 4 {
                    frame.payload = Bytes::copy_from_slice(&frame.payload);
                }
            }
            self.frames.push(frame);
        }
        Ok(())
    }

    /// Handles the answer to a drain ping: sends the second ping, or marks the link as drained.
    fn on_drain_answered(&mut self) {
        match self.close {
            CloseState::Draining(2) => self.ping_drain(1),
            CloseState::Draining(_) | CloseState::Open => self.endpoint.link_drained(self.id),
        }
    }

    fn ping_drain(&mut self, answers: u8) {
        self.close = CloseState::Draining(answers);
        self.drain_ping_due = true;
        self.due = true;
    }
}

impl LinkEnd for NativeLink<'_> {
    type Stop = DisconnectReason;

    fn register(&mut self, cx: &mut Context<'_>, _: Instant) -> Result<(), DisconnectReason> {
        self.due |= self.signal.take(cx);
        Ok(())
    }

    fn on_binary(&mut self, batch: Bytes, _: Instant) -> Result<(), DisconnectReason> {
        self.decode(batch)
    }

    fn on_text(&mut self, _: Utf8Bytes, _: Instant) -> Result<(), DisconnectReason> {
        Err(DisconnectReason::ProtocolError("text on a link of the native dialect".into()))
    }

    fn on_pong(&mut self, payload: &[u8], _: Instant) -> Result<(), DisconnectReason> {
        self.drain_answered |= payload == DRAIN_PING;
        Ok(())
    }

    fn on_round_trip(&mut self, trips: &RttEstimator, answered: Option<Duration>, _: Instant) {
        if let Some((trip, shortest)) = answered.zip(trips.shortest()) {
            self.round_trips.record(trip);
            self.endpoint.set_trip(self.id, shortest);
        }
    }

    /// Passes the frames of this round to the endpoint, under a single lock.
    fn on_read(&mut self, _: Instant) -> Result<(), DisconnectReason> {
        self.last_read = completed_messages(&self.frames);
        if !self.frames.is_empty() {
            self.due = true;
            let received = self.endpoint.receive(self.id, &mut self.frames, &mut self.events);
            received.map_err(|error| DisconnectReason::ProtocolError(error.to_string()))?;
        }
        if std::mem::take(&mut self.drain_answered) {
            self.on_drain_answered();
        }
        Ok(())
    }

    fn wants_to_send(&mut self) -> bool {
        self.due
    }

    fn is_busy(&self) -> bool {
        !self.last_batch.is_long() && (self.calls > 1 || self.last_batch.is_shared() || self.last_read > 1)
    }

    fn gather(&mut self) {
        self.endpoint.gather(self.id);
    }

    fn transmit(&mut self, out: &mut Outgoing, _: Instant) -> Result<bool, DisconnectReason> {
        if !self.due {
            return Ok(false);
        }
        let transmit = self.endpoint.collect(self.id, &mut self.frames);
        if transmit.stage == Stage::Closing {
            return Err(DisconnectReason::Closing);
        }
        (self.due, self.due_at, self.calls) = (transmit.more, transmit.poll_at, transmit.calls);
        (self.last_batch, self.last_read) = (LastBatch::of(&self.frames), 0);
        out.send_frames(&mut self.frames);
        if transmit.stage >= Stage::Draining && self.close == CloseState::Open {
            self.ping_drain(2);
        }
        if std::mem::take(&mut self.drain_ping_due) {
            out.send_ping(DRAIN_PING);
        }
        Ok(self.due)
    }

    fn on_timer(&mut self, now: Instant) -> Result<Option<Instant>, DisconnectReason> {
        if self.due_at.is_some_and(|at| at <= now) {
            (self.due, self.due_at) = (true, None);
        }
        Ok(if self.due { Some(now) } else { self.due_at })
    }

    fn on_close(&mut self, frame: Option<CloseFrame>) -> DisconnectReason {
        DisconnectReason::from_close(frame)
    }

    fn on_error(&mut self, error: ConnectionError) -> DisconnectReason {
        error.into()
    }

    fn on_silence(&mut self, time: Duration) -> DisconnectReason {
        DisconnectReason::silence(time)
    }
}
