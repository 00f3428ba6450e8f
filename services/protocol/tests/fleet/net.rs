//! Connections as TCP gives them: bytes in order or not at all, late, one way only, or broken without a word.
//!
//! Knows what is carried only by its size.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::liveness::Liveness;

use crate::world::{Event, Node, World};

/// What is on its way.
pub(crate) enum Message {
    /// The slave's first message.
    Hello,
    /// The proxy's answer.
    Welcome,
    /// Frames.
    Batch(Bytes),
    Ping,
    Pong,
    /// The other side has closed, or its system says that it is gone.
    Close,
}

/// One direction.
#[derive(Default)]
pub(crate) struct Pipe {
    queue: VecDeque<Message>,
    bytes: usize,
    /// Nothing overtakes.
    last: Duration,
    /// Messages that came to the block and wait there.
    held: usize,
}

/// What one side believes of a connection.
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

/// Which side of a connection.
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

/// One connection, dialed by a slave.
pub(crate) struct Conn {
    pub(crate) proxy: usize,
    pub(crate) slave: usize,
    to_proxy: Pipe,
    to_slave: Pipe,
    pub(crate) at_proxy: End,
    pub(crate) at_slave: End,
    /// Bytes that the system takes before a writer has to wait.
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

    /// Whether the system takes more from this side.
    pub(crate) fn takes_from(&mut self, side: Side) -> bool {
        let buffer = self.buffer;
        self.pipe(side.other()).bytes < buffer
    }
}

impl World {
    /// A slave begins to connect.
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

    /// One side hands a message to its system.
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

    /// The next message comes to this side, unless the way is blocked.
    pub(crate) fn arrive(&mut self, id: u64, side: Side) -> Option<Message> {
        let conn = self.conns.get_mut(&id)?;
        let way = (conn.node(side.other()), conn.node(side));
        let buffer = conn.buffer;
        let pipe = conn.pipe(side);
        if self.blocked.contains_key(&way) {
            pipe.held += 1;
            return None;
        }
        let message = pipe.queue.pop_front()?;
        let was_full = pipe.bytes >= buffer;
        pipe.bytes -= size(&message);
        if was_full && pipe.bytes < buffer {
            self.clock.after(Duration::ZERO, Event::Tick { node: way.0 });
        }
        Some(message)
    }

    /// Packets from one node to the other are lost for a while: TCP sends them again, later.
    pub(crate) fn block(&mut self, way: (Node, Node), time: Duration) {
        *self.blocked.entry(way).or_default() += 1;
        self.log(|| format!("{:?} > {:?} blocked for {time:?}", way.0, way.1));
        self.clock.after(time, Event::Unblock { way });
    }

    pub(crate) fn unblock(&mut self, way: (Node, Node)) {
        if let Some(count) = self.blocked.get_mut(&way) {
            *count -= 1;
            if *count > 0 {
                return;
            }
        }
        self.blocked.remove(&way);
        self.log(|| format!("{:?} > {:?} free", way.0, way.1));
        let mut again = Vec::new();
        for (id, conn) in &mut self.conns {
            for side in [Side::Proxy, Side::Slave] {
                if (conn.node(side.other()), conn.node(side)) == way {
                    let held = std::mem::take(&mut conn.pipe(side).held);
                    again.extend(std::iter::repeat_n((*id, side), held));
                }
            }
        }
        for (conn, side) in again {
            self.clock.after(Duration::from_millis(1), Event::Arrive { conn, side });
        }
    }

    /// This side is done with the connection; what it has written still arrives, then the other hears of it.
    pub(crate) fn close(&mut self, id: u64, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        *conn.end(side) = End::Closed;
        if matches!(conn.end(side.other()), End::Closed) {
            self.conns.remove(&id);
        } else {
            self.send(id, side, Message::Close);
        }
    }

    /// This side is gone without a word: the machine lost its power.
    pub(crate) fn vanish(&mut self, id: u64, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        *conn.end(side) = End::Closed;
        if matches!(conn.end(side.other()), End::Closed) {
            self.conns.remove(&id);
        }
    }

    /// The connection breaks: a part of what is on its way is lost, and both sides hear of it.
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
