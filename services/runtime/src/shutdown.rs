//! Stopping in two stages: first drain, then, when the grace is over, end. Before them a delay may announce it.
//!
//! Knows nothing of what is drained.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Signals so soon after the first are the same request: `timeout`, shells and init programs that signal a whole
/// process group deliver it twice.
const REPEAT_SIGNAL_GRACE: Duration = Duration::from_millis(500);

/// The two stages, shared by everything that must stop. Clones are the same shutdown.
#[derive(Clone, Debug)]
pub struct Shutdown {
    leave: CancellationToken,
    drain: CancellationToken,
    end: CancellationToken,
    grace: Duration,
}

impl Shutdown {
    /// A shutdown that nobody has begun; `grace` lies between the two stages. Needs a tokio runtime.
    pub fn new(grace: Duration) -> Self {
        let token = CancellationToken::new;
        let shutdown = Self { leave: token(), drain: token(), end: token(), grace };
        tokio::spawn(shutdown.clone().count_down());
        shutdown
    }

    /// Announced at SIGTERM or SIGINT, begun `delay` later; a second signal ends the delay and the grace at once.
    pub fn on_signals(delay: Duration, grace: Duration) -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new(grace);
        tokio::spawn(shutdown.clone().obey((terminate, interrupt), delay));
        Ok(shutdown)
    }

    /// First stage: take nothing new, tell peers, finish what runs. Repeating it changes nothing.
    pub fn begin(&self) {
        self.leave.cancel();
        self.drain.cancel();
    }

    /// Second stage at once: give up what still runs.
    pub fn end_now(&self) {
        self.leave.cancel();
        self.drain.cancel();
        self.end.cancel();
    }

    /// Announces the first stage: unready from now on, while work is still taken.
    pub fn announce(&self) {
        self.leave.cancel();
    }

    /// Whether this process is about to go: readiness ends here.
    pub fn is_leaving(&self) -> bool {
        self.leave.is_cancelled()
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

    async fn obey(self, (mut terminate, mut interrupt): (Signal, Signal), delay: Duration) {
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
        assert!(shutdown.is_leaving() && !shutdown.is_draining());
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
