//! Storms: thousands of calls through real processes and sockets while slaves are killed and paused and links are cut; then
//! the executions are compared with the results at the clients.
//!
//! Knows the program from outside only: its variables, MCP, `/metrics`.

mod calls;
mod faults;
mod fleet;
mod leaks;
mod ledger;
mod rng;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use fleet::{Fleet, Size};
pub use leaks::{ResourceHistory, Sample};
pub use ledger::{CallResult, Ledger};
pub use rng::Rng;

use calls::Worker;

/// `REQUEST_TIMEOUT_TOTAL` of the proxies, in seconds.
const TOTAL_TIMEOUT: u64 = 20;

/// Time after which a call counts as hanging; includes pauses of the proxy and the load of the machine.
const HANG_TIMEOUT: Duration = Duration::from_secs(TOTAL_TIMEOUT + 15);

/// Load of one storm.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Most calls.
    pub calls: u64,
    /// Time within which calls begin.
    pub time: Duration,
    /// Concurrent clients; every second one is legacy.
    pub clients: usize,
}

/// Makes calls under faults until all have ended, removes the faults and returns their number.
pub async fn run_storm(fleet: &mut Fleet, ledger: &Arc<Ledger>, load: Load) -> usize {
    let (stop, stopping) = watch::channel(false);
    let end = Instant::now() + load.time;
    let most = ledger.made() + load.calls;
    let mut workers = Vec::new();
    for n in 0..load.clients {
        let worker = Worker::open(fleet, ledger, n).await;
        workers.push(tokio::spawn(worker.run(most, end)));
    }
    let faults = async {
        let count = faults::inject_all(fleet, &stopping).await;
        fleet.repair();
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
