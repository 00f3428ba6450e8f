//! How many calls run at once. Must not know what they do.
//!
//! The proxy keeps to the capacity that the slave announces; this bound holds when several proxies together, or a
//! client on the slave's own port, go beyond it.

use protocol::mcp::failure::Failure;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls that may wait in addition to as many as may run.
const EXTRA_WAITING: usize = 16;

/// The gate in front of the backends.
pub(super) struct Admission {
    capacity: usize,
    running: Semaphore,
    admitted: Semaphore,
}

/// A call's place. Freed when dropped.
pub(super) struct Admitted<'a> {
    _place: Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)>,
}

impl Admission {
    /// Lets `capacity` calls run at once; 0: any number.
    pub(super) fn new(capacity: usize) -> Self {
        let bounded = capacity.min(Semaphore::MAX_PERMITS / 4);
        Self {
            capacity,
            running: Semaphore::new(bounded),
            admitted: Semaphore::new(bounded * 2 + EXTRA_WAITING),
        }
    }

    /// Waits for a place, or refuses with [`Failure::Busy`] when too many wait already. Dropping it gives up waiting.
    pub(super) async fn enter(&self) -> Result<Admitted<'_>, Failure> {
        if self.capacity == 0 {
            return Ok(Admitted { _place: None });
        }
        let busy = |_| Failure::Busy {
            what: format!("the slave runs {} calls at once (SLAVE_CAPACITY)", self.capacity),
            retry_after: 1,
        };
        let waiting = self.admitted.try_acquire().map_err(busy)?;
        let running = self.running.acquire().await.map_err(|_| Failure::Internal)?;
        Ok(Admitted { _place: Some((waiting, running)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn calls_beyond_the_capacity_wait_and_far_beyond_it_are_refused() {
        let gate = Admission::new(1);
        let first = gate.enter().await.unwrap();
        let mut waiting: Vec<_> = (0..=EXTRA_WAITING).map(|_| Box::pin(gate.enter())).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        assert!(matches!(gate.enter().await, Err(Failure::Busy { .. })));
        drop(waiting.pop());
        drop(first);
        assert!(waiting.remove(0).await.is_ok());
    }

    #[tokio::test]
    async fn no_capacity_means_no_limit() {
        let gate = Admission::new(0);
        let all: Vec<_> = (0..1000).map(|_| gate.enter().now_or_never().unwrap().unwrap()).collect();
        assert_eq!(all.len(), 1000);
    }
}
