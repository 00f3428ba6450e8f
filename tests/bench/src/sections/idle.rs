//! The cost of idle slaves: memory of the proxy for each, and CPU time for keep-alive.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Effort, progress};
use crate::error::{BenchError, Result};
use crate::idle_slaves::IdleSlave;
use crate::load::single_thread;
use crate::machine::raise_file_limit;
use crate::program::Program;
use crate::relay::Proxy;
use crate::report::{Chapter, Verdict, mebibytes};

/// Target: memory of the proxy for each idle slave, in bytes.
const MAX_BYTES_PER_SLAVE: u64 = 64 * 1024;

/// Time that the links are left idle: several ping intervals.
const IDLE_TIME: Duration = Duration::from_secs(6);

/// Links that are being set up at the same time.
const MAX_CONCURRENT_HANDSHAKES: usize = 16;

struct Found {
    before: u64,
    after: u64,
    linking: Duration,
    /// CPU microseconds of the proxy in [`IDLE_TIME`].
    cpu: u64,
}

/// Links the slaves, leaves them idle and reads the proxy's memory.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    progress(&format!("memory of {} idle slaves", effort.slaves));
    raise_file_limit(effort.slaves as u64 * 2 + 256)?;
    let proxy = Proxy::start(Program::plain(binary))?;
    let found = single_thread()?.block_on(measure(&proxy, effort.slaves))?;
    let each = found.after.saturating_sub(found.before) / effort.slaves as u64;
    let text = format!(
        "The benchmark's own process simulates {} slaves with one tool each, which use the native dialect. All were linked after {:.2} s. \
         The proxy's resident memory grew from {} to {}: **{:.1} KiB** for each slave. The keep-alive pings of all slaves \
         cost the proxy {:.1} ms of CPU time a second.\n",
        effort.slaves,
        found.linking.as_secs_f64(),
        mebibytes(found.before),
        mebibytes(found.after),
        each as f64 / 1024.0,
        found.cpu as f64 / 1000.0 / IDLE_TIME.as_secs_f64(),
    );
    let verdict = Verdict {
        target: format!("≤ 64 KiB of the proxy's memory for each of {} idle slaves", effort.slaves),
        measured: format!("{:.1} KiB", each as f64 / 1024.0),
        holds: each <= MAX_BYTES_PER_SLAVE,
    };
    Ok(Chapter { title: "Idle slaves", text, verdicts: vec![verdict] })
}

async fn measure(proxy: &Proxy, count: usize) -> Result<Found> {
    let before = proxy.process.memory()?.resident;
    let start = Instant::now();
    let mut linking = JoinSet::new();
    let mut idle = JoinSet::new();
    for number in 0..count as u64 {
        if linking.len() >= MAX_CONCURRENT_HANDSHAKES {
            rest_begins(linking.join_next().await, &mut idle)?;
        }
        linking.spawn(IdleSlave::link(proxy.links, number));
    }
    while let Some(linked) = linking.join_next().await {
        rest_begins(Some(linked), &mut idle)?;
    }
    let linking = start.elapsed();
    let cpu = proxy.process.cpu_micros()?;
    tokio::select! {
        () = tokio::time::sleep(IDLE_TIME) => {}
        Some(ended) = idle.join_next() => return Err(ended.unwrap_or_else(|error| BenchError::Link(error.to_string()))),
    }
    let cpu = proxy.process.cpu_micros()? - cpu;
    Ok(Found { before, after: proxy.process.memory()?.resident, linking, cpu })
}

type Linked = std::result::Result<Result<IdleSlave>, tokio::task::JoinError>;

fn rest_begins(linked: Option<Linked>, idle: &mut JoinSet<BenchError>) -> Result<()> {
    if let Some(linked) = linked {
        let slave = linked.map_err(|error| BenchError::Link(error.to_string()))??;
        idle.spawn(slave.idle());
    }
    Ok(())
}
