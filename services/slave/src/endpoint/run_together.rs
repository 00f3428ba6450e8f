//! Tasks that run several calls each. Must not know what a call is.
//!
//! Each task beyond the first that one step of a task spawns wakes another thread, which costs more than what a small call needs. Calls that
//! arrived together so share a task, which also takes their answers of one moment in one turn.

use std::panic::AssertUnwindSafe;

use futures_util::future::{BoxFuture, ready};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

/// Most calls that share a task: the more share one, the fewer processors they have.
const MAX_TOGETHER: usize = 32;

/// Runs these calls in the background. One that panics ends alone.
pub(super) fn run_together(mut runs: Vec<BoxFuture<'static, ()>>) {
    while !runs.is_empty() {
        let later = runs.split_off(runs.len().min(MAX_TOGETHER));
        if runs.len() == 1 {
            for run in runs {
                tokio::spawn(run);
            }
        } else {
            let together: FuturesUnordered<_> =
                runs.into_iter().map(|run| AssertUnwindSafe(run).catch_unwind()).collect();
            tokio::spawn(together.for_each(|_| ready(())));
        }
        runs = later;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Barrier;

    use super::*;
    use crate::call::testing::within;

    #[tokio::test]
    async fn calls_that_arrive_together_run_side_by_side_and_one_that_panics_ends_alone() {
        for count in [1, 2, MAX_TOGETHER, 3 * MAX_TOGETHER + 1] {
            let all = Arc::new(Barrier::new(count + 1));
            let mut runs: Vec<BoxFuture<'static, ()>> = Vec::new();
            for _ in 0..count {
                let all = Arc::clone(&all);
                runs.push(Box::pin(async move {
                    all.wait().await;
                }));
                runs.push(Box::pin(async { panic!("a call that panics") }));
            }
            run_together(runs);
            within(all.wait()).await;
        }
    }
}
