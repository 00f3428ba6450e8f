//! The events and the end of one call. Must not know other calls.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::totals::{ClientTotals, MakeRoom};
use crate::call::CallEnd;

/// Bytes that the allocator adds to an allocation, about.
const ALLOCATION: usize = 16;

/// Bytes of what holds a payload that has several readers.
const SHARED_PAYLOAD: usize = 3 * size_of::<usize>() + ALLOCATION;

/// Bytes that an event takes besides its own. Queues and maps grow by doubling: three quarters of their room is used on average.
pub(super) const EVENT: usize = room_of::<KeptEvent>() + SHARED_PAYLOAD;

/// Bytes that a call takes besides its events, its owner's names and its end: itself, its counters, and its entries in the store.
pub(super) const CALL: usize = size_of::<RetainedCall>()
    + 2 * size_of::<usize>()
    + ALLOCATION
    + room_of::<(CallId, Arc<RetainedCall>)>()
    + room_of::<(Instant, CallId)>();

/// Bytes of an entry in a queue or map, with its share of the room that is free.
const fn room_of<T>() -> usize {
    size_of::<T>() * 4 / 3 + 1
}

/// Who may read a call again: nobody but the session that began it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    client: Option<String>,
    session: Option<String>,
}

impl Owner {
    pub(super) fn of(header: &CallHeader) -> Self {
        Self { client: header.client.clone(), session: header.session.clone() }
    }

    /// Bytes of the names.
    fn bytes(&self) -> usize {
        [&self.client, &self.session].into_iter().flatten().map(|name| name.capacity() + ALLOCATION).sum()
    }

    /// Returns who shares a part of the size: the client, else the session.
    pub(super) fn principal(&self) -> &str {
        self.client.as_deref().or(self.session.as_deref()).unwrap_or_default()
    }

    /// Whether the session began the call.
    pub(super) fn is_of(&self, session: &str) -> bool {
        self.session.as_deref() == Some(session)
    }

    /// Whether nothing tells this client from others: what it began is nobody's.
    pub(super) fn is_nobody(&self) -> bool {
        self.session.is_none()
    }
}

#[derive(Default)]
struct Kept {
    /// Number of the first event that is kept, counted from 1.
    first: u64,
    events: VecDeque<KeptEvent>,
    end: Option<CallEnd>,
    /// Whoever answers the client is done with the call.
    released: bool,
    /// The call stands among those that ended and were released.
    ages: bool,
    /// Set when the call has left the store.
    gone: bool,
    bytes: usize,
}

/// An event of a call.
#[derive(Clone)]
pub(super) enum KeptEvent {
    Notification(Bytes),
    /// Request for the client.
    Request(Bytes),
}

impl KeptEvent {
    fn bytes(&self) -> usize {
        let (Self::Notification(json) | Self::Request(json)) = self;
        json.len() + EVENT
    }
}

/// What comes behind an event.
pub(super) enum Next {
    Event(KeptEvent),
    End(CallEnd),
    /// Nothing yet.
    Nothing,
    /// It is not kept any more.
    Lost,
}

/// What is kept of one call. Dropping it gives its bytes back.
pub(crate) struct RetainedCall {
    pub(super) call: CallId,
    pub(super) owner: Owner,
    kept: Mutex<Kept>,
    pub(super) totals: Arc<ClientTotals>,
    store: Weak<dyn MakeRoom>,
    changed: Notify,
}

impl RetainedCall {
    pub(super) fn new(
        call: CallId,
        owner: Owner,
        totals: Arc<ClientTotals>,
        store: Weak<dyn MakeRoom>,
    ) -> Self {
        let bytes = CALL + owner.bytes();
        totals.add(bytes);
        let kept = Mutex::new(Kept { first: 1, bytes, ..Kept::default() });
        Self { call, owner, kept, totals, store, changed: Notify::new() }
    }

    /// Keeps a notification. Where there is no room, events of before give way, the oldest first.
    pub(crate) fn event(&self, json: Bytes) {
        self.push(KeptEvent::Notification(json));
    }

    /// Keeps a request for the client likewise.
    pub(crate) fn request(&self, json: Bytes) {
        self.push(KeptEvent::Request(json));
    }

    fn push(&self, event: KeptEvent) {
        let bytes = event.bytes();
        self.keep(bytes, |kept| kept.events.push_back(event));
    }

    /// Keeps the end.
    pub(super) fn end(&self, end: &CallEnd) {
        self.keep(end.payload.len() + SHARED_PAYLOAD, |kept| kept.end = Some(end.clone()));
    }

    /// Records that whoever answers the client is done with the call. Returns whether its time begins now.
    pub(super) fn release(&self) -> bool {
        self.kept.lock().released = true;
        self.begins_to_age()
    }

    /// Returns whether the time of the call begins now: it has ended and was released. Once.
    pub(super) fn begins_to_age(&self) -> bool {
        let mut kept = self.kept.lock();
        let begins = kept.end.is_some() && kept.released && !kept.ages && !kept.gone;
        kept.ages |= begins;
        begins
    }

    /// Keeps something of this size. Calls that have ended give way to it, then the oldest events of this one.
    fn keep(&self, bytes: usize, add: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.lock();
        kept.bytes += bytes;
        self.totals.add(bytes);
        add(&mut kept);
        drop(kept);
        if self.totals.is_over(0)
            && let Some(store) = self.store.upgrade()
        {
            store.make_room(&self.totals);
        }
        let mut kept = self.kept.lock();
        while self.totals.is_over(kept.bytes) && kept.drop_oldest(&self.totals) {}
        drop(kept);
        self.changed.notify_waiters();
    }

    /// Returns what comes behind event number `after`.
    pub(super) fn next(&self, after: u64) -> Next {
        let kept = self.kept.lock();
        let sent = kept.first + kept.events.len() as u64 - 1;
        if kept.gone || after > sent || after + 1 < kept.first {
            return Next::Lost;
        }
        let position = usize::try_from(after + 1 - kept.first).unwrap_or(usize::MAX);
        match (kept.events.get(position), &kept.end) {
            (Some(event), _) => Next::Event(event.clone()),
            (None, Some(end)) => Next::End(end.clone()),
            (None, None) => Next::Nothing,
        }
    }

    /// Waits for the next change behind this call of the method, whenever it is polled first.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.kept.lock().end.is_some()
    }

    /// Frees everything: who reads on learns that it is lost.
    pub(super) fn forget(&self) {
        let mut kept = self.kept.lock();
        kept.gone = true;
        self.totals.remove(std::mem::take(&mut kept.bytes));
        (kept.events, kept.end) = (VecDeque::new(), None);
        drop(kept);
        self.changed.notify_waiters();
    }
}

impl Kept {
    /// Drops the oldest event; `false` where there is none.
    fn drop_oldest(&mut self, totals: &ClientTotals) -> bool {
        let Some(event) = self.events.pop_front() else { return false };
        self.first += 1;
        self.bytes -= event.bytes();
        totals.remove(event.bytes());
        true
    }
}

impl Drop for RetainedCall {
    fn drop(&mut self) {
        self.totals.remove(self.kept.get_mut().bytes);
    }
}
