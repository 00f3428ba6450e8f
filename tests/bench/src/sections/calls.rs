//! The cost of a call: directly, through the relay, nginx and wstunnel, small and large, alone, 32 and 256 at once.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use protocol::mcp::era::Era;

use super::{Effort, progress, targets};
use crate::error::Result;
use crate::fleet::{Fleet, Sample, Way};
use crate::load::{Load, Shape, Until};
use crate::nginx;
use crate::plot::{self, Bar, Group};
use crate::report::{Chapter, Plot, Table, mebibytes};
use crate::stats::Rounds;

/// Measured shapes of calls, those with targets first.
pub(crate) const SHAPES: [Shape; 7] = [
    Shape { era: Era::Modern, argument: 100, at_once: 32 },
    Shape { era: Era::Legacy, argument: 100, at_once: 32 },
    Shape { era: Era::Modern, argument: 100, at_once: 1 },
    Shape { era: Era::Legacy, argument: 100, at_once: 1 },
    Shape { era: Era::Modern, argument: 100_000, at_once: 32 },
    Shape { era: Era::Modern, argument: 100_000, at_once: 1 },
    Shape { era: Era::Modern, argument: 100, at_once: 256 },
];

/// One quantity of each sample over the rounds.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<Sample>);

/// What was measured of one shape.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) shape: Shape,
    /// In the order of a round.
    pub(crate) series: Vec<(Way, Series)>,
}

impl Found {
    /// The series of a way, if there is that way.
    pub(crate) fn of(&self, way: Way) -> Option<&Series> {
        self.series.iter().find(|(one, _)| *one == way).map(|(_, series)| series)
    }

    /// Median ratio of the relay's quantity to that of another way, if there is that way.
    pub(crate) fn ratio(&self, other: Way, quantity: fn(&Sample) -> f64) -> Option<f64> {
        Some(self.of(Way::Relay)?.over(self.of(other)?, quantity).median())
    }
}

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

/// Time after the last call in which the proxy's memory must be back at its level.
const MEMORY_BACK: Duration = Duration::from_secs(10);

/// Measures every shape on every path.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    let fleet = Fleet::start(binary)?;
    let resident = || Ok(fleet.relay.proxy.process.memory()?.resident);
    let idle = resident()?;
    let mut text = format!(
        "Each call is a `tools/call` of `echo`, and the same slave answers on every path: *direct* (client to the slave's own port),\n\
         *relay* (through the proxy), *nginx* (through nginx as a reverse proxy: {}) and, where the variable `WSTUNNEL` names a\n\
         binary, *wstunnel* (a blind reverse tunnel: its server and client). *Front* is the proxy, nginx, or both ends of wstunnel. *Memory* is the\n\
         resident set of front and slave after the last round.\n",
        nginx::DESCRIPTION
    );
    let mut all = Vec::new();
    let mut after_loads = 0;
    for shape in SHAPES {
        progress(&describe(&shape));
        let found = Found { shape, series: measure(&fleet, shape, effort)? };
        let _ = write!(text, "\n### {}\n\n{}", describe(&shape), table(&fleet, &found)?);
        let _ = write!(text, "\n{}", ratios(&found));
        all.push(found);
        std::thread::sleep(MEMORY_BACK);
        after_loads = after_loads.max(resident()?);
    }
    let _ = write!(
        text,
        "\n### Memory of the proxy\n\n{} before the first call; at most {} when it was read {} s after the last call of each shape.\n",
        mebibytes(idle),
        mebibytes(after_loads),
        MEMORY_BACK.as_secs()
    );
    let mut verdicts = targets::of_calls(&all);
    verdicts.extend(targets::of_memory(idle, after_loads));
    let plots = vec![cpu_plot(&all), latency_plot(&all)];
    let shown =
        [("CPU time of all processes for one call", &plots[0]), ("Median latency of one call", &plots[1])];
    for (what, plot) in shown {
        let _ = write!(text, "\n{}", plot.markdown(what));
    }
    Ok(Chapter { title: "Cost of one call", text, verdicts, plots })
}

/// One series for each way of the fleet.
fn measure(fleet: &Fleet, shape: Shape, effort: &Effort) -> Result<Vec<(Way, Series)>> {
    let mut loads = Vec::new();
    for way in fleet.ways() {
        let mut load = Load::connect(&fleet.target(way), shape)?;
        load.run(&Until::Elapsed(effort.warm_up))?;
        loads.push((way, load));
    }
    let mut all: Vec<_> = loads.iter().map(|(way, _)| (*way, Series::default())).collect();
    for _ in 0..effort.rounds {
        for ((way, load), (_, series)) in loads.iter_mut().zip(&mut all) {
            series.push(fleet.sample(*way, load, effort.block)?);
        }
    }
    Ok(all)
}

fn table(fleet: &Fleet, found: &Found) -> Result<String> {
    let heads = ["path", "CPU µs per call: front", "slave", "both", "calls/s", "p50 µs", "p99 µs", "memory"];
    let mut table = Table::new(&heads);
    let slave = mebibytes(fleet.relay.slave.memory()?.resident);
    for (way, series) in &found.series {
        let mut memory = String::new();
        for process in fleet.front(*way) {
            memory += &(mebibytes(process.memory()?.resident) + " + ");
        }
        let front = if memory.is_empty() { "–".to_owned() } else { series.of(|s| s.front).to_string() };
        table.row(&[
            way.name().to_owned(),
            front,
            series.of(|s| s.slave).to_string(),
            series.of(Sample::both).to_string(),
            series.of(|s| s.rate).to_string(),
            series.of(|s| s.p50).to_string(),
            series.of(|s| s.p99).to_string(),
            memory + &slave,
        ]);
    }
    Ok(table.finish())
}

fn cpu_plot(all: &[Found]) -> Plot {
    let svg = plot::bars("CPU time of all processes for one call", "µs", &groups(all, Sample::both));
    Plot { file: "bench-cpu.svg", svg }
}

fn latency_plot(all: &[Found]) -> Plot {
    let svg = plot::bars("Median latency of one call", "µs", &groups(all, |sample| sample.p50));
    Plot { file: "bench-latency.svg", svg }
}

/// The medians of a quantity by shape and way.
fn groups(all: &[Found], quantity: fn(&Sample) -> f64) -> Vec<Group> {
    let bar = |(way, series): &(Way, Series)| Bar { name: way.name(), value: series.of(quantity).median() };
    all.iter()
        .map(|found| Group { title: describe(&found.shape), bars: found.series.iter().map(bar).collect() })
        .collect()
}

/// Name and accessor of a quantity of a sample.
type Quantity = (&'static str, fn(&Sample) -> f64);

/// Quantities whose ratio to every other way is shown.
const RATIOS: [Quantity; 5] = [
    ("front CPU", |s| s.front),
    ("CPU of all", Sample::both),
    ("calls/s", |s| s.rate),
    ("p50", |s| s.p50),
    ("p99", |s| s.p99),
];

fn ratios(found: &Found) -> String {
    let mut text = String::new();
    for (way, _) in found.series.iter().filter(|(way, _)| *way != Way::Relay) {
        // Nothing stands before a slave that is asked directly.
        let shown = RATIOS.iter().skip(usize::from(*way == Way::Direct));
        let parts: Vec<String> = shown
            .filter_map(|(name, quantity)| Some(format!("{name} {:.2}", found.ratio(*way, *quantity)?)))
            .collect();
        let _ = write!(text, "Relay / {}: {}. ", way.name(), parts.join(", "));
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(front: f64) -> Series {
        Series(vec![Sample { front, slave: 10.0, rate: 1e4, p50: 100.0, p99: 200.0 }])
    }

    fn found(shape: Shape, relay: f64, nginx: f64) -> Found {
        let ways = [(Way::Direct, 0.0), (Way::Relay, relay), (Way::Nginx, nginx)];
        Found { shape, series: ways.map(|(way, front)| (way, series(front))).into() }
    }

    #[test]
    fn ratios_name_the_way_that_they_are_to() {
        let text = ratios(&found(SHAPES[0], 15.0, 10.0));
        assert!(text.contains("Relay / direct: CPU of all 2.50"), "{text}");
        assert!(text.contains("Relay / nginx: front CPU 1.50, CPU of all 1.25"), "{text}");
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
