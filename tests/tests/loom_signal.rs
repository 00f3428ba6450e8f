//! Every interleaving of raising and taking [`signal::Signal`], which wakes a link's task: no raise is lost.

mod sync {
    use std::task::Waker;

    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};

    /// loom's waker with the signature of `futures_util::task::AtomicWaker`.
    pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(loom::future::AtomicWaker::new())
        }

        pub(crate) fn register(&self, waker: &Waker) {
            self.0.register_by_ref(waker);
        }

        pub(crate) fn wake(&self) {
            self.0.wake();
        }
    }
}

#[allow(dead_code, unreachable_pub, reason = "the model includes the file of the crate as it is")]
#[path = "../../services/link/src/signal.rs"]
mod signal;

use std::future::poll_fn;
use std::task::Poll;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[test]
fn a_raise_always_reaches_the_task_that_takes() {
    let mut model = loom::model::Builder::new();
    // Without a bound the threads' interleavings take minutes; lost wake-ups need one or two preemptions.
    model.preemption_bound = Some(2);
    model.check(|| {
        let (signal, work) = (Arc::new(signal::Signal::new()), Arc::new(AtomicUsize::new(0)));
        let raisers: Vec<_> = (0..2)
            .map(|_| {
                let (signal, work) = (Arc::clone(&signal), Arc::clone(&work));
                thread::spawn(move || {
                    work.fetch_add(1, Ordering::Relaxed);
                    signal.raise();
                })
            })
            .collect();
        // Ends only when the work of both was seen: a lost raise is a deadlock, which loom reports.
        let mut seen = 0;
        loom::future::block_on(poll_fn(|cx| {
            if signal.take(cx) {
                seen = work.load(Ordering::Relaxed);
            }
            if seen == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        for raiser in raisers {
            raiser.join().unwrap();
        }
    });
}
