//! Events that repeat: the first one of an address and second is written whole by its caller, further ones are counted
//! and written as one line at the end of the second; of a flood that goes on, after ever longer times up to half a minute.
//!
//! The number of lines is bounded whatever peers do, and totals stay exact. Must not know what the events are:
//! their [`Kind`] writes the lines.

mod table;

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::admission::Network;
use table::{Key, Table};
pub use table::{Kind, Repeats};

/// How often the counted events are looked at while there are any.
const INTERVAL: Duration = Duration::from_secs(1);

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// Records an event of a peer. `true`: the first one of this second, or the first one for a long time: the caller
/// writes it. `false`: the event was counted, and `kind` writes the count: within two seconds, of a flood
/// within half a minute. `reason` must be of a
/// bounded set. Needs a tokio runtime for the counts to be written.
pub fn is_first(kind: &'static Kind, address: Option<IpAddr>, reason: &'static str) -> bool {
    let key = Key { kind, network: address.map(Network::from), reason };
    let mut table = TABLE.lock();
    let first = table.record(key, Instant::now());
    if table.needs_writer()
        && let Ok(runtime) = Handle::try_current()
    {
        table.set_writer();
        runtime.spawn(write_counts());
    }
    first
}

/// Writes all counts now: at the end of the process.
pub fn flush() {
    let all = TABLE.lock().take_all();
    all.iter().for_each(Repeats::write);
}

/// Writes counts as they become due, until there are none.
async fn write_counts() {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (due, is_done) = {
            let mut table = TABLE.lock();
            let due = table.take_due(Instant::now());
            (due, table.dismiss_writer())
        };
        due.iter().for_each(Repeats::write);
        if is_done {
            return;
        }
    }
}
