//! Observer of the frames of every call: chunk numbers must have no gaps, and unacknowledged bytes must stay within the window.

use std::collections::BTreeMap;

use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::{CallId, LinkId, Seq};
use protocol::link::window::{FAR_DOUBLINGS, doubled};

/// One direction of one call.
#[derive(Default)]
struct Flow {
    sizes: Vec<usize>,
    sent: Seq,
    acked: Seq,
    /// How often the reader has doubled the window, as far as the writer has learnt.
    doublings: u16,
}

/// Both directions of one call.
#[derive(Default)]
struct CallFlows {
    up: Flow,
    down: Flow,
    /// Number of chunks of the `open`, once its last was sent.
    open_end: Option<Seq>,
    up_link: Option<LinkId>,
}

/// All flows of a run.
#[derive(Default)]
pub(crate) struct Flows(BTreeMap<CallId, CallFlows>);

impl Flow {
    fn send(&mut self, frame: &Frame, window: usize) {
        assert_eq!(frame.seq, self.sent, "{:?}: {} chunk out of order", frame.call, frame.kind.name());
        let at = usize::try_from(frame.seq).expect("small");
        if at < self.sizes.len() {
            assert_eq!(
                self.sizes[at],
                frame.payload.len(),
                "{:?}: a chunk sent again with another length",
                frame.call
            );
        } else {
            self.sizes.push(frame.payload.len());
        }
        self.sent += 1;
        let (in_flight, window) = (self.in_flight(), doubled(window, self.doublings));
        assert!(in_flight <= window, "{:?}: {in_flight} unacknowledged bytes, window {window}", frame.call);
    }

    fn in_flight(&self) -> usize {
        let range = usize::try_from(self.acked).expect("small")..usize::try_from(self.sent).expect("small");
        self.sizes.get(range).unwrap_or_default().iter().sum()
    }

    fn ack(&mut self, seq: Seq) {
        self.acked = self.acked.max(seq);
    }

    fn credit(&mut self, frame: &Frame) {
        self.ack(frame.seq);
        self.doublings = self.doublings.max(frame.aux);
    }
}

impl Flows {
    /// Records a frame that a proxy sent.
    pub(crate) fn proxy_sent(&mut self, frame: &Frame, link: LinkId, window: usize) {
        if frame.kind != FrameKind::Open {
            return;
        }
        let flows = self.0.entry(frame.call).or_default();
        if flows.up_link.is_none() {
            flows.up_link = Some(link);
        }
        assert_eq!(flows.up_link, Some(link), "{:?}: a chunk before `accepted`", frame.call);
        if frame.flags.has(Flags::FAR) {
            (flows.up.doublings, flows.down.doublings) = (FAR_DOUBLINGS, FAR_DOUBLINGS);
        }
        flows.up.send(frame, window);
        if !frame.flags.has(Flags::MORE) {
            flows.open_end = Some(flows.up.sent);
        }
    }

    /// Records a frame that a slave sent.
    pub(crate) fn slave_sent(&mut self, frame: &Frame, window: usize) {
        if matches!(frame.kind, FrameKind::Event | FrameKind::End) && !frame.flags.has(Flags::GONE) {
            self.0.entry(frame.call).or_default().down.send(frame, window);
        }
    }

    /// Records a frame that a slave is about to receive.
    pub(crate) fn slave_receives(&mut self, frame: &Frame) {
        let Some(flows) = self.0.get_mut(&frame.call) else { return };
        match frame.kind {
            FrameKind::Credit => flows.down.credit(frame),
            FrameKind::Attach => {
                flows.down.sent = frame.seq;
                // The slave may have dropped lost messages in favour of an end with a failure.
                flows.down.sizes.truncate(usize::try_from(frame.seq).expect("small"));
            }
            _ => {}
        }
    }

    /// Records a frame that a proxy is about to receive.
    pub(crate) fn proxy_receives(&mut self, frame: &Frame, link: LinkId) {
        let Some(flows) = self.0.get_mut(&frame.call) else { return };
        match frame.kind {
            FrameKind::Credit => flows.up.credit(frame),
            FrameKind::Accepted => {
                flows.up.ack(frame.seq);
                if flows.up_link != Some(link) {
                    flows.up_link = Some(link);
                    flows.up.sent = frame.seq;
                }
            }
            // An event or end of a call that a slave has in full acknowledges the `open`.
            FrameKind::Event | FrameKind::End if !frame.flags.has(Flags::GONE) => {
                if let Some(end) = flows.open_end {
                    flows.up.ack(end);
                }
            }
            _ => {}
        }
    }
}
