//! Slaves that are awaited: their link broke a short time ago, and nothing says that they are gone. Until they are back or their time is
//! over, clients see what they offer, and calls that only they can take wait. Must not know calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::disconnect::DisconnectReason;
use super::registry::Registry;
use super::slave::Slave;
use crate::access::Identity;

/// Longest time for which a slave is awaited, where `LINK_GRACE` is not shorter: the existing slave dials again after 5 s, ours after less
/// than a second.
const MAX_AWAIT: Duration = Duration::from_secs(6);

/// Until when a slave whose link is down is awaited.
#[derive(Default)]
pub(super) struct Awaited(Mutex<Option<Instant>>);

impl DisconnectReason {
    /// Whether the slave left, or was sent away: it is not expected back, though it may dial again.
    fn is_departure(&self) -> bool {
        match self {
            Self::Closed | Self::Drained | Self::Replaced | Self::ClosedByProxy(_) | Self::Protocol(_) => {
                true
            }
            Self::Silent | Self::Lost(_) => false,
        }
    }
}

impl Slave {
    /// Awaits the slave whose link ends for this reason, unless the slave leaves. To be called before the link is down.
    pub(super) fn await_return(&self, reason: &DisconnectReason, grace: Duration, now: Instant) {
        let leaves = reason.is_departure() || self.is_draining() || self.dead.load(Ordering::Acquire);
        let until = now + grace.min(MAX_AWAIT);
        *self.awaited.0.lock() = Some(until).filter(|_| !leaves && !grace.is_zero());
    }

    /// Records that the slave is not awaited any more: it is back, gone for good, or not wanted.
    pub(super) fn stop_awaiting(&self) {
        *self.awaited.0.lock() = None;
    }

    /// Returns until when the slave is awaited; `None`: it is linked, or not expected back.
    pub(crate) fn awaited_until(&self, now: Instant) -> Option<Instant> {
        if self.is_linked() {
            return None;
        }
        self.awaited.0.lock().filter(|until| now < *until)
    }
}

impl Registry {
    /// Forgets the idle slaves of a code that are awaited, if the code has as many slaves as it may have: a new one is there in their place.
    /// So a code cannot fill the memory by links that come and go.
    pub(super) fn bound_awaited(&self, identity: &Identity, most: usize, now: Instant) {
        let of_code = self.all().into_iter().filter(|slave| slave.grant().identity() == identity);
        let is_awaited = |slave: &Arc<Slave>| slave.awaited_until(now).is_some();
        let of_code: Vec<_> = of_code.filter(|slave| slave.is_linked() || is_awaited(slave)).collect();
        if of_code.len() < most {
            return;
        }
        for slave in of_code.iter().filter(|slave| is_awaited(slave) && slave.calls() == 0) {
            slave.stop_awaiting();
            self.forget(slave);
        }
    }
}

#[cfg(test)]
mod tests {
    use link::ConnectionError;

    use super::super::close_reason::CloseReason;
    use super::*;

    #[test]
    fn a_slave_that_leaves_is_not_awaited_and_another_for_a_bounded_time() {
        use DisconnectReason::{Closed, ClosedByProxy, Drained, Lost, Protocol, Silent};
        let now = Instant::now();
        let (short, long) = (Duration::from_secs(2), Duration::from_mins(1));
        let awaited = |reason: &DisconnectReason, grace, drains: bool| {
            let slave = Slave::plain(1, "s".into(), 0, grace);
            slave.link_up(0, now);
            if drains {
                slave.set_draining();
            }
            slave.await_return(reason, grace, now);
            assert!(slave.awaited_until(now).is_none(), "its link is still up");
            slave.health.link_down();
            slave.awaited_until(now)
        };
        for reason in [Silent, Lost(ConnectionError::UnexpectedEof)] {
            assert_eq!(awaited(&reason, long, false), Some(now + MAX_AWAIT), "{reason:?}");
            assert_eq!(awaited(&reason, short, false), Some(now + short), "{reason:?}");
            assert_eq!(awaited(&reason, Duration::ZERO, false), None, "{reason:?}");
            assert_eq!(awaited(&reason, long, true), None, "{reason:?} while it drains");
        }
        let protocol = Protocol("p".into());
        for reason in [Closed, Drained, protocol, ClosedByProxy(CloseReason::CodeRemoved)] {
            assert_eq!(awaited(&reason, long, false), None, "{reason:?}");
        }
    }
}
