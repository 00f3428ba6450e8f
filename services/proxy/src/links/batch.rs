//! The next output to a slave: a batch of frames (native dialect) or a text frame (plain dialect). Must not know
//! what the frames say.

use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

use link::is_complete;
use protocol::link::frame::Frame;

use super::slave::{LinkState, Slave};

impl Slave {
    /// Registers the waker of the link's task: it is woken when there is something to send. Returns `false` where a
    /// newer link has taken over, whose task is woken instead.
    pub(super) fn wake_link(&self, generation: u64, waker: &Waker) -> bool {
        // Generations change under this lock: an older link must not replace the waker of the newest one.
        let _link = self.link();
        let current = self.is_current(generation);
        if current {
            self.gathers.store(false, Ordering::Relaxed);
            self.waker.register(waker);
        }
        current
    }

    /// Lets short calls wait for the next round of the link's task, which comes in any case: they do not wake it before.
    pub(super) fn gather(&self, generation: u64) {
        let _link = self.link();
        if self.is_current(generation) {
            self.gathers.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether a frame waits to be sent. Native dialect only.
    pub(super) fn has_something_to_send(&self) -> bool {
        match &*self.link() {
            LinkState::Native(end) => end.wants_to_send(),
            LinkState::Plain(_) => false,
        }
    }

    /// Moves the frames that are to be sent now into `frames`: one batch. Returns whether
    /// there may be more. Native dialect only. Moves none for an older link: frames that it takes would be lost to the
    /// newest one.
    pub(super) fn next_batch(&self, generation: u64, now: Instant, frames: &mut Vec<Frame>) -> bool {
        let mut link = self.link();
        if !self.is_current(generation) {
            return false;
        }
        let LinkState::Native(end) = &mut *link else { return false };
        let mut bytes = 0;
        while let Some(frame) = end.poll_transmit(now) {
            bytes += frame.encoded_len();
            let is_complete = is_complete(bytes, &frame);
            frames.push(frame);
            if is_complete {
                return true;
            }
        }
        false
    }

    /// Takes the next text frame. Plain dialect only. Returns `None` for an older link.
    pub(super) fn next_text(&self, generation: u64) -> Option<String> {
        match &mut *self.link() {
            LinkState::Plain(end) if self.is_current(generation) => end.next_text(),
            LinkState::Plain(_) | LinkState::Native(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::time::Duration;

    use bytes::Bytes;
    use protocol::link::handshake::SlaveHello;
    use protocol::link::ids::{CallId, InstanceId};
    use protocol::link::limits::LinkLimits;
    use protocol::mcp::catalog::Catalog;
    use protocol::mcp::era::Era;

    use super::super::call::CallRequest;
    use super::super::response::ResponseRx;
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn open(slave: &Slave, number: u64, len: usize) {
        let now = Instant::now();
        let request = CallRequest {
            id: CallId::new(InstanceId(1), number),
            header: &Bytes::from_static(b"{}"),
            message: &vec![b' '; len].into(),
            name: None,
            era: Era::Legacy,
            silence: Duration::from_hours(1),
            place: None,
            last: now + Duration::from_hours(1),
        };
        let permit = slave.active.try_acquire().unwrap();
        slave.open(&request, permit, &Arc::new(ResponseRx::default()), now).unwrap();
    }

    #[test]
    fn short_calls_wait_for_a_round_that_comes_and_wake_no_task_before() {
        let hello = SlaveHello { capacity: 100, ..SlaveHello::default() };
        let slave = Slave::for_test(&hello, 1, LinkLimits::default(), Catalog::default());
        let woken = Arc::new(Woken::default());
        let generation = slave.generation.load(Ordering::Acquire);
        let round = || assert!(slave.wake_link(generation, &Arc::clone(&woken).into()));
        let count = || woken.0.load(Ordering::Relaxed);
        round();
        open(&slave, 1, 100);
        assert_eq!(count(), 1);
        round();
        slave.gather(generation);
        open(&slave, 2, 100);
        open(&slave, 3, 100);
        assert_eq!(count(), 1, "the round comes by itself");
        open(&slave, 4, 100_000);
        assert_eq!(count(), 2, "a long one does not wait");
        round();
        open(&slave, 5, 100);
        assert_eq!(count(), 3, "no round is known to come");
        round();
        slave.gather(generation - 1);
        open(&slave, 6, 100);
        assert_eq!(count(), 4, "an older link's task is not the one that sends");
    }
}
