//! How many connections of slaves begin in a second: the rest are told early, and at little cost, when to come again.
//!
//! In contrast to a general rate limiter this one counts whom it has rejected, so that a crowd is spread over the time
//! that it takes to let it in. Knows no WebSocket; the time is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::failure::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Rejections that are being written at once; further connections are closed without an answer.
const MAX_REJECTING: usize = 256;

/// How long the peer may take to read a rejection.
const REJECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest time to stay away, in seconds.
const MAX_RETRY_SECONDS: f64 = 60.0;

/// How often the log says that slaves are rejected.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Token bucket that remembers about how many connections got no token.
pub(super) struct HandshakeLimiter {
    /// Connections a second; infinite: no limit.
    rate: f64,
    burst: f64,
    tokens: f64,
    /// About how many were rejected and are still to come.
    waiting: f64,
    updated: Instant,
    logged: Option<Instant>,
    rejecting: Arc<Semaphore>,
}

impl HandshakeLimiter {
    /// Allows `rate` connections a second (0: no limit), and half as many at once after a quiet time.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        let rate = if rate == 0 { f64::INFINITY } else { f64::from(rate) };
        let burst = (rate / 2.0).max(1.0);
        let rejecting = Arc::new(Semaphore::new(MAX_REJECTING));
        Self { rate, burst, tokens: burst, waiting: 0.0, updated: now, logged: None, rejecting }
    }

    /// Takes a token for a connection. `Err`: how many seconds it should stay away.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), u32> {
        if self.rate.is_infinite() {
            return Ok(());
        }
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

    /// Returns whether the log should say again that slaves are rejected.
    pub(super) fn should_log(&mut self, now: Instant) -> bool {
        let due = self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL);
        if due {
            self.logged = Some(now);
        }
        due
    }

    /// Tells a connection to come again in so many seconds; closes it at once where too many are being told.
    pub(super) fn reject(&self, stream: TcpStream, seconds: u32) {
        if let Ok(permit) = Arc::clone(&self.rejecting).try_acquire_owned() {
            tokio::spawn(async move {
                // Whether the peer reads the answer makes no difference here.
                let _ = timeout(REJECT_TIMEOUT, send_rejection(stream, seconds)).await;
                drop(permit);
            });
        }
    }
}

/// Builds the HTTP answer from the table of failures: status, `Retry-After` and the JSON-RPC error object.
fn rejection(seconds: u32) -> String {
    let what = "slaves connect faster than HANDSHAKE_RATE".to_owned();
    let failure = Failure::Busy { what, retry_after: seconds };
    let status = failure.spec().modern;
    let body = failure.error_object();
    format!(
        "HTTP/1.1 {status} Service Unavailable\r\nRetry-After: {seconds}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers before anything was read: what was asked makes no difference.
async fn send_rejection(mut stream: TcpStream, seconds: u32) -> std::io::Result<()> {
    stream.write_all(rejection(seconds).as_bytes()).await?;
    stream.shutdown().await?;
    // A socket that is dropped with something unread resets the connection, and the answer with it.
    let mut rest = [0; 512];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_over_the_rate_are_spread_over_the_time_to_come() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(100, start);
        let checked: Vec<_> = (0..1050).map(|_| limiter.check(start)).collect();
        assert_eq!(checked.iter().filter(|answer| answer.is_ok()).count(), 50);
        assert_eq!((checked[50], checked[1049]), (Err(1), Err(10)));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..200).filter(|_| limiter.check(later).is_ok()).count(), 50, "the burst, not more");
        let quiet = start + Duration::from_secs(100);
        assert!(limiter.check(quiet).is_ok());
    }

    #[test]
    fn without_a_rate_every_connection_begins() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(0, start);
        assert!((0..100_000).all(|_| limiter.check(start).is_ok()));
    }

    #[test]
    fn no_connection_is_rejected_for_longer_than_a_minute() {
        let start = Instant::now();
        let mut limiter = HandshakeLimiter::new(1, start);
        assert!(
            (0..1000).filter_map(|_| limiter.check(start).err()).all(|seconds| (1..=60).contains(&seconds))
        );
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
        let answer = rejection(7);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(error["code"], Failure::Busy { what: String::new(), retry_after: 1 }.spec().code);
    }
}
