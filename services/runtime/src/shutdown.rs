//! Stopping in two stages: first drain, then, when the grace is over, end.
//!
//! Knows nothing of what is drained.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Signals so soon after the first are the same request: `timeout`, shells and init programs that signal a whole
/// process group deliver it twice.
const ECHO: Duration = Duration::from_millis(500);

/// The two stages, shared by everything that must stop. Clones are the same shutdown.
#[derive(Clone, Debug)]
pub struct Shutdown {
    drain: CancellationToken,
    end: CancellationToken,
    grace: Duration,
}

impl Shutdown {
    /// A shutdown that nobody has begun; `grace` lies between the two stages. Needs a tokio runtime.
    pub fn new(grace: Duration) -> Self {
        let shutdown = Self { drain: CancellationToken::new(), end: CancellationToken::new(), grace };
        tokio::spawn(shutdown.clone().count_down());
        shutdown
    }

    /// Begins at SIGTERM or SIGINT; a second signal ends the grace at once.
    pub fn on_signals(grace: Duration) -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new(grace);
        tokio::spawn(shutdown.clone().obey(terminate, interrupt));
        Ok(shutdown)
    }

    /// First stage: take nothing new, tell peers, finish what runs. Repeating it changes nothing.
    pub fn begin(&self) {
        self.drain.cancel();
    }

    /// Second stage at once: give up what still runs.
    pub fn end_now(&self) {
        self.drain.cancel();
        self.end.cancel();
    }

    /// Whether the first stage was begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits for the first stage. Cancel safe.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits until the grace is over (or a second signal came). Cancel safe.
    pub async fn grace_over(&self) {
        self.end.cancelled().await;
    }

    /// How long lies between the stages.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// For code that wants a token of the first stage.
    pub fn drain_token(&self) -> &CancellationToken {
        &self.drain
    }

    /// For code that wants a token of the second stage.
    pub fn end_token(&self) -> &CancellationToken {
        &self.end
    }

    async fn count_down(self) {
        self.drain.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(self.grace) => self.end.cancel(),
            () = self.end.cancelled() => {}
        }
    }

    async fn obey(self, mut terminate: Signal, mut interrupt: Signal) {
        let first = wait(&mut terminate, &mut interrupt).await;
        tracing::info!(
            "{first} received: draining, at most {} s; a second signal ends at once",
            self.grace.as_secs_f64()
        );
        self.begin();
        let begun = Instant::now();
        let second = loop {
            let name = wait(&mut terminate, &mut interrupt).await;
            if begun.elapsed() >= ECHO {
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
    async fn ending_now_skips_the_grace() {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        let start = tokio::time::Instant::now();
        shutdown.end_now();
        shutdown.draining().await;
        shutdown.grace_over().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
