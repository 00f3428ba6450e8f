//! The executor as `front` calls it. Must not know HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use front::Introduction;
use front::calls::{CallContext, Calls, Completeness, EntryListing, Listing, Updates};
use protocol::hex::hex;
use protocol::link::header::{CallHeader, CallSpot, Purpose};
use protocol::link::ids::{CallId, InstanceId};
use protocol::mcp::catalog::ListKind;
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::trace_context::trace_id;
use runtime::call_lines;
use runtime::telemetry::LogContext;
use tokio::sync::{mpsc, oneshot, watch};

use super::session_calls::SessionCalls;
use super::sink::LocalSink;
use super::stream::LocalStream;
use super::updates::updates;
use crate::executor::{Executor, Offer};

/// Events of one call that may wait for its client before the backend has to wait.
const MAX_WAITING_EVENTS: usize = 8;

/// The calls that come to the slave's own port.
pub struct LocalCalls {
    executor: Executor,
    listing: watch::Receiver<Arc<Listing>>,
    running: Arc<SessionCalls>,
    instance: InstanceId,
    next_call: AtomicU64,
}

impl LocalCalls {
    /// Serves `executor`. Spawns a task that follows its catalog until the executor is gone.
    pub fn new(executor: Executor) -> Self {
        let mut offer = executor.offer();
        let (listings, listing) = watch::channel(Arc::new(listing_of(&offer.borrow_and_update())));
        tokio::spawn(async move {
            while offer.changed().await.is_ok() {
                let now = listing_of(&offer.borrow_and_update());
                listings.send_if_modified(|before| Listing::replace(before, now));
            }
        });
        // Without random numbers calls of two processes could have the same ids, which only logs show.
        let instance = InstanceId(getrandom::u64().unwrap_or_default());
        Self { executor, listing, running: Arc::default(), instance, next_call: AtomicU64::new(1) }
    }

    /// Returns an id as a proxy would give it, and the context of the call's log lines with it.
    fn log_context(&self, header: &CallHeader) -> (CallId, LogContext) {
        let call = CallId::new(self.instance, self.next_call.fetch_add(1, Ordering::Relaxed));
        let context = LogContext::new(call.0, header.traceparent.as_deref().and_then(trace_id));
        (call, context.with_lines(call_lines::begin(Instant::now())))
    }
}

/// Returns the offer as the list methods answer it.
fn listing_of(offer: &Offer) -> Listing {
    let catalog = offer.catalog();
    let lists = ListKind::ALL.map(|kind| {
        let entries = EntryArray::owned(offer.backends.iter().flat_map(|backend| backend.entries(kind)));
        EntryListing { entries, hints: catalog.hints[kind as usize] }
    });
    let servers = catalog.servers.iter().map(|server| (server.backend.as_str(), &*server.facts));
    Listing {
        lists,
        introduction: Introduction::of(servers),
        completeness: if offer.state.complete { Completeness::Complete } else { Completeness::Incomplete },
        access: None,
        is_personal: false,
    }
}

impl Calls for LocalCalls {
    type Stream = LocalStream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.listing.clone()
    }

    fn call(&self, mut header: CallHeader, message: Bytes, context: CallContext<'_>) -> LocalStream {
        identify(&mut header, &context);
        let (era, version) = (header.era, header.version);
        let meters = header.name.as_deref().and_then(|tool| self.executor.meters(tool));
        let (call, log_context) = self.log_context(&header);
        if let Some(place) = &header.place {
            let id = call.0;
            place.set(move || Some(CallSpot { label: None, call: hex(&id.to_be_bytes()) }));
        }
        let retention = self.executor.retention();
        let retained = retention.begin(call, &header).map(|retained| (Arc::clone(retention), retained));
        let (has_retained, place) = (retained.is_some(), header.place.take());
        let guard = self.running.add(&header);
        let key = guard.key();
        let (events, event_receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let (end, end_receiver) = oneshot::channel();
        let sink = LocalSink { era, log_context, events, end, seq: 0, retained, _guard: guard };
        let handle = match header.purpose {
            Purpose::Resume { .. } => retention.resume(&header, Box::new(sink)),
            _ => self.executor.run(header, message, Box::new(sink)),
        };
        self.running.set_handle(key, &handle);
        LocalStream {
            era,
            version,
            meters,
            started: Instant::now(),
            events: event_receiver,
            end: end_receiver,
            handle,
            finished: false,
            retained: has_retained.then(|| (Arc::clone(retention), call)),
            place,
        }
    }

    fn cancel(&self, session: &str, request_id: &str, reason: Option<&str>) {
        self.running.cancel(|key| key.session == session && key.request_id == request_id, reason);
    }

    fn set_log_level(&self, session: &str, level: LogLevel) {
        self.executor.set_log_level(session, level);
    }

    fn notify(&self, session: &str, message: &Bytes) {
        self.executor.notify(session, message);
    }

    fn end_session(&self, session: &str) {
        self.executor.end_session(session);
        self.running.cancel(|key| key.session == session, None);
    }

    fn updates(&self, mut header: CallHeader, message: Bytes, context: CallContext<'_>) -> Updates {
        identify(&mut header, &context);
        let (sink, stream) = updates();
        Box::pin(stream(self.executor.run(header, message, Box::new(sink))))
    }
}

/// Writes into a header who the client is, as a proxy does.
fn identify(header: &mut CallHeader, context: &CallContext<'_>) {
    header.identity = context.credential.identity();
    // The digests of proxies have no space in them.
    header.client = context.client(header.session.as_deref()).map(|client| format!("own port, {client}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::testing::{header, within};
    use crate::executor::ExecutorConfig;
    use front::calls::HeaderMap;
    use futures_util::StreamExt;
    use protocol::link::call::ResponseEvent;
    use protocol::mcp::era::Era;

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
        calls.call(header, message.into(), CallContext::anonymous(&HeaderMap::new()))
    }

    #[tokio::test]
    async fn events_come_before_exactly_one_end() {
        let calls = calls().await;
        assert_eq!(calls.listing().borrow().list(ListKind::Tools).entries.len(), 4);
        let events: Vec<ResponseEvent> = within(sleep(&calls, Era::Modern, "1", 0).collect()).await;
        assert_eq!(events.len(), 1001);
        assert!(
            events[..1000]
                .iter()
                .enumerate()
                .all(|(at, event)| matches!(event, ResponseEvent::Event { seq, .. } if *seq == at as u64))
        );
        assert!(matches!(&events[1000], ResponseEvent::End { seq: 1000, error: false, .. }));
        assert!(calls.running.len() == 0);
    }

    #[tokio::test]
    async fn only_the_named_call_is_cancelled() {
        let calls = calls().await;
        let (mut one, two) = (sleep(&calls, Era::Legacy, "1", 3600), sleep(&calls, Era::Legacy, "2", 0));
        calls.cancel("s", "7", None);
        calls.cancel("other", "1", None);
        within(two.collect::<Vec<_>>()).await;
        calls.cancel("s", "1", None);
        let events = within(one.by_ref().collect::<Vec<_>>()).await;
        assert!(matches!(events.last(), Some(ResponseEvent::End { error: true, .. })), "{events:?}");
    }

    #[tokio::test]
    async fn a_client_that_disconnects_cancels_only_modern_calls() {
        let calls = calls().await;
        drop(sleep(&calls, Era::Modern, "1", 3600));
        within(async {
            while calls.running.len() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(sleep(&calls, Era::Legacy, "2", 3600));
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(calls.running.len(), 1);
        calls.end_session("s");
        within(async {
            while calls.running.len() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
