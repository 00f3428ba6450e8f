//! The effect of a 50 MB result on concurrent small calls and on the proxy's memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;

use super::{Effort, progress};
use crate::client::Client;
use crate::error::{BenchError, Result};
use crate::fleet::{Fleet, Way, sum};
use crate::load::{Load, Shape, Until, single_thread};
use crate::process::Process;
use crate::report::{Chapter, Table, Verdict, mebibytes};
use crate::stats::{Latencies, Rounds};
use crate::tls::Target;

/// Size of the result, in bytes.
const RESULT: usize = 50_000_000;

/// Target: growth of the proxy's memory, in bytes.
const MAX_GROWTH: u64 = 8_000_000;

/// Target: p99 of the small calls, as a multiple of their p99 alone.
const MAX_P99_RATIO: f64 = 1.5;

const SMALL_CALL: Shape = Shape { era: Era::Modern, argument: 100, at_once: 1 };

/// Latency of small calls, alone and beside large results.
#[derive(Default)]
struct Latency {
    alone_p50: Rounds,
    alone_p99: Rounds,
    beside_p50: Rounds,
    beside_p99: Rounds,
    /// Beside over alone, round by round.
    p99_ratio: Rounds,
    /// Megabytes (10^6) of result a second, meanwhile.
    throughput: Rounds,
}

/// Measures memory first, on a proxy that has only seen small calls, then latency on every way.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    progress("memory while a 50 MB result passes");
    let fleet = Fleet::start(binary)?;
    let mut small = Load::connect(&fleet.target(Way::Relay), SMALL_CALL)?;
    small.run(&Until::Elapsed(effort.warm_up))?;
    let (proxy, slave) = (growth(&fleet, Way::Relay)?, fleet.relay.slave.memory()?.peak);
    let nginx = growth(&fleet, Way::Nginx)?;
    let mut text = format!(
        "The tool `payload` returns a result of {RESULT} bytes, which the client reads without delay. While the result was \
         transferred, the peak of resident memory was above the previous level by **{}** in the proxy and by {} in nginx. \
         The slave, which makes the result, had a peak of {}.\n\nThe table shows small calls (100 B, one at a time, on a separate \
         connection and thread), alone and while such results are transferred one after another:\n\n",
        mebibytes(proxy),
        mebibytes(nginx),
        mebibytes(slave)
    );
    let (table, of_results) = beside_results(&fleet, effort)?;
    text.push_str(&table);
    let memory = Verdict {
        target: format!("a 50 MB result increases the proxy's memory by ≤ {} MB", MAX_GROWTH / 1_000_000),
        measured: mebibytes(proxy),
        holds: proxy <= MAX_GROWTH,
    };
    let mut verdicts = vec![memory];
    verdicts.extend(of_results);
    Ok(Chapter { title: "A 50 MB result", text, verdicts, plots: Vec::new() })
}

/// The table of small calls' latency on every way, and what it says of the relay.
fn beside_results(fleet: &Fleet, effort: &Effort) -> Result<(String, Vec<Verdict>)> {
    let heads = ["path", "p50 µs alone", "with results", "p99 µs alone", "with results", "p99 ratio", "MB/s"];
    let mut table = Table::new(&heads);
    let mut all = Vec::new();
    for way in fleet.ways() {
        progress(&format!("small calls beside 50 MB results: {}", way.name()));
        let found = latency(&fleet.target(way), effort)?;
        let ratio = found.p99_ratio.median();
        let rounds = [&found.alone_p50, &found.beside_p50, &found.alone_p99, &found.beside_p99];
        let mut row = vec![way.name().to_owned()];
        row.extend(rounds.map(ToString::to_string));
        row.extend([format!("{ratio:.2}"), found.throughput.to_string()]);
        table.row(&row);
        all.push((way, found));
    }
    Ok((table.finish(), verdicts(&all)))
}

fn verdicts(all: &[(Way, Latency)]) -> Vec<Verdict> {
    let of = |way| all.iter().find(|(one, _)| *one == way).map(|(_, found)| found);
    let Some(relay) = of(Way::Relay) else { return Vec::new() };
    let ratio = relay.p99_ratio.median();
    let mut verdicts = vec![Verdict {
        target: format!("p99 of small calls during 50 MB results ≤ {MAX_P99_RATIO} × p99 alone"),
        measured: format!("{ratio:.2} ×"),
        holds: ratio <= MAX_P99_RATIO,
    }];
    verdicts.extend(of(Way::Wstunnel).map(|tunnel| {
        let (own, other) = (relay.throughput.median(), tunnel.throughput.median());
        Verdict {
            target: "throughput of 50 MB results ≥ wstunnel's".to_owned(),
            measured: format!("{own:.0} and {other:.0} MB/s"),
            holds: own >= other,
        }
    }));
    verdicts
}

/// Bytes by which the front's peak exceeded its level before, over three results.
fn growth(fleet: &Fleet, way: Way) -> Result<u64> {
    let front = fleet.front(way);
    let before = sum(&front, |one: &Process| Ok(one.memory()?.resident))?;
    front.iter().try_for_each(|one| one.forget_peak())?;
    single_thread()?.block_on(async {
        let mut client = Client::open(&fleet.target(way), Era::Modern).await?;
        for _ in 0..3 {
            client.payload(RESULT).await?;
        }
        Ok::<_, BenchError>(())
    })?;
    Ok(sum(&front, |one: &Process| Ok(one.memory()?.peak))?.saturating_sub(before))
}

fn latency(target: &Target, effort: &Effort) -> Result<Latency> {
    let mut small = Load::connect(target, SMALL_CALL)?;
    small.run(&Until::Elapsed(effort.warm_up))?;
    let mut out = Latency::default();
    for _ in 0..effort.rounds {
        let alone = small.run(&Until::Elapsed(effort.block))?.latencies;
        out.alone_p50.push(alone.percentile(50.0));
        out.alone_p99.push(alone.percentile(99.0));
        let (beside, throughput) = while_results_pass(target, &mut small, effort.block)?;
        out.beside_p50.push(beside.percentile(50.0));
        out.beside_p99.push(beside.percentile(99.0));
        out.p99_ratio.push(beside.percentile(99.0) / alone.percentile(99.0));
        out.throughput.push(throughput);
    }
    Ok(out)
}

/// Makes small calls while large results are transferred, for at least `time`.
fn while_results_pass(target: &Target, small: &mut Load, time: Duration) -> Result<(Latencies, f64)> {
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let throughput = results(target, time);
            done.store(true, Ordering::Relaxed);
            throughput
        });
        let block = small.run(&Until::Set(Arc::clone(&done)));
        let throughput =
            reader.join().map_err(|_| BenchError::Process("the reading thread panicked".to_owned()))??;
        Ok((block?.latencies, throughput))
    })
}

/// Reads results one after another for `time` and returns megabytes a second.
fn results(target: &Target, time: Duration) -> Result<f64> {
    single_thread()?.block_on(async {
        let mut client = Client::open(target, Era::Modern).await?;
        let start = Instant::now();
        let mut bytes = 0;
        while start.elapsed() < time {
            bytes += client.payload(RESULT).await?;
        }
        Ok(bytes as f64 / 1e6 / start.elapsed().as_secs_f64())
    })
}
