//! Shutdown in two stages: drain, then end when the grace period is over. A delay may come before both. Must not know what
//! is drained.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long after the first signal further ones count as the same request: `timeout`, shells and init programs that
/// signal a whole process group deliver a signal twice.
const REPEAT_SIGNAL_GRACE: Duration = Duration::from_millis(500);

/// The shutdown of a process, and whether the process serves before it. Clones share its state.
#[derive(Clone, Debug)]
pub struct Shutdown {
    serving: CancellationToken,
    announced: CancellationToken,
    drain: CancellationToken,
    end: CancellationToken,
    grace: Duration,
}

impl Shutdown {
    /// A shutdown that has not begun. `grace` is the time between its stages. Must be called in a tokio runtime.
    pub fn new(grace: Duration) -> Self {
        let token = CancellationToken::new;
        let shutdown = Self { serving: token(), announced: token(), drain: token(), end: token(), grace };
        tokio::spawn(shutdown.clone().count_down());
        shutdown
    }

    /// A shutdown that SIGTERM or SIGINT announces and that begins `delay` later. A second signal ends delay and grace at
    /// once.
    pub fn on_signals(delay: Duration, grace: Duration) -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new(grace);
        tokio::spawn(shutdown.clone().run_until_signal(terminate, interrupt, delay));
        Ok(shutdown)
    }

    /// Marks the process as serving: its ports are open.
    pub fn set_serving(&self) {
        self.serving.cancel();
    }

    /// Waits until the process serves. Cancel safe.
    pub async fn serving(&self) {
        self.serving.cancelled().await;
    }

    /// Begins the first stage: no new work is taken, and running work finishes. Without effect if it has begun.
    pub fn begin(&self) {
        self.announced.cancel();
        self.drain.cancel();
    }

    /// Begins the second stage: running work is given up.
    pub fn end_now(&self) {
        self.announced.cancel();
        self.drain.cancel();
        self.end.cancel();
    }

    /// Announces the first stage: the process is unready from now on, but still takes work.
    pub fn announce(&self) {
        self.announced.cancel();
    }

    /// Waits for the announcement of the shutdown. Cancel safe.
    pub async fn announced(&self) {
        self.announced.cancelled().await;
    }

    /// Whether the shutdown is announced: the process is not ready.
    pub fn is_announced(&self) -> bool {
        self.announced.is_cancelled()
    }

    /// Whether the first stage has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits for the first stage. Cancel safe.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits for the second stage: the grace is over, or a second signal came. Cancel safe.
    pub async fn grace_over(&self) {
        self.end.cancelled().await;
    }

    /// Returns the time between the stages.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Returns the token of the first stage.
    pub fn drain_token(&self) -> &CancellationToken {
        &self.drain
    }

    /// Returns the token of the second stage.
    pub fn end_token(&self) -> &CancellationToken {
        &self.end
    }

    async fn begin_after(self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => self.begin(),
            () = self.drain.cancelled() => {}
        }
    }

    async fn count_down(self) {
        self.drain.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(self.grace) => self.end.cancel(),
            () = self.end.cancelled() => {}
        }
    }

    async fn run_until_signal(self, mut terminate: Signal, mut interrupt: Signal, delay: Duration) {
        let first = wait(&mut terminate, &mut interrupt).await;
        let (begun, grace) = (Instant::now(), self.grace.as_secs_f64());
        if delay.is_zero() {
            tracing::info!("{first} received: draining, at most {grace} s; a second signal ends at once");
            self.begin();
        } else {
            let delay_s = delay.as_secs_f64();
            tracing::info!(
                "{first} received: unready, draining in {delay_s} s, at most {grace} s; a second signal ends at once"
            );
            self.announce();
            tokio::spawn(self.clone().begin_after(delay));
        }
        let second = loop {
            let name = wait(&mut terminate, &mut interrupt).await;
            if begun.elapsed() >= REPEAT_SIGNAL_GRACE {
                break name;
            }
        };
        tracing::warn!("{second} received again: ending at once");
        self.end_now();
    }
}

async fn wait(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_grace_lies_between_the_stages() {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        assert!(!shutdown.is_draining());
        shutdown.begin();
        shutdown.draining().await;
        let start = tokio::time::Instant::now();
        shutdown.grace_over().await;
        let waited = start.elapsed();
        assert!((30..31).contains(&waited.as_secs()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_lies_between_unready_and_the_first_stage() {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        shutdown.announce();
        tokio::spawn(shutdown.clone().begin_after(Duration::from_secs(5)));
        assert!(shutdown.is_announced() && !shutdown.is_draining());
        let start = tokio::time::Instant::now();
        shutdown.draining().await;
        assert_eq!(start.elapsed().as_secs(), 5);
        shutdown.grace_over().await;
        assert!(start.elapsed().as_secs() >= 35);
    }

    #[tokio::test(start_paused = true)]
    async fn ending_now_skips_the_grace() {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        let start = tokio::time::Instant::now();
        shutdown.end_now();
        shutdown.draining().await;
        shutdown.grace_over().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
