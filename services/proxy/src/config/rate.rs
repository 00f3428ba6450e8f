//! Rates of calls as operators write them, such as `50/s:100`. Must not know which variable or file a rate comes from.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// The format of a rate, worded to follow "expected" in an error message.
pub(crate) const EXPECTED: &str = "calls a time, for example 50/s, 600/m or 1000/h, with the burst after a colon if it is another: 50/s:100";

/// Largest number of calls in a rate or a burst.
const MAX_CALLS: u32 = 1_000_000;

/// A number of calls in a period, and the burst, which is the number of calls that may arrive at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    calls: NonZeroU32,
    period: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// Parses `50/s`, `600/m`, `1000/h` or `50/s:100`. Without a burst, the burst is the number of calls. The error is the
    /// expected format.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let read = || {
            let (calls, unit) = rate.split_once('/')?;
            let period = match unit.trim() {
                "s" => Duration::from_secs(1),
                "m" => Duration::from_mins(1),
                "h" => Duration::from_hours(1),
                _ => return None,
            };
            let calls = number(calls)?;
            let burst = burst.map_or(Some(calls), number)?;
            Some(Self { calls, period, burst })
        };
        read().ok_or_else(|| EXPECTED.to_owned())
    }

    /// Returns the same rate with another burst, or `None` where the burst is zero or too large.
    #[must_use]
    pub(crate) fn with_burst(self, burst: u32) -> Option<Self> {
        Some(Self { burst: NonZeroU32::new(burst).filter(|burst| burst.get() <= MAX_CALLS)?, ..self })
    }

    /// Returns the interval after which one more call is allowed; never zero, as a rate has at most a million calls.
    pub(crate) fn interval(self) -> Duration {
        self.period / self.calls.get()
    }

    /// Returns the number of calls that may arrive at once.
    pub(crate) fn burst(self) -> NonZeroU32 {
        self.burst
    }
}

fn number(text: &str) -> Option<NonZeroU32> {
    text.trim().parse().ok().filter(|number: &NonZeroU32| number.get() <= MAX_CALLS)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period.as_secs() {
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
    fn rates_are_parsed_and_displayed_in_one_format() {
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
    fn a_rate_has_an_interval_and_a_burst() {
        let rate = Rate::parse("600/m:50").unwrap();
        assert_eq!((rate.burst().get(), rate.interval().as_millis()), (50, 100));
        assert!(!Rate::parse("1000000/s").unwrap().interval().is_zero());
        assert_eq!(Rate::parse("7/s").unwrap().with_burst(9).unwrap().to_string(), "7/s:9");
        assert!(Rate::parse("7/s").unwrap().with_burst(0).is_none());
    }
}
