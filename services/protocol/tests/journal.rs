//! One direction of one call, from the writer's journal to the reader's reassembler: messages arrive whole, in order and once, however
//! they are cut, acknowledged or sent again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use bytes::Bytes;
use proptest::prelude::*;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::CallId;
use protocol::link::journal::{Journal, MessageHeader};
use protocol::link::limits::LinkLimits;
use protocol::link::reassembler::{Reassembler, ReassemblyError};

const CALL: CallId = CallId(1);

#[derive(Clone, Debug)]
enum Act {
    Write(Vec<u8>),
    Send,
    /// So many of the frames in transit arrive.
    Arrive(usize),
    /// The reader takes everything that arrived.
    Acknowledge,
    /// The link breaks: frames in transit are lost and sent again.
    Break,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Act::Write),
        4 => Just(Act::Send),
        4 => (0usize..4).prop_map(Act::Arrive),
        2 => Just(Act::Acknowledge),
        1 => Just(Act::Break),
    ]
}

struct Transfer {
    journal: Journal,
    reassembler: Reassembler,
    in_transit: Vec<Frame>,
    written: Vec<Vec<u8>>,
    read: Vec<Vec<u8>>,
}

impl Transfer {
    fn new(chunk: usize, window: usize) -> Self {
        let limits = LinkLimits { chunk, window, ..LinkLimits::default() };
        let (journal, reassembler) = (Journal::new(&limits), Reassembler::new(1000));
        Self { journal, reassembler, in_transit: vec![], written: vec![], read: vec![] }
    }

    fn act(&mut self, act: Act) {
        let header = MessageHeader { kind: FrameKind::Event, flags: Flags::NONE, aux: 0 };
        match act {
            Act::Write(message) => {
                self.journal.write(header, Bytes::from(message.clone()));
                self.written.push(message);
            }
            Act::Send => self.in_transit.extend(self.journal.send(CALL)),
            Act::Arrive(count) => {
                for frame in self.in_transit.drain(..count.min(self.in_transit.len())) {
                    let whole = self.reassembler.push(frame).expect("the chunk that is due");
                    self.read.extend(whole.map(|whole| whole.message.to_vec()));
                }
            }
            Act::Acknowledge => {
                self.journal.acknowledge(self.reassembler.next()).expect("a chunk that was sent");
            }
            Act::Break => {
                self.in_transit.clear();
                self.journal.rewind(self.reassembler.next()).expect("a chunk that is kept");
            }
        }
        assert!(self.journal.in_flight() <= self.journal.window(), "credit below zero");
        assert!(self.journal.in_flight() <= self.journal.bytes());
    }

    fn finish(&mut self) {
        while !self.journal.is_empty() {
            for act in [Act::Send, Act::Arrive(1), Act::Acknowledge] {
                self.act(act);
            }
        }
        assert_eq!(
            (self.journal.bytes(), self.journal.in_flight(), self.reassembler.pending_bytes()),
            (0, 0, 0)
        );
    }
}

proptest! {
    #[test]
    fn messages_arrive_whole_in_order_once(
        chunk in 1usize..20,
        room in 0usize..60,
        acts in prop::collection::vec(act(), 0..200),
    ) {
        let mut transfer = Transfer::new(chunk, chunk + room);
        for act in acts {
            transfer.act(act);
            prop_assert_eq!(&transfer.read[..], &transfer.written[..transfer.read.len()]);
        }
        transfer.finish();
        prop_assert_eq!(transfer.read, transfer.written);
    }

    #[test]
    fn impossible_positions_are_rejected_and_change_nothing(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 1..6),
        sent in 0usize..8,
        wild in any::<u64>(),
    ) {
        let mut transfer = Transfer::new(8, 64);
        for message in messages {
            transfer.act(Act::Write(message));
        }
        for _ in 0..sent {
            transfer.act(Act::Send);
        }
        let before = (transfer.journal.bytes(), transfer.journal.in_flight(), transfer.journal.sent());
        if wild > transfer.journal.sent() {
            prop_assert!(transfer.journal.acknowledge(wild).is_err());
            prop_assert!(transfer.journal.rewind(wild).is_err());
            prop_assert_eq!(before, (transfer.journal.bytes(), transfer.journal.in_flight(), transfer.journal.sent()));
        }
    }

    #[test]
    fn chunks_in_any_order_stay_within_the_limit(
        chunks in prop::collection::vec((0u64..6, any::<bool>(), 0usize..40, any::<bool>()), 0..60),
    ) {
        let mut reassembler = Reassembler::new(100);
        for (seq, more, len, event) in chunks {
            let due = reassembler.next();
            let frame = Frame {
                flags: if more { Flags::MORE } else { Flags::NONE },
                payload: Bytes::from(vec![0; len]),
                ..Frame::bare(if event { FrameKind::Event } else { FrameKind::End }, CALL, due + seq / 5)
            };
            match reassembler.push(frame) {
                Ok(Some(whole)) => prop_assert!(whole.message.len() <= 100),
                Ok(None) => prop_assert_eq!(reassembler.next(), due + 1),
                Err(ReassemblyError::Gap { expected, found }) => prop_assert!(expected == due && found != due),
                Err(ReassemblyError::Mixed(_) | ReassemblyError::TooLong { .. }) => {}
            }
            prop_assert!(reassembler.pending_bytes() <= 100);
        }
    }
}
