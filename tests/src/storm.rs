//! Calls by the thousand through real processes and sockets while slaves are killed and paused and links are cut; then
//! the count of what was executed is held against what clients were told.
//!
//! Knows the program from outside only: its variables, MCP, `/metrics`.

mod calls;
mod chance;
mod faults;
mod fleet;
mod leaks;
mod ledger;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use chance::Chance;
pub use fleet::{Fleet, Size};
pub use leaks::{Courses, Sample};
pub use ledger::{Ledger, Told};

use calls::Worker;

/// Longest time that the relay may take over a call, in seconds (`REQUEST_TIMEOUT_TOTAL`).
const TOTAL: u64 = 20;

/// How long a client waits before it says that a call hangs: a proxy may have been paused meanwhile, and the machine be busy.
const HANGS: Duration = Duration::from_secs(TOTAL + 15);

/// How much is asked in one storm.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// No call begins after so many.
    pub calls: u64,
    /// No call begins after this time.
    pub time: Duration,
    /// Clients at once; every other one is a legacy one.
    pub clients: usize,
}

/// Makes calls while faults strike, until all have ended; then everything is mended. Returns how many faults there were.
pub async fn blow(fleet: &mut Fleet, ledger: &Arc<Ledger>, load: Load) -> usize {
    let (stop, stopping) = watch::channel(false);
    let end = Instant::now() + load.time;
    let most = ledger.made() + load.calls;
    let mut workers = Vec::new();
    for n in 0..load.clients {
        let worker = Worker::open(fleet, ledger, n).await;
        workers.push(tokio::spawn(worker.run(most, end)));
    }
    let faults = async {
        let count = faults::rage(fleet, &stopping).await;
        fleet.mend();
        count
    };
    let all = async {
        for worker in workers {
            worker.await.expect("a client does not panic");
        }
        stop.send_replace(true);
    };
    tokio::join!(faults, all).0
}
