//! The conversation with one running child: who waits for which id, and what is on its way in. Must not know processes.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use tokio::sync::{Notify, mpsc};

use super::incoming::Incoming;
use super::messages;
use crate::metrics::{self, DropReason};

/// Messages that may wait for the child to read. A call beyond them waits, and only that call.
const OUTBOX: usize = 64;

/// Bytes of events that may wait for one call's reader. Beyond them events are dropped: the child's output is shared,
/// so one slow reader must not hold it up. A single event may be larger.
const AHEAD: usize = 4 * 1024 * 1024;

/// Whose request it is.
pub(super) enum Kind {
    /// Ours: probing, listing.
    Own,
    /// A client's call.
    Call {
        /// The client's progress token as it stands, if it wants progress.
        token: Option<Bytes>,
        /// Whether log messages may go to it.
        logs: bool,
    },
}

struct Pending {
    incoming: mpsc::UnboundedSender<Incoming>,
    ahead: Arc<AtomicUsize>,
    kind: Kind,
}

#[derive(Default)]
struct Table {
    pending: HashMap<u64, Pending>,
    /// Why there will be no more answers.
    closed: Option<Failure>,
}

/// One child's conversation.
pub(super) struct Session {
    /// The backend's name.
    pub(super) backend: Arc<str>,
    /// The child says that its tools changed.
    pub(super) tools_changed: Notify,
    outbox: mpsc::Sender<Bytes>,
    table: Mutex<Table>,
    next: AtomicU64,
}

impl Session {
    /// A session and the messages that it wants written to the child.
    pub(super) fn new(backend: Arc<str>) -> (Arc<Self>, mpsc::Receiver<Bytes>) {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let session = Self {
            backend,
            tools_changed: Notify::new(),
            outbox,
            table: Mutex::default(),
            next: AtomicU64::new(1),
        };
        (Arc::new(session), messages)
    }

    /// Opens a request: its id, and what comes back for it. Fails if the child is gone.
    pub(super) fn begin(self: &Arc<Self>, kind: Kind) -> Result<Exchange, Failure> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let cancellable = matches!(kind, Kind::Call { .. });
        let (incoming, arrivals) = mpsc::unbounded_channel();
        let ahead = Arc::new(AtomicUsize::new(0));
        let mut table = self.lock();
        if let Some(failure) = &table.closed {
            return Err(failure.clone());
        }
        table.pending.insert(id, Pending { incoming, ahead: Arc::clone(&ahead), kind });
        drop(table);
        Ok(Exchange { session: Arc::clone(self), id, arrivals, ahead, cancellable, sent: false, timed: None })
    }

    /// Queues a message that nobody waits for, unless the child has not read for too long.
    pub(super) fn tell(&self, message: Bytes) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbox.try_send(message) {
            metrics::record_backend_drop(&self.backend, DropReason::UnreadStdin);
        }
    }

    /// The answer to request `id` arrived. False if nobody waits for it.
    pub(super) fn answer(&self, id: u64, answer: Incoming) -> bool {
        let Some(pending) = self.lock().pending.remove(&id) else { return false };
        // Whoever waited may have left in this moment.
        let _ = pending.incoming.send(answer);
        true
    }

    /// An event for the call whose progress token is `token`. False if there is no such call.
    pub(super) fn event(&self, token: u64, event: impl FnOnce(&Bytes) -> Incoming) -> bool {
        match self.lock().pending.get(&token) {
            Some(pending @ Pending { kind: Kind::Call { token: Some(client), .. }, .. }) => {
                self.pass(pending, event(client));
                true
            }
            _ => false,
        }
    }

    /// A log message, which names no call: it can only be that of the single call in flight. False if there are
    /// several, or if that one asked for none.
    pub(super) fn log(&self, event: Incoming) -> bool {
        let table = self.lock();
        let mut calls = table.pending.values().filter(|pending| matches!(pending.kind, Kind::Call { .. }));
        match (calls.next(), calls.next()) {
            (Some(only @ Pending { kind: Kind::Call { logs: true, .. }, .. }), None) => {
                self.pass(only, event);
                true
            }
            _ => false,
        }
    }

    fn pass(&self, pending: &Pending, event: Incoming) {
        let size = event.size();
        let waiting = pending.ahead.fetch_add(size, Ordering::Relaxed);
        if waiting > 0 && waiting + size > AHEAD {
            pending.ahead.fetch_sub(size, Ordering::Relaxed);
            metrics::record_backend_drop(&self.backend, DropReason::SlowReader);
            return;
        }
        let _ = pending.incoming.send(event);
    }

    /// The child is gone: everyone who waits fails, and whoever comes later.
    pub(super) fn close(&self, failure: &Failure) {
        let mut table = self.lock();
        table.closed = Some(failure.clone());
        let pending = std::mem::take(&mut table.pending);
        drop(table);
        for (_, pending) in pending {
            let _ = pending.incoming.send(Incoming::Failed(failure.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

/// One request and what comes back for it. Dropping it gives the request up: the child is told if it is a call.
pub(super) struct Exchange {
    /// Our id of the request, and its progress token.
    pub(super) id: u64,
    session: Arc<Session>,
    arrivals: mpsc::UnboundedReceiver<Incoming>,
    ahead: Arc<AtomicUsize>,
    cancellable: bool,
    sent: bool,
    /// A request of ours that is to be timed.
    timed: Option<(&'static str, Instant)>,
}

impl Exchange {
    /// The request is one of this method, sent now: its answer's time is counted.
    pub(super) fn timed(mut self, method: &'static str) -> Self {
        self.timed = Some((method, Instant::now()));
        self
    }

    /// Queues the request for the child; waits while too much is queued already.
    pub(super) async fn send(&mut self, message: Bytes) -> Result<(), Failure> {
        tokio::select! {
            sent = self.session.outbox.send(message) => {
                self.sent = sent.is_ok();
                sent.map_err(|_| Failure::BackendFailed {
                    backend: self.session.backend.to_string(),
                    reason: "it does not take requests any more".into(),
                })
            }
            // Nothing can arrive before the request is out, but that the child is gone.
            early = self.arrivals.recv() => Err(match early {
                Some(Incoming::Failed(failure)) => failure,
                _ => Failure::Internal,
            }),
        }
    }

    /// What comes next. Cancel-safe. After an answer or a failure there is nothing more.
    pub(super) async fn next(&mut self) -> Incoming {
        let next = self.arrivals.recv().await.unwrap_or(Incoming::Failed(Failure::Internal));
        if matches!(next, Incoming::Progress { .. } | Incoming::Log(_)) {
            self.ahead.fetch_sub(next.size(), Ordering::Relaxed);
        } else if let Some((method, sent)) = self.timed.take() {
            metrics::record_backend_request(method, next.ended(), sent.elapsed());
        }
        next
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let waiting = self.session.lock().pending.remove(&self.id).is_some();
        if waiting && self.sent && self.cancellable {
            self.session.tell(messages::cancelled(self.id));
        }
    }
}
