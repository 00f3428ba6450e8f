//! The limit of calls that run at once. Must not know what they do.
//!
//! Each proxy keeps to the capacity that the slave announces; this limit holds when several proxies together, or a client
//! on the slave's own port, go beyond it.

use protocol::mcp::failure::Failure;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls that may wait in addition to as many as may run.
const MAX_EXTRA_WAITING: usize = 16;

/// The concurrency limit of all backends together.
pub(super) struct ConcurrencyLimit {
    capacity: usize,
    /// Permits of calls that run.
    running: Semaphore,
    /// Permits of calls that run or wait.
    admitted: Semaphore,
}

/// The permit of one running call. Returned when dropped.
pub(super) struct ConcurrencyPermit<'a> {
    _permits: Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)>,
}

impl ConcurrencyLimit {
    /// Returns a limit of `capacity` calls; 0: no limit.
    pub(super) fn new(capacity: usize) -> Self {
        let bounded = capacity.min(Semaphore::MAX_PERMITS / 4);
        Self {
            capacity,
            running: Semaphore::new(bounded),
            admitted: Semaphore::new(bounded * 2 + MAX_EXTRA_WAITING),
        }
    }

    /// Waits for a permit. Fails with [`Failure::Busy`] when too many calls wait already. Cancel-safe.
    pub(super) async fn acquire(&self) -> Result<ConcurrencyPermit<'_>, Failure> {
        if self.capacity == 0 {
            return Ok(ConcurrencyPermit { _permits: None });
        }
        let busy = |_| Failure::Busy {
            what: format!("the slave runs {} calls at once (SLAVE_CAPACITY)", self.capacity),
            retry_after: 1,
        };
        let waiting = self.admitted.try_acquire().map_err(busy)?;
        let running = self.running.acquire().await.map_err(|_| Failure::Internal)?;
        Ok(ConcurrencyPermit { _permits: Some((waiting, running)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn calls_beyond_the_capacity_wait_and_far_beyond_it_are_refused() {
        let limit = ConcurrencyLimit::new(1);
        let first = limit.acquire().await.unwrap();
        let mut waiting: Vec<_> = (0..=MAX_EXTRA_WAITING).map(|_| Box::pin(limit.acquire())).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        assert!(matches!(limit.acquire().await, Err(Failure::Busy { .. })));
        drop(waiting.pop());
        drop(first);
        assert!(waiting.remove(0).await.is_ok());
    }

    #[tokio::test]
    async fn no_capacity_means_no_limit() {
        let limit = ConcurrencyLimit::new(0);
        let all: Vec<_> = (0..1000).map(|_| limit.acquire().now_or_never().unwrap().unwrap()).collect();
        assert_eq!(all.len(), 1000);
    }
}
