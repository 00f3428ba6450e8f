//! The backoff before an address is dialed again: full jitter, from half a second, and longer after a refused code.
//! Must not know sockets.

use std::time::Duration;

use protocol::link::backoff::Backoff;

use crate::link::DisconnectReason;

/// Upper end of the first wait.
const BASE: Duration = Duration::from_millis(500);

/// Upper end of the first wait after a refused code; its upper half is used.
const REFUSED_BASE: Duration = Duration::from_secs(5);

/// Longest wait after a refused code or a replaced link.
const MAX_UNWANTED_BACKOFF: Duration = Duration::from_mins(1);

/// Time after which a link that is up resets the backoff.
const STABLE: Duration = Duration::from_secs(10);

/// The backoff of one target.
pub(super) struct DialBackoff {
    lost: Backoff,
    refused: Backoff,
    replaced: Backoff,
}

impl DialBackoff {
    /// Creates a backoff; `cap` is `RECONNECT_MAX`.
    pub(super) fn new(cap: Duration) -> Self {
        Self {
            lost: Backoff::new(BASE, cap),
            refused: Backoff::new(REFUSED_BASE, MAX_UNWANTED_BACKOFF),
            // Twice the cap, of which the upper half is used, so that two slaves under `SLAVE_MODE=single` do not
            // replace each other in quick succession.
            replaced: Backoff::new(cap * 2, MAX_UNWANTED_BACKOFF.max(cap * 2)),
        }
    }

    /// Records the end of a link that was up for `time`: after a stable link, the waits start small again.
    pub(super) fn on_link_end(&mut self, time: Duration) {
        if time >= STABLE {
            self.lost.reset();
            self.refused.reset();
            self.replaced.reset();
        }
    }

    /// Returns the wait after a link or an attempt ended.
    pub(super) fn after(&mut self, reason: &DisconnectReason) -> Duration {
        // Without a random source, the middle of the range is used.
        self.wait(reason, getrandom::u64().unwrap_or(u64::MAX / 2))
    }

    fn wait(&mut self, reason: &DisconnectReason, random: u64) -> Duration {
        let upper_half = random | 1 << 63;
        match reason {
            DisconnectReason::Refused(_) => self.refused.next(upper_half),
            DisconnectReason::Replaced => self.replaced.next(upper_half),
            // The requested wait plus jitter, so that slaves that were rejected together do not return together.
            DisconnectReason::Busy(least) => *least + self.lost.next(random),
            DisconnectReason::Lost(_)
            | DisconnectReason::GoingDown
            | DisconnectReason::ProtocolError(_)
            | DisconnectReason::AlreadyLinked
            | DisconnectReason::Renewed
            | DisconnectReason::Closing => self.lost.next(random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> DialBackoff {
        DialBackoff::new(Duration::from_secs(5))
    }

    fn lost() -> DisconnectReason {
        DisconnectReason::Lost(String::new())
    }

    #[test]
    fn a_lost_link_is_dialed_soon_and_a_stable_one_resets_the_wait() {
        let mut backoff = backoff();
        let longest = |backoff: &mut DialBackoff| backoff.wait(&lost(), u64::MAX).as_millis();
        let waits: Vec<u128> = (0..5).map(|_| longest(&mut backoff)).collect();
        assert_eq!(waits, [499, 999, 1999, 3999, 4999]);
        backoff.on_link_end(Duration::from_secs(9));
        assert_eq!(longest(&mut backoff), 4999);
        backoff.on_link_end(STABLE);
        assert_eq!(longest(&mut backoff), 499);
        assert_eq!(backoff.wait(&lost(), 0), Duration::ZERO);
    }

    #[test]
    fn a_busy_proxy_is_dialed_after_its_retry_time_with_jitter() {
        let mut backoff = backoff();
        let busy = DisconnectReason::Busy(Duration::from_secs(7));
        assert_eq!(backoff.wait(&busy, 0).as_millis(), 7000);
        assert_eq!(backoff.wait(&busy, u64::MAX).as_millis(), 7999);
    }

    #[test]
    fn refused_and_replaced_links_wait_longer() {
        for (reason, least) in
            [(DisconnectReason::Refused(String::new()), 2500), (DisconnectReason::Replaced, 5000)]
        {
            let mut backoff = backoff();
            assert_eq!(backoff.wait(&reason, 0).as_millis(), least, "{reason:?}");
            let last = (0..10).map(|_| backoff.wait(&reason, u64::MAX)).last();
            assert_eq!(last.map(|wait| wait.as_millis()), Some(59_999), "{reason:?}");
        }
    }
}
