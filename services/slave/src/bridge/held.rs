//! Events of a parked call, which its next reader gets. Must not know calls.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes of events that are held for one parked call. Later ones are dropped.
const MAX_HELD: usize = 256 * 1024;

/// The events, the oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldEvents {
    events: VecDeque<Bytes>,
    bytes: usize,
}

impl HeldEvents {
    /// Holds an event, if there is room.
    pub(super) fn push(&mut self, event: Bytes) {
        if self.bytes + event.len() <= MAX_HELD {
            self.bytes += event.len();
            self.events.push_back(event);
        }
    }

    /// Takes the oldest event.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let event = self.events.pop_front()?;
        self.bytes -= event.len();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_in_order() {
        let mut held = HeldEvents::default();
        for at in 0..1000_u32 {
            held.push(vec![u8::try_from(at % 256).unwrap(); 1024].into());
        }
        let got: Vec<u8> = std::iter::from_fn(|| held.pop()).map(|event| event[0]).collect();
        assert_eq!(got.len(), MAX_HELD / 1024);
        assert!(got.iter().zip(0..=255).all(|(got, at)| *got == at));
        assert_eq!(held.bytes, 0);
    }
}
