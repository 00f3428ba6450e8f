//! Declarations of series. Must not know the series of a service.
//!
//! A service declares its series in tables. Tables give help, unit and buckets, the initial zeros (the rate of a series
//! that starts at 1 would miss its first event), and docs/METRICS.md.

use metrics::{Key, KeyName, Level, Metadata, SharedString, Unit, with_recorder};

/// Kind of a series. Summaries are left out, as quantiles of several processes cannot be added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram(Buckets),
}

impl Kind {
    /// Returns the name that Prometheus has for the kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Buckets of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buckets {
    /// Upper bounds, ascending, in the unit of the histogram.
    pub bounds: &'static [f64],
    /// The reason for these bounds, a sentence.
    pub why: &'static str,
}

/// A label. The values of an open label are bounded by the code that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Name of the label.
    pub name: &'static str,
    /// All values, if they are known beforehand; empty for an open label.
    pub values: &'static [&'static str],
}

impl Label {
    /// An open label, whose values are not known beforehand.
    pub const fn open(name: &'static str) -> Self {
        Self { name, values: &[] }
    }

    /// A label with these values only.
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }
}

/// When a series appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appears {
    /// At the start, with 0, for label values that are known beforehand.
    AtStart,
    /// Once its value is known: 0 would be wrong before.
    WhenKnown,
}

/// A declared series.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name, with unit and `_total` as Prometheus wants it.
    pub name: &'static str,
    /// Kind and buckets.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// Labels.
    pub labels: &'static [Label],
    /// Meaning, for `# HELP` and docs/METRICS.md.
    pub help: &'static str,
    /// When the series appears.
    pub appears: Appears,
}

impl Metric {
    /// A counter of things.
    pub const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit: Unit::Count, labels, help, appears: Appears::AtStart }
    }

    /// A gauge of things.
    pub const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit: Unit::Count, labels, help, appears: Appears::AtStart }
    }

    /// A histogram of seconds.
    pub const fn seconds(
        name: &'static str,
        buckets: Buckets,
        labels: &'static [Label],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Histogram(buckets),
            unit: Unit::Seconds,
            labels,
            help,
            appears: Appears::AtStart,
        }
    }

    /// Returns the same series in another unit.
    #[must_use]
    pub const fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// Returns the same series, which appears once its value is known.
    #[must_use]
    pub const fn when_known(self) -> Self {
        Self { appears: Appears::WhenKnown, ..self }
    }

    /// Describes the series to the recorder, and sets it to 0 for every set of labels that is known beforehand.
    pub(super) fn announce(&self) {
        with_recorder(|recorder| {
            let (name, unit) = (KeyName::from_const_str(self.name), Some(self.unit));
            let help = SharedString::const_str(self.help);
            match self.kind {
                Kind::Counter => recorder.describe_counter(name, unit, help),
                Kind::Gauge => recorder.describe_gauge(name, unit, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
            }
        });
        if self.appears == Appears::AtStart {
            self.label_sets().into_iter().for_each(|labels| self.set_to_zero(labels));
        }
    }

    fn set_to_zero(&self, labels: Vec<metrics::Label>) {
        let key = Key::from_parts(self.name, labels);
        let metadata = Metadata::new(module_path!(), Level::INFO, None);
        with_recorder(|recorder| match self.kind {
            Kind::Counter => recorder.register_counter(&key, &metadata).increment(0),
            Kind::Gauge => recorder.register_gauge(&key, &metadata).set(0.0),
            // A registered histogram is rendered with a count of 0.
            Kind::Histogram(_) => drop(recorder.register_histogram(&key, &metadata)),
        });
    }

    /// Returns every combination of label values; none if a label is open.
    fn label_sets(&self) -> Vec<Vec<metrics::Label>> {
        let mut sets = vec![Vec::new()];
        for label in self.labels {
            let with = |set: &Vec<metrics::Label>, value: &&'static str| {
                let mut set = set.clone();
                set.push(metrics::Label::from_static_parts(label.name, value));
                set
            };
            sets =
                sets.iter().flat_map(|set| label.values.iter().map(move |value| with(set, value))).collect();
        }
        sets
    }
}

/// Returns what is wrong with the declarations of one process, for tests: duplicate names, or names that break the rules
/// of Prometheus.
pub fn faults(tables: &[&[Metric]]) -> Vec<String> {
    let mut names = std::collections::BTreeSet::new();
    let mut faults = Vec::new();
    for metric in tables.iter().copied().flatten() {
        let Metric { name, kind, unit, help, .. } = metric;
        let mut check = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name}: {what}"));
            }
        };
        check(names.insert(name), "declared twice");
        check(!help.is_empty() && help.ends_with('.'), "its help is not a sentence");
        check((*kind == Kind::Counter) == name.ends_with("_total"), "only counters end with _total");
        check(
            *unit != Unit::Seconds || name.contains("_seconds"),
            "its unit is seconds, which its name lacks",
        );
        check(*unit != Unit::Bytes || name.contains("_bytes"), "its unit is bytes, which its name lacks");
        if let Kind::Histogram(Buckets { bounds, why }) = kind {
            check(!bounds.is_empty() && bounds.is_sorted(), "its buckets do not ascend");
            check(!why.is_empty(), "its buckets have no reason");
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Metric =
        Metric::counter("a_total", &[Label::of("x", &["1", "2"]), Label::of("y", &["3"])], "Help.");

    #[test]
    fn closed_labels_have_all_sets_and_open_ones_none() {
        assert_eq!(CLOSED.label_sets().len(), 2);
        assert_eq!(Metric::counter("a_total", &[], "Help.").label_sets().len(), 1);
        let open = [Label::of("x", &["1"]), Label::open("y")];
        assert_eq!(Metric { labels: open.to_vec().leak(), ..CLOSED }.label_sets().len(), 0);
    }

    #[test]
    fn faults_are_found() {
        assert_eq!(faults(&[&[CLOSED]]), Vec::<String>::new());
        let none = Buckets { bounds: &[2.0, 1.0], why: "" };
        let bad = [CLOSED, CLOSED, Metric::seconds("b", none, &[], "No sentence")];
        assert_eq!(faults(&[&bad]).len(), 5, "{:?}", faults(&[&bad]));
    }
}
