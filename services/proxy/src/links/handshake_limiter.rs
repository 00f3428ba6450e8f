//! How many connections of slaves begin in a second, in all and of one network: the rest are told early, and at little
//! cost, when to come again.
//!
//! In contrast to a general rate limiter this one counts whom it has rejected, so that a crowd is spread over the time
//! that it takes to let it in. Knows no WebSocket; the time is an argument.

use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::admission::{Network, unavailable};

use super::slot_table::SlotTable;

/// Longest time to stay away, in seconds.
const MAX_RETRY_SECONDS: f64 = 60.0;

/// How often the log says that slaves are rejected.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Part of the rate that one network may have. The rest is for others, also while one floods the port.
const NETWORK_PART: f64 = 0.75;

/// Connections of slaves in use that are let in beyond the rate, as a part of it.
const IN_USE_PART: f64 = 0.1;

/// Networks whose connections are remembered, at most.
const MAX_NETWORKS: usize = 4096;

/// The rate of all networks, and of each.
pub(super) struct HandshakeLimiter {
    rate: f64,
    all: Bucket,
    in_use: Bucket,
    networks: SlotTable<Bucket>,
    logged: Option<Instant>,
}

impl HandshakeLimiter {
    /// Allows `rate` connections a second (0: no limit), and half as many at once after a quiet time.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        let rate = if rate == 0 { f64::INFINITY } else { f64::from(rate) };
        let networks = SlotTable::new(if rate.is_finite() { MAX_NETWORKS } else { 1 });
        let in_use = Bucket::new(rate * IN_USE_PART, now);
        Self { rate, all: Bucket::new(rate, now), in_use, networks, logged: None }
    }

    /// Takes a token for a connection of this network; `None`: it is not known yet. `Err`: how many seconds the
    /// connection should stay away. A network that has used its part takes nothing from the others.
    pub(super) fn check(&mut self, network: Option<Network>, now: Instant) -> Result<(), u32> {
        if self.rate.is_infinite() {
            return Ok(());
        }
        if let Some(network) = network {
            self.check_network(network, now)?;
        }
        self.all.take(now)
    }

    /// Takes a token for a connection beyond the rate that says that its slave is in use. Anybody can say so: the rate of these is small,
    /// and takes nothing from the others.
    pub(super) fn check_in_use(&mut self, now: Instant) -> Result<(), u32> {
        self.in_use.take(now)
    }

    /// Takes a token of this network only: for connections that were let in before their network was known.
    pub(super) fn check_network(&mut self, network: Network, now: Instant) -> Result<(), u32> {
        if self.rate.is_infinite() {
            return Ok(());
        }
        let rate = self.rate * NETWORK_PART;
        self.networks.entry(network, || Bucket::new(rate, now)).map_or(Ok(()), |bucket| bucket.take(now))
    }

    /// Returns whether the log should say again that slaves are rejected.
    pub(super) fn should_log(&mut self, now: Instant) -> bool {
        let due = self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL);
        if due {
            self.logged = Some(now);
        }
        due
    }
}

/// Token bucket that remembers about how many connections got no token.
#[derive(Debug)]
struct Bucket {
    /// Connections a second.
    rate: f64,
    burst: f64,
    tokens: f64,
    /// About how many were rejected and are still to come.
    waiting: f64,
    updated: Instant,
}

impl Bucket {
    fn new(rate: f64, now: Instant) -> Self {
        let burst = (rate / 2.0).max(1.0);
        Self { rate, burst, tokens: burst, waiting: 0.0, updated: now }
    }

    /// Takes a token. `Err`: seconds to stay away.
    fn take(&mut self, now: Instant) -> Result<(), u32> {
        let gained = now.saturating_duration_since(self.updated).as_secs_f64() * self.rate;
        self.updated = now;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.waiting = (self.waiting - gained).max(0.0);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        self.waiting += 1.0;
        let seconds = (self.waiting / self.rate).clamp(1.0, MAX_RETRY_SECONDS).ceil();
        self.waiting = self.waiting.min(MAX_RETRY_SECONDS * self.rate);
        Err(u32::try_from(Duration::from_secs_f64(seconds).as_secs()).unwrap_or(u32::MAX))
    }
}

/// Builds the HTTP answer to a rejected connection from the table of failures: status, `Retry-After` and the JSON-RPC
/// error object.
pub(super) fn rejection(what: &str, seconds: u32) -> String {
    let failure = Failure::Busy { what: what.to_owned(), retry_after: seconds };
    unavailable(failure.spec().modern, seconds, &failure.error_object(Era::Legacy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(host: u8) -> Network {
        std::net::IpAddr::from([10, 0, 0, host]).into()
    }

    #[test]
    fn connections_over_the_rate_are_spread_over_the_time_to_come() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(100, start);
        let checked: Vec<_> = (0..1050).map(|_| limiter.check(None, start)).collect();
        assert_eq!(checked.iter().filter(|answer| answer.is_ok()).count(), 50);
        assert_eq!((checked[50], checked[1049]), (Err(1), Err(10)));
        let later = start + Duration::from_secs(1);
        assert_eq!(
            (0..200).filter(|_| limiter.check(None, later).is_ok()).count(),
            50,
            "the burst, not more"
        );
        let quiet = start + Duration::from_secs(100);
        assert!(limiter.check(None, quiet).is_ok());
    }

    #[test]
    fn a_network_that_floods_leaves_a_part_to_the_others() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(200, start);
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            let let_in = (0..10_000).filter(|_| limiter.check(Some(network(1)), now).is_ok()).count();
            assert!((74..=75).contains(&let_in), "{let_in} in second {second}");
            let others = (2..22).filter(|host| limiter.check(Some(network(*host)), now).is_ok()).count();
            assert_eq!(others, 20, "second {second}");
        }
    }

    #[test]
    fn without_a_rate_every_connection_begins() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(0, start);
        assert!((0..100_000).all(|_| limiter.check(Some(network(1)), start).is_ok()));
    }

    #[test]
    fn no_connection_is_rejected_for_longer_than_a_minute() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(1, start);
        let rejected = (0..1000).filter_map(|_| limiter.check(Some(network(1)), start).err());
        assert!(rejected.into_iter().all(|seconds| (1..=60).contains(&seconds)));
    }

    #[test]
    fn the_log_names_rejections_at_intervals() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(1, start);
        assert!(limiter.should_log(start) && !limiter.should_log(start));
        assert!(limiter.should_log(start + LOG_INTERVAL));
    }

    #[test]
    fn a_rejection_is_the_row_of_the_failure_table() {
        let answer = rejection("too many", 7);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(error["code"], Failure::Busy { what: String::new(), retry_after: 1 }.spec().code);
    }

    #[test]
    fn slaves_in_use_have_a_small_rate_of_their_own_beside_the_others() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(100, start);
        while limiter.check(None, start).is_ok() {}
        let let_in = |limiter: &mut HandshakeLimiter, now| {
            (0..1000).filter(|_| limiter.check_in_use(now).is_ok()).count()
        };
        assert_eq!(let_in(&mut limiter, start), 5, "half a second's");
        let later = start + Duration::from_millis(500);
        assert_eq!(let_in(&mut limiter, later), 5);
        assert_eq!(
            (0..200).filter(|_| limiter.check(None, later).is_ok()).count(),
            50,
            "nothing is taken from the others"
        );
    }
}
