//! The cost of a call: directly, through the relay and through nginx, small and large, alone and 32 at once.

use std::fmt::Write as _;
use std::path::Path;

use protocol::mcp::era::Era;

use super::{Effort, progress};
use crate::error::Result;
use crate::fleet::{Fleet, Sample, Way};
use crate::load::{Load, Shape, Until};
use crate::nginx;
use crate::report::{Chapter, Table, Verdict, mebibytes};
use crate::stats::Rounds;

/// Target: CPU time of the proxy for each call, as a multiple of nginx's.
const MAX_CPU_RATIO: f64 = 1.5;

/// Measured shapes of calls, those with targets first.
pub(crate) const SHAPES: [Shape; 6] = [
    Shape { era: Era::Modern, argument: 100, at_once: 32 },
    Shape { era: Era::Legacy, argument: 100, at_once: 32 },
    Shape { era: Era::Modern, argument: 100, at_once: 1 },
    Shape { era: Era::Legacy, argument: 100, at_once: 1 },
    Shape { era: Era::Modern, argument: 100_000, at_once: 32 },
    Shape { era: Era::Modern, argument: 100_000, at_once: 1 },
];

/// One quantity of each sample over the rounds.
#[derive(Default)]
pub(crate) struct Series(Vec<Sample>);

impl Series {
    pub(crate) fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    pub(crate) fn of(&self, quantity: impl Fn(&Sample) -> f64) -> Rounds {
        self.0.iter().map(quantity).collect()
    }

    /// Ratios to another series, round by round, since a disturbance of the machine affects both.
    pub(crate) fn over(&self, other: &Self, quantity: impl Fn(&Sample) -> f64) -> Rounds {
        self.0.iter().zip(&other.0).map(|(one, other)| quantity(one) / quantity(other)).collect()
    }
}

/// Returns the description of a shape.
pub(crate) fn describe(shape: &Shape) -> String {
    let argument = if shape.argument < 1000 { "100 B" } else { "100 KB" };
    format!("{argument} argument, {} at once, {:?} client", shape.at_once, shape.era)
        .to_lowercase()
        .replace(" b ", " B ")
        .replace(" kb ", " KB ")
}

/// Measures every shape on every path.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    let fleet = Fleet::start(binary)?;
    let mut text = format!(
        "Each call is a `tools/call` of `echo`, and the same slave answers on every path: *direct* (client to the slave's own port),\n\
         *relay* (through the proxy) and *nginx* (through nginx as a reverse proxy: {}). *Front* is the\n\
         proxy or nginx. *Memory* is the resident set of front and slave after the last round.\n",
        nginx::DESCRIPTION
    );
    let mut verdicts = Vec::new();
    for shape in SHAPES {
        progress(&describe(&shape));
        let series = measure(&fleet, shape, effort)?;
        let _ = write!(text, "\n### {}\n\n{}", describe(&shape), table(&fleet, &series)?);
        let _ = write!(text, "\n{}", ratios(&series));
        if shape.argument == 100 && shape.at_once == 32 {
            verdicts.push(verdict(shape, &series));
        }
    }
    Ok(Chapter { title: "Cost of one call", text, verdicts })
}

/// One series for each of [`Way::ALL`].
fn measure(fleet: &Fleet, shape: Shape, effort: &Effort) -> Result<[Series; 3]> {
    let mut loads = Vec::new();
    for way in Way::ALL {
        let mut load = Load::connect(fleet.address(way), shape)?;
        load.run(&Until::Elapsed(effort.warm_up))?;
        loads.push((way, load));
    }
    let mut series = [const { Series(Vec::new()) }; 3];
    for _ in 0..effort.rounds {
        for ((way, load), series) in loads.iter_mut().zip(&mut series) {
            series.push(fleet.sample(*way, load, effort.block)?);
        }
    }
    Ok(series)
}

fn table(fleet: &Fleet, series: &[Series; 3]) -> Result<String> {
    let heads = ["path", "CPU µs per call: front", "slave", "both", "calls/s", "p50 µs", "p99 µs", "memory"];
    let mut table = Table::new(&heads);
    let slave = mebibytes(fleet.relay.slave.memory()?.resident);
    for (way, series) in Way::ALL.into_iter().zip(series) {
        let (front, memory) = match fleet.front(way) {
            None => ("–".to_owned(), slave.clone()),
            Some(process) => {
                let memory = mebibytes(process.memory()?.resident);
                (series.of(|s| s.front).to_string(), format!("{memory} + {slave}"))
            }
        };
        table.row(&[
            way.name().to_owned(),
            front,
            series.of(|s| s.slave).to_string(),
            series.of(|s| s.front + s.slave).to_string(),
            series.of(|s| s.rate).to_string(),
            series.of(|s| s.p50).to_string(),
            series.of(|s| s.p99).to_string(),
            memory,
        ]);
    }
    Ok(table.finish())
}

fn ratios([direct, relay, nginx]: &[Series; 3]) -> String {
    let ratio =
        |one: &Series, other: &Series, quantity: fn(&Sample) -> f64| one.over(other, quantity).median();
    format!(
        "Relay / nginx: front CPU **{:.2}**, front and slave {:.2}, calls/s {:.2}, p50 {:.2}, p99 {:.2}. \
         Relay / direct: CPU {:.2}, p50 {:.2}.\n",
        ratio(relay, nginx, |s| s.front),
        ratio(relay, nginx, |s| s.front + s.slave),
        ratio(relay, nginx, |s| s.rate),
        ratio(relay, nginx, |s| s.p50),
        ratio(relay, nginx, |s| s.p99),
        ratio(relay, direct, |s| s.front + s.slave),
        ratio(relay, direct, |s| s.p50),
    )
}

fn verdict(shape: Shape, [_, relay, nginx]: &[Series; 3]) -> Verdict {
    let ratio = relay.over(nginx, |s| s.front).median();
    let (relay, nginx) = (relay.of(|s| s.front), nginx.of(|s| s.front));
    Verdict {
        target: format!("proxy CPU per call ≤ {MAX_CPU_RATIO} × nginx's ({})", describe(&shape)),
        measured: format!("{ratio:.2} × ({:.1} µs and {:.1} µs)", relay.median(), nginx.median()),
        holds: ratio <= MAX_CPU_RATIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(front: f64) -> Series {
        Series(vec![Sample { front, slave: 10.0, rate: 1e4, p50: 100.0, p99: 200.0 }])
    }

    #[test]
    fn the_target_is_judged_by_the_front_s_cpu_time() {
        let verdict_at = |proxy| verdict(SHAPES[0], &[series(0.0), series(proxy), series(10.0)]);
        assert!(verdict_at(15.0).holds);
        assert!(!verdict_at(15.1).holds);
        assert_eq!(verdict_at(15.0).measured, "1.50 × (15.0 µs and 10.0 µs)");
        let text = ratios(&[series(0.0), series(15.0), series(10.0)]);
        assert!(
            text.contains("front CPU **1.50**, front and slave 1.25") && text.contains("CPU 2.50"),
            "{text}"
        );
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let front = |fronts: [f64; 3]| {
            Series(fronts.map(|front| Sample { front, slave: 1.0, rate: 1.0, p50: 1.0, p99: 1.0 }).to_vec())
        };
        // A disturbance that doubles a whole round leaves its ratio as it is.
        let ratios = front([10.0, 20.0, 11.0]).over(&front([10.0, 20.0, 10.0]), |s| s.front);
        assert!((ratios.median() - 1.0).abs() < 1e-9 && (ratios.max() - 1.1).abs() < 1e-9);
    }

    #[test]
    fn shapes_have_readable_names() {
        assert_eq!(describe(&SHAPES[0]), "100 B argument, 32 at once, modern client");
        assert_eq!(describe(&SHAPES[5]), "100 KB argument, 1 at once, modern client");
    }
}
