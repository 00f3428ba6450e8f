//! The proxy's end of a link, as a state machine for the link's driver, for both dialects. Must not know sockets.

use std::fmt::Display;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::{CloseFrame, ConnectionError, LastBatch, LinkEnd, Outgoing};
use protocol::link::frame::Frame;
use protocol::link::handshake::close;
use protocol::link::liveness::RttEstimator;
use protocol::link::outbox::ACK_DELAY;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::catalog::{IncompletePart, Received};
use super::disconnect::DisconnectReason;
use super::events::{on_event, on_plain_message, on_received};
use super::registry::Registry;
use super::slave::{LinkState, Slave};
use crate::metrics::{self, TrafficMeter};

/// Time between two checks of a plain link's calls for timeouts.
const PLAIN_TIMEOUT_INTERVAL: Duration = Duration::from_millis(100);

/// The proxy's end of a link to a slave.
pub(super) struct SlaveLink {
    slave: Arc<Slave>,
    registry: Arc<Registry>,
    /// Generation of the link among the slave's links.
    generation: u64,
    is_plain: bool,
    traffic: TrafficMeter,
    round_trips: ::metrics::Gauge,
    /// The frames of a round; empty between rounds, and kept for its capacity.
    frames: Vec<Frame>,
    last_batch: LastBatch,
    /// Whether acknowledgements are expected: readers acknowledge delivered messages without waking the link's task.
    acks_expected: bool,
    /// Bytes of a part of the catalog that is not complete.
    incomplete: IncompletePart,
}

impl SlaveLink {
    pub(super) fn new(slave: Arc<Slave>, generation: u64, registry: Arc<Registry>) -> Self {
        let is_plain = matches!(&*slave.link(), LinkState::Plain(_));
        Self {
            round_trips: metrics::round_trip_gauge(&slave.name),
            is_plain,
            slave,
            registry,
            generation,
            traffic: TrafficMeter::new(),
            frames: Vec::new(),
            last_batch: LastBatch::default(),
            acks_expected: false,
            incomplete: IncompletePart::default(),
        }
    }

    fn receive_batch(&mut self, mut batch: Bytes, now: Instant) -> Result<(), DisconnectReason> {
        let mut link = self.slave.link();
        if !self.slave.is_current(self.generation) {
            return Err(DisconnectReason::Replaced);
        }
        let LinkState::Native(end) = &mut *link else {
            return Err(violation(&"binary on a link of the plain dialect"));
        };
        self.traffic.record_received(batch.len());
        while let Some(frame) = Frame::decode(&mut batch).map_err(|error| violation(&error))? {
            end.receive(frame, now).map_err(|error| violation(&error))?;
        }
        while let Some(event) = end.poll_event() {
            on_event(&event, &self.slave, &self.registry).map_err(|error| violation(&error))?;
        }
        let incomplete = end.incomplete_catalog();
        let refused = || end.refuse_catalog();
        charge_incomplete(&self.slave, &self.registry, &mut self.incomplete, incomplete, refused);
        Ok(())
    }

    /// Takes parts of the catalog that wait. Returns when to look again.
    fn apply_pending_parts(&self, now: Instant) -> Result<Option<Instant>, DisconnectReason> {
        let received = self.slave.apply_pending_parts(self.registry.catalogs(), now);
        let received = received.map_err(|error| violation(&error))?;
        on_received(received, &self.slave, &self.registry);
        Ok(if let Received::Later(next) = received { Some(next) } else { None })
    }

    /// Passes the shortest round trip on to the calls.
    fn set_trip(&self, shortest: Duration) {
        let mut link = self.slave.link();
        if let LinkState::Native(end) = &mut *link
            && self.slave.is_current(self.generation)
        {
            end.set_trip(shortest);
        }
    }

    /// Updates the slave's health from its round trips.
    fn update_health(&self, trips: &RttEstimator, now: Instant) {
        let trip = trips.rtt(now);
        if let Some(trip) = trip {
            self.round_trips.set(trip.as_secs_f64());
        }
        if self.slave.is_current(self.generation)
            && self.slave.health.record_round_trip(trip, trips.is_late(now))
        {
            self.registry.publish_health(&self.slave);
        }
    }
}

/// Charges the bytes that have come of an incomplete part of the catalog to the slave's code, or has `refused` drop them.
fn charge_incomplete(
    slave: &Slave,
    registry: &Registry,
    incomplete: &mut IncompletePart,
    bytes: usize,
    refused: impl FnOnce() -> Bytes,
) {
    if !incomplete.is(bytes) && !slave.charge_incomplete(incomplete, bytes, registry.catalogs(), refused) {
        on_received(Received::Changed, slave, registry);
    }
}

fn violation(what: &dyn Display) -> DisconnectReason {
    DisconnectReason::Protocol(what.to_string())
}

impl LinkEnd for SlaveLink {
    type Stop = DisconnectReason;

    fn register(&mut self, cx: &mut Context<'_>, _: Instant) -> Result<(), DisconnectReason> {
        let current = self.slave.wake_link(self.generation, cx.waker());
        current.then_some(()).ok_or(DisconnectReason::Replaced)
    }

    fn on_binary(&mut self, batch: Bytes, now: Instant) -> Result<(), DisconnectReason> {
        self.receive_batch(batch, now)
    }

    fn on_text(&mut self, text: Utf8Bytes, _: Instant) -> Result<(), DisconnectReason> {
        let mut link = self.slave.link();
        if !self.slave.is_current(self.generation) {
            return Err(DisconnectReason::Replaced);
        }
        let LinkState::Plain(end) = &mut *link else {
            return Err(violation(&"text on a link of the native dialect"));
        };
        self.traffic.record_received(text.len());
        let text = Bytes::from(text);
        let event = end.receive(&text).map_err(|error| violation(&error))?;
        let incomplete = end.incomplete_tools();
        let refused = || {
            end.refuse_tools();
            Bytes::new()
        };
        charge_incomplete(&self.slave, &self.registry, &mut self.incomplete, incomplete, refused);
        drop(link);
        on_plain_message(event, &text, &self.slave, &self.registry);
        Ok(())
    }

    fn on_pong(&mut self, _: &[u8], _: Instant) -> Result<(), DisconnectReason> {
        Ok(())
    }

    fn on_round_trip(&mut self, trips: &RttEstimator, answered: Option<Duration>, now: Instant) {
        if answered.is_some()
            && let Some(shortest) = trips.shortest()
        {
            self.set_trip(shortest);
        }
        self.update_health(trips, now);
    }

    fn expects_answers(&self) -> bool {
        true
    }

    fn on_overdue(&mut self) {
        if self.slave.is_current(self.generation) {
            self.slave.health.on_overdue();
        }
    }

    fn on_answer(&mut self) {
        if self.slave.is_current(self.generation) {
            self.slave.health.on_answer();
        }
    }

    fn on_read(&mut self, now: Instant) -> Result<(), DisconnectReason> {
        if self.is_plain {
            self.slave.on_plain_heard(now);
        }
        self.acks_expected = true;
        Ok(())
    }

    fn wants_to_send(&mut self) -> bool {
        self.slave.has_something_to_send()
    }

    fn is_busy(&self) -> bool {
        !self.last_batch.is_long() && (self.last_batch.is_shared() || self.slave.active.in_flight() > 1)
    }

    fn gather(&mut self) {
        self.slave.gather(self.generation);
    }

    fn transmit(&mut self, out: &mut Outgoing, now: Instant) -> Result<bool, DisconnectReason> {
        if self.is_plain {
            let Some(text) = self.slave.next_text(self.generation) else { return Ok(false) };
            self.traffic.record_sent(text.len());
            out.send_text(text.into());
            return Ok(true);
        }
        let more = self.slave.next_batch(self.generation, now, &mut self.frames);
        if !self.frames.is_empty() {
            self.last_batch = LastBatch::of(&self.frames);
            self.traffic.record_sent(self.frames.iter().map(Frame::encoded_len).sum());
            out.send_frames(&mut self.frames);
        }
        Ok(more)
    }

    fn on_timer(&mut self, now: Instant) -> Result<Option<Instant>, DisconnectReason> {
        if let Some(reason) = self.slave.close_request() {
            return Err(DisconnectReason::ClosedByProxy(reason));
        }
        let parts = self.apply_pending_parts(now)?;
        let next = match &mut *self.slave.link() {
            LinkState::Native(end) => {
                metrics::record_timeouts(end.time_out(now));
                if let Some(stats) = end.take_stats() {
                    metrics::record_link_stats(stats);
                }
                end.poll_timeout()
            }
            LinkState::Plain(end) => {
                metrics::record_timeouts(end.time_out(now));
                (end.calls() > 0).then(|| now + PLAIN_TIMEOUT_INTERVAL)
            }
        };
        let acks =
            std::mem::take(&mut self.acks_expected).then(|| now + ACK_DELAY + Duration::from_millis(1));
        Ok([next, acks, parts].into_iter().flatten().min())
    }

    fn on_close(&mut self, frame: Option<CloseFrame>) -> DisconnectReason {
        let going_away = frame.is_some_and(|frame| frame.code == close::GOING_AWAY);
        if going_away && self.slave.health.is_going_down() {
            DisconnectReason::Drained
        } else {
            DisconnectReason::Closed
        }
    }

    fn on_error(&mut self, error: ConnectionError) -> DisconnectReason {
        match error {
            ConnectionError::Closed => DisconnectReason::Closed,
            error if error.is_violation() => violation(&error),
            error => DisconnectReason::Lost(error),
        }
    }

    fn on_silence(&mut self, _: Duration) -> DisconnectReason {
        DisconnectReason::Silent
    }
}
