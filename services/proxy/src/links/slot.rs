//! Where the answer of one call waits for its reader. Knows neither link nor client.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use protocol::link::call::ResponseEvent;
use protocol::link::proxy_end::Sink;

use super::load::InFlight;

/// What the reader finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A piece of the answer.
    ResponseEvent(ResponseEvent),
    /// The call never reached the slave: choose another.
    Unsent,
}

#[derive(Default)]
struct State {
    /// Most calls have one part: it needs no queue.
    first: Option<Taken>,
    rest: VecDeque<Taken>,
    reader: Option<Waker>,
}

/// The parts of one call on their way to the reader. Credit bounds how many there are.
#[derive(Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the queue as it was: each change is one push or pop.
        self.state.lock()
    }

    fn put(&self, taken: Taken) {
        let reader = {
            let mut state = self.lock();
            if state.first.is_none() && state.rest.is_empty() {
                state.first = Some(taken);
            } else {
                state.rest.push_back(taken);
            }
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The next part, when there is one.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Taken> {
        let mut state = self.lock();
        let next = state.first.take().or_else(|| state.rest.pop_front());
        if let Some(taken) = next {
            return Poll::Ready(taken);
        }
        match &mut state.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// The link's side of a slot; the call counts as under way at the slave as long as it lives.
pub(crate) struct SlotSink {
    slot: Arc<Slot>,
    _in_flight: InFlight,
}

impl SlotSink {
    pub(crate) fn new(slot: Arc<Slot>, in_flight: InFlight) -> Self {
        Self { slot, _in_flight: in_flight }
    }
}

impl Sink for SlotSink {
    fn on_event(&mut self, part: ResponseEvent) {
        self.slot.put(Taken::ResponseEvent(part));
    }

    fn on_unsent(&mut self) {
        self.slot.put(Taken::Unsent);
    }
}
