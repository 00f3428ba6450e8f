//! The cost of what is idle: memory of the proxy for each slave and each stream of changes, CPU time for keep-alive, and what small calls
//! notice of all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use tokio::task::JoinSet;

use super::{Effort, progress};
use crate::client::Client;
use crate::error::{BenchError, Result};
use crate::idle_slaves::IdleSlave;
use crate::load::{Load, Shape, Until, single_thread};
use crate::machine::raise_file_limit;
use crate::relay::{Proxy, Relay};
use crate::report::{Chapter, Verdict, mebibytes};
use crate::stats::Rounds;

/// Target: memory of the proxy for each idle slave, in bytes.
const MAX_BYTES_PER_SLAVE: u64 = 16 * 1024;

/// Target: memory of the proxy for each open stream, in bytes.
const MAX_BYTES_PER_STREAM: u64 = 8 * 1024;

/// Target: memory of the proxy with all slaves and streams, in bytes.
const MAX_BYTES: u64 = 150_000_000;

/// Target: p99 of small calls beside all of them, as a multiple of their p99 alone.
const MAX_P99_RATIO: f64 = 1.5;

/// Time that the links are left idle: several ping intervals.
const IDLE_TIME: Duration = Duration::from_secs(6);

/// Links or streams that are being set up at the same time.
const MAX_CONCURRENT: usize = 16;

const SMALL_CALL: Shape = Shape { era: Era::Modern, argument: 100, at_once: 1 };

struct Found {
    before: u64,
    with_slaves: u64,
    with_streams: u64,
    linking: Duration,
    /// CPU microseconds of the proxy in [`IDLE_TIME`], with the slaves alone.
    cpu: u64,
    /// p99 of small calls in microseconds, alone and beside everything.
    alone: Rounds,
    beside: Rounds,
}

/// Links the slaves, opens the streams, leaves them idle and reads the proxy's memory.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    progress(&format!("{} idle slaves and {} idle streams", effort.slaves, effort.streams));
    raise_file_limit((effort.slaves + effort.streams) as u64 + 1024)?;
    let relay = Relay::start(binary)?;
    let mut small = Load::connect(&relay.proxy.target(), SMALL_CALL)?;
    small.run(&Until::Elapsed(effort.warm_up))?;
    let mut found = Found {
        before: 0,
        with_slaves: 0,
        with_streams: 0,
        linking: Duration::ZERO,
        cpu: 0,
        alone: p99s(&mut small, effort)?,
        beside: Rounds::default(),
    };
    let runtime = single_thread()?;
    let (_slaves, _streams) = runtime.block_on(open_all(&relay.proxy, effort, &mut found))?;
    found.beside = std::thread::scope(|scope| {
        let (done, end) = tokio::sync::oneshot::channel::<()>();
        let calls = scope.spawn(move || {
            let rounds = p99s(&mut small, effort);
            let _ = done.send(());
            rounds
        });
        // The slaves answer pings meanwhile.
        let _ = runtime.block_on(end);
        calls.join().map_err(|_| BenchError::Process("the calling thread panicked".to_owned()))?
    })?;
    Ok(chapter(&found, effort))
}

fn p99s(small: &mut Load, effort: &Effort) -> Result<Rounds> {
    (0..effort.rounds)
        .map(|_| Ok(small.run(&Until::Elapsed(effort.block))?.latencies.percentile(99.0)))
        .collect()
}

/// Opens everything and notes the proxy's memory. What is returned keeps it open.
async fn open_all(
    proxy: &Proxy,
    effort: &Effort,
    found: &mut Found,
) -> Result<(JoinSet<BenchError>, Vec<Client>)> {
    found.before = proxy.process.memory()?.resident;
    let start = Instant::now();
    let mut slaves = JoinSet::new();
    let links = (0..effort.slaves as u64).map(|number| IdleSlave::link(proxy.links, number));
    for slave in at_once(links).await? {
        slaves.spawn(slave.idle());
    }
    found.linking = start.elapsed();
    let cpu = proxy.process.cpu_micros()?;
    tokio::select! {
        () = tokio::time::sleep(IDLE_TIME) => {}
        Some(ended) = slaves.join_next() => return Err(ended.unwrap_or_else(|error| BenchError::Link(error.to_string()))),
    }
    found.cpu = proxy.process.cpu_micros()? - cpu;
    found.with_slaves = proxy.process.memory()?.resident;
    let target = proxy.target();
    let streams = (0..effort.streams).map(|_| {
        let target = target.clone();
        async move {
            let mut client = Client::open(&target, Era::Modern).await?;
            client.listen(&[]).await?;
            Ok(client)
        }
    });
    let streams = at_once(streams).await?;
    tokio::time::sleep(IDLE_TIME).await;
    found.with_streams = proxy.process.memory()?.resident;
    Ok((slaves, streams))
}

/// Runs all, not too many at the same time.
async fn at_once<T: Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut running = JoinSet::new();
    let mut done = Vec::new();
    let joined = |joined: std::result::Result<Result<T>, tokio::task::JoinError>| {
        joined.map_err(|error| BenchError::Link(error.to_string()))?
    };
    for one in all {
        if running.len() >= MAX_CONCURRENT
            && let Some(ended) = running.join_next().await
        {
            done.push(joined(ended)?);
        }
        running.spawn(one);
    }
    while let Some(ended) = running.join_next().await {
        done.push(joined(ended)?);
    }
    Ok(done)
}

fn chapter(found: &Found, effort: &Effort) -> Chapter {
    let (slaves, streams) = (effort.slaves as u64, effort.streams as u64);
    let each_slave = found.with_slaves.saturating_sub(found.before) / slaves;
    let each_stream = found.with_streams.saturating_sub(found.with_slaves) / streams;
    let kibibytes = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0);
    let ratio = found.beside.median() / found.alone.median();
    let text = format!(
        "The benchmark's own process simulates {slaves} slaves with one tool each, which use the native dialect. All were linked after {:.2} s. \
         The proxy's resident memory grew from {} to {}: **{}** for each slave. The keep-alive pings of all slaves \
         cost the proxy {:.1} ms of CPU time a second. Then {streams} clients opened a stream of changes each (`subscriptions/listen`): the \
         proxy's memory grew to {}, **{}** for each stream. p99 of small calls (100 B, one at a time): {} µs before, {} µs beside \
         all of them.\n",
        found.linking.as_secs_f64(),
        mebibytes(found.before),
        mebibytes(found.with_slaves),
        kibibytes(each_slave),
        found.cpu as f64 / 1000.0 / IDLE_TIME.as_secs_f64(),
        mebibytes(found.with_streams),
        kibibytes(each_stream),
        found.alone,
        found.beside,
    );
    let verdict = |target: String, measured: String, holds: bool| Verdict { target, measured, holds };
    let verdicts = vec![
        verdict(
            format!("≤ 16 KiB of the proxy's memory for each of {slaves} idle slaves"),
            kibibytes(each_slave),
            each_slave <= MAX_BYTES_PER_SLAVE,
        ),
        verdict(
            format!("≤ 8 KiB of the proxy's memory for each of {streams} idle streams"),
            kibibytes(each_stream),
            each_stream <= MAX_BYTES_PER_STREAM,
        ),
        verdict(
            format!("memory of the proxy ≤ 150 MB with {slaves} slaves and {streams} streams"),
            mebibytes(found.with_streams),
            found.with_streams <= MAX_BYTES,
        ),
        verdict(
            format!("p99 of small calls beside them ≤ {MAX_P99_RATIO} × p99 alone"),
            format!("{ratio:.2} ×"),
            ratio <= MAX_P99_RATIO,
        ),
    ];
    Chapter { title: "Idle slaves and streams", text, verdicts, plots: Vec::new() }
}
