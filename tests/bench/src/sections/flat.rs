//! Whether the proxy's memory stays where it is: over many calls, and over sessions that nobody ends.

use std::path::Path;

use protocol::era::Era;

use super::{Effort, progress};
use crate::client::Client;
use crate::error::{BenchError, Result};
use crate::load::{Load, Shape, Until, single_thread};
use crate::process::Process;
use crate::relay::Relay;
use crate::report::{Chapter, Table, Verdict, mebibytes};

/// How far memory may be from its level after the warm-up.
const MOST_CHANGE: f64 = 0.05;

/// Points at which memory is read, the one after the warm-up not counted.
const POINTS: u64 = 10;

const AT_ONCE: u16 = 32;

/// Resident memory of proxy and slave at several points.
#[derive(Debug, Default)]
struct Course(Vec<(u64, u64)>);

impl Course {
    fn read(&mut self, relay: &Relay) -> Result<()> {
        let resident = |process: &Process| Ok(process.memory()?.resident);
        self.0.push((resident(&relay.proxy.process)?, resident(&relay.slave)?));
        Ok(())
    }

    /// Largest distance of the proxy's memory from its first value, as a part of that, with its sign.
    fn change(&self) -> f64 {
        let Some((first, _)) = self.0.first() else { return 0.0 };
        let changes = self.0.iter().map(|(proxy, _)| *proxy as f64 / *first as f64 - 1.0);
        changes.fold(0.0, |most: f64, change| if change.abs() > most.abs() { change } else { most })
    }

    fn verdict(&self, over: &str) -> Verdict {
        let change = self.change();
        Verdict {
            target: format!("proxy memory flat (±{:.0} %) over {over}", MOST_CHANGE * 100.0),
            measured: format!("{:+.1} %", change * 100.0),
            holds: change.abs() <= MOST_CHANGE,
        }
    }
}

/// Measures both courses, each on a fresh relay after a warm-up of a tenth of its length.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    progress("memory over calls");
    let over_calls = calls(&Relay::start(binary)?, effort.calls)?;
    progress("memory over abandoned sessions");
    let over_sessions = sessions(&Relay::start(binary)?, effort.sessions)?;
    let (calls, sessions) =
        (format!("{} calls", effort.calls), format!("{} abandoned sessions", effort.sessions));
    let verdicts = vec![over_calls.verdict(&calls), over_sessions.verdict(&sessions)];
    let mut table = Table::new(&[
        "part done",
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
        "Resident memory after a warm-up of a tenth of the whole. Calls: 100 B `echo`, {AT_ONCE} at once, half of them by \
         legacy clients. Sessions: `initialize`, `notifications/initialized` and one call in each, never a `DELETE`.\n\n{}",
        table.finish()
    );
    Ok(Chapter { title: "Memory over time", text, verdicts })
}

fn calls(relay: &Relay, calls: u64) -> Result<Course> {
    let half = usize::from(AT_ONCE / 2);
    let mut loads = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        loads.push(Load::connect(relay.proxy.http, Shape { era, argument: 100, at_once: half })?);
    }
    let each = Until::CallsEach(calls / POINTS / u64::from(AT_ONCE));
    let mut course = Course::default();
    for _ in 0..=POINTS {
        // Both at once, each on its own thread: 32 clients at the proxy.
        std::thread::scope(|scope| {
            let each = &each;
            let running: Vec<_> = loads.iter_mut().map(|load| scope.spawn(move || load.run(each))).collect();
            running.into_iter().try_for_each(|run| {
                run.join().map_err(|_| BenchError::Process("a load thread panicked".to_owned()))?.map(drop)
            })
        })?;
        course.read(relay)?;
    }
    Ok(course)
}

fn sessions(relay: &Relay, sessions: u64) -> Result<Course> {
    let mut course = Course::default();
    single_thread()?.block_on(async {
        let mut client = Client::open(relay.proxy.http, Era::Legacy).await?;
        for _ in 0..=POINTS {
            for _ in 0..sessions / POINTS {
                client.new_session().await?;
                client.learn_echo(100).await?;
            }
            course.read(relay)?;
        }
        Ok::<_, BenchError>(())
    })?;
    Ok(course)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_the_largest_one_with_its_sign() {
        let course = |proxy: &[u64]| Course(proxy.iter().map(|p| (*p, 7)).collect());
        assert!((course(&[100, 103, 96]).change() + 0.04).abs() < 1e-9);
        assert!(course(&[100, 103, 96]).verdict("x").holds);
        assert!(!course(&[100, 106, 100]).verdict("x").holds);
        assert!(!course(&[100, 94]).verdict("x").holds);
        assert_eq!(course(&[100, 94]).verdict("x").measured, "-6.0 %");
    }
}
