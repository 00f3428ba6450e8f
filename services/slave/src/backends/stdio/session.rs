//! The JSON-RPC session with one running child: requests that wait for an answer, by id. Must not know processes.

use std::collections::hash_map::Entry;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use tokio::sync::{mpsc, oneshot};

use super::changed_lists::ChangedLists;
use super::child;
use super::child_log_level::ChildLogLevel;
use super::incoming::{ChildRequest, Incoming};
use super::log_readers::{LogMessage, owner, recipients};
use super::messages;
use super::request_table::{PendingRequest, RequestKind, RequestTable, Waiting};
use crate::call::CancelReason;
use crate::metrics::{self, DropReason};
use crate::splice::Pieces;

/// Messages that may wait for the child to read. A call beyond them waits; other calls go on.
const MAX_UNSENT: usize = 64;

/// Bytes of events that may wait for one call's reader. Events beyond them are dropped: the child's output is shared,
/// so one slow reader must not hold it up. A single event may be larger.
const MAX_BUFFERED_EVENTS: usize = 4 * 1024 * 1024;

/// A session, and the messages that are to be written to the child.
type NewSession = (Arc<Session>, mpsc::Receiver<Pieces>);

/// The session with one child.
pub(super) struct Session {
    /// The backend's name.
    pub(super) backend: Arc<str>,
    /// Number of the child, which may number its tasks anew; 0: of a server that is no child.
    pub(super) generation: u64,
    /// Lists of which the child says that they changed.
    pub(super) changed_lists: ChangedLists,
    /// The level of log messages that the child was told.
    pub(super) log_level: ChildLogLevel,
    outbox: mpsc::Sender<Pieces>,
    table: Mutex<RequestTable>,
    next: AtomicU64,
    legacy: AtomicBool,
    /// Another descriptor of the child's standard input, until the handshake is over.
    stdin: Mutex<Option<OwnedFd>>,
}

impl Session {
    /// Returns a session. `stdin` is another descriptor of the child's standard input, by which it is found out whether the child reads.
    pub(super) fn new(backend: Arc<str>, stdin: Option<OwnedFd>, generation: u64) -> NewSession {
        let (outbox, messages) = mpsc::channel(MAX_UNSENT);
        let session = Self {
            backend,
            generation,
            changed_lists: ChangedLists::default(),
            log_level: ChildLogLevel::default(),
            outbox,
            table: Mutex::default(),
            next: AtomicU64::new(1),
            legacy: AtomicBool::new(false),
            stdin: Mutex::new(stdin),
        };
        (Arc::new(session), messages)
    }

    /// Assigns an id to a new request and registers it. Fails if the child is gone.
    pub(super) fn begin(self: &Arc<Self>, kind: RequestKind) -> Result<OutboundRequest, Failure> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let cancellable = !matches!(kind, RequestKind::Own);
        let (incoming, arrivals) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let mut table = self.table.lock();
        if let Some(failure) = &table.closed {
            return Err(failure.clone());
        }
        table.pending.insert(id, PendingRequest { incoming, waiting: Arc::clone(&waiting), kind });
        drop(table);
        Ok(OutboundRequest {
            session: Arc::clone(self),
            id,
            cancel_reason: CancelReason::default(),
            arrivals,
            waiting,
            cancellable,
            ended: false,
            timed: None,
        })
    }

    /// Queues a message that needs no answer; drops it if the queue is full.
    pub(super) fn post(&self, message: Bytes) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbox.try_send(message.into()) {
            metrics::record_backend_drop(&self.backend, DropReason::UnreadStdin);
        }
    }

    /// Hands the answer to request `id` over. Returns false if there is no such request.
    pub(super) fn complete(&self, id: u64, answer: Incoming) -> bool {
        let table = &mut *self.table.lock();
        let Entry::Occupied(pending) = table.pending.entry(id) else {
            table.late.remove(&id);
            return false;
        };
        if !pending.get().is_known() {
            return false;
        }
        let pending = pending.remove();
        // The receiver may have been dropped in this moment.
        let _ = pending.incoming.send(answer);
        true
    }

    /// Returns whether request `id` waits for its answer.
    pub(super) fn waits(&self, id: u64) -> bool {
        self.table.lock().pending.contains_key(&id)
    }

    /// Hands the answer to the only request that waits. Returns false if none waits, or several.
    pub(super) fn complete_only(&self, answer: impl FnOnce() -> Incoming) -> bool {
        let table = &mut *self.table.lock();
        let mut waiting = table.known().filter(|(_, pending)| !matches!(pending.kind, RequestKind::Standing));
        let (Some((id, _)), None) = (waiting.next(), waiting.next()) else { return false };
        drop(waiting);
        table.pending.remove(&id).is_some_and(|pending| pending.incoming.send(answer()).is_ok())
    }

    /// Passes an event to the call whose progress token is `token`. Returns false if there is no such call.
    pub(super) fn pass_progress(&self, token: u64, event: impl FnOnce(&Bytes) -> Incoming) -> bool {
        match self.table.lock().pending.get(&token) {
            Some(pending @ PendingRequest { kind: RequestKind::Call { token: Some(client), .. }, .. })
                if pending.is_known() =>
            {
                self.push(pending, event(client));
                true
            }
            _ => false,
        }
    }

    /// Passes a log message of this level to the calls that may read it; the other calls in flight, of which it may be one's, show
    /// life. Returns false if no call got it.
    /// A message that came on the stream of request `of` is this call's alone.
    pub(super) fn pass_log(&self, line: &Bytes, level: LogLevel, of: Option<u64>) -> bool {
        let table = self.table.lock();
        let message = LogMessage { level, default: self.log_level.default_level() };
        let calls = table.calls(of);
        let recipients = recipients(calls, message);
        for (id, pending) in table.known() {
            if recipients.contains(&id) {
                self.push(pending, Incoming::Log(line.clone()));
            } else if matches!(pending.kind, RequestKind::Call { .. })
                && of.is_none_or(|of| of == id)
                && !pending.waiting.sign.swap(true, Ordering::Relaxed)
            {
                let _ = pending.incoming.send(Incoming::Alive);
            }
        }
        !recipients.is_empty()
    }

    /// Passes a notification of an extension to the call that a request of the child would be for. Returns false if there is none.
    pub(super) fn pass_extension(&self, line: &Bytes, of: Option<u64>) -> bool {
        let table = self.table.lock();
        let owner = owner(table.calls(of)).and_then(|id| table.pending.get(&id));
        owner.is_some_and(|pending| self.push(pending, Incoming::Extension(line.clone())))
    }

    /// Returns whether a call of a client is in flight.
    pub(super) fn has_calls(&self) -> bool {
        self.table.lock().calls(None).next().is_some()
    }

    /// Passes the status of a task to the newest call in flight about it; `range` is that of the task's id. Returns false if there is none.
    pub(super) fn pass_task_status(&self, line: &Bytes, id: &str, range: Range<usize>) -> bool {
        let table = self.table.lock();
        let about = table.known().filter(|(_, pending)| match &pending.kind {
            RequestKind::Call { task, .. } => task.as_deref() == Some(id),
            RequestKind::Own | RequestKind::Standing => false,
        });
        let newest = about.max_by_key(|(id, _)| *id).map(|(_, pending)| pending);
        newest.is_some_and(|pending| self.push(pending, Incoming::TaskStatus { line: line.clone(), range }))
    }

    /// Records that the child speaks the legacy era.
    pub(super) fn set_legacy(&self) {
        self.legacy.store(true, Ordering::Relaxed);
    }

    /// Returns whether the child is known to speak the legacy era.
    pub(super) fn is_legacy(&self) -> bool {
        self.legacy.load(Ordering::Relaxed)
    }

    /// Passes a request of the child to the call that it is for: that of the stream `of` where it came on one's.
    ///
    /// # Errors
    /// Why it is for none.
    pub(super) fn pass_request(&self, request: ChildRequest, of: Option<u64>) -> Result<(), &'static str> {
        let table = self.table.lock();
        let calls = table.calls(of);
        if calls.clone().next().is_none() {
            return Err("no call is in flight whose client could be asked");
        }
        let pending = owner(calls).and_then(|id| table.pending.get(&id)).ok_or(
            "calls of several clients are in flight, and the request does not say which of them is to be asked",
        )?;
        let passed = self.push(pending, Incoming::Request(request));
        if passed { Ok(()) } else { Err("too much waits for the client of the call") }
    }

    /// Tells the calls in flight that the child withdrew a request, whose id is JSON.
    pub(super) fn withdraw_request(&self, id: &Bytes) {
        for (_, pending) in self.table.lock().known() {
            if matches!(pending.kind, RequestKind::Call { .. }) {
                self.push(pending, Incoming::Withdrawn(id.clone()));
            }
        }
    }

    /// Returns whether the message was passed: it is not where too much waits.
    fn push(&self, pending: &PendingRequest, event: Incoming) -> bool {
        let size = event.size();
        let before = pending.waiting.bytes.fetch_add(size, Ordering::Relaxed);
        if before > 0 && before + size > MAX_BUFFERED_EVENTS {
            pending.waiting.bytes.fetch_sub(size, Ordering::Relaxed);
            metrics::record_backend_drop(&self.backend, DropReason::SlowReader);
            return false;
        }
        pending.incoming.send(event).is_ok()
    }

    /// Returns what resolves when the child answers this request, for which nobody waits, or is gone.
    pub(super) fn await_late_answer(&self, id: u64) -> oneshot::Receiver<()> {
        let (answered, receiver) = oneshot::channel();
        let mut table = self.table.lock();
        if table.closed.is_none() {
            table.late.insert(id, answered);
        }
        receiver
    }

    /// Waits for the answer of this request no more.
    pub(super) fn forget_late_answer(&self, id: u64) {
        self.table.lock().late.remove(&id);
    }

    /// Returns the bytes that the child has not read yet; `None` where that is not known.
    pub(super) fn unread(&self) -> Option<u64> {
        child::unread(self.stdin.lock().as_ref()?)
    }

    /// Gives up the other descriptor of the child's standard input: as long as it is open, the child's input does not end.
    pub(super) fn release_stdin(&self) {
        self.stdin.lock().take();
    }

    /// Fails all requests, those that wait and those that come later: the child is gone.
    pub(super) fn close(&self, failure: &Failure) {
        self.release_stdin();
        let table = &mut *self.table.lock();
        table.closed = Some(failure.clone());
        table.late.clear();
        for pending in std::mem::take(&mut table.pending).into_values() {
            let _ = pending.incoming.send(Incoming::Failed(failure.clone()));
        }
    }
}

/// A request to the child and the messages that arrive for it. Dropping it abandons the request; a call and a standing
/// request are cancelled at the child then.
pub(super) struct OutboundRequest {
    /// The id of the request, which serves as its progress token as well.
    pub(super) id: u64,
    /// Why the request is abandoned.
    pub(super) cancel_reason: CancelReason,
    session: Arc<Session>,
    arrivals: mpsc::UnboundedReceiver<Incoming>,
    waiting: Arc<Waiting>,
    cancellable: bool,
    ended: bool,
    /// Method and start of a request whose duration is recorded.
    timed: Option<(&'static str, Instant)>,
}

impl OutboundRequest {
    /// Records the time until the answer, from now on, under this method.
    pub(super) fn timed(mut self, method: &'static str) -> Self {
        self.timed = Some((method, Instant::now()));
        self
    }

    /// Queues the request for the child; waits while the queue is full. Fails if the child is gone.
    pub(super) async fn send(&mut self, message: impl Into<Pieces>) -> Result<(), Failure> {
        tokio::select! {
            place = self.session.outbox.reserve() => {
                let place = place.map_err(|_| Failure::BackendFailed {
                    backend: self.session.backend.to_string(),
                    reason: "it does not take requests any more".into(),
                    retry_after: None,
                })?;
                self.waiting.sent.store(true, Ordering::Release);
                place.send(message.into());
                Ok(())
            }
            // Before the request is out only the end of the child arrives.
            early = self.arrivals.recv() => Err(match early {
                Some(Incoming::Failed(failure)) => failure,
                _ => Failure::Internal,
            }),
        }
    }

    /// Returns whether the answer or a failure has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns the next message. Cancel-safe. An answer or a failure is the last one.
    pub(super) async fn next(&mut self) -> Incoming {
        let next = self.arrivals.recv().await.unwrap_or(Incoming::Failed(Failure::Internal));
        if matches!(next, Incoming::Alive) {
            self.waiting.sign.store(false, Ordering::Relaxed);
            return next;
        }
        if !next.is_last() {
            self.waiting.bytes.fetch_sub(next.size(), Ordering::Relaxed);
            return next;
        }
        self.ended = true;
        if let Some((method, sent)) = self.timed.take() {
            metrics::record_backend_request(method, next.outcome(), sent.elapsed());
        }
        next
    }
}

impl Drop for OutboundRequest {
    fn drop(&mut self) {
        let waits = self.session.table.lock().pending.remove(&self.id).is_some();
        if waits && self.cancellable && self.waiting.sent.load(Ordering::Relaxed) {
            self.session.post(messages::cancelled(self.id, self.cancel_reason.get()));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::backends::stdio::log_readers::{LogReader, LogWish};
    use crate::call::ClientRequest;

    const TASK: &str = "task-1";

    fn begin(session: &Arc<Session>) -> OutboundRequest {
        let logs =
            LogReader { client: Some("c".into()), session: None, wish: LogWish::AtLeast(LogLevel::Info) };
        let kind = RequestKind::Call { token: Some("1".into()), logs, task: Some(TASK.into()) };
        session.begin(kind).unwrap()
    }

    /// Everything that may arrive for a call of this id, and whether somebody took it. The answer comes last.
    fn arrive(session: &Session, id: u64) -> Vec<(&'static str, bool)> {
        let line = Bytes::from_static(b"{}");
        let event = |_: &Bytes| Incoming::Alive;
        let request = || ChildRequest {
            id: "1".into(),
            request: ClientRequest { method: "ping".into(), params: None },
        };
        session.withdraw_request(&"7".into());
        vec![
            ("log", session.pass_log(&line, LogLevel::Error, None)),
            ("log on a stream", session.pass_log(&line, LogLevel::Error, Some(id))),
            ("extension", session.pass_extension(&line, None)),
            ("extension on a stream", session.pass_extension(&line, Some(id))),
            ("task", session.pass_task_status(&line, TASK, 0..1)),
            ("progress", session.pass_progress(id, event)),
            ("request", session.pass_request(request(), None).is_ok()),
            ("request on a stream", session.pass_request(request(), Some(id)).is_ok()),
            ("in flight", session.has_calls()),
            ("answer", session.complete(id, Incoming::Alive)),
        ]
    }

    #[tokio::test]
    async fn what_the_child_wrote_before_it_can_have_read_a_request_does_not_concern_it() {
        let (session, mut messages) = Session::new("b".into(), None, 1);
        let mut first = begin(&session);
        assert!(
            arrive(&session, first.id).iter().all(|(_, taken)| !taken),
            "{:?}",
            arrive(&session, first.id)
        );
        assert!(!session.complete_only(|| Incoming::Alive));
        assert!(session.waits(first.id));
        first.send(Bytes::from_static(b"first")).await.unwrap();
        assert!(messages.try_recv().is_ok());
        let later = begin(&session);
        let arrived = arrive(&session, first.id);
        assert!(
            arrived.iter().all(|(_, taken)| *taken),
            "another one that waits changes nothing: {arrived:?}"
        );
        for _ in 0..9 {
            assert!(first.next().now_or_never().is_some());
        }
        assert!(session.waits(later.id));
    }

    #[tokio::test]
    async fn a_request_that_waits_for_its_place_hears_only_that_the_child_has_gone() {
        let (session, _messages) = Session::new("b".into(), None, 1);
        let mut out = Vec::new();
        for _ in 0..MAX_UNSENT {
            out.push(begin(&session));
            out.last_mut().unwrap().send(Bytes::from_static(b"x")).await.unwrap();
        }
        let mut waiting = begin(&session);
        let id = waiting.id;
        let mut send = Box::pin(waiting.send(Bytes::from_static(b"y")));
        assert!((&mut send).now_or_never().is_none(), "there is no place");
        assert!(
            session.pass_log(&Bytes::from_static(b"{}"), LogLevel::Error, None),
            "those that are sent get it"
        );
        assert!(!session.complete(id, Incoming::Alive));
        assert!((&mut send).now_or_never().is_none());
        session.close(&Failure::Cancelled);
        assert_eq!(send.await, Err(Failure::Cancelled));
    }
}
