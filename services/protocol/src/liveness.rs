//! Whether the other side still answers. Knows no socket: bytes seen and the time are arguments.
//!
//! A closed socket shows itself; a paused process or dropped packets show only as silence. Each side asks with
//! a WebSocket ping when it has heard nothing for a while and gives the link up when the silence goes on.

use std::time::{Duration, Instant};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing until this time.
    Wait(Instant),
    /// Send a WebSocket ping.
    Ping,
    /// The peer has been silent for too long: give the link up.
    Dead,
}

/// Silence watch of one link.
#[derive(Clone, Debug)]
pub struct Liveness {
    interval: Duration,
    timeout: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

impl Liveness {
    /// Asks after `interval` of silence, gives up after `timeout` of it. `timeout` should be at least twice `interval`.
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, heard: now, asked: None }
    }

    /// Anything at all was read from the peer.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// When a ping was sent and what has been heard decide; call again at the time that `Wait` names.
    pub fn poll(&mut self, now: Instant) -> Pulse {
        if now >= self.heard + self.timeout {
            return Pulse::Dead;
        }
        let next = self.asked.unwrap_or(self.heard) + self.interval;
        if now >= next {
            self.asked = Some(now);
            return Pulse::Ping;
        }
        Pulse::Wait(next.min(self.heard + self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_then_given_up() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Liveness::new(Duration::from_millis(1500), Duration::from_secs(4), start);
        assert_eq!(watch.poll(start), Pulse::Wait(at(1500)));
        assert_eq!(watch.poll(at(1500)), Pulse::Ping);
        assert_eq!(watch.poll(at(1500)), Pulse::Wait(at(3000)));
        assert_eq!(watch.poll(at(3000)), Pulse::Ping);
        assert_eq!(watch.poll(at(3000)), Pulse::Wait(at(4000)));
        assert_eq!(watch.poll(at(4000)), Pulse::Dead);
    }

    #[test]
    fn an_answer_starts_the_watch_anew() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Liveness::new(Duration::from_millis(1500), Duration::from_secs(4), start);
        assert_eq!(watch.poll(at(1600)), Pulse::Ping);
        watch.heard(at(1700));
        assert_eq!(watch.poll(at(1700)), Pulse::Wait(at(3200)));
        assert_eq!(watch.poll(at(5699)), Pulse::Ping);
        assert_eq!(watch.poll(at(5700)), Pulse::Dead);
    }
}
