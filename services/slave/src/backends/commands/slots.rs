//! The limit of runs of one tool at once. Must not know what runs.

use std::num::NonZeroUsize;

use protocol::mcp::failure::Failure;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls that may wait for a place.
const MAX_WAITING: usize = 256;

/// The limit of runs at once. Calls beyond it wait in the order in which they came.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    free: Semaphore,
    waiting: Semaphore,
}

impl Slots {
    /// Returns a limit of `concurrency` runs.
    pub(super) fn new(concurrency: NonZeroUsize) -> Self {
        let limit = concurrency.get().min(Semaphore::MAX_PERMITS);
        Self { limit, free: Semaphore::new(limit), waiting: Semaphore::new(MAX_WAITING) }
    }

    /// Waits for a place. Fails with [`Failure::Busy`] when too many calls wait already. Cancel-safe.
    pub(super) async fn take(&self, tool: &str) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(permit) = self.free.try_acquire() {
            return Ok(permit);
        }
        let _place = self.waiting.try_acquire().map_err(|_| Failure::Busy {
            what: format!(
                "tool {tool:?} runs {} times at once (concurrency), and {MAX_WAITING} calls wait already",
                self.limit
            ),
            retry_after: 1,
        })?;
        self.free.acquire().await.map_err(|_| Failure::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn calls_beyond_the_limit_wait_and_too_many_are_refused() {
        let slots = Slots::new(NonZeroUsize::MIN);
        let first = slots.take("t").await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(slots.take("t"))).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        assert!(matches!(slots.take("t").await, Err(Failure::Busy { .. })));
        drop(first);
        assert!(waiting.remove(0).await.is_ok());
    }
}
