//! How long to wait before dialing again. Must not know sockets.
//!
//! DESIGN.md §5, "Reconnect": full jitter, starting under a second; a wrong code backs off longer.

use std::time::Duration;

use protocol::link::backoff::Backoff;

use crate::link::Ended;

/// Range of the first wait.
const BASE: Duration = Duration::from_millis(500);

/// The first wait after a refused code lies in the upper half of this.
const REFUSED_BASE: Duration = Duration::from_secs(5);

/// No wait is longer where the proxy does not want us.
const UNWANTED_CAP: Duration = Duration::from_mins(1);

/// A link that held for so long was a good one: the next wait is a first one.
const STABLE: Duration = Duration::from_secs(10);

/// Waiting times of one dialer.
pub(super) struct Patience {
    lost: Backoff,
    refused: Backoff,
    replaced: Backoff,
}

impl Patience {
    /// `cap` is `RECONNECT_MAX`.
    pub(super) fn new(cap: Duration) -> Self {
        Self {
            lost: Backoff::new(BASE, cap),
            refused: Backoff::new(REFUSED_BASE, UNWANTED_CAP),
            // Twice the cap, of which the upper half is used: two slaves that want one place must not chase each
            // other out of it.
            replaced: Backoff::new(cap * 2, UNWANTED_CAP.max(cap * 2)),
        }
    }

    /// A link was up for so long.
    pub(super) fn held(&mut self, time: Duration) {
        if time >= STABLE {
            self.lost.reset();
            self.refused.reset();
            self.replaced.reset();
        }
    }

    /// The wait after a link or an attempt ended.
    pub(super) fn after(&mut self, ended: &Ended) -> Duration {
        // Without random numbers the middle is as good a wait as any.
        self.wait(ended, getrandom::u64().unwrap_or(u64::MAX / 2))
    }

    fn wait(&mut self, ended: &Ended, random: u64) -> Duration {
        let upper_half = random | 1 << 63;
        match ended {
            Ended::Refused(_) => self.refused.next(upper_half),
            Ended::Replaced => self.replaced.next(upper_half),
            // As it asks, and jitter on top: whoever was sent away together must not come back together.
            Ended::Busy(least) => *least + self.lost.next(random),
            Ended::Lost(_)
            | Ended::GoingDown
            | Ended::Misbehaved(_)
            | Ended::AlreadyLinked
            | Ended::Renewed
            | Ended::Closing => self.lost.next(random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience::new(Duration::from_secs(5))
    }

    fn lost() -> Ended {
        Ended::Lost(String::new())
    }

    #[test]
    fn a_lost_link_is_dialed_soon_and_one_that_held_anew() {
        let mut patience = patience();
        let longest = |patience: &mut Patience| patience.wait(&lost(), u64::MAX).as_millis();
        let waits: Vec<u128> = (0..5).map(|_| longest(&mut patience)).collect();
        assert_eq!(waits, [499, 999, 1999, 3999, 4999]);
        patience.held(Duration::from_secs(9));
        assert_eq!(longest(&mut patience), 4999);
        patience.held(STABLE);
        assert_eq!(longest(&mut patience), 499);
        assert_eq!(patience.wait(&lost(), 0), Duration::ZERO);
    }

    #[test]
    fn a_busy_proxy_is_left_alone_for_as_long_as_it_asks_with_jitter() {
        let mut patience = patience();
        let busy = Ended::Busy(Duration::from_secs(7));
        assert_eq!(patience.wait(&busy, 0).as_millis(), 7000);
        assert_eq!(patience.wait(&busy, u64::MAX).as_millis(), 7999);
    }

    #[test]
    fn where_we_are_not_wanted_we_wait_longer() {
        for (ended, least) in [(Ended::Refused(String::new()), 2500), (Ended::Replaced, 5000)] {
            let mut patience = patience();
            assert_eq!(patience.wait(&ended, 0).as_millis(), least, "{ended:?}");
            let last = (0..10).map(|_| patience.wait(&ended, u64::MAX)).last();
            assert_eq!(last.map(|wait| wait.as_millis()), Some(59_999), "{ended:?}");
        }
    }
}
