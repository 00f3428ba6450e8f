//! The task of one link: reads frames into the slave's state, writes what it has to say, keeps the pulse.
//!
//! One future without inner tasks: a writer that waits for the socket never keeps the reader from reading.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use protocol::link::frame::Frame;
use protocol::link::handshake::close;
use protocol::link::header::SessionFacts;
use protocol::link::liveness::{KeepAliveAction, Liveness, RttEstimator};
use protocol::link::outbox::ACK_DELAY;
use protocol::link::peers::Peers;
use protocol::link::proxy_end::ProxyEvent;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::accept::Backdoor;
use super::auth::Socket;
use super::farewell::Farewell;
use super::plain::PlainEvent;
use super::registry::Registry;
use super::slave::{LinkState, Slave};
use crate::metrics::{self, TrafficMeter};
use crate::slave_state::SlaveState;

/// Messages read before it is the writer's turn.
const BURST: usize = 32;

/// Why a link ended.
#[derive(Debug)]
pub(super) enum Departure {
    /// A newer link of the same slave took over.
    Replaced,
    /// The proxy wants it so.
    Asked(Farewell),
    /// The slave closed it.
    Closed,
    /// The slave closed it at the end of its drain: its process goes.
    Drained,
    /// Nothing was heard for too long.
    Silent,
    /// The slave broke the protocol.
    Protocol(String),
    /// The connection broke.
    Lost(Error),
}

impl Departure {
    /// Stable reason for the metric.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Asked(farewell) => farewell.kind(),
            Self::Closed => "closed",
            Self::Drained => "drained",
            Self::Silent => "silent",
            Self::Protocol(_) => "protocol_error",
            Self::Lost(_) => "lost",
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced => f.write_str("replaced by a new connection"),
            Self::Asked(farewell) => farewell.fmt(f),
            Self::Closed => f.write_str("closed by the slave"),
            Self::Drained => f.write_str("closed by the slave after its drain"),
            Self::Silent => f.write_str("silent for too long (paused process or dropped packets)"),
            Self::Protocol(what) => write!(f, "protocol error: {what}"),
            Self::Lost(error) => write!(f, "connection lost: {error}"),
        }
    }
}

/// The future that carries one link.
pub(super) struct Pump {
    socket: Socket,
    slave: Arc<Slave>,
    registry: Arc<Registry>,
    generation: u64,
    liveness: Liveness,
    trips: RttEstimator,
    trip_meter: ::metrics::Gauge,
    traffic: TrafficMeter,
    timer: Pin<Box<Sleep>>,
    timer_at: Instant,
    flushing: bool,
    heard: bool,
    /// Tasks that can run had their turn: what they have to say goes out together.
    gathered: bool,
}

impl Pump {
    pub(super) fn new(socket: Socket, (slave, generation): (Arc<Slave>, u64), back: &Backdoor) -> Self {
        let now = Instant::now();
        Self {
            socket,
            traffic: TrafficMeter::new(),
            trip_meter: metrics::round_trip_gauge(&slave.name),
            slave,
            registry: Arc::clone(&back.registry),
            generation,
            liveness: Liveness::new(back.ping_interval, back.ping_timeout, now),
            trips: RttEstimator::new(back.ping_interval, back.late, now),
            timer: Box::pin(tokio::time::sleep_until(now.into())),
            timer_at: now,
            flushing: false,
            heard: false,
            gathered: false,
        }
    }

    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Reads what is there, up to a burst. `Ready(Ok(()))`: there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Departure>> {
        for _ in 0..BURST {
            let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(Error::ConnectionClosed)) | None => return Poll::Ready(Err(Departure::Closed)),
                Some(Err(Error::Capacity(error))) => {
                    return Poll::Ready(Err(Departure::Protocol(error.to_string())));
                }
                Some(Err(error)) => return Poll::Ready(Err(Departure::Lost(error))),
            };
            self.liveness.on_received(now);
            self.heard = true;
            if let Message::Pong(payload) = &message {
                self.trips.on_pong(payload, now);
                self.judge(now);
            }
            self.take(message, now)?;
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, message: Message, now: Instant) -> Result<(), Departure> {
        let mut link = self.slave.link();
        if !self.slave.is_current(self.generation) {
            return Err(Departure::Replaced);
        }
        match (&mut *link, message) {
            (LinkState::Native(end), Message::Binary(mut batch)) => {
                self.traffic.record_received(batch.len());
                let broke = |error: &dyn fmt::Display| Departure::Protocol(error.to_string());
                while let Some(frame) = Frame::decode(&mut batch).map_err(|e| broke(&e))? {
                    end.receive(frame, now).map_err(|e| broke(&e))?;
                }
                while let Some(event) = end.poll_event() {
                    happened(&event, &self.slave, &self.registry)?;
                }
                Ok(())
            }
            (LinkState::Native(_), Message::Text(_)) => {
                Err(Departure::Protocol("text on a link of the native dialect".into()))
            }
            (LinkState::Plain(end), Message::Text(text)) => {
                self.traffic.record_received(text.len());
                let heard =
                    end.receive(&Bytes::from(text)).map_err(|e| Departure::Protocol(e.to_string()))?;
                said(heard, &self.slave, &self.registry);
                Ok(())
            }
            (LinkState::Plain(_), Message::Binary(_)) => {
                Err(Departure::Protocol("binary on a link of the plain dialect".into()))
            }
            (_, Message::Close(frame)) => {
                let goes = frame.is_some_and(|frame| u16::from(frame.code) == close::GOING_AWAY);
                let drained = goes && self.slave.state() == SlaveState::Draining;
                Err(if drained { Departure::Drained } else { Departure::Closed })
            }
            (_, Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(()),
        }
    }

    fn next_message(&mut self, now: Instant) -> Option<Message> {
        if let Some(batch) = self.slave.next_batch(self.generation, now) {
            self.traffic.record_sent(batch.len());
            return Some(Message::Binary(batch));
        }
        match &mut *self.slave.link() {
            LinkState::Plain(end) if self.slave.is_current(self.generation) => {
                let text = end.next_text()?;
                self.traffic.record_sent(text.len());
                Some(Message::Text(text.into()))
            }
            LinkState::Plain(_) | LinkState::Native(_) => None,
        }
    }

    /// Writes until there is nothing more to say (`Ready`) or the socket is full (`Pending`).
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Departure>> {
        loop {
            if self.flushing {
                ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(Departure::Lost)?;
                self.flushing = false;
            }
            let Some(message) = self.next_message(now) else { return Poll::Ready(Ok(())) };
            Pin::new(&mut self.socket).start_send(message).map_err(Departure::Lost)?;
            self.flushing = true;
        }
    }

    fn beat(&mut self, now: Instant) -> Result<Instant, Departure> {
        if let Some(number) = self.trips.poll(now) {
            self.ping(Bytes::copy_from_slice(&number));
            self.liveness.on_ping_sent(now);
            self.judge(now);
        }
        loop {
            match self.liveness.poll(now) {
                KeepAliveAction::Wait(until) => return Ok(until.min(self.trips.next_ping())),
                KeepAliveAction::Dead => return Err(Departure::Silent),
                KeepAliveAction::Ping => self.ping(Bytes::new()),
            }
        }
    }

    fn ping(&mut self, payload: Bytes) {
        // A full write buffer means that bytes are on their way anyway.
        if Pin::new(&mut self.socket).start_send(Message::Ping(payload)).is_ok() {
            self.flushing = true;
        }
    }

    /// Whether the slave answers late, as far as its pings say.
    fn judge(&self, now: Instant) {
        let trip = self.trips.rtt(now);
        if let Some(trip) = trip {
            self.trip_meter.set(trip.as_secs_f64());
        }
        if self.slave.is_current(self.generation)
            && self.slave.health.record_round_trip(trip, self.trips.is_late(now))
        {
            self.registry.publish_health(&self.slave);
        }
    }

    /// Sets the timer to whatever is due next; `true` if that is already now.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Departure> {
        let mut next = self.beat(now)?;
        match &mut *self.slave.link() {
            LinkState::Native(end) => {
                metrics::record_timeouts(end.time_out(now));
                if let Some(tally) = end.take_stats() {
                    metrics::record_link_stats(tally);
                }
                next = end.poll_timeout().map_or(next, |at| at.min(next));
            }
            LinkState::Plain(end) => {
                metrics::record_timeouts(end.time_out(now));
                if end.calls() > 0 {
                    next = next.min(now + Duration::from_millis(100));
                }
            }
        }
        if std::mem::take(&mut self.heard) {
            // Readers acknowledge what was just delivered without waking this task for it.
            next = next.min(now + ACK_DELAY + Duration::from_millis(1));
        }
        if next < self.timer_at || self.timer_at <= now {
            self.timer.as_mut().reset(next.into());
            self.timer_at = next;
        }
        Ok(self.timer.as_mut().poll(cx).is_ready())
    }

    fn poll_round(&mut self, cx: &mut Context<'_>) -> Poll<Departure> {
        let now = Instant::now();
        if !self.slave.wake_link(self.generation, cx.waker()) {
            return Poll::Ready(Departure::Replaced);
        }
        let read = self.poll_read(cx, now);
        if !self.flushing && !self.gathered && read.is_pending() && self.slave.has_something_to_send() {
            self.gathered = true;
            return again(cx);
        }
        self.gathered = false;
        let wrote = self.poll_write(cx, now);
        if let Poll::Ready(Err(departure)) = read {
            return Poll::Ready(departure);
        }
        if let Poll::Ready(Err(departure)) = wrote {
            return Poll::Ready(departure);
        }
        if let Some(farewell) = self.slave.close_request() {
            return Poll::Ready(Departure::Asked(farewell));
        }
        match self.poll_timer(cx, now) {
            Err(departure) => Poll::Ready(departure),
            // Another round: more may be there, or a ping or a lazy frame waits to be flushed.
            Ok(due) if due || read.is_ready() || (self.flushing && wrote.is_ready()) => again(cx),
            Ok(_) => Poll::Pending,
        }
    }
}

fn again(cx: &Context<'_>) -> Poll<Departure> {
    // Through the scheduler: other tasks get their turn.
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl Future for Pump {
    type Output = Departure;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Departure> {
        self.get_mut().poll_round(cx)
    }
}

fn happened(event: &ProxyEvent, slave: &Slave, registry: &Registry) -> Result<(), Departure> {
    match event {
        ProxyEvent::Catalog(json) => {
            let catalog = protocol::mcp::catalog::Catalog::decode(json)
                .map_err(|e| Departure::Protocol(e.to_string()))?;
            offer(catalog, slave, registry);
        }
        ProxyEvent::Draining => {
            tracing::info!(slave = slave.name, "Slave is going down: it gets no new calls");
            slave.set_draining();
            metrics::record_slave_drain(&slave.name);
            registry.publish_change(slave);
        }
        ProxyEvent::Peers(json) => {
            if let Some(peers) = Peers::decode(json) {
                registry.peers().report(slave.key, peers.proxies, Instant::now());
            }
        }
        ProxyEvent::Session(json) => {
            if let Ok(SessionFacts { session, ended: true, .. }) = serde_json::from_slice(json) {
                registry.notify_session_end(&session);
            }
        }
        ProxyEvent::UnknownCall(kind) => {
            metrics::record_unknown_call();
            tracing::debug!(slave = slave.name, "{} for a call that is not under way", kind.name());
        }
    }
    Ok(())
}

fn offer(catalog: protocol::mcp::catalog::Catalog, slave: &Slave, registry: &Registry) {
    tracing::info!(slave = slave.name, tools = catalog.tools.len(), "Slave offers its tools");
    slave.set_catalog(catalog);
    registry.publish_change(slave);
}

fn said(heard: PlainEvent, slave: &Slave, registry: &Registry) {
    match heard {
        PlainEvent::Catalog(Ok(catalog)) => offer(catalog, slave, registry),
        PlainEvent::Catalog(Err(error)) => {
            tracing::warn!(slave = slave.name, "Slave's tool list is unusable: {error}");
        }
        PlainEvent::UnknownCall => metrics::record_unknown_call(),
        PlainEvent::Response | PlainEvent::Nothing => {}
    }
}
