//! Simulated slaves that reconnect, many on one thread, each with the backoff of a real slave.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;

use crate::error::BenchError;
use crate::idle_slaves::IdleSlave;

/// Backoff of a real slave: range of the first wait, `RECONNECT_MAX`, and the time after which a link counts as stable.
const BACKOFF_BASE: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(5);
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Counters of all slaves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    linked: AtomicUsize,
    handshakes: Mutex<Vec<Instant>>,
    rejected: AtomicUsize,
}

impl Counters {
    /// Slaves whose link is up.
    pub(crate) fn linked(&self) -> usize {
        self.linked.load(Ordering::Relaxed)
    }

    /// Connections that were rejected with a `Retry-After`.
    pub(crate) fn rejected(&self) -> usize {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Takes the times of all handshakes since the last call.
    pub(crate) fn take_handshakes(&self) -> Vec<Instant> {
        std::mem::take(&mut self.handshakes.lock())
    }

    fn record_handshake(&self) {
        self.linked.fetch_add(1, Ordering::Relaxed);
        self.handshakes.lock().push(Instant::now());
    }
}

/// Keeps the `number`th slave linked until it is dropped.
pub(crate) async fn keep_linked(links: SocketAddr, number: u64, counters: &Counters) {
    let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP);
    let mut random = Random(number);
    loop {
        let mut least = Duration::ZERO;
        match IdleSlave::link(links, number).await {
            Ok(slave) => {
                counters.record_handshake();
                let since = Instant::now();
                // The slave reconnects whatever the reason.
                let _ = slave.idle().await;
                counters.linked.fetch_sub(1, Ordering::Relaxed);
                if since.elapsed() >= STABLE_AFTER {
                    backoff.reset();
                }
            }
            Err(BenchError::Busy(after)) => {
                counters.rejected.fetch_add(1, Ordering::Relaxed);
                least = after;
            }
            Err(_) => {}
        }
        tokio::time::sleep(least + backoff.next(random.next())).await;
    }
}

/// `SplitMix64`: each slave has its own sequence, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
