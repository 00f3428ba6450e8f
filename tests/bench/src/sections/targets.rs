//! What a call may cost, compared with nginx and wstunnel in the same run.

use super::calls::{Found, describe};
use crate::fleet::{Sample, Way};
use crate::report::{Verdict, mebibytes};

/// Most resident memory of a proxy that has served no call, in bytes.
const MAX_IDLE: u64 = 16_000_000;

/// Most resident memory of the proxy ten seconds after any of the loads, in bytes.
const MAX_AFTER_LOADS: u64 = 24_000_000;

/// A bound for the ratio of the relay's quantity to that of another way.
struct Target {
    /// Length of the argument and number of clients of the shape that it is about.
    argument: usize,
    at_once: usize,
    what: &'static str,
    other: Way,
    quantity: fn(&Sample) -> f64,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(&self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= *most,
            Self::AtLeast(least) => ratio >= *least,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most}"),
            Self::AtLeast(least) => format!("≥ {least}"),
        }
    }
}

const TARGETS: [Target; 6] = [
    Target {
        argument: 100,
        at_once: 32,
        what: "CPU time of the proxy",
        other: Way::Nginx,
        quantity: |s| s.front,
        bound: Bound::AtMost(0.95),
    },
    Target {
        argument: 100,
        at_once: 1,
        what: "CPU time of all processes",
        other: Way::Wstunnel,
        quantity: Sample::both,
        bound: Bound::AtMost(0.75),
    },
    Target {
        argument: 100,
        at_once: 1,
        what: "p50",
        other: Way::Wstunnel,
        quantity: |s| s.p50,
        bound: Bound::AtMost(0.85),
    },
    Target {
        argument: 100_000,
        at_once: 32,
        what: "CPU time of all processes",
        other: Way::Wstunnel,
        quantity: Sample::both,
        bound: Bound::AtMost(0.8),
    },
    Target {
        argument: 100_000,
        at_once: 32,
        what: "calls a second",
        other: Way::Wstunnel,
        quantity: |s| s.rate,
        bound: Bound::AtLeast(1.0),
    },
    Target {
        argument: 100_000,
        at_once: 1,
        what: "p50",
        other: Way::Wstunnel,
        quantity: |s| s.p50,
        bound: Bound::AtMost(1.0),
    },
];

/// Verdicts on the ratios of all shapes. What was not measured has none.
pub(super) fn of_calls(all: &[Found]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for target in &TARGETS {
        let about =
            |found: &&Found| found.shape.argument == target.argument && found.shape.at_once == target.at_once;
        verdicts.extend(all.iter().filter(about).filter_map(|found| {
            let ratio = found.ratio(target.other, target.quantity)?;
            Some(Verdict {
                target: format!(
                    "{} {} × {}'s ({})",
                    target.what,
                    target.bound.text(),
                    target.other.name(),
                    describe(&found.shape)
                ),
                measured: format!("{ratio:.2} ×"),
                holds: target.bound.holds(ratio),
            })
        }));
    }
    verdicts
}

/// Verdicts on the proxy's memory: before any call, and after all loads.
pub(super) fn of_memory(idle: u64, after_loads: u64) -> [Verdict; 2] {
    let verdict = |when: &str, most: u64, measured: u64| Verdict {
        target: format!("memory of the proxy ≤ {} MB {when}", most / 1_000_000),
        measured: mebibytes(measured),
        holds: measured <= most,
    };
    [
        verdict("before the first call", MAX_IDLE, idle),
        verdict("10 s after each load", MAX_AFTER_LOADS, after_loads),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::calls::{SHAPES, Series};

    fn found(relay: f64, nginx: f64) -> Found {
        let series = |front| {
            let mut series = Series::default();
            series.push(Sample { front, slave: 10.0, rate: 1e4, p50: 100.0, p99: 200.0 });
            series
        };
        Found { shape: SHAPES[0], series: vec![(Way::Relay, series(relay)), (Way::Nginx, series(nginx))] }
    }

    #[test]
    fn a_target_is_judged_by_its_quantity_and_only_where_it_was_measured() {
        let verdicts = of_calls(&[found(9.5, 10.0)]);
        assert_eq!(verdicts.len(), 1, "no wstunnel, and no other shape");
        assert!(verdicts[0].holds);
        assert_eq!(verdicts[0].measured, "0.95 ×");
        assert!(!of_calls(&[found(9.6, 10.0)])[0].holds);
        assert!(Bound::AtLeast(1.0).holds(1.0) && !Bound::AtLeast(1.0).holds(0.99));
    }

    #[test]
    fn memory_is_judged_in_both_states() {
        let [idle, after] = of_memory(MAX_IDLE, MAX_AFTER_LOADS + 1);
        assert!(idle.holds && !after.holds);
    }
}
