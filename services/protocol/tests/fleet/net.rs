//! Connections with the faults of TCP: bytes arrive in order or not at all, late, in one direction only, or the connection breaks
//! unnoticed. Must not know of messages more than their size.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::liveness::Liveness;

use crate::world::{Direction, Event, Node, World};

/// Message in transit.
pub(crate) enum Message {
    /// First message of the slave.
    Hello,
    /// Reply of the proxy, with the instance of its process.
    Welcome(u64),
    /// Batch of frames.
    Batch(Bytes),
    Ping,
    Pong,
    /// End of the connection: closed by the process, or by the system of a dead one.
    Close,
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Pipe {
    queue: VecDeque<Message>,
    bytes: usize,
    /// When the last message arrives: none overtakes another.
    last: Duration,
    /// Number of messages that wait until the direction is no longer blocked.
    blocked: usize,
}

/// State of a connection at one side.
pub(crate) enum End {
    Opening,
    Up(Liveness),
    Closed,
}

impl End {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }
}

/// Side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Proxy,
    Slave,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Proxy => Self::Slave,
            Self::Slave => Self::Proxy,
        }
    }
}

/// Connection, dialled by a slave.
pub(crate) struct Conn {
    pub(crate) proxy: usize,
    pub(crate) slave: usize,
    to_proxy: Pipe,
    to_slave: Pipe,
    pub(crate) at_proxy: End,
    pub(crate) at_slave: End,
    /// Bytes that the system buffers before a writer has to wait.
    buffer: usize,
    latency: Duration,
}

impl Conn {
    pub(crate) fn node(&self, side: Side) -> Node {
        match side {
            Side::Proxy => Node::Proxy(self.proxy),
            Side::Slave => Node::Slave(self.slave),
        }
    }

    /// Returns the direction of what arrives at this side.
    fn direction(&self, to: Side) -> Direction {
        Direction { from: self.node(to.other()), to: self.node(to) }
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Proxy => &mut self.at_proxy,
            Side::Slave => &mut self.at_slave,
        }
    }

    fn pipe(&mut self, to: Side) -> &mut Pipe {
        match to {
            Side::Proxy => &mut self.to_proxy,
            Side::Slave => &mut self.to_slave,
        }
    }

    /// Returns whether the system buffers more from this side.
    pub(crate) fn takes_from(&mut self, side: Side) -> bool {
        let buffer = self.buffer;
        self.pipe(side.other()).bytes < buffer
    }
}

impl World {
    /// Starts a connection of a slave.
    pub(crate) fn connect(&mut self, slave: usize, proxy: usize) -> u64 {
        self.last_conn += 1;
        let id = self.last_conn;
        let conn = Conn {
            proxy,
            slave,
            to_proxy: Pipe::default(),
            to_slave: Pipe::default(),
            at_proxy: End::Opening,
            at_slave: End::Opening,
            buffer: self.rng.between(500, 20_000),
            latency: Duration::from_micros(self.rng.between(100, 80_000) as u64),
        };
        self.conns.insert(id, conn);
        self.send(id, Side::Slave, Message::Hello);
        id
    }

    /// Sends a message of one side.
    pub(crate) fn send(&mut self, id: u64, from: Side, message: Message) {
        let jitter = Duration::from_micros(self.rng.below(3000) as u64);
        let now = self.clock.now();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (side, latency) = (from.other(), conn.latency);
        let pipe = conn.pipe(side);
        pipe.bytes += size(&message);
        pipe.queue.push_back(message);
        pipe.last = pipe.last.max(now + latency + jitter);
        let at = pipe.last;
        self.clock.at(at, Event::Arrive { conn: id, side });
    }

    /// Returns the next message that arrives at this side, unless the direction is blocked.
    pub(crate) fn arrive(&mut self, id: u64, side: Side) -> Option<Message> {
        let conn = self.conns.get_mut(&id)?;
        let direction = conn.direction(side);
        let buffer = conn.buffer;
        let pipe = conn.pipe(side);
        if self.blocked.contains_key(&direction) {
            pipe.blocked += 1;
            return None;
        }
        let message = pipe.queue.pop_front()?;
        let was_full = pipe.bytes >= buffer;
        pipe.bytes -= size(&message);
        if was_full && pipe.bytes < buffer {
            self.clock.after(Duration::ZERO, Event::Tick { node: direction.from });
        }
        Some(message)
    }

    /// Blocks one direction between two nodes for a while: packets are lost, and TCP sends them again later.
    pub(crate) fn block(&mut self, direction: Direction, time: Duration) {
        *self.blocked.entry(direction).or_default() += 1;
        self.log(|| format!("{:?} > {:?} blocked for {time:?}", direction.from, direction.to));
        self.clock.after(time, Event::Unblock { direction });
    }

    pub(crate) fn unblock(&mut self, direction: Direction) {
        if let Some(count) = self.blocked.get_mut(&direction) {
            *count -= 1;
            if *count > 0 {
                return;
            }
        }
        self.blocked.remove(&direction);
        self.log(|| format!("{:?} > {:?} free", direction.from, direction.to));
        let mut again = Vec::new();
        for (id, conn) in &mut self.conns {
            for side in [Side::Proxy, Side::Slave] {
                if conn.direction(side) == direction {
                    let blocked = std::mem::take(&mut conn.pipe(side).blocked);
                    again.extend(std::iter::repeat_n((*id, side), blocked));
                }
            }
        }
        for (conn, side) in again {
            self.clock.after(Duration::from_millis(1), Event::Arrive { conn, side });
        }
    }

    /// Closes one side; what it sent still arrives, and then the close.
    pub(crate) fn close(&mut self, id: u64, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        *conn.end(side) = End::Closed;
        if matches!(conn.end(side.other()), End::Closed) {
            self.conns.remove(&id);
        } else {
            self.send(id, side, Message::Close);
        }
    }

    /// Ends one side without a close, as a machine does that loses power.
    pub(crate) fn vanish(&mut self, id: u64, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        *conn.end(side) = End::Closed;
        if matches!(conn.end(side.other()), End::Closed) {
            self.conns.remove(&id);
        }
    }

    /// Breaks the connection: a part of what is in transit is lost, and both sides receive a close.
    pub(crate) fn reset(&mut self, id: u64) {
        for side in [Side::Proxy, Side::Slave] {
            let keep = self.rng.below(1000);
            let Some(conn) = self.conns.get_mut(&id) else { return };
            let pipe = conn.pipe(side);
            let keep = if pipe.queue.is_empty() { 0 } else { keep % (pipe.queue.len() + 1) };
            let lost: usize = pipe.queue.iter().skip(keep).map(size).sum();
            pipe.queue.truncate(keep);
            pipe.bytes -= lost;
            self.send(id, side.other(), Message::Close);
        }
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Batch(bytes) => bytes.len(),
        _ => 0,
    }
}
