//! The timeouts of a call: the longest silence between its events, and the longest time in all (docs/PROTOCOL.md, "Call
//! header").
//!
//! The proxy enforces the same two. The slave needs them for calls whose link is down, and for its own port. Must not know
//! backends or links.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use runtime::telemetry::LogContext;
use tokio::time::{Instant, sleep_until};

use crate::call::{CallEnd, CallSink, SinkClosed};

/// The timeouts of one call, counted from its start.
pub(super) struct Timeouts {
    silence: Option<Duration>,
    ends_at: Option<Instant>,
    last_event: Mutex<Instant>,
}

/// Longest time between two signs of life that go on to the proxy.
const MAX_SIGN_INTERVAL: Duration = Duration::from_secs(1);

/// A sink that records the time of each event and of each sign of life.
struct TimedSink {
    timeouts: Arc<Timeouts>,
    inner: Box<dyn CallSink>,
    /// Time between two signs of life that go on.
    sign_interval: Duration,
    /// When something last went on.
    sent: Option<Instant>,
}

impl Timeouts {
    /// Starts the timeouts of a header.
    pub(super) fn start(header: &CallHeader) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            silence: header.silence_timeout(),
            ends_at: header.total_timeout().and_then(|total| now.checked_add(total)),
            last_event: Mutex::new(now),
        })
    }

    /// Returns the sink that the call must write to, so that events start the silence anew.
    pub(super) fn observe(self: &Arc<Self>, sink: Box<dyn CallSink>) -> Box<dyn CallSink> {
        let Some(silence) = self.silence else { return sink };
        let sign_interval = MAX_SIGN_INTERVAL.min(silence / 8);
        Box::new(TimedSink { timeouts: Arc::clone(self), inner: sink, sign_interval, sent: None })
    }

    /// Resolves when one of the timeouts is over; never if there is none. Cancel-safe.
    pub(super) async fn expired(&self) {
        while let Some(due) = self.next_due() {
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
        std::future::pending::<()>().await;
    }

    fn next_due(&self) -> Option<Instant> {
        let silent_until = self.silence.and_then(|silence| self.last_event.lock().checked_add(silence));
        silent_until.into_iter().chain(self.ends_at).min()
    }

    fn record_event(&self) {
        *self.last_event.lock() = Instant::now();
    }
}

impl CallSink for TimedSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        self.timeouts.record_event();
        self.sent = Some(Instant::now());
        self.inner.event(json)
    }

    fn alive(&mut self) {
        self.timeouts.record_event();
        let now = Instant::now();
        if self.sent.is_none_or(|sent| now.duration_since(sent) >= self.sign_interval) {
            self.sent = Some(now);
            self.inner.alive();
        }
    }

    fn log_context(&self) -> Option<LogContext> {
        self.inner.log_context()
    }

    fn origin(&self) -> Option<CallId> {
        self.inner.origin()
    }

    fn end(self: Box<Self>, end: CallEnd) {
        self.inner.end(end);
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Era;
    use protocol::mcp::failure::{FailureKind, kind_in};
    use tokio::sync::oneshot;

    use super::*;
    use crate::call::testing::header;
    use crate::executor::{Executor, ExecutorConfig};

    /// A sink that passes the end on.
    struct EndSink(oneshot::Sender<CallEnd>);

    impl CallSink for EndSink {
        fn event(&mut self, _: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
            Box::pin(async { Ok(()) })
        }

        fn end(self: Box<Self>, end: CallEnd) {
            let _ = self.0.send(end);
        }
    }

    /// Runs the demo tool `sleep` for 10 s, with a progress event after each step. Returns when it ended, and how.
    async fn run_sleep(steps: u32, silence: u64, total: u64) -> (u64, Option<FailureKind>) {
        let executor =
            Executor::start(ExecutorConfig { demo_tools: true, ..ExecutorConfig::default() }).await;
        let mut header = header(Era::Legacy);
        header.set_timeouts(Duration::from_secs(silence), Duration::from_secs(total));
        let params = format!(
            r#"{{"name":"sleep","arguments":{{"seconds":10,"steps":{steps}}},"_meta":{{"progressToken":1}}}}"#
        );
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let (sink, end) = oneshot::channel();
        let began = Instant::now();
        executor.run(header, message.into(), Box::new(EndSink(sink)));
        let end = end.await.unwrap();
        (began.elapsed().as_secs(), if end.error { kind_in(&end.payload) } else { None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_with_progress_outlives_the_silence_timeout_and_not_the_total_one() {
        assert_eq!(run_sleep(10, 2, 60).await, (10, None));
        assert_eq!(run_sleep(1, 2, 60).await, (2, Some(FailureKind::Timeout)));
        assert_eq!(run_sleep(10, 2, 5).await, (5, Some(FailureKind::Timeout)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_of_0_is_no_limit() {
        assert_eq!(run_sleep(1, 0, 0).await, (10, None));
        assert_eq!(run_sleep(1, u64::MAX / 1000, u64::MAX / 1000).await, (10, None));
    }
}
