//! The handover of `front::repoll` under the interleavings that the memory model allows (loom). Compiles the lock-free
//! file of the front crate as it is, over loom's atomics. Must not know what is polled.

#[path = "../../services/front/src/repoll/poll_state.rs"]
mod poll_state;

/// Stands in for `front::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
}

use std::sync::atomic::Ordering::Relaxed;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::thread;

use poll_state::PollState;

/// What a poller and its wakers share. The data are relaxed on purpose: only the handover orders them.
struct Shared {
    state: PollState,
    data: [AtomicBool; 2],
    outer_wakes: AtomicUsize,
}

impl Shared {
    fn new() -> Arc<Self> {
        let data = [AtomicBool::new(false), AtomicBool::new(false)];
        Arc::new(Self { state: PollState::new(), data, outer_wakes: AtomicUsize::new(0) })
    }

    /// Publishes a datum and wakes the future, as a producer on another thread does.
    fn publish(&self, index: usize) {
        self.data[index].store(true, Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if self.state.record_wake() {
            self.outer_wakes.fetch_add(1, Relaxed);
        }
    }

    /// Polls until no wake-up came in during the poll. Returns how many data the last poll saw.
    fn poll(&self) -> usize {
        loop {
            self.state.begin_poll();
            let seen = self.data.iter().filter(|datum| datum.load(Relaxed)).count();
            if !self.state.end_poll() {
                return seen;
            }
        }
    }
}

#[test]
fn a_wake_up_is_seen_by_a_poll_or_wakes_the_outer_task() {
    loom::model(|| {
        let shared = Shared::new();
        let waker = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.publish(0)
        });
        let seen = shared.poll();
        waker.join().unwrap();
        assert!(seen == 1 || shared.outer_wakes.load(Relaxed) == 1, "the wake-up was lost");
    });
}

#[test]
fn none_of_two_wake_ups_is_lost() {
    // With three threads, all interleavings of up to two preemptions: the exhaustive search takes minutes.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let shared = Shared::new();
        let wakers = [0, 1].map(|index| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.publish(index))
        });
        let seen = shared.poll();
        for waker in wakers {
            waker.join().unwrap();
        }
        assert!(seen == 2 || shared.outer_wakes.load(Relaxed) > 0, "a wake-up was lost");
    });
}

#[test]
fn a_self_wake_repeats_the_poll_and_leaves_the_outer_task_alone() {
    loom::model(|| {
        let shared = Shared::new();
        let bystander = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.publish(0)
        });
        shared.state.begin_poll();
        shared.wake();
        assert!(shared.state.end_poll(), "the poller sees its own wake-up");
        bystander.join().unwrap();
        assert!(
            shared.outer_wakes.load(Relaxed) <= 1,
            "only the other thread's wake-up may reach the outer task"
        );
    });
}
