//! Memory, descriptors and tasks of idle processes, and whether they keep growing. Knows no fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::fleet::Fleet;
use crate::metrics::Scrape;
use crate::wait;

/// Fewest samples after the warm-up that show a trend.
const MIN_SAMPLES: usize = 6;

/// Growth of descriptors or tasks that is no leak: those of a scrape, or of a keep-alive connection that is about to close.
const MAX_SMALL_GROWTH: f64 = 3.0;

/// Growth of memory that is no leak, as a part of its level and in bytes: the allocator returns pages late.
const MAX_RELATIVE_GROWTH: f64 = 0.15;
const MAX_MEMORY_GROWTH: f64 = 8.0 * 1024.0 * 1024.0;

/// Resources of one idle process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Resident memory, in bytes.
    pub resident: f64,
    /// Open file descriptors.
    pub descriptors: f64,
    /// Tasks of the runtime.
    pub tasks: f64,
}

type Read = fn(&Sample) -> f64;

/// Name and value of each resource, and the bytes of its unit if it is memory.
const MEASURES: [(&str, Read, f64); 3] = [
    ("memory KiB", |sample| sample.resident / 1024.0, 1024.0),
    ("descriptors", |sample| sample.descriptors, 0.0),
    ("tasks", |sample| sample.tasks, 0.0),
];

/// Samples of every process that lives through the run.
#[derive(Clone, Debug, Default)]
pub struct ResourceHistory(BTreeMap<String, Vec<Sample>>);

impl ResourceHistory {
    /// Samples every long-lived process. The fleet must be idle.
    pub async fn sample(&mut self, fleet: &Fleet) {
        for (name, address) in fleet.long_lived() {
            self.0.entry(name).or_default().push(settled(address).await);
        }
    }

    /// Returns a table with one row for each process and resource, and the list of leaks.
    pub fn report(&self) -> (String, Vec<String>) {
        let mut text = format!(
            "{:<10} {:<12} {:>8} {:>12} {:>12} {:>12}  verdict\n",
            "process", "measure", "samples", "level", "last", "trend"
        );
        let mut leaks = Vec::new();
        for (name, samples) in &self.0 {
            // The first quarter is the warm-up of pools and allocators.
            let samples = &samples[(samples.len() / 4).min(5)..];
            for (measure, read, unit) in MEASURES {
                let values: Vec<f64> = samples.iter().map(read).collect();
                let (level, last) =
                    (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
                let most = if unit > 0.0 {
                    level * MAX_RELATIVE_GROWTH + MAX_MEMORY_GROWTH / unit
                } else {
                    MAX_SMALL_GROWTH
                };
                let trend = trend(&values);
                let verdict = match values.len() {
                    n if n < MIN_SAMPLES => "too few samples to say",
                    _ if trend > most => "LEAK",
                    _ => "flat",
                };
                if verdict == "LEAK" {
                    leaks
                        .push(format!("{name}: {measure} grew by {trend:.0} (at most {most:.0} is no leak)"));
                }
                let _ = writeln!(
                    text,
                    "{name:<10} {measure:<12} {:>8} {level:>12.0} {last:>12.0} {trend:>+12.1}  {verdict}",
                    values.len()
                );
            }
        }
        (text, leaks)
    }
}

/// Returns the rise of the regression line (least squares) from the first to the last value.
fn trend(values: &[f64]) -> f64 {
    let last = values.len().saturating_sub(1) as f64;
    let (mut rise, mut run) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let from_middle = at as f64 - last / 2.0;
        rise += from_middle * value;
        run += from_middle * from_middle;
    }
    if run > 0.0 { rise / run * last } else { 0.0 }
}

/// Samples a process once its descriptors and tasks are constant: connections of former clients take a moment to close.
async fn settled(address: SocketAddr) -> Sample {
    let mut before: Option<Sample> = None;
    let still = async || {
        let scrape = Scrape::of(address).await;
        let now = Sample {
            resident: scrape.sum("process_resident_memory_bytes", &[]),
            descriptors: scrape.sum("process_open_fds", &[]),
            tasks: scrape.sum("tokio_alive_tasks", &[]),
        };
        let same = |old: Sample| (old.descriptors, old.tasks) == (now.descriptors, now.tasks);
        let stands = before.is_some_and(same);
        before = Some(now);
        stands.then_some(now)
    };
    wait::until_within("descriptors and tasks to stand still", Duration::from_mins(1), still).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(values: &[f64]) -> ResourceHistory {
        let sample = |tasks: &f64| Sample { resident: 1e8, descriptors: 20.0, tasks: *tasks };
        ResourceHistory(BTreeMap::from([("p".into(), values.iter().map(sample).collect())]))
    }

    #[test]
    fn what_keeps_growing_is_a_leak_and_what_wavers_is_none() {
        let (_, leaks) = history(&[9.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0]).report();
        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert!(history(&[9.0, 12.0, 10.0, 12.0, 9.0, 12.0, 10.0, 11.0]).report().1.is_empty());
        assert!(history(&[1.0, 100.0]).report().0.contains("too few"));
    }
}
