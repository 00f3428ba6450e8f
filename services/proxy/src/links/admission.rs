//! How many connections of slaves begin in a second: the rest are told early, and at little cost, when to come again.
//!
//! Not a general rate limiter: it also keeps count of whom it has sent away, so that a crowd is spread over the time
//! that it takes to let it in. Knows no WebSocket; the time is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections that are being told at once; more are closed without a word.
const MOST_TOLD: usize = 256;

/// How long one may take to read it.
const TELLING: Duration = Duration::from_secs(1);

/// Longest time to stay away, in seconds.
const LONGEST: f64 = 60.0;

/// How often the log says that slaves are sent away.
const SAY: Duration = Duration::from_secs(10);

/// A token bucket with a memory of those who got none.
pub(super) struct Admission {
    /// Connections a second; infinite: no limit.
    rate: f64,
    burst: f64,
    tokens: f64,
    /// About how many were sent away and are still to come.
    crowd: f64,
    at: Instant,
    said: Option<Instant>,
    telling: Arc<Semaphore>,
}

impl Admission {
    /// `rate` connections a second (0: no limit), and half as many at once after a quiet time.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        let rate = if rate == 0 { f64::INFINITY } else { f64::from(rate) };
        let burst = (rate / 2.0).max(1.0);
        let telling = Arc::new(Semaphore::new(MOST_TOLD));
        Self { rate, burst, tokens: burst, crowd: 0.0, at: now, said: None, telling }
    }

    /// Whether a connection may begin; if not, how many seconds it should stay away.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), u64> {
        if self.rate.is_infinite() {
            return Ok(());
        }
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.at = now;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.crowd = (self.crowd - gained).max(0.0);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        self.crowd += 1.0;
        let seconds = (self.crowd / self.rate).clamp(1.0, LONGEST).ceil();
        self.crowd = self.crowd.min(LONGEST * self.rate);
        Err(Duration::from_secs_f64(seconds).as_secs())
    }

    /// Whether it is time to say again in the log that slaves are sent away.
    pub(super) fn worth_saying(&mut self, now: Instant) -> bool {
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAY);
        if due {
            self.said = Some(now);
        }
        due
    }

    /// Tells a connection to come again, if there is somebody free to do it; closes it otherwise.
    pub(super) fn send_away(&self, stream: TcpStream, seconds: u64) {
        if let Ok(permit) = Arc::clone(&self.telling).try_acquire_owned() {
            tokio::spawn(async move {
                // Whether it is heard is the peer's affair.
                let _ = timeout(TELLING, tell(stream, seconds)).await;
                drop(permit);
            });
        }
    }
}

/// Answers before anything was read: what was asked makes no difference.
async fn tell(mut stream: TcpStream, seconds: u64) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {seconds}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
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
    fn so_many_a_second_begin_and_the_rest_are_spread() {
        let start = Instant::now();
        let mut admission = Admission::new(100, start);
        let asked: Vec<_> = (0..1050).map(|_| admission.ask(start)).collect();
        assert_eq!(asked.iter().filter(|answer| answer.is_ok()).count(), 50);
        assert_eq!((asked[50], asked[1049]), (Err(1), Err(10)));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..200).filter(|_| admission.ask(later).is_ok()).count(), 50, "the burst, not more");
        let quiet = start + Duration::from_secs(100);
        assert!(admission.ask(quiet).is_ok());
    }

    #[test]
    fn without_a_rate_all_begin() {
        let start = Instant::now();
        let mut admission = Admission::new(0, start);
        assert!((0..100_000).all(|_| admission.ask(start).is_ok()));
    }

    #[test]
    fn nobody_is_sent_away_for_longer_than_a_minute() {
        let start = Instant::now();
        let mut admission = Admission::new(1, start);
        assert!(
            (0..1000).filter_map(|_| admission.ask(start).err()).all(|seconds| (1..=60).contains(&seconds))
        );
    }

    #[test]
    fn the_log_is_not_flooded() {
        let start = Instant::now();
        let mut admission = Admission::new(1, start);
        assert!(admission.worth_saying(start) && !admission.worth_saying(start));
        assert!(admission.worth_saying(start + SAY));
    }
}
