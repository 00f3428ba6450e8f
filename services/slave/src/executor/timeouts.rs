//! The timeouts of a call: the longest silence between its events, and the longest time in all (docs/PROTOCOL.md, "Call
//! header").
//!
//! The proxy enforces the same two. The slave needs them for calls whose link is down, and for its own port. Must not know
//! backends or links.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use protocol::mcp::failure::Failure;
use runtime::telemetry::LogContext;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::bridge::CallTimers;
use crate::call::{CallEnd, CallSink, ClientRequest, PendingAnswer, SinkClosed};

/// Longest time between two signs of life that are passed on.
const MAX_SIGN_INTERVAL: Duration = Duration::from_secs(1);

/// Signs of life that are passed on within the silence timeout at least.
const MIN_SIGNS: u32 = 10;

/// The timeouts of one call, counted from its start.
pub(super) struct Timeouts {
    times: Mutex<Times>,
    /// Notified when the times change; there for calls that may be parked.
    changed: OnceLock<Notify>,
}

/// What the timeouts are at the moment.
struct Times {
    silence: Option<Duration>,
    ends_at: Option<Instant>,
    last_event: Instant,
}

impl Times {
    fn of(header: &CallHeader) -> Self {
        let now = Instant::now();
        Self {
            silence: header.silence_timeout(),
            ends_at: header.total_timeout().and_then(|total| now.checked_add(total)),
            last_event: now,
        }
    }
}

/// A sink that records the time of each event and sign of life.
struct TimedSink {
    timeouts: Arc<Timeouts>,
    /// When the last sign of life was passed on.
    last_sign: Option<Instant>,
    inner: Box<dyn CallSink>,
}

impl Timeouts {
    /// Starts the timeouts of a header.
    pub(super) fn start(header: &CallHeader) -> Arc<Self> {
        Arc::new(Self { times: Mutex::new(Times::of(header)), changed: OnceLock::new() })
    }

    /// Returns the sink that the call must write to, so that events start the silence anew.
    pub(super) fn observe(self: &Arc<Self>, sink: Box<dyn CallSink>) -> Box<dyn CallSink> {
        if self.times.lock().silence.is_none() {
            return sink;
        }
        Box::new(TimedSink { timeouts: Arc::clone(self), last_sign: None, inner: sink })
    }

    /// Resolves when one of the timeouts is over; never if there is none. Cancel-safe.
    pub(super) async fn expired(&self) {
        loop {
            let due = self.next_due();
            if due.is_some_and(|due| due <= Instant::now()) {
                return;
            }
            let over = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            match self.changed.get() {
                // A permit is kept for a change that comes before this waits.
                Some(changed) => tokio::select! { () = over => {}, () = changed.notified() => {} },
                None => over.await,
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let times = self.times.lock();
        let silent_until = times.silence.and_then(|silence| times.last_event.checked_add(silence));
        silent_until.into_iter().chain(times.ends_at).min()
    }

    /// Returns the time between two signs of life that are passed on: so long that a talkative backend costs the link
    /// nothing, and so short that the other end does not give up between two.
    fn sign_interval(&self) -> Duration {
        let silence = self.times.lock().silence;
        silence.map_or(MAX_SIGN_INTERVAL, |silence| MAX_SIGN_INTERVAL.min(silence / MIN_SIGNS))
    }

    fn record_event(&self) {
        self.times.lock().last_event = Instant::now();
    }

    fn set(&self, times: Times) {
        *self.times.lock() = times;
        if let Some(changed) = self.changed.get() {
            changed.notify_one();
        }
    }
}

impl CallTimers for Timeouts {
    fn may_pause(&self) {
        self.changed.get_or_init(Notify::new);
    }

    fn pause(&self) {
        self.set(Times { silence: None, ends_at: None, last_event: Instant::now() });
    }

    fn restart(&self, header: &CallHeader) {
        self.set(Times::of(header));
    }

    fn on_event(&self) {
        self.record_event();
    }
}

impl CallSink for TimedSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        self.timeouts.record_event();
        self.inner.event(json)
    }

    fn alive(&mut self) {
        self.timeouts.record_event();
        let now = Instant::now();
        if self.last_sign.is_none_or(|last| now.duration_since(last) >= self.timeouts.sign_interval()) {
            self.last_sign = Some(now);
            self.inner.alive();
        }
    }

    fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        self.inner.ask(request)
    }

    fn request(&mut self, json: Bytes) -> Result<(), SinkClosed> {
        self.inner.request(json)
    }

    fn label(&self) -> Option<Arc<str>> {
        self.inner.label()
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

    /// Runs the demo tool `sleep` for 10 s, with a progress event after each step if there is a token. Returns when it
    /// ended, and how.
    async fn run_sleep_with(token: &str, steps: u32, silence: u64, total: u64) -> (u64, Option<FailureKind>) {
        let executor =
            Executor::start(ExecutorConfig { demo_tools: true, ..ExecutorConfig::default() }).await;
        let mut header = header(Era::Legacy);
        header.set_timeouts(Duration::from_secs(silence), Duration::from_secs(total));
        let params =
            format!(r#"{{"name":"sleep","arguments":{{"seconds":10,"steps":{steps}}},"_meta":{{{token}}}}}"#);
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

    async fn run_sleep(steps: u32, silence: u64, total: u64) -> (u64, Option<FailureKind>) {
        run_sleep_with(r#""progressToken":1"#, steps, silence, total).await
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_count_though_the_client_asked_for_no_progress() {
        assert_eq!(run_sleep_with("", 10, 2, 60).await, (10, None));
        assert_eq!(run_sleep_with("", 4, 2, 60).await, (2, Some(FailureKind::Timeout)));
        assert_eq!(run_sleep_with("", 10, 2, 5).await, (5, Some(FailureKind::Timeout)));
    }

    /// A sink that counts signs of life.
    #[derive(Default, Clone)]
    struct SignSink(Arc<Mutex<Vec<Instant>>>);

    impl CallSink for SignSink {
        fn event(&mut self, _: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
            Box::pin(async { Ok(()) })
        }

        fn alive(&mut self) {
            self.0.lock().push(Instant::now());
        }

        fn end(self: Box<Self>, _: CallEnd) {}
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_are_passed_on_neither_too_often_nor_too_rarely() {
        for (silence, rest) in [(300_000, 1000), (5000, 500), (1000, 100)] {
            let mut header = header(Era::Legacy);
            header.set_timeouts(Duration::from_millis(silence), Duration::ZERO);
            let signs = SignSink::default();
            let mut sink = Timeouts::start(&header).observe(Box::new(signs.clone()));
            for _ in 0..1000 {
                sink.alive();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let signs = signs.0.lock().clone();
            let pauses = signs.windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
            assert!(pauses.clone().all(|pause| (rest..rest + 20).contains(&pause)), "{silence}");
            assert!(pauses.count() >= 9, "{silence}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_of_0_is_no_limit() {
        assert_eq!(run_sleep(1, 0, 0).await, (10, None));
        assert_eq!(run_sleep(1, u64::MAX / 1000, u64::MAX / 1000).await, (10, None));
    }
}
