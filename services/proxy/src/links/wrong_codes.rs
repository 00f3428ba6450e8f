//! The delay of the answer to a wrong slave code, which grows while the same code comes from the same network. Must not
//! know connections; the time is an argument.

use std::time::{Duration, Instant};

use runtime::admission::Network;

use super::slot_table::SlotTable;
use crate::access::CodeDigest;

/// Wrong codes that are remembered, at most.
const MAX_REMEMBERED: usize = 4096;

/// Delay of the second wrong answer; doubled with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// Longest delay: slaves wait 10 s for an answer.
const MAX_DELAY: Duration = Duration::from_secs(4);

/// Time without the wrong code after which it is forgotten.
const MEMORY: Duration = Duration::from_mins(10);

/// The wrong codes of late, by network and digest. Right codes are never asked for here.
#[derive(Debug)]
pub(super) struct WrongCodes(SlotTable<Failures>);

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl WrongCodes {
    pub(super) fn new() -> Self {
        Self(SlotTable::new(MAX_REMEMBERED))
    }

    /// Records a wrong code. Returns how long its answer is to wait: nothing for the first one.
    pub(super) fn record(&mut self, network: Network, code: CodeDigest, now: Instant) -> Duration {
        let fresh = || Failures { count: 0, last: now };
        let Some(failures) = self.0.entry((network, code), fresh) else { return Duration::ZERO };
        if now.saturating_duration_since(failures.last) >= MEMORY {
            failures.count = 0;
        }
        failures.last = now;
        let delay = match failures.count {
            0 => Duration::ZERO,
            count => FIRST_DELAY.saturating_mul(1 << (count - 1).min(8)).min(MAX_DELAY),
        };
        failures.count = failures.count.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn the_delay_grows_for_one_code_of_one_network_only() {
        let (mut wrong, now) = (WrongCodes::new(), Instant::now());
        let (here, there, code) = (network("10.0.0.1"), network("10.0.0.2"), CodeDigest::default());
        let delays: Vec<_> = (0..8).map(|_| wrong.record(here, code, now).as_millis()).collect();
        assert_eq!(delays, [0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(wrong.record(there, code, now), Duration::ZERO);
        assert_eq!(wrong.record(here, code, now + MEMORY / 2), MAX_DELAY);
        assert_eq!(wrong.record(here, code, now + MEMORY * 2), Duration::ZERO, "forgotten");
    }
}
