//! The executor behind the slave's own HTTP port: the same calls without a link in between.
//!
//! Must not know HTTP (that is `front`) nor links.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use front::CallOutcome;
use front::calls::{CallContext, Calls, Listing};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::link::ids::{CallId, InstanceId, Seq};
use protocol::mcp::catalog::Catalog;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;
use tokio::sync::{mpsc, oneshot, watch};

use crate::executor::{CallEnd, CallHandle, CallSink, Executor, SinkClosed};
use crate::metrics::{self, ToolMeter};

/// Events of one call that may wait for its client before the backend has to.
const EVENTS_AHEAD: usize = 8;

/// Calls straight to this slave's backends.
pub struct LocalCalls {
    executor: Executor,
    listing: watch::Receiver<Arc<Listing>>,
    running: Arc<Running>,
    instance: InstanceId,
    counter: AtomicU64,
}

impl LocalCalls {
    /// Serves `executor`. Spawns a task that follows its catalog until the executor is gone.
    pub fn new(executor: Executor) -> Self {
        let mut catalog = executor.catalog();
        let (listings, listing) = watch::channel(Arc::new(list(&catalog.borrow_and_update())));
        tokio::spawn(async move {
            while catalog.changed().await.is_ok() {
                let now = list(&catalog.borrow_and_update());
                listings.send_replace(Arc::new(now));
            }
        });
        // Without random numbers the names of two processes' calls could be the same, in logs only.
        let instance = InstanceId(getrandom::u64().unwrap_or_default());
        Self { executor, listing, running: Arc::default(), instance, counter: AtomicU64::new(1) }
    }

    /// Names a call as a proxy would: its log lines are told apart by it.
    fn subject(&self, header: &CallHeader) -> LogContext {
        let call = CallId::new(self.instance, self.counter.fetch_add(1, Ordering::Relaxed));
        LogContext::new(call.0, header.traceparent.as_deref().and_then(trace_id))
    }
}

/// The catalog as `tools/list` answers it.
fn list(catalog: &Catalog) -> Listing {
    let mut tools = BytesMut::new();
    tools.put_u8(b'[');
    for (index, tool) in catalog.tools.iter().enumerate() {
        if index > 0 {
            tools.put_u8(b',');
        }
        tools.put_slice(tool.definition.get().as_bytes());
    }
    tools.put_u8(b']');
    Listing { tools: tools.freeze(), tool_count: catalog.tools.len() }
}

impl Calls for LocalCalls {
    type Stream = LocalStream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.listing.clone()
    }

    fn call(&self, header: CallHeader, message: Bytes, _asker: CallContext<'_>) -> LocalStream {
        let (era, version) = (header.era, header.version);
        let meters = header.name.as_deref().and_then(|tool| self.executor.meters(tool));
        let subject = self.subject(&header);
        let place = self.running.enter(&header);
        let key = place.key.clone();
        let (events, ahead) = mpsc::channel(EVENTS_AHEAD);
        let (end, ended) = oneshot::channel();
        let sink = LocalSink { era, subject, events, end, seq: 0, _place: place };
        let handle = self.executor.run(header, message, Box::new(sink));
        self.running.began(key, &handle);
        LocalStream {
            era,
            version,
            meters,
            began: Instant::now(),
            events: ahead,
            end: ended,
            handle,
            over: false,
        }
    }

    fn cancel(&self, session: &str, request_id: &str) {
        self.running.cancel(|key| key.session == session && key.request_id == request_id);
    }

    fn end_session(&self, session: &str) {
        self.running.cancel(|key| key.session == session);
    }
}

/// A call as its client may name it. `number` tells two calls with the same id apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    session: String,
    request_id: String,
    number: u64,
}

/// Calls of sessions that can still be cancelled.
#[derive(Default)]
struct Running {
    /// `None` between entering and beginning.
    calls: Mutex<HashMap<Key, Option<CallHandle>>>,
    numbers: AtomicU64,
}

/// Leaves the list when dropped.
struct Place {
    running: Arc<Running>,
    key: Option<Key>,
}

impl Running {
    fn enter(self: &Arc<Self>, header: &CallHeader) -> Place {
        let key = header.session.clone().zip(header.request_id.clone()).map(|(session, request_id)| {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let key = Key { session, request_id, number };
            self.lock().insert(key.clone(), None);
            key
        });
        Place { running: Arc::clone(self), key }
    }

    /// The call may have ended before this is said: then it is not in the list any more.
    fn began(&self, key: Option<Key>, handle: &CallHandle) {
        let Some(key) = key else { return };
        if let Some(entry) = self.lock().get_mut(&key) {
            *entry = Some(handle.clone());
        }
    }

    fn cancel(&self, which: impl Fn(&Key) -> bool) {
        for (key, handle) in &*self.lock() {
            if let Some(handle) = handle.as_ref().filter(|_| which(key)) {
                handle.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Option<CallHandle>>> {
        self.calls.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.running.lock().remove(&key);
        }
    }
}

struct LocalSink {
    era: Era,
    subject: LogContext,
    events: mpsc::Sender<ResponseEvent>,
    end: oneshot::Sender<ResponseEvent>,
    seq: Seq,
    _place: Place,
}

impl CallSink for LocalSink {
    fn event(&mut self, payload: Bytes, request: bool) -> BoxFuture<'_, Result<(), SinkClosed>> {
        let part = ResponseEvent::Event { seq: self.seq, more: false, request, payload };
        self.seq += 1;
        let era = self.era;
        self.events
            .send(part)
            .map(move |sent| match (sent, era) {
                // A legacy client that is gone has not cancelled: its call runs on, unheard.
                (Ok(()), _) | (Err(_), Era::Legacy) => Ok(()),
                (Err(_), Era::Modern) => Err(SinkClosed),
            })
            .boxed()
    }

    fn subject(&self) -> Option<LogContext> {
        Some(self.subject)
    }

    fn end(self: Box<Self>, end: CallEnd) {
        let CallEnd { payload, error, tool_error, status } = end;
        let part = ResponseEvent::End { seq: self.seq, more: false, error, tool_error, status, payload };
        // Nobody hears it where the client is gone.
        let _ = self.end.send(part);
    }
}

/// What one call gives back. Dropping it cancels a modern client's call and leaves a legacy client's running.
pub struct LocalStream {
    era: Era,
    version: Version,
    /// The tool's series, if it is one of the catalog.
    meters: Option<Arc<ToolMeter>>,
    began: Instant,
    events: mpsc::Receiver<ResponseEvent>,
    end: oneshot::Receiver<ResponseEvent>,
    handle: CallHandle,
    over: bool,
}

impl Stream for LocalStream {
    type Item = ResponseEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        if self.over {
            return Poll::Ready(None);
        }
        // The sink drops both channels' ends together, so the events are through when theirs is closed.
        if let Some(event) = ready!(self.events.poll_recv(cx)) {
            return Poll::Ready(Some(event));
        }
        let end = ready!(self.end.poll_unpin(cx)).unwrap_or(ResponseEvent::Failed(Failure::Internal));
        self.over = true;
        self.count(CallOutcome::from_event(&end));
        Poll::Ready(Some(end))
    }
}

impl LocalStream {
    fn count(&self, outcome: CallOutcome) {
        metrics::record_served(self.meters.as_deref(), self.version, outcome, self.began.elapsed());
    }
}

impl Drop for LocalStream {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.count(CallOutcome::Unanswered("cancelled"));
        if self.era == Era::Modern {
            self.handle.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::ExecutorConfig;
    use crate::executor::testing::{header, within};
    use front::calls::HeaderMap;
    use futures_util::StreamExt;

    async fn calls() -> LocalCalls {
        LocalCalls::new(
            Executor::start(ExecutorConfig { demo_tools: true, ..ExecutorConfig::default() }).await,
        )
    }

    fn sleep(calls: &LocalCalls, era: Era, request_id: &str, seconds: u32) -> LocalStream {
        let mut header = header(era);
        header.session = Some("s".into());
        header.request_id = Some(request_id.into());
        let message = format!(
            r#"{{"id":{request_id},"params":{{"name":"sleep","arguments":{{"seconds":{seconds},"steps":1000}},"_meta":{{"progressToken":"p"}}}}}}"#
        );
        calls.call(header, message.into(), CallContext::nobody(&HeaderMap::new()))
    }

    #[tokio::test]
    async fn events_come_first_then_one_end() {
        let calls = calls().await;
        assert_eq!(calls.listing().borrow().tool_count, 4);
        let parts: Vec<ResponseEvent> = within(sleep(&calls, Era::Modern, "1", 0).collect()).await;
        assert_eq!(parts.len(), 1001);
        assert!(
            parts[..1000]
                .iter()
                .enumerate()
                .all(|(at, part)| matches!(part, ResponseEvent::Event { seq, .. } if *seq == at as u64))
        );
        assert!(matches!(&parts[1000], ResponseEvent::End { seq: 1000, error: false, .. }));
        assert!(calls.running.lock().is_empty());
    }

    #[tokio::test]
    async fn cancelling_ends_the_call_that_is_named() {
        let calls = calls().await;
        let (mut one, two) = (sleep(&calls, Era::Legacy, "1", 3600), sleep(&calls, Era::Legacy, "2", 0));
        calls.cancel("s", "7");
        calls.cancel("other", "1");
        within(two.collect::<Vec<_>>()).await;
        calls.cancel("s", "1");
        let parts = within(one.by_ref().collect::<Vec<_>>()).await;
        assert!(matches!(parts.last(), Some(ResponseEvent::End { error: true, .. })), "{parts:?}");
    }

    #[tokio::test]
    async fn a_reader_that_leaves_cancels_modern_calls_only() {
        let calls = calls().await;
        let gone = |calls: &LocalCalls| calls.running.lock().len();
        drop(sleep(&calls, Era::Modern, "1", 3600));
        within(async {
            while gone(&calls) > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(sleep(&calls, Era::Legacy, "2", 3600));
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gone(&calls), 1);
        calls.end_session("s");
        within(async {
            while gone(&calls) > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
