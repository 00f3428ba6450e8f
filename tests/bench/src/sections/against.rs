//! Comparison of this binary with another one, in alternating rounds.

use std::fmt::Write as _;
use std::path::Path;

use super::calls::{SHAPES, Series, describe};
use super::{Effort, progress};
use crate::error::Result;
use crate::fleet::{Sample, sample};
use crate::load::{Load, Until};
use crate::relay::Relay;
use crate::report::{Chapter, Table};

/// Name and accessor of a quantity of a sample.
type Quantity = (&'static str, fn(&Sample) -> f64);

/// Compared quantities.
const QUANTITIES: [Quantity; 5] = [
    ("proxy CPU µs", |s| s.front),
    ("slave CPU µs", |s| s.slave),
    ("calls/s", |s| s.rate),
    ("p50 µs", |s| s.p50),
    ("p99 µs", |s| s.p99),
];

/// Measures calls through the relay of both binaries and reports new / old.
pub(crate) fn run(binary: &Path, other: &Path, effort: &Effort) -> Result<Chapter> {
    let relays = [Relay::start(other)?, Relay::start(binary)?];
    let mut text = String::new();
    for shape in SHAPES {
        progress(&format!("old and new: {}", describe(&shape)));
        let mut loads = Vec::new();
        for relay in &relays {
            let mut load = Load::connect(&relay.proxy.target(), shape)?;
            load.run(&Until::Elapsed(effort.warm_up))?;
            loads.push(load);
        }
        let mut both = [Series::default(), Series::default()];
        for _ in 0..effort.rounds {
            for ((relay, load), series) in relays.iter().zip(&mut loads).zip(&mut both) {
                series.push(sample(&[&relay.proxy.process], &relay.slave, load, effort.block)?);
            }
        }
        let _ = write!(text, "### {}\n\n{}\n", describe(&shape), table(&both));
    }
    Ok(Chapter { title: "New against old", text, verdicts: Vec::new(), plots: Vec::new() })
}

fn table([old, new]: &[Series; 2]) -> String {
    let mut table = Table::new(&["through the relay", "old", "new", "new / old"]);
    for (name, quantity) in QUANTITIES {
        let ratio = new.over(old, quantity).median();
        let (old, new) = (old.of(quantity), new.of(quantity));
        table.row(&[name.to_owned(), old.to_string(), new.to_string(), format!("{ratio:.3}")]);
    }
    table.finish()
}
