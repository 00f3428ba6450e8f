//! The short waits of a slave that clients use: after an outage of a proxy with thousands of slaves it comes back among the first. Must not
//! know sockets.

use std::time::{Duration, Instant};

use crate::link::DisconnectReason;

/// Longest wait between two attempts; its upper half is used.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Time after a lost link in which a slave is in a hurry: about as long as its proxy and clients wait for it.
const TIME: Duration = Duration::from_secs(20);

/// Attempts that may come sooner than a busy proxy asked for. So a crowd of which all are in use costs the proxy a bounded number of
/// rejections more.
const EARLY_ATTEMPTS: u32 = 12;

/// Whether one target is dialed in a hurry.
#[derive(Debug, Default)]
pub(super) struct Urgency {
    ends: Option<Instant>,
    early: u32,
}

impl Urgency {
    /// Begins where `in_use` says that the slave has calls, or had some a short time ago.
    pub(super) fn on_link_end(&mut self, in_use: bool, now: Instant) {
        self.ends = in_use.then(|| now + TIME);
        self.early = EARLY_ATTEMPTS;
    }

    /// Returns the wait in place of `usual`, after an attempt ended for `reason`. `random` is uniform over all of `u64`.
    pub(super) fn wait(
        &mut self,
        usual: Duration,
        reason: &DisconnectReason,
        random: u64,
        now: Instant,
    ) -> Duration {
        let is_urgent = matches!(reason, DisconnectReason::Lost(_) | DisconnectReason::Busy(_))
            && self.ends.is_some_and(|end| now < end);
        if !is_urgent {
            return usual;
        }
        if let DisconnectReason::Busy(_) = reason {
            if self.early == 0 {
                return usual;
            }
            self.early -= 1;
        }
        let part = 0.5 + 0.5 * (random as f64 / u64::MAX as f64);
        usual.min(MAX_WAIT.mul_f64(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(17);

    fn busy() -> DisconnectReason {
        DisconnectReason::Busy(LONG)
    }

    fn lost() -> DisconnectReason {
        DisconnectReason::Lost(String::new())
    }

    #[test]
    fn a_slave_in_use_comes_back_early_a_bounded_number_of_times() {
        let (mut urgency, now) = (Urgency::default(), Instant::now());
        assert_eq!(urgency.wait(LONG, &busy(), 0, now), LONG, "before any link");
        urgency.on_link_end(true, now);
        for attempt in 0..EARLY_ATTEMPTS {
            let random = if attempt % 2 == 0 { 0 } else { u64::MAX };
            let wait = urgency.wait(LONG, &busy(), random, now);
            assert_eq!(wait, MAX_WAIT.mul_f64(if random == 0 { 0.5 } else { 1.0 }));
        }
        assert_eq!(urgency.wait(LONG, &busy(), 0, now), LONG, "the proxy's word counts from here on");
        assert_eq!(urgency.wait(LONG, &lost(), 0, now), MAX_WAIT / 2, "nobody is rejected by a short wait");
        assert_eq!(urgency.wait(Duration::ZERO, &lost(), 0, now), Duration::ZERO, "it makes no wait longer");
    }

    #[test]
    fn others_and_later_attempts_wait_as_usual() {
        let (mut urgency, now) = (Urgency::default(), Instant::now());
        urgency.on_link_end(false, now);
        assert_eq!(urgency.wait(LONG, &busy(), 0, now), LONG);
        urgency.on_link_end(true, now);
        assert_eq!(urgency.wait(LONG, &busy(), 0, now + TIME), LONG);
        for reason in [DisconnectReason::Refused(String::new()), DisconnectReason::Replaced] {
            assert_eq!(urgency.wait(LONG, &reason, 0, now), LONG, "{reason:?}");
        }
    }
}
