//! `make soak`: storms on real processes for a chosen time or number of calls, with samples of the processes' resources
//! between them. Exit code 0: no fault was found.
//!
//! `SOAK_SECONDS` (600), `CALLS` (as many as the time allows; with it the time does not count), `SEED` (from the clock),
//! `SOAK_PROXIES` (2), `SOAK_SLAVES` (4), `SOAK_CLIENTS` (48), `MCP_RELAY_BIN` (the binary of this profile).

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use harness::storm::{Fleet, Ledger, Load, ResourceHistory, Size, run_storm};

/// Length of a storm between two samples.
const ROUND_TIME: Duration = Duration::from_secs(15);

/// Most faults that are printed.
const MAX_REPORTED_FAULTS: usize = 20;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty())?;
    let Ok(number) = text.trim().parse() else {
        eprintln!("{name}={text:?}: a whole number is expected");
        std::process::exit(64);
    };
    Some(number)
}

fn count(name: &str, default: usize) -> usize {
    number(name).and_then(|n| usize::try_from(n).ok()).map_or(default, |n| n.max(1))
}

fn main() -> ExitCode {
    let from_clock = || SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_secs());
    let seed = number("SEED").unwrap_or_else(from_clock);
    println!("soak: repeat with SEED={seed} (the choices; the system's own timing differs each time)");
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let faults = runtime.block_on(soak(seed));
    for fault in faults.iter().take(MAX_REPORTED_FAULTS) {
        println!("FAULT: {fault}");
    }
    match faults.len() {
        0 => println!("soak: passed"),
        n => println!("soak: FAILED, {n} faults; SEED={seed}"),
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn soak(seed: u64) -> Vec<String> {
    let calls = number("CALLS").filter(|calls| *calls > 0);
    let time = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(600));
    let size = Size { proxies: count("SOAK_PROXIES", 2), slaves: count("SOAK_SLAVES", 4) };
    let clients = count("SOAK_CLIENTS", 48);
    let ledger = Arc::new(Ledger::new(seed));
    let mut fleet = Fleet::start(seed, size).await;
    println!("{} proxies, {} slaves, {clients} clients: {:?}", size.proxies, size.slaves, fleet.pids());
    let (mut history, began, mut faults) = (ResourceHistory::default(), Instant::now(), 0);
    loop {
        let left = calls.map_or(u64::MAX / 2, |calls| calls - ledger.made());
        let round =
            if calls.is_some() { ROUND_TIME } else { ROUND_TIME.min(time.saturating_sub(began.elapsed())) };
        if left == 0 || round.is_zero() {
            break;
        }
        faults += run_storm(&mut fleet, &ledger, Load { calls: left, time: round, clients }).await;
        fleet.wait_until_idle().await;
        history.sample(&fleet).await;
        println!(
            "{:>6.0} s, {faults} faults: {}",
            began.elapsed().as_secs_f64(),
            ledger.summary(&fleet.fixture)
        );
    }
    let (table, mut bad) = history.report();
    println!("\n{table}\n{}", ledger.summary(&fleet.fixture));
    bad.extend(ledger.faults(&fleet.fixture));
    bad
}
