//! Frames to proxies that concern no call: the catalog, other proxies, sessions, drain.

use bytes::Bytes;

use super::state::SlaveEnd;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, LinkId};
use crate::link::journal::MessageHeader;

impl SlaveEnd {
    /// Sets what is offered from now on: parts (JSON) that make up the whole, which new links are sent, and those that changed,
    /// which go out on every link that is up.
    pub fn set_catalog(&mut self, whole: Vec<Bytes>, changed: &[Bytes]) {
        self.catalog = whole;
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.send_catalog(link, changed);
        }
    }

    pub(super) fn send_catalog(&mut self, link: LinkId, parts: &[Bytes]) {
        let Some(to) = self.links.get_mut(&link) else { return };
        let header = MessageHeader { kind: FrameKind::Catalog, flags: Flags::NONE, aux: 0 };
        for part in parts {
            to.catalogs.write(header, part.clone());
        }
        while let Some(frame) = to.catalogs.send(CallId::LINK) {
            to.outbox.enqueue_control(frame);
        }
        to.catalogs.forget_sent();
    }

    /// Sends to a proxy which others this slave is linked to (JSON of [`crate::link::peers::Peers`], at most one chunk). Only for
    /// proxies that announced `peers`.
    pub fn peers(&mut self, link: LinkId, peers: Bytes) {
        self.enqueue_control(
            link,
            Frame { payload: peers, ..Frame::bare(FrameKind::Peers, CallId::LINK, 0) },
        );
    }

    /// Passes a fact about a client session on to a proxy. Only for proxies that announced `peers`.
    pub fn session(&mut self, link: LinkId, facts: Bytes) {
        self.enqueue_control(
            link,
            Frame { payload: facts, ..Frame::bare(FrameKind::Session, CallId::LINK, 0) },
        );
    }

    /// Takes no new call from now on, and tells every proxy.
    pub fn drain(&mut self) {
        self.draining = true;
        for link in self.links.values_mut() {
            link.outbox.enqueue_control(Frame::bare(FrameKind::Drain, CallId::LINK, 0));
        }
    }
}
