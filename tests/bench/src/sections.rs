//! The sections of the benchmark, one file each. Every section starts and stops its own processes.

pub(crate) mod against;
pub(crate) mod arrangements;
pub(crate) mod busy;
pub(crate) mod calls;
pub(crate) mod check;
pub(crate) mod distance;
pub(crate) mod flat;
pub(crate) mod idle;
pub(crate) mod kinds;
pub(crate) mod large;
pub(crate) mod storm;
pub(crate) mod targets;

use std::time::Duration;

/// Durations and repetitions of the measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Interleaved rounds.
    pub(crate) rounds: usize,
    /// Length of a measured block.
    pub(crate) block: Duration,
    /// Length of the unmeasured one before the first.
    pub(crate) warm_up: Duration,
    /// Calls in the memory section.
    pub(crate) calls: u64,
    /// Abandoned sessions in the memory section.
    pub(crate) sessions: u64,
    /// Idle slaves linked at once.
    pub(crate) slaves: usize,
    /// Streams of changes that are open at once.
    pub(crate) streams: usize,
    /// Slaves that come back at once.
    pub(crate) storm: usize,
    /// `HANDSHAKE_RATE` of the proxy they come back to.
    pub(crate) storm_rate: &'static str,
}

impl Effort {
    /// The effort for verdicts on the targets.
    pub(crate) const FULL: Self = Self {
        rounds: 9,
        block: Duration::from_secs(1),
        warm_up: Duration::from_millis(700),
        calls: 200_000,
        sessions: 20_000,
        slaves: 1000,
        streams: 10_000,
        storm: 5000,
        storm_rate: "250",
    };

    /// A rough run of less than a minute.
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        block: Duration::from_millis(500),
        warm_up: Duration::from_millis(300),
        calls: 40_000,
        sessions: 4_000,
        slaves: 1000,
        streams: 2000,
        storm: 500,
        storm_rate: "50",
    };
}

/// Prints the current measurement to standard error.
pub(crate) fn progress(what: &str) {
    eprintln!("bench: {what}");
}
