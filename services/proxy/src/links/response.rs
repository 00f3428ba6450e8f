//! The channel of a call's answer from the link's task to the call's reader. Must not know links or clients.
//!
//! The channel uses a mutex rather than a lock-free queue: most answers are one push and one pop, and the lock is never
//! held for long.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use protocol::link::call::ResponseEvent;
use protocol::link::header::CallPlace;
use protocol::link::proxy_end::Sink;

use crate::balance::Permit;

/// An item that the reader of an answer receives.
#[derive(Debug)]
pub(crate) enum Recv {
    /// A piece of the answer.
    ResponseEvent(ResponseEvent),
    /// The call never reached the slave, so another must be chosen.
    Unsent,
    /// The slave may have the call and is probably dead.
    ProbablyLost,
}

#[derive(Default)]
struct State {
    /// The first piece, stored apart because most answers have only one and then need no queue.
    first: Option<Recv>,
    rest: VecDeque<Recv>,
    /// Whether the reader is to learn that the slave is probably dead, after what was received before.
    lost: bool,
    reader: Option<Waker>,
}

/// The receiving half of a call's answer. The call's credit bounds how much is queued.
#[derive(Default)]
pub(crate) struct ResponseRx {
    state: Mutex<State>,
}

impl ResponseRx {
    fn push(&self, received: Recv) {
        let reader = {
            let mut state = self.state.lock();
            if state.first.is_none() && state.rest.is_empty() {
                state.first = Some(received);
            } else {
                state.rest.push_back(received);
            }
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn report_loss(&self) {
        let reader = {
            let mut state = self.state.lock();
            state.lost = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Returns the next piece. `Pending`: the task is woken when there is one.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Recv> {
        let mut state = self.state.lock();
        let next = state.first.take().or_else(|| state.rest.pop_front());
        if let Some(received) = next {
            return Poll::Ready(received);
        }
        if std::mem::take(&mut state.lost) {
            return Poll::Ready(Recv::ProbablyLost);
        }
        match &mut state.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// The sending half of a call's answer. The call counts as under way at the slave until this half is dropped.
pub(crate) struct ResponseTx {
    response: Arc<ResponseRx>,
    _permit: Option<Permit>,
    /// Says whether the client gets ids by which it can come back; `None`: it gets none.
    place: Option<CallPlace>,
}

impl ResponseTx {
    pub(crate) fn new(response: Arc<ResponseRx>, permit: Permit, place: Option<CallPlace>) -> Self {
        Self { response, _permit: Some(permit), place }
    }

    /// The answer of a call that is not counted, since it lasts and takes nothing of the slave's capacity.
    pub(super) fn uncounted(response: Arc<ResponseRx>) -> Self {
        Self { response, _permit: None, place: None }
    }
}

impl Sink for ResponseTx {
    fn on_event(&mut self, event: ResponseEvent) {
        self.response.push(Recv::ResponseEvent(event));
    }

    fn on_unsent(&mut self) {
        self.response.push(Recv::Unsent);
    }

    fn on_probably_lost(&mut self) {
        self.response.report_loss();
    }

    fn may_return(&self) -> bool {
        self.place.as_ref().is_some_and(CallPlace::has_ids)
    }
}
