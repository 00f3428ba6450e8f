//! A model of the handover between a call that ends and a call that begins to wait, run through every interleaving.
//!
//! The counter is the proxy's own code, built with loom's atomics in place of the standard library's. The queue around
//! it is a small model of `services/proxy/src/dispatch/queue.rs`: its count of waiting calls, its lock, and the order of
//! its accesses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../services/proxy/src/balance/call_counter.rs"]
#[expect(dead_code, reason = "the model uses what the handover needs")]
mod call_counter;

/// Takes the place of `services/proxy/src/sync.rs`.
///
/// loom treats sequentially consistent accesses as acquire and release only, but models sequentially consistent fences.
/// A fence after each sequentially consistent write gives what the handover relies on, as compilers do it for x86.
mod sync {
    use loom::sync::atomic::fence;
    pub(crate) use std::sync::atomic::Ordering;

    pub(crate) struct AtomicUsize(loom::sync::atomic::AtomicUsize);

    impl AtomicUsize {
        pub(crate) fn new(value: usize) -> Self {
            Self(loom::sync::atomic::AtomicUsize::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> usize {
            self.0.load(order)
        }

        pub(crate) fn fetch_add(&self, value: usize, order: Ordering) -> usize {
            let before = self.0.fetch_add(value, order);
            fence_after(order);
            before
        }

        pub(crate) fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
            let before = self.0.fetch_sub(value, order);
            fence_after(order);
            before
        }

        pub(crate) fn fetch_update(
            &self,
            set: Ordering,
            fetch: Ordering,
            update: impl FnMut(usize) -> Option<usize>,
        ) -> Result<usize, usize> {
            let result = self.0.fetch_update(set, fetch, update);
            fence_after(set);
            result
        }
    }

    fn fence_after(order: Ordering) {
        if order == Ordering::SeqCst {
            fence(order);
        }
    }
}

use call_counter::CallCounter;
use loom::sync::{Arc, Mutex};
use loom::thread;
use sync::{AtomicUsize, Ordering};

/// A slave with a queue of waiting calls.
struct Model {
    slave: CallCounter,
    waiting: AtomicUsize,
    queue: Mutex<Vec<usize>>,
    /// Calls that got capacity while they waited.
    served: Mutex<Vec<usize>>,
}

impl Model {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            slave: CallCounter::new(capacity),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(Vec::new()),
            served: Mutex::new(Vec::new()),
        })
    }

    /// A call begins: it gets capacity at once, or waits and looks once more. Returns whether it got capacity at once.
    fn begin(&self, call: usize) -> bool {
        if self.slave.try_acquire() {
            return true;
        }
        {
            let mut queue = self.queue.lock().unwrap();
            self.waiting.fetch_add(1, Ordering::SeqCst);
            queue.push(call);
        }
        // The second look: capacity may have been freed between the first one and the enqueueing.
        if self.slave.has_capacity() {
            self.dispatch();
        }
        false
    }

    /// A call ends: frees its capacity, then looks for waiting calls.
    fn end(&self) {
        self.slave.release();
        self.dispatch();
    }

    /// Gives free capacity to waiting calls.
    fn dispatch(&self) {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let mut queue = self.queue.lock().unwrap();
            if queue.is_empty() || !self.slave.try_acquire() {
                return;
            }
            let call = queue.remove(0);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.served.lock().unwrap().push(call);
        }
    }

    /// No call waits beside free capacity, and the capacity is never exceeded.
    fn check(&self, capacity: usize) {
        let waiting = self.queue.lock().unwrap().len();
        assert!(waiting == 0 || !self.slave.has_capacity(), "{waiting} calls wait beside free capacity");
        assert!(self.slave.in_flight() <= capacity, "more calls than the capacity");
    }
}

#[test]
fn a_call_that_begins_to_wait_gets_the_capacity_that_another_frees() {
    loom::model(|| {
        let model = Model::new(1);
        assert!(model.begin(1));
        let ending = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.end())
        };
        let at_once = model.begin(2);
        ending.join().unwrap();
        model.check(1);
        let served = model.served.lock().unwrap().clone();
        assert_eq!(served, if at_once { vec![] } else { vec![2] }, "the second call runs in any case");
        assert_eq!(model.slave.in_flight(), 1);
    });
}

#[test]
fn two_calls_that_begin_to_wait_are_served_one_after_the_other() {
    // Three threads have too many interleavings to run all: those with up to two preemptions show known faults.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let model = Model::new(1);
        assert!(model.begin(1));
        let threads: Vec<_> = [2, 3]
            .into_iter()
            .map(|call| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.begin(call))
            })
            .collect();
        model.end();
        let at_once = threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>();
        model.check(1);
        assert_eq!(at_once + model.served.lock().unwrap().len(), 1, "one of them has the capacity");
        model.end();
        model.check(1);
        assert_eq!(model.queue.lock().unwrap().len(), 0, "then the other one");
    });
}
