//! A declared series: what code, docs, alerts and dashboards know of it. Knows no series of a service by name.
//!
//! A service has its series in tables. From a table follow help and unit, the buckets, the zeros that are there before
//! anything has happened (rates of a series that begins at 1 would miss its first event), and docs/METRICS.md.

use metrics::{Key, KeyName, Level, Metadata, SharedString, Unit, with_recorder};

/// What kind of series it is. There are no summaries: quantiles of several processes cannot be added up.
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
    /// As Prometheus calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Upper bounds of a histogram's buckets, in its unit, and the reason for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buckets {
    /// Ascending.
    pub bounds: &'static [f64],
    /// Why these.
    pub why: &'static str,
}

/// A label. Whoever counts under an open one bounds its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All its values, if they are known beforehand; empty: they are not.
    pub values: &'static [&'static str],
}

impl Label {
    /// A label whose values come with what is counted.
    pub const fn open(name: &'static str) -> Self {
        Self { name, values: &[] }
    }

    /// A label that has these values only.
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }
}

/// When a series is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appears {
    /// From the start, with 0, as far as its labels' values are known.
    AtStart,
    /// Once there is something to say: a 0 would be wrong before.
    WhenKnown,
}

/// One series.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name, with the unit and `_total` as Prometheus has it.
    pub name: &'static str,
    /// Kind and buckets.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// Labels.
    pub labels: &'static [Label],
    /// What it says, for `# HELP` and docs/METRICS.md.
    pub help: &'static str,
    /// When it is there.
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

    /// The same in another unit.
    #[must_use]
    pub const fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// The same, there only once there is something to say.
    #[must_use]
    pub const fn when_known(self) -> Self {
        Self { appears: Appears::WhenKnown, ..self }
    }

    /// Tells the recorder of it and brings it to 0 for every set of labels that is known beforehand.
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
            self.label_sets().into_iter().for_each(|labels| self.touch(labels));
        }
    }

    fn touch(&self, labels: Vec<metrics::Label>) {
        let key = Key::from_parts(self.name, labels);
        let metadata = Metadata::new(module_path!(), Level::INFO, None);
        with_recorder(|recorder| match self.kind {
            Kind::Counter => recorder.register_counter(&key, &metadata).increment(0),
            Kind::Gauge => recorder.register_gauge(&key, &metadata).set(0.0),
            // Registered is enough: it is rendered with a count of 0.
            Kind::Histogram(_) => drop(recorder.register_histogram(&key, &metadata)),
        });
    }

    /// Every combination of its labels' values; none at all if a label is open.
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

/// What is wrong with the declarations of one process, for tests: names twice, or not as Prometheus has them.
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
        check(!help.is_empty() && help.ends_with('.'), "its help is no sentence");
        check((*kind == Kind::Counter) == name.ends_with("_total"), "only counters end with _total");
        check(*unit != Unit::Seconds || name.contains("_seconds"), "it is in seconds and does not say so");
        check(*unit != Unit::Bytes || name.contains("_bytes"), "it is in bytes and does not say so");
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
    fn known_label_sets_are_all_there_and_open_ones_are_not() {
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
