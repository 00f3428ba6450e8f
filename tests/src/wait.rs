//! Waiting for conditions with a deadline. The only place in the tests that may sleep.

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails. Generous: two busy cores run debug builds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until `look` finds something; panics with `what` after [`PATIENCE`].
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(what, PATIENCE, look).await
}

/// [`until`] with a deadline of the test's own.
pub async fn until_within<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    within(what, limit, search).await
}

/// Awaits `future`; panics with `what` if it takes longer than `limit`.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    let value = tokio::time::timeout(limit, future).await.ok();
    value.unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}

/// Asserts that `look` finds nothing for all of `span`. For what must *not* happen: no condition can be awaited then.
pub async fn never<T>(what: &str, span: Duration, mut look: impl AsyncFnMut() -> Option<T>) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert!(look().await.is_none(), "must not happen: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// [`until`] for threads without a runtime; `false` when `limit` is over.
pub fn blocking_until(limit: Duration, mut look: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if look() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}
