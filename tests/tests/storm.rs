//! A bounded storm on the built binary: what `make soak` does for longer. By itself, so that nothing waits beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use harness::storm::{Fleet, Ledger, Load, Size, run_storm};

/// Calls that are made at most.
const CALLS: u64 = 5000;

/// Time in which they begin, at most: slow machines make fewer.
const TIME: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_executed_twice_answered_wrongly_or_left_hanging_whatever_is_cut_killed_or_paused() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let ledger = Arc::new(Ledger::new(seed));
    let mut fleet = Fleet::start(seed, Size { proxies: 2, slaves: 4 }).await;
    let load = Load { calls: CALLS, time: TIME, clients: 32 };
    let struck = run_storm(&mut fleet, &ledger, load).await;
    fleet.wait_until_idle().await;
    let summary = format!("SEED={seed}, {struck} faults: {}", ledger.summary(&fleet.fixture));
    println!("{summary}");
    let faults = ledger.faults(&fleet.fixture);
    assert!(faults.is_empty(), "{summary}\n{}", faults.join("\n"));
    let answered = ledger.counts().get("answered").copied().unwrap_or(0);
    assert!(answered * 2 > ledger.made(), "most calls are to be answered: {summary}");
}
