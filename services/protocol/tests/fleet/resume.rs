//! Resumption of calls by legacy clients whose proxy is gone, through another proxy.
//!
//! The proxy attaches with bare frames, as any proxy may (docs/PROTOCOL.md, "A call").

use std::time::Duration;

use bytes::BytesMut;
use protocol::link::call::ResponseEvent;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::CallId;

use crate::net::{Message, Side};
use crate::record::CallEnd;
use crate::world::{Event, World};

/// Call that another proxy opened.
pub(crate) struct Adopted {
    no: u64,
    pub(crate) conn: u64,
}

impl World {
    /// Schedules the resumption of some calls.
    pub(crate) fn schedule_resume(&mut self, no: u64) {
        if self.rng.one_in(2) {
            let wait = Duration::from_millis(self.rng.between(1, 10_000) as u64);
            self.clock.after(wait, Event::Resume { no });
        }
    }

    /// Attaches to a call through any proxy that is linked to the slave process with the call.
    pub(crate) fn resume(&mut self, no: u64) {
        let (call, next, slave) = {
            let mut records = self.records.borrow_mut();
            let record = records.record(no);
            let Some(slave) = record.slave.filter(|_| record.outcome == Some(CallEnd::Broken)) else {
                return;
            };
            record.unread.clear();
            (record.call, record.next, slave)
        };
        let linked = |proxy: &usize| {
            let proxy = &self.proxies[*proxy];
            let free = proxy.process.alive && proxy.process.paused_until.is_none();
            let conn = proxy.known.get(&slave).and_then(|known| known.conn);
            free && conn.is_some_and(|conn| self.conns.contains_key(&conn))
        };
        let linked: Vec<usize> = (0..self.proxies.len()).filter(linked).collect();
        let Some(proxy) = self.rng.pick(&linked) else { return };
        let conn = self.proxies[proxy].known[&slave].conn.expect("it is linked");
        self.log(|| format!("{no} ({call}) comes back through P{proxy}"));
        self.proxies[proxy].adopted.insert(call, Adopted { no, conn });
        self.bare(conn, FrameKind::Attach, call, next);
        self.bare(conn, FrameKind::Credit, call, next);
    }

    fn bare(&mut self, conn: u64, kind: FrameKind, call: CallId, seq: u64) {
        let mut batch = BytesMut::new();
        Frame::bare(kind, call, seq).encode(&mut batch);
        self.send(conn, Side::Proxy, Message::Batch(batch.freeze()));
    }

    /// Takes a frame of an adopted call. Returns whether it was one.
    pub(crate) fn adopted_receives(&mut self, proxy: usize, frame: &Frame) -> bool {
        let call = frame.call;
        let Some(Adopted { no, conn }) = self.proxies[proxy].adopted.get(&call) else { return false };
        let (no, conn) = (*no, *conn);
        let gone = frame.kind == FrameKind::End && frame.flags.has(Flags::GONE);
        if gone {
            self.proxies[proxy].adopted.remove(&call);
        }
        let part = ResponseEvent::from_frame(frame.clone()).filter(|_| !gone);
        if let Some(part) = part {
            self.flows.proxy_receives(frame, protocol::link::ids::LinkId(conn));
            let next = {
                let mut records = self.records.borrow_mut();
                records.on_event(no, call, &part);
                let record = records.record(no);
                record.unread.clear();
                record.next
            };
            self.bare(conn, FrameKind::Credit, call, next);
            if part.is_last() {
                self.records.borrow_mut().count("resumed");
                self.proxies[proxy].adopted.remove(&call);
            }
        }
        true
    }
}
