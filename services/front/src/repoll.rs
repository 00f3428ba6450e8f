//! Polls a future again at once where it woke itself while it was being polled.
//!
//! hyper wakes its own connection whenever the service takes a piece of a body. Through the scheduler that is a second
//! trip through the queue and, on an idle runtime, a wake-up of another thread. Knows nothing of HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls of one turn, at most: other tasks get theirs.
const MAX_REPOLLS: usize = 4;

#[derive(Default)]
struct SelfWaker {
    outer: AtomicWaker,
    polling: AtomicBool,
    rung: AtomicBool,
}

impl Wake for SelfWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        // Whoever polls looks at `rung` after it has stopped polling: either it sees this ring, or we see that it stopped.
        if !self.polling.load(SeqCst) {
            self.outer.wake();
        }
    }
}

/// The future, settled.
pub(crate) struct RepollOnSelfWake<F> {
    inner: F,
    waker_state: Arc<SelfWaker>,
    waker: Waker,
}

impl<F: Future + Unpin> RepollOnSelfWake<F> {
    pub(crate) fn new(inner: F) -> Self {
        let waker_state = Arc::new(SelfWaker::default());
        Self { inner, waker: Waker::from(Arc::clone(&waker_state)), waker_state }
    }

    pub(crate) fn get_mut(&mut self) -> &mut F {
        &mut self.inner
    }
}

impl<F: Future + Unpin> Future for RepollOnSelfWake<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.waker_state.outer.register(cx.waker());
        let mut inner = Context::from_waker(&this.waker);
        for _ in 0..MAX_REPOLLS {
            this.waker_state.rung.store(false, SeqCst);
            this.waker_state.polling.store(true, SeqCst);
            let polled = Pin::new(&mut this.inner).poll(&mut inner);
            this.waker_state.polling.store(false, SeqCst);
            if polled.is_ready() || !this.waker_state.rung.load(SeqCst) {
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
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn watched() -> (Arc<WakeCount>, Waker) {
        let count = Arc::new(WakeCount(AtomicUsize::new(0)));
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on_in_the_same_turn() {
        let (count, waker) = watched();
        let mut polls = 0;
        let mut settled = RepollOnSelfWake::new(poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        assert!(Pin::new(&mut settled).poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(count.0.load(SeqCst), 0);
    }

    #[test]
    fn it_does_not_keep_the_turn_forever_and_is_polled_again() {
        let (count, waker) = watched();
        let mut settled = RepollOnSelfWake::new(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        assert!(Pin::new(&mut settled).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.0.load(SeqCst), 1);
    }

    #[test]
    fn a_wake_from_outside_reaches_the_scheduler() {
        let (count, waker) = watched();
        let mut kept = None;
        let mut settled = RepollOnSelfWake::new(poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        assert!(Pin::new(&mut settled).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.0.load(SeqCst), 0);
        drop(settled);
        if let Some(waker) = kept {
            waker.wake();
        }
        assert_eq!(count.0.load(SeqCst), 1);
    }
}
