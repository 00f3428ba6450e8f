//! Waiting for conditions, with a time limit. The only place in the tests that may sleep; knows no condition.

use std::time::{Duration, Instant};

/// Time limit of a condition. At least ten times what the slowest of them takes on an idle machine.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// Pause between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Calls `check` until it returns a value; panics with `what` after [`TIMEOUT`].
pub async fn until<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(what, TIMEOUT, check).await
}

/// As [`until`], with another time limit.
pub async fn until_within<T>(what: &str, limit: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let checks = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    within(what, limit, checks).await
}

/// Awaits `future`; panics with `what` if it takes longer than `limit`.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    let value = tokio::time::timeout(limit, future).await.ok();
    value.unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Asserts that `check` returns nothing for all of `span`: for events that must not happen.
pub async fn never<T>(what: &str, span: Duration, mut check: impl AsyncFnMut() -> Option<T>) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert!(check().await.is_none(), "must not happen: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Lets `span` pass, for a peer that is late on purpose: nothing is decided by it.
pub async fn delay(span: Duration) {
    tokio::time::sleep(span).await;
}

/// As [`until`], for threads without a runtime; returns `false` after `limit`.
pub fn blocking_until(limit: Duration, mut check: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if check() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
