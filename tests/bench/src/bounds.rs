//! Committed bounds of what a call may cost, and what is measured against them. Knows no measurement.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{BenchError, Doing, Result};
use crate::report::Table;
use crate::stats::number;

/// What a number counts, and how much it may exceed its bound by noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Instructions a call.
    Instructions,
    /// System calls a call.
    SystemCalls,
    /// CPU time as a multiple of nginx's in the same run.
    CpuRatio,
    /// Resident memory, in megabytes.
    Memory,
}

impl Quantity {
    fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions a call",
            Self::SystemCalls => "system calls a call",
            Self::CpuRatio => "CPU time / nginx's",
            Self::Memory => "MB of resident memory",
        }
    }

    /// Part of the bound that noise may add: it is small where what is counted does not depend on other work of the machine.
    fn margin(self) -> f64 {
        match self {
            Self::Instructions => 0.05,
            Self::SystemCalls | Self::Memory => 0.1,
            Self::CpuRatio => 0.3,
        }
    }
}

/// One measured number.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// What was measured, and in which shape of call.
    pub(crate) what: String,
    pub(crate) quantity: Quantity,
    pub(crate) value: f64,
}

impl Measured {
    fn name(&self) -> String {
        format!("{}: {}", self.what, self.quantity.name())
    }
}

/// Bounds by name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Bounds(BTreeMap<String, f64>);

impl Bounds {
    /// The bounds that these numbers would just keep without a margin.
    pub(crate) fn of(measured: &[Measured]) -> Self {
        let rounded =
            |value: f64| if value < 100.0 { (value * 100.0).round() / 100.0 } else { value.round() };
        Self(measured.iter().map(|one| (one.name(), rounded(one.value))).collect())
    }

    /// Reads a file of bounds.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing("reading the file of bounds")?;
        let bounds = serde_json::from_str(&text);
        bounds.map(Self).map_err(|error| BenchError::Process(format!("the file of bounds: {error}")))
    }

    /// Writes a file of bounds.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        std::fs::write(path, text + "\n").doing("writing the file of bounds")
    }

    /// Returns a table of all numbers, and the names of those that exceed their bound by more than the margin or have none.
    pub(crate) fn judge(&self, measured: &[Measured]) -> (String, Vec<String>) {
        let mut table = Table::new(&["quantity", "measured", "bound", "with margin", ""]);
        let mut exceeded = Vec::new();
        for one in measured {
            let name = one.name();
            let bound = self.0.get(&name).copied();
            let most = bound.map(|bound| bound * (1.0 + one.quantity.margin()));
            let holds = most.is_some_and(|most| one.value <= most);
            let text = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), precise);
            let word = if holds { "PASS" } else { "**FAIL**" };
            table.row(&[name.clone(), precise(one.value), text(bound), text(most), word.to_owned()]);
            exceeded.extend((!holds).then_some(name));
        }
        (table.finish(), exceeded)
    }
}

fn precise(value: f64) -> String {
    if value < 99.95 { format!("{value:.2}") } else { number(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64) -> Measured {
        Measured { what: "proxy".into(), quantity: Quantity::SystemCalls, value }
    }

    #[test]
    fn a_number_may_exceed_its_bound_by_the_margin_and_no_more() {
        let bounds = Bounds::of(&[measured(10.0)]);
        assert!(bounds.judge(&[measured(10.9)]).1.is_empty());
        let (table, exceeded) = bounds.judge(&[measured(11.1)]);
        assert_eq!(exceeded, ["proxy: system calls a call"]);
        assert!(table.contains("| 11.10 | 10.00 | 11.00 | **FAIL** |"), "{table}");
        assert_eq!(Bounds::default().judge(&[measured(1.0)]).1.len(), 1, "one without a bound");
    }

    #[test]
    fn bounds_are_the_same_after_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bounds.json");
        let bounds = Bounds::of(&[measured(10.123)]);
        bounds.write(&path).unwrap();
        assert_eq!(Bounds::read(&path).unwrap(), bounds);
        std::fs::write(&path, "{").unwrap();
        assert!(Bounds::read(&path).is_err());
    }
}
