//! The slots of a backend that runs a limited number of calls at once (`concurrency` of its entry). Must not know what calls are.
//!
//! Calls beyond the limit wait in the order in which they came. A call that its client gives up keeps its slot until the child has
//! answered it, since many servers work on.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::failure::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::Session;

/// Calls that may wait for a slot.
const MAX_WAITING: usize = 256;

/// The longest time for which an abandoned call keeps its slot: servers need not answer a cancelled request.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(10);

/// The slots of one backend.
pub(super) struct Slots {
    limit: usize,
    free: Arc<Semaphore>,
    waiting: Semaphore,
}

/// The slot of one call, given back when dropped: at once, if the call was answered.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    /// The request that the child works on.
    request: Option<(Arc<Session>, u64)>,
}

impl Slots {
    /// Returns the slots of a backend that runs `concurrency` calls at once.
    pub(super) fn new(concurrency: NonZeroUsize) -> Self {
        let limit = concurrency.get().min(Semaphore::MAX_PERMITS);
        Self { limit, free: Arc::new(Semaphore::new(limit)), waiting: Semaphore::new(MAX_WAITING) }
    }

    /// Waits for a slot. Fails with [`Failure::Busy`] when too many calls wait already. Cancel-safe.
    pub(super) async fn take(&self, backend: &str) -> Result<Slot, Failure> {
        let slot = |permit| Slot { permit: Some(permit), request: None };
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(slot(permit));
        }
        let _place = self.waiting.try_acquire().map_err(|_| Failure::Busy {
            what: format!(
                "backend {backend:?} runs {} calls at once (concurrency), and {MAX_WAITING} calls wait already",
                self.limit
            ),
            retry_after: 1,
        })?;
        Arc::clone(&self.free).acquire_owned().await.map(slot).map_err(|_| Failure::Internal)
    }
}

impl Slot {
    /// Records that the child has the request.
    pub(super) fn sent(&mut self, session: &Arc<Session>, id: u64) {
        self.request = Some((Arc::clone(session), id));
    }

    /// Records that the request has ended.
    pub(super) fn ended(&mut self) {
        self.request = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (Some(permit), Some((session, id))) = (self.permit.take(), self.request.take()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let answered = session.await_late_answer(id);
        runtime.spawn(async move {
            let _ = tokio::time::timeout(ABANDONED_TIMEOUT, answered).await;
            session.forget_late_answer(id);
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::stdio::incoming::Incoming;
    use bytes::Bytes;
    use futures_util::FutureExt;

    fn slots(limit: usize) -> Slots {
        Slots::new(NonZeroUsize::new(limit).unwrap())
    }

    #[tokio::test]
    async fn calls_wait_in_order_and_too_many_are_refused() {
        let slots = slots(1);
        let first = slots.take("b").await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(slots.take("b"))).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        assert!(matches!(slots.take("b").await, Err(Failure::Busy { .. })));
        drop(first);
        assert!((&mut waiting[1]).now_or_never().is_none(), "the second in line");
        drop(waiting.remove(0).await.unwrap());
        assert!(waiting.remove(0).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_call_keeps_its_slot_until_it_is_answered_or_for_a_while() {
        let (slots, (session, _messages)) = (slots(1), Session::new("b".into(), None, 1));
        for answers in [true, false] {
            let mut slot = slots.take("b").await.unwrap();
            slot.sent(&session, 7);
            drop(slot);
            tokio::task::yield_now().await;
            let mut next = Box::pin(slots.take("b"));
            assert!((&mut next).now_or_never().is_none());
            if answers {
                assert!(
                    !session.complete(7, Incoming::Result { json: Bytes::new(), marks: None }),
                    "nobody waits for it"
                );
            }
            let before = tokio::time::Instant::now();
            drop(next.await.unwrap());
            let waited = before.elapsed();
            assert_eq!(waited >= ABANDONED_TIMEOUT, !answers, "{waited:?}");
        }
        let mut slot = slots.take("b").await.unwrap();
        slot.sent(&session, 8);
        slot.ended();
        drop(slot);
        assert!(slots.take("b").now_or_never().is_some());
    }
}
