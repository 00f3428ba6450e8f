//! Watches the frames of every call from outside: chunk numbers without gaps, and never more under way than the window.

use std::collections::BTreeMap;

use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::{CallId, LinkId, Seq};

/// One direction of one call.
#[derive(Default)]
struct Flow {
    sizes: Vec<usize>,
    sent: Seq,
    acked: Seq,
}

#[derive(Default)]
struct Both {
    up: Flow,
    down: Flow,
    /// Chunks of the `open`, once its last was seen.
    open_end: Option<Seq>,
    up_link: Option<LinkId>,
}

/// All flows of a run.
#[derive(Default)]
pub(crate) struct Flows(BTreeMap<CallId, Both>);

impl Flow {
    fn send(&mut self, frame: &Frame, window: usize) {
        assert_eq!(frame.seq, self.sent, "{:?}: {} chunk out of order", frame.call, frame.kind.name());
        let at = usize::try_from(frame.seq).expect("small");
        if at < self.sizes.len() {
            assert_eq!(self.sizes[at], frame.payload.len(), "{:?}: another chunk sent again", frame.call);
        } else {
            self.sizes.push(frame.payload.len());
        }
        self.sent += 1;
        let in_flight = self.in_flight();
        assert!(in_flight <= window, "{:?}: {in_flight} bytes under way, window {window}", frame.call);
    }

    fn in_flight(&self) -> usize {
        let range = usize::try_from(self.acked).expect("small")..usize::try_from(self.sent).expect("small");
        self.sizes.get(range).unwrap_or_default().iter().sum()
    }

    fn ack(&mut self, seq: Seq) {
        self.acked = self.acked.max(seq);
    }
}

impl Flows {
    /// A proxy wrote this frame.
    pub(crate) fn proxy_sent(&mut self, frame: &Frame, link: LinkId, window: usize) {
        if frame.kind != FrameKind::Open {
            return;
        }
        let both = self.0.entry(frame.call).or_default();
        if both.up_link.is_none() {
            both.up_link = Some(link);
        }
        assert_eq!(both.up_link, Some(link), "{:?}: a chunk before `accepted`", frame.call);
        both.up.send(frame, window);
        if !frame.flags.has(Flags::MORE) {
            both.open_end = Some(both.up.sent);
        }
    }

    /// A slave wrote this frame.
    pub(crate) fn slave_sent(&mut self, frame: &Frame, window: usize) {
        if matches!(frame.kind, FrameKind::Event | FrameKind::End) && !frame.flags.has(Flags::GONE) {
            self.0.entry(frame.call).or_default().down.send(frame, window);
        }
    }

    /// A slave is about to receive this frame.
    pub(crate) fn slave_receives(&mut self, frame: &Frame) {
        let Some(both) = self.0.get_mut(&frame.call) else { return };
        match frame.kind {
            FrameKind::Credit => both.down.ack(frame.seq),
            FrameKind::Attach => {
                both.down.sent = frame.seq;
                // What was lost may have been dropped for an end that says why.
                both.down.sizes.truncate(usize::try_from(frame.seq).expect("small"));
            }
            _ => {}
        }
    }

    /// A proxy is about to receive this frame.
    pub(crate) fn proxy_receives(&mut self, frame: &Frame, link: LinkId) {
        let Some(both) = self.0.get_mut(&frame.call) else { return };
        match frame.kind {
            FrameKind::Credit => both.up.ack(frame.seq),
            FrameKind::Accepted => {
                both.up.ack(frame.seq);
                if both.up_link != Some(link) {
                    both.up_link = Some(link);
                    both.up.sent = frame.seq;
                }
            }
            // Whatever a slave says of a call that it has wholly received acknowledges the `open`.
            FrameKind::Event | FrameKind::End if !frame.flags.has(Flags::GONE) => {
                if let Some(end) = both.open_end {
                    both.up.ack(end);
                }
            }
            _ => {}
        }
    }
}
