//! Memory of the proxy over many calls, and over sessions that are never ended.

use std::path::Path;

use protocol::mcp::era::Era;

use super::{Effort, progress};
use crate::client::Client;
use crate::error::{BenchError, Result};
use crate::load::{Load, Shape, Until, single_thread};
use crate::process::Process;
use crate::relay::Relay;
use crate::report::{Chapter, Table, Verdict, mebibytes};

/// Target: largest trend of memory after the warm-up, as a part of its level.
const MAX_CHANGE: f64 = 0.05;

/// Points at which memory is read, the one after the warm-up not counted.
const POINTS: u64 = 10;

/// Points of the warm-up: the allocator returns the pages of the first load slowly.
const WARM_UP_POINTS: usize = 5;

/// Last points of the warm-up, whose median is the level.
const LEVEL_POINTS: usize = 3;

/// Readings for each point, spread over its part of the work; the median is used, since a single reading shows the pages that
/// the allocator happens to hold.
const READINGS: u64 = 5;

const CONCURRENCY: u16 = 32;

/// Resident memory of proxy and slave: the level after the warm-up, then at several points.
#[derive(Debug, Default)]
struct MemoryHistory(Vec<(u64, u64)>);

/// All readings of a course, a list for each point of warm-up and measurement.
#[derive(Debug, Default)]
struct Readings(Vec<Vec<(u64, u64)>>);

impl Readings {
    /// The level is the median of the last readings of the warm-up, each point the median of its own.
    fn course(&self) -> MemoryHistory {
        let (warm_up, points) = self.0.split_at(self.0.len().min(WARM_UP_POINTS));
        let level: Vec<_> = warm_up.iter().rev().take(LEVEL_POINTS).flatten().copied().collect();
        let mut course = MemoryHistory::default();
        course.point(&level);
        for readings in points {
            course.point(readings);
        }
        course
    }
}

/// Resident memory of proxy and slave now.
fn reading(relay: &Relay) -> Result<(u64, u64)> {
    let resident = |process: &Process| Ok(process.memory()?.resident);
    Ok((resident(&relay.proxy.process)?, resident(&relay.slave)?))
}

impl MemoryHistory {
    /// A point: the median of its readings, of proxy and slave each.
    fn point(&mut self, readings: &[(u64, u64)]) {
        let median = |mut values: Vec<u64>| {
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let (proxy, slave): (Vec<u64>, Vec<u64>) = readings.iter().copied().unzip();
        self.0.push((median(proxy), median(slave)));
    }

    /// Rise of the regression line (least squares) of the proxy's values from the first to the last point, as a part of the
    /// level.
    fn change(&self) -> f64 {
        let Some(((level, _), points)) = self.0.split_first() else { return 0.0 };
        let last = points.len() as f64 - 1.0;
        let middle = last / 2.0;
        let (mut rise, mut run) = (0.0, 0.0);
        for (at, (proxy, _)) in points.iter().enumerate() {
            let from_middle = at as f64 - middle;
            rise += from_middle * *proxy as f64;
            run += from_middle * from_middle;
        }
        if run > 0.0 { rise / run * last / *level as f64 } else { 0.0 }
    }

    fn verdict(&self, over: &str) -> Verdict {
        let change = self.change();
        Verdict {
            target: format!("proxy memory flat (trend within ±{:.0} %) over {over}", MAX_CHANGE * 100.0),
            measured: format!("{:+.1} %", change * 100.0),
            holds: change.abs() <= MAX_CHANGE,
        }
    }
}

/// Measures both courses, each on a fresh relay after a warm-up of half its length.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    progress("memory over calls");
    let over_calls = calls(&Relay::start(binary)?, effort.calls)?;
    progress("memory over abandoned sessions");
    let over_sessions = sessions(&Relay::start(binary)?, effort.sessions)?;
    let (calls, sessions) =
        (format!("{} calls", effort.calls), format!("{} abandoned sessions", effort.sessions));
    let verdicts = vec![over_calls.verdict(&calls), over_sessions.verdict(&sessions)];
    let mut table = Table::new(&[
        "progress",
        &format!("{calls}: proxy"),
        "slave",
        &format!("{sessions}: proxy"),
        "slave",
    ]);
    for (point, (calls, sessions)) in over_calls.0.iter().zip(&over_sessions.0).enumerate() {
        let mut row = vec![format!("{} %", point as u64 * 100 / POINTS)];
        row.extend([calls.0, calls.1, sessions.0, sessions.1].map(mebibytes));
        table.row(&row);
    }
    let text = format!(
        "The table shows resident memory during the work, after a warm-up of half as many calls or sessions. Each value is the median of {READINGS} readings \
         spread over its part of the work; the value at 0 % is the median of the readings of the last {LEVEL_POINTS} parts of the warm-up. Calls: `echo` with a 100 B argument, {CONCURRENCY} at once, \
         half of them by legacy clients. Sessions: `initialize`, `notifications/initialized` and one call in each; no session is ended with `DELETE`.\n\n{}",
        table.finish()
    );
    Ok(Chapter { title: "Memory over time", text, verdicts, plots: Vec::new() })
}

fn calls(relay: &Relay, calls: u64) -> Result<MemoryHistory> {
    let half = usize::from(CONCURRENCY / 2);
    let mut loads = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        loads.push(Load::connect(&relay.proxy.target(), Shape { era, argument: 100, at_once: half })?);
    }
    let each = Until::CallsEach(calls / POINTS / READINGS / u64::from(CONCURRENCY));
    let mut all = Readings::default();
    for _ in 0..POINTS + WARM_UP_POINTS as u64 {
        let mut readings = Vec::new();
        for _ in 0..READINGS {
            // Both at once, each on its own thread: 32 clients at the proxy.
            std::thread::scope(|scope| {
                let each = &each;
                let running: Vec<_> =
                    loads.iter_mut().map(|load| scope.spawn(move || load.run(each))).collect();
                running.into_iter().try_for_each(|run| {
                    run.join()
                        .map_err(|_| BenchError::Process("a load thread panicked".to_owned()))?
                        .map(drop)
                })
            })?;
            readings.push(reading(relay)?);
        }
        all.0.push(readings);
    }
    Ok(all.course())
}

fn sessions(relay: &Relay, sessions: u64) -> Result<MemoryHistory> {
    let mut all = Readings::default();
    single_thread()?.block_on(async {
        let mut client = Client::open(&relay.proxy.target(), Era::Legacy).await?;
        for _ in 0..POINTS + WARM_UP_POINTS as u64 {
            let mut readings = Vec::new();
            for _ in 0..READINGS {
                for _ in 0..sessions / POINTS / READINGS {
                    client.new_session().await?;
                    client.learn_echo(100).await?;
                }
                readings.push(reading(relay)?);
            }
            all.0.push(readings);
        }
        Ok::<_, BenchError>(())
    })?;
    Ok(all.course())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_the_trend_with_its_sign() {
        let course = |proxy: &[u64]| MemoryHistory(proxy.iter().map(|p| (*p, 7)).collect());
        assert!((course(&[100, 100, 102, 104, 106]).change() - 0.06).abs() < 1e-9);
        assert!(course(&[100, 98, 102, 109, 102, 98]).change().abs() < 1e-9, "a passing hill is no trend");
        assert!(course(&[100, 100, 103, 104]).verdict("x").holds);
        assert!(!course(&[100, 100, 103, 106]).verdict("x").holds);
        assert!(!course(&[100, 100, 94]).verdict("x").holds);
        assert_eq!(course(&[100, 100, 94]).verdict("x").measured, "-6.0 %");
    }

    #[test]
    fn medians_of_the_readings_make_the_course() {
        let warm_up = [99, 98, 40, 41, 42].map(|proxy| vec![(proxy, 1)]);
        let point = vec![(100, 7), (130, 9), (104, 8)];
        let all = Readings(warm_up.into_iter().chain([point]).collect());
        assert_eq!(all.course().0, [(41, 1), (104, 8)]);
    }
}
