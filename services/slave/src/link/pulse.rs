//! When a link asks whether the other side is still there, and when it gives it up. Must not know dialects.

use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Histogram;
use protocol::link::liveness::{self, Liveness, RttEstimator};
use runtime::config::LinkPing;
use tokio_tungstenite::tungstenite::Message;

use super::Ended;
use super::alarm::Alarm;
use super::socket::Socket;
use crate::metrics::round_trips;

/// How often the way to the proxy and back is measured. The proxy's own pings keep a link from being silent.
const MEASURE: Duration = Duration::from_secs(15);

/// Silence watch, measure and timer of one link.
pub(crate) struct Pulse {
    liveness: Liveness,
    heard: Instant,
    ping: LinkPing,
    alarm: Alarm,
    trips: RttEstimator,
    meter: Histogram,
}

impl Pulse {
    /// Watches from now on.
    pub(crate) fn new(ping: LinkPing) -> Self {
        let now = Instant::now();
        let liveness = Liveness::new(ping.interval, ping.timeout, now);
        Self {
            liveness,
            heard: now,
            ping,
            alarm: Alarm::new(now + ping.interval),
            trips: RttEstimator::new(MEASURE, MEASURE, now),
            meter: round_trips(),
        }
    }

    /// Beats at this time at the latest.
    pub(crate) fn no_later_than(&mut self, at: Option<Instant>) {
        if let Some(at) = at {
            self.alarm.no_later_than(at);
        }
    }

    /// Waits for the next beat. Cancel safe.
    pub(crate) async fn due(&mut self) {
        self.alarm.gone_off().await;
    }

    /// The answer to a ping came.
    pub(crate) fn answered(&mut self, payload: &[u8]) {
        if let Some(trip) = self.trips.on_pong(payload, Instant::now()) {
            self.meter.record(trip);
        }
    }

    /// The time has come: asks the peer, or gives it up.
    pub(crate) fn beat(&mut self, socket: &mut Socket) -> Result<(), Ended> {
        let now = Instant::now();
        if socket.heard() > self.heard {
            self.heard = socket.heard();
            self.liveness.on_received(self.heard);
        }
        if let Some(number) = self.trips.poll(now) {
            socket.send(Message::Ping(Bytes::copy_from_slice(&number)));
            self.liveness.on_ping_sent(now);
        }
        match self.liveness.poll(now) {
            liveness::KeepAliveAction::Wait(at) => self.alarm.set(at),
            liveness::KeepAliveAction::Ping => {
                self.alarm.set(now + self.ping.interval);
                socket.send(Message::Ping(Bytes::new()));
            }
            liveness::KeepAliveAction::Dead => {
                let silence = now.duration_since(self.heard).as_secs_f64();
                return Err(Ended::Lost(format!(
                    "nothing was heard from the proxy for {silence:.1} s (LINK_PING_TIMEOUT_MS)"
                )));
            }
        }
        Ok(())
    }
}
