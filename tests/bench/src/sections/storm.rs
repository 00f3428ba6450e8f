//! Reconnection of thousands of slaves after a restart of their proxy, while a client keeps calling.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use tokio::task::JoinSet;

use super::{Effort, progress};
use crate::client::Client;
use crate::error::{BenchError, Result};
use crate::load::single_thread;
use crate::machine::raise_file_limit;
use crate::process::Memory;
use crate::program::Program;
use crate::relay::{Backend, Ports, Proxy, Slave};
use crate::report::{Chapter, Verdict, mebibytes};
use crate::storm_slaves::{Counters, keep_linked};
use crate::tls::Target;

/// Target: time from the proxy's restart until all slaves are linked.
const MAX_RETURN: Duration = Duration::from_secs(30);

/// Target: time from the proxy's restart to the first answer of the slave in use.
const MAX_FIRST_ANSWER: Duration = Duration::from_secs(5);

/// Longest time until all slaves are back.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);

/// Longest time until all slaves are linked for the first time.
const LINK_ALL_TIMEOUT: Duration = Duration::from_mins(3);

/// Time between the kill and the restart of the proxy.
const PROXY_DOWNTIME: Duration = Duration::from_secs(3);

/// Time that the client keeps calling after all slaves are back.
const CALLS_AFTER_RETURN: Duration = Duration::from_secs(2);

/// Pause between two calls of the client.
const CALL_INTERVAL: Duration = Duration::from_millis(5);

/// Target: memory for each linked slave and for the proxy itself, in bytes.
const MAX_BYTES_PER_SLAVE: u64 = 64 * 1024;
const MAX_BYTES_OF_PROXY: u64 = 64 * 1024 * 1024;

/// Target: most handshakes within one second, as a multiple of the mean rate.
const MAX_PEAK_RATIO: f64 = 3.0;

struct Measurement {
    /// From the first moment of the new proxy to the last slave's handshake.
    back: Option<Duration>,
    handshakes: Vec<Instant>,
    rejected: usize,
    calls: Calls,
    before: Memory,
    after: Memory,
}

#[derive(Debug, Default)]
struct Calls {
    /// From the first moment of the new proxy to the first answer.
    first: Duration,
    answered: u64,
    failed: u64,
    slowest: Duration,
}

/// Links the slaves, kills and restarts the proxy, and measures the reconnection.
pub(crate) fn run(binary: &Path, effort: &Effort) -> Result<Chapter> {
    let slaves = effort.storm;
    progress(&format!("a storm of {slaves} slaves"));
    raise_file_limit(slaves as u64 + 1024)?;
    let found = single_thread()?.block_on(measure(binary, effort))?;
    Ok(chapter(slaves, effort.storm_rate, &found))
}

async fn measure(binary: &Path, effort: &Effort) -> Result<Measurement> {
    let rate = effort.storm_rate;
    let mut proxy = start_proxy(binary, Ports::default(), rate).await?;
    let (http, links) = (proxy.http, proxy.links);
    let _slave = Slave::start(Program::plain(binary), Backend::Slave, &proxy)?;
    let counters = Arc::new(Counters::default());
    let mut fleet = JoinSet::new();
    for number in 0..effort.storm as u64 {
        let counters = Arc::clone(&counters);
        fleet.spawn(async move { keep_linked(links, number, &counters).await });
    }
    all_linked(&counters, effort.storm, LINK_ALL_TIMEOUT)
        .await
        .ok_or_else(|| too_late(&counters, LINK_ALL_TIMEOUT))?;
    // Only a slave that clients have used a short time ago comes back before the crowd.
    ask(http, &mut None).await?;
    let before = proxy.process.memory()?;
    let rejected_before = counters.rejected();
    proxy.process.kill()?;
    tokio::time::sleep(PROXY_DOWNTIME).await;
    counters.take_handshakes();
    drop(proxy);
    let proxy = start_proxy(binary, Ports { http, links }, rate).await?;
    let since = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let client = tokio::spawn(keep_calling(http, since, Arc::clone(&over)));
    let back = all_linked(&counters, effort.storm, RETURN_TIMEOUT).await.map(|at| at - since);
    tokio::time::sleep(CALLS_AFTER_RETURN).await;
    over.store(true, Ordering::Relaxed);
    let calls = client.await.map_err(|error| BenchError::Link(error.to_string()));
    let after = proxy.process.memory()?;
    let handshakes = counters.take_handshakes();
    Ok(Measurement {
        back,
        handshakes,
        rejected: counters.rejected() - rejected_before,
        calls: calls?,
        before,
        after,
    })
}

/// Starts a proxy on a blocking thread, since the start waits for a log file.
async fn start_proxy(binary: &Path, ports: Ports, rate: &'static str) -> Result<Proxy> {
    let binary = PathBuf::from(binary);
    let start =
        tokio::task::spawn_blocking(move || Proxy::start_on(Program::plain(&binary), ports, rate, None));
    start.await.map_err(|error| BenchError::Process(error.to_string()))?
}

/// Waits until all slaves are linked; `None` after `within`.
async fn all_linked(counters: &Counters, slaves: usize, within: Duration) -> Option<Instant> {
    let deadline = Instant::now() + within;
    while counters.linked() < slaves {
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(Instant::now())
}

fn too_late(counters: &Counters, within: Duration) -> BenchError {
    let detail = format!("; {} are", counters.linked());
    BenchError::TooLate { what: "all simulated slaves being linked".into(), within, detail }
}

/// Calls until `over` is set. Failures count after the first answer.
async fn keep_calling(http: SocketAddr, since: Instant, over: Arc<AtomicBool>) -> Calls {
    let mut calls = Calls::default();
    let mut asking = None;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        match ask(http, &mut asking).await {
            Ok(()) if calls.answered == 0 => {
                (calls.first, calls.answered) = (since.elapsed(), 1);
            }
            Ok(()) => {
                calls.answered += 1;
                calls.slowest = calls.slowest.max(began.elapsed());
            }
            Err(_) => {
                asking = None;
                calls.failed += u64::from(calls.answered > 0);
            }
        }
        tokio::time::sleep(CALL_INTERVAL).await;
    }
    calls
}

async fn ask(http: SocketAddr, asking: &mut Option<(Client, crate::client::Echo)>) -> Result<()> {
    if let Some((client, echo)) = asking {
        return client.echo(echo).await;
    }
    let mut client = Client::open(&Target::plain(http), Era::Modern).await?;
    let echo = client.learn_echo(100).await?;
    *asking = Some((client, echo));
    Ok(())
}

/// Returns the most handshakes within one second, and the mean rate over the whole time.
fn rates(handshakes: &[Instant]) -> (usize, f64) {
    let mut first = 0;
    let mut peak = 0;
    for (last, at) in handshakes.iter().enumerate() {
        while *at - handshakes[first] >= Duration::from_secs(1) {
            first += 1;
        }
        peak = peak.max(last - first + 1);
    }
    let span = handshakes.first().zip(handshakes.last()).map_or(0.0, |(a, b)| (*b - *a).as_secs_f64());
    (peak, handshakes.len() as f64 / span.max(1.0))
}

fn chapter(slaves: usize, rate: &str, found: &Measurement) -> Chapter {
    let (peak, mean) = rates(&found.handshakes);
    let Measurement { back, rejected, calls, before, after, .. } = found;
    let seconds = back.map_or_else(
        || format!("not within {} s", RETURN_TIMEOUT.as_secs()),
        |b| format!("{:.1} s", b.as_secs_f64()),
    );
    let text = format!(
        "The benchmark's own process simulates {slaves} slaves with the reconnect delays of real ones. A client has called one further, real slave before, and calls it \
         every {} ms. The proxy is killed (SIGKILL) and starts again {} s later on the same ports, with HANDSHAKE_RATE={rate}. Time until all slaves were linked again: {seconds}. \
         The proxy accepted {} handshakes, {mean:.0} a second on average and {peak} in the busiest second, and rejected {rejected} connections with a time to retry after. \
         The client got its first answer after {:.1} s; then {} calls were answered and {} failed, and the slowest took {:.0} ms. \
         Resident memory of the proxy was {} with all slaves linked before the restart, {} after it, and {} at most.\n",
        CALL_INTERVAL.as_millis(),
        PROXY_DOWNTIME.as_secs(),
        found.handshakes.len(),
        calls.first.as_secs_f64(),
        calls.answered,
        calls.failed,
        calls.slowest.as_secs_f64() * 1000.0,
        mebibytes(before.resident),
        mebibytes(after.resident),
        mebibytes(after.peak),
    );
    let bound = MAX_BYTES_PER_SLAVE * slaves as u64 + MAX_BYTES_OF_PROXY;
    let verdict = |target: String, measured: String, holds| Verdict { target, measured, holds };
    let verdicts = vec![
        verdict(
            format!("{slaves} slaves are linked within {} s of the proxy's restart", MAX_RETURN.as_secs()),
            seconds,
            back.is_some_and(|back| back <= MAX_RETURN),
        ),
        verdict(
            format!("the first answer to a client comes within {} s of it", MAX_FIRST_ANSWER.as_secs()),
            format!("{:.1} s", calls.first.as_secs_f64()),
            calls.answered > 0 && calls.first <= MAX_FIRST_ANSWER,
        ),
        verdict(
            format!("handshakes in the busiest second ≤ {MAX_PEAK_RATIO} × the mean"),
            format!("{:.2} ×", peak as f64 / mean.max(f64::MIN_POSITIVE)),
            peak as f64 <= MAX_PEAK_RATIO * mean,
        ),
        verdict(
            "no call fails after its slave is linked".into(),
            format!("{} of {}", calls.failed, calls.answered + calls.failed),
            calls.failed == 0 && calls.answered > 100,
        ),
        verdict(
            format!("memory of the proxy during the storm ≤ {}", mebibytes(bound)),
            mebibytes(after.peak),
            after.peak <= bound,
        ),
    ];
    Chapter { title: "A storm of slaves", text, verdicts, plots: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_may_begin_anywhere() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let (peak, mean) = rates(&[at(0), at(900), at(1000), at(1800), at(4000)]);
        assert_eq!(peak, 3);
        assert!((mean - 1.25).abs() < 0.01);
        assert_eq!(rates(&[]).0, 0);
    }
}
