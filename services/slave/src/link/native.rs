//! A link of the native dialect: batches of frames between the socket and the endpoint. Must not know calls.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::LinkId;
use protocol::link::limits::MAX_BATCH;
use protocol::link::slave_end::SlaveEvent;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;

use super::Ended;
use super::pulse::Pulse;
use super::socket::Socket;
use crate::endpoint::{Endpoint, Stage};

/// Payload of the pings that follow our `drain`. The answer to the first shows that the proxy has read it; what the
/// proxy had opened until then is on its way before the answer to the second.
const FAREWELL: &[u8] = b"drain";

/// How far the proxy is known to have followed our `drain`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// Nothing was said.
    Unsaid,
    /// So many answers are due.
    BackendSpan(u8),
}

/// A request of at most this many bytes is copied out of its batch: it may live for minutes, and the batch with it.
const SMALL: usize = 4 * 1024;

/// Memory for batches, in bytes, that a link keeps for longer than a moment.
const KEEP: usize = 64 * 1024;

/// One link. The vectors are empty between steps and kept for their memory.
pub(super) struct Native<'a> {
    endpoint: &'a Arc<Endpoint>,
    id: LinkId,
    socket: Socket,
    inbox: Vec<Message>,
    frames: Vec<Frame>,
    events: Vec<SlaveEvent>,
    batch: BytesMut,
    /// There may be something to send.
    due: bool,
    farewell: Farewell,
}

impl<'a> Native<'a> {
    pub(super) fn new(endpoint: &'a Arc<Endpoint>, id: LinkId, socket: Socket, early: Vec<Message>) -> Self {
        Self {
            endpoint,
            id,
            socket,
            inbox: early,
            frames: Vec::new(),
            events: Vec::new(),
            batch: BytesMut::new(),
            // The catalog.
            due: true,
            farewell: Farewell::Unsaid,
        }
    }

    /// Until it ends. The socket comes back for a last word.
    pub(super) async fn run(mut self, wake: &Notify, mut pulse: Pulse) -> (Ended, Socket) {
        let mut going = self.take(&mut pulse);
        while going.is_ok() {
            going = self.step(wake, &mut pulse).await;
        }
        (going.err().unwrap_or(Ended::Closing), self.socket)
    }

    async fn step(&mut self, wake: &Notify, pulse: &mut Pulse) -> Result<(), Ended> {
        // One batch at a time: what waits behind it stays in the journals, where control frames overtake it.
        if self.due && !self.socket.is_busy() {
            // Calls that can go on right now do so first: what they say travels together then.
            yield_now().await;
            // What woke us meanwhile is seen to now.
            let _ = wake.notified().now_or_never();
            let again = self.transmit()?;
            pulse.no_later_than(again);
        }
        tokio::select! {
            biased;
            done = self.socket.io(&mut self.inbox) => done?,
            () = wake.notified() => self.due = true,
            () = pulse.due() => {
                self.due = true;
                pulse.beat(&mut self.socket)?;
                // Now and then, not after each batch: giving memory back costs more than filling it.
                if self.batch.capacity() > KEEP {
                    self.batch = BytesMut::new();
                }
            }
        }
        self.take(pulse)
    }

    /// Hands what was read to the endpoint, under one lock for all of it.
    fn take(&mut self, pulse: &mut Pulse) -> Result<(), Ended> {
        let mut answered = false;
        for message in self.inbox.drain(..) {
            match message {
                Message::Binary(batch) => decode(batch, &mut self.frames)?,
                Message::Pong(payload) => {
                    answered |= payload == FAREWELL;
                    pulse.answered(&payload);
                }
                _ => return Err(Ended::Misbehaved("text on a link of the native dialect".into())),
            }
        }
        if !self.frames.is_empty() {
            self.due = true;
            let taken = self.endpoint.receive(self.id, &mut self.frames, &mut self.events);
            taken.map_err(|error| Ended::Misbehaved(error.to_string()))?;
        }
        if answered {
            match self.farewell {
                Farewell::BackendSpan(2) => self.ask(Farewell::BackendSpan(1)),
                _ => self.endpoint.link_drained(self.id),
            }
        }
        Ok(())
    }

    fn ask(&mut self, farewell: Farewell) {
        self.farewell = farewell;
        self.socket.send(Message::Ping(Bytes::from_static(FAREWELL)));
    }

    /// Sends a batch, if there is anything. Returns when to try again though nothing happens.
    fn transmit(&mut self) -> Result<Option<Instant>, Ended> {
        let duty = self.endpoint.collect(self.id, &mut self.frames);
        if duty.stage == Stage::Closing {
            return Err(Ended::Closing);
        }
        self.due = duty.more;
        if !self.frames.is_empty() {
            for frame in self.frames.drain(..) {
                frame.encode(&mut self.batch);
            }
            self.socket.send(Message::Binary(self.batch.split().freeze()));
        }
        if duty.stage >= Stage::Draining && self.farewell == Farewell::Unsaid {
            self.ask(Farewell::BackendSpan(2));
        }
        Ok(duty.again)
    }
}

/// All frames of one message.
fn decode(mut batch: Bytes, frames: &mut Vec<Frame>) -> Result<(), Ended> {
    let whole = batch.len();
    if whole > MAX_BATCH {
        return Err(Ended::Misbehaved(format!("a message of {whole} bytes, at most {MAX_BATCH} allowed")));
    }
    while let Some(mut frame) =
        Frame::decode(&mut batch).map_err(|error| Ended::Misbehaved(error.to_string()))?
    {
        // Longer requests come in chunks, which are copied together anyway.
        if frame.kind == FrameKind::Open && !frame.flags.has(Flags::MORE) {
            let len = frame.payload.len();
            if len <= SMALL || len < whole / 4 {
                frame.payload = Bytes::copy_from_slice(&frame.payload);
            }
        }
        frames.push(frame);
    }
    Ok(())
}
