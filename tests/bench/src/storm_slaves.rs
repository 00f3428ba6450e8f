//! Slaves that come back: many on one thread, each with the waiting times of a real one.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;

use crate::error::BenchError;
use crate::idle_slaves::IdleSlave;

/// The real slave's numbers: range of the first wait, `RECONNECT_MAX`, and how long a good link holds.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(5);
const STABLE: Duration = Duration::from_secs(10);

/// What they all write down.
#[derive(Debug, Default)]
pub(crate) struct Book {
    linked: AtomicUsize,
    handshakes: Mutex<Vec<Instant>>,
    sent_away: AtomicUsize,
}

impl Book {
    /// Slaves whose link is up.
    pub(crate) fn linked(&self) -> usize {
        self.linked.load(Ordering::Relaxed)
    }

    /// Connections that were told to come again.
    pub(crate) fn sent_away(&self) -> usize {
        self.sent_away.load(Ordering::Relaxed)
    }

    /// The moments of all handshakes since this was asked last.
    pub(crate) fn take_handshakes(&self) -> Vec<Instant> {
        std::mem::take(&mut self.handshakes.lock())
    }

    fn came(&self) {
        self.linked.fetch_add(1, Ordering::Relaxed);
        self.handshakes.lock().push(Instant::now());
    }
}

/// Keeps the `number`th slave linked until it is dropped.
pub(crate) async fn live(links: SocketAddr, number: u64, book: &Book) {
    let mut backoff = Backoff::new(BASE, CAP);
    let mut random = Random(number);
    loop {
        let mut least = Duration::ZERO;
        match IdleSlave::link(links, number).await {
            Ok(slave) => {
                book.came();
                let since = Instant::now();
                // Why it ended makes no difference: it comes back.
                let _ = slave.idle().await;
                book.linked.fetch_sub(1, Ordering::Relaxed);
                if since.elapsed() >= STABLE {
                    backoff.reset();
                }
            }
            Err(BenchError::Busy(after)) => {
                book.sent_away.fetch_add(1, Ordering::Relaxed);
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
