//! Rates as operators write them: so many calls a second, minute or hour, and how many at once. Knows no variable.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

/// What a rate must look like, to be read after "expected".
pub(crate) const EXPECTED: &str = "calls a time, for example 50/s, 600/m or 1000/h, with the burst after a colon if it is another: 50/s:100";

/// Most calls that a rate or a burst may name.
const MOST: u32 = 1_000_000;

/// So many calls in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    calls: NonZeroU32,
    within: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// Reads `50/s`, `600/m`, `1000/h`, `50/s:100`. Without a burst it is the number of calls.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let read = || {
            let (calls, unit) = rate.split_once('/')?;
            let within = match unit.trim() {
                "s" => Duration::from_secs(1),
                "m" => Duration::from_mins(1),
                "h" => Duration::from_hours(1),
                _ => return None,
            };
            let calls = number(calls)?;
            let burst = burst.map_or(Some(calls), number)?;
            Some(Self { calls, within, burst })
        };
        read().ok_or_else(|| EXPECTED.to_owned())
    }

    /// The same rate with another burst. `None`: not a burst.
    #[must_use]
    pub(crate) fn with_burst(self, burst: u32) -> Option<Self> {
        Some(Self { burst: NonZeroU32::new(burst).filter(|burst| burst.get() <= MOST)?, ..self })
    }

    /// As `governor` wants it: the burst, and one more call after each part of the time.
    pub(crate) fn quota(self) -> Quota {
        let each = self.within / self.calls.get();
        // At most a million a second: no part of a time is zero.
        Quota::with_period(each).unwrap_or(Quota::per_second(self.calls)).allow_burst(self.burst)
    }
}

fn number(text: &str) -> Option<NonZeroU32> {
    text.trim().parse().ok().filter(|number: &NonZeroU32| number.get() <= MOST)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.within.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.calls)?;
        if self.burst == self.calls { Ok(()) } else { write!(f, ":{}", self.burst) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        for text in ["50/s", "600/m", "1000/h", "50/s:100", "1/h:1000000"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Rate::parse(" 5 / s : 5 ").unwrap().to_string(), "5/s");
        for bad in ["", "5", "5/", "/s", "0/s", "5/d", "5/s:0", "5/s:", "-1/s", "1.5/s", "2000000/s", "5/s:x"]
        {
            assert_eq!(Rate::parse(bad).unwrap_err(), EXPECTED, "{bad:?}");
        }
    }

    #[test]
    fn a_quota_is_the_burst_and_then_the_rate() {
        let quota = Rate::parse("600/m:50").unwrap().quota();
        assert_eq!((quota.burst_size().get(), quota.replenish_interval().as_millis()), (50, 100));
        assert_eq!(Rate::parse("7/s").unwrap().with_burst(9).unwrap().to_string(), "7/s:9");
        assert!(Rate::parse("7/s").unwrap().with_burst(0).is_none());
    }
}
