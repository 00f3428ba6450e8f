//! Polls a future again at once if it woke itself while it was being polled. Must not know HTTP.
//!
//! hyper wakes its own connection whenever the service takes a piece of a body. Through the scheduler such a wake-up
//! is a second trip through the run queue and, on an idle runtime, a wake-up of another thread.

mod poll_state;

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use poll_state::PollState;

/// Most polls of the inner future in one poll of the outer one, so that other tasks get their turn.
const MAX_REPOLLS: usize = 4;

/// What becomes of wake-ups that this thread causes itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wakes {
    Pass,
    Hold,
    /// At least one was held.
    Held,
}

thread_local! {
    static WAKES: Cell<Wakes> = const { Cell::new(Wakes::Pass) };
}

/// Runs one step within a poll of a [`RepollOnSelfWake`], and returns what it returned and whether it woke the future. Such a wake-up is not
/// passed on: the caller wakes, unless it knows that there is nothing to poll for. `step` must poll no other future of that kind.
pub(crate) fn hold_wakes<T>(step: impl FnOnce() -> T) -> (T, bool) {
    let _passing = Passing;
    WAKES.set(Wakes::Hold);
    let value = step();
    (value, WAKES.get() == Wakes::Held)
}

/// Lets wake-ups pass again once it is dropped, also after a panic.
struct Passing;

impl Drop for Passing {
    fn drop(&mut self) {
        WAKES.set(Wakes::Pass);
    }
}

/// Waker of the inner future. Wakes the outer task only while the inner future is not being polled.
struct SelfWaker {
    outer: AtomicWaker,
    state: PollState,
}

impl Wake for SelfWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if WAKES.get() != Wakes::Pass {
            return WAKES.set(Wakes::Held);
        }
        if self.state.record_wake() {
            self.outer.wake();
        }
    }
}

/// Future that polls `F` again in place when `F` woke itself.
pub(crate) struct RepollOnSelfWake<F> {
    inner: F,
    self_waker: Arc<SelfWaker>,
    /// Handle of `self_waker` for contexts.
    waker: Waker,
}

impl<F: Future + Unpin> RepollOnSelfWake<F> {
    /// Wraps a future.
    pub(crate) fn new(inner: F) -> Self {
        let self_waker = Arc::new(SelfWaker { outer: AtomicWaker::new(), state: PollState::new() });
        Self { inner, waker: Waker::from(Arc::clone(&self_waker)), self_waker }
    }

    /// Takes the inner future out.
    pub(crate) fn into_inner(self) -> F {
        self.inner
    }

    /// Returns the inner future.
    pub(crate) fn get_mut(&mut self) -> &mut F {
        &mut self.inner
    }
}

impl<F: Future + Unpin> Future for RepollOnSelfWake<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.self_waker.outer.register(cx.waker());
        let mut inner = Context::from_waker(&this.waker);
        for _ in 0..MAX_REPOLLS {
            this.self_waker.state.begin_poll();
            let polled = Pin::new(&mut this.inner).poll(&mut inner);
            let woken = this.self_waker.state.end_poll();
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Waker that counts its wake-ups.
    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl WakeCount {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counting_waker() -> (Arc<WakeCount>, Waker) {
        let count = Arc::new(WakeCount::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_again_in_the_same_turn() {
        let (count, waker) = counting_waker();
        let mut polls = 0;
        let mut future = RepollOnSelfWake::new(poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn a_future_that_keeps_waking_itself_yields_and_is_scheduled_again() {
        let (count, waker) = counting_waker();
        let mut polls = 0;
        let mut future = RepollOnSelfWake::new(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(future);
        assert_eq!((polls, count.get()), (MAX_REPOLLS, 1));
    }

    #[test]
    fn a_wake_up_that_is_held_is_told_and_not_followed_and_later_ones_pass() {
        let (count, waker) = counting_waker();
        let mut polls = 0;
        let mut future = RepollOnSelfWake::new(poll_fn(|cx| {
            polls += 1;
            assert!(hold_wakes(|| cx.waker().wake_by_ref()).1);
            let panics = AssertUnwindSafe(|| hold_wakes::<()>(|| panic!("a step that panics")));
            assert!(catch_unwind(panics).is_err());
            if polls == 2 {
                return Poll::Ready(());
            }
            assert!(!hold_wakes(|| {}).1);
            Poll::Pending
        }));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        future.waker.wake_by_ref();
        assert_eq!(count.get(), 1);
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn a_wake_up_between_polls_reaches_the_scheduler() {
        let (count, waker) = counting_waker();
        let mut kept = None;
        let mut future = RepollOnSelfWake::new(poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.get(), 0);
        drop(future);
        if let Some(waker) = kept {
            waker.wake();
        }
        assert_eq!(count.get(), 1);
    }
}
