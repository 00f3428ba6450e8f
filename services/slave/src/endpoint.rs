//! What all links of this process share: the journals of its calls, and the calls that run.
//!
//! Any link may carry any call, so the state is one; sections under its lock are short and never wait. Must not know
//! sockets: links feed frames in, take frames out and are woken when there is something to send.

mod handle;
mod peers;
mod roster;
mod running;
mod sink;
mod stage;

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::Signal;
use protocol::link::frame::{Flags, Frame};
use protocol::link::handshake::ProxyHello;
use protocol::link::ids::{CallId, LinkId};
use protocol::link::limits::LinkLimits;
use protocol::link::proxy_end::LinkError;
use protocol::link::slave_end::{SlaveEnd, SlaveEvent, WriteOutcome};
use tokio::sync::{Notify, watch};

use crate::executor::{CallEnd, Executor};
use crate::metrics::{self, Held};
pub(crate) use roster::Outlook;
use roster::Roster;
use running::Running;

/// Payload bytes after which a batch goes out: a chunk more still fits [`protocol::link::limits::MAX_BATCH`].
const BATCH: usize = 128 * 1024;

/// What a link has to do besides sending the frames it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duty {
    /// Ask for frames again at this time, whatever happens.
    pub(crate) again: Option<Instant>,
    /// Calls that run or whose end was not taken.
    pub(crate) calls: usize,
    /// There may be more to send right now: the batch is full.
    pub(crate) more: bool,
    /// How far the process is on its way down.
    pub(crate) stage: Stage,
}

/// How far the process is on its way down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Takes calls.
    #[default]
    Serving,
    /// Takes no new calls; those that run are finished and their ends delivered.
    Draining,
    /// Every call has ended, its end was taken, and no proxy can send another.
    Drained,
    /// Links are to close.
    Closing,
}

/// A link that is up.
struct Up {
    id: LinkId,
    wake: Arc<Signal>,
    /// The proxy is known to have read that we drain: no call of it can still be on the way.
    drained: bool,
}

struct State {
    end: SlaveEnd,
    links: Vec<Up>,
    last_link: u64,
    roster: Roster,
    /// What proxies were told of it last.
    reported: Bytes,
}

/// The slave's end of all its links, with the executor behind it.
pub(crate) struct Endpoint {
    state: Mutex<State>,
    running: Mutex<Running>,
    executor: Executor,
    /// The next expiry may be another, or there are events that no link reads.
    chores: Notify,
    /// Changed only under the lock of `state`.
    stage: watch::Sender<Stage>,
    /// Changed only under the lock of `state`.
    outlook: watch::Sender<Outlook>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under the lock is a bug, but no reason to lose the other calls.
    mutex.lock()
}

impl Endpoint {
    /// `catalog` is what the slave offers at first (JSON).
    pub(crate) fn new(executor: Executor, limits: LinkLimits, catalog: Bytes) -> Arc<Self> {
        let end = SlaveEnd::new(limits, catalog);
        let (roster, reported) = (Roster::default(), Bytes::new());
        let state = State { end, links: Vec::new(), last_link: 0, roster, reported };
        Arc::new(Self {
            state: Mutex::new(state),
            running: Mutex::default(),
            executor,
            chores: Notify::new(),
            stage: watch::Sender::default(),
            outlook: watch::Sender::default(),
        })
    }

    /// A link was authenticated. `hello` is what a proxy of the native dialect said; without it the link is plain:
    /// it carries no frames, but is woken and drained like any other.
    /// `turn` is that of the code that opened it.
    ///
    /// An older link to the same proxy is over with it, whatever is still to be read there: the proxy asks on the new
    /// one for all that it wants, and what it hears to be unknown must not arrive later.
    pub(crate) fn link_up(&self, hello: Option<&ProxyHello>, turn: u64) -> (LinkId, Arc<Signal>) {
        let wake = Arc::new(Signal::new());
        let mut state = lock(&self.state);
        for older in state.roster.of_same_proxy(hello) {
            state.down(older);
        }
        state.last_link += 1;
        let id = LinkId(state.last_link);
        if let Some(hello) = hello {
            state.end.link_up(id, hello.window, Duration::from_millis(hello.grace_ms));
        }
        state.links.push(Up { id, wake: Arc::clone(&wake), drained: false });
        metrics::links_up(state.links.len());
        state.roster.up(id, hello, turn);
        self.roster_changed(&mut state);
        (id, wake)
    }

    /// The link is gone: its calls wait to be attached by another.
    pub(crate) fn link_down(&self, link: LinkId) {
        let mut state = lock(&self.state);
        state.down(link);
        self.downed(state);
    }

    /// The proxy behind the link said goodbye: if it had drained, nobody will ask for the link's calls any more.
    pub(crate) fn link_over(&self, link: LinkId) {
        let mut state = lock(&self.state);
        if state.roster.is_draining(link) {
            state.end.link_over(link, Instant::now());
        }
        state.down(link);
        self.downed(state);
    }

    fn downed(&self, mut state: MutexGuard<'_, State>) {
        metrics::links_up(state.links.len());
        self.roster_changed(&mut state);
        self.settle(&state);
        drop(state);
        self.chores.notify_one();
    }

    /// Links that are up.
    pub(crate) fn links(&self) -> usize {
        lock(&self.state).links.len()
    }

    /// Calls that run or whose end was not taken yet.
    pub(crate) fn calls(&self) -> usize {
        lock(&self.state).end.calls()
    }

    /// What is kept for proxies.
    pub(crate) fn held(&self) -> Held {
        let state = lock(&self.state);
        Held { calls: state.end.calls(), journal: state.end.journal_bytes() }
    }

    /// Calls that the executor has.
    #[cfg(test)]
    pub(crate) fn running_calls(&self) -> usize {
        lock(&self.running).len()
    }

    /// What is offered from now on (JSON); all links are told.
    pub(crate) fn set_catalog(&self, catalog: Bytes) {
        let mut state = lock(&self.state);
        state.end.set_catalog(catalog);
        state.wake_senders();
    }

    /// Frames that a link read, in order, and all that follows from them. On an error the link must be closed.
    /// `frames` is empty afterwards; `events` is scratch space of the caller.
    pub(crate) fn receive(
        self: &Arc<Self>,
        link: LinkId,
        frames: &mut Vec<Frame>,
        events: &mut Vec<SlaveEvent>,
    ) -> Result<(), LinkError> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let taken = frames.drain(..).try_for_each(|frame| state.end.receive(link, frame, now));
        while let Some(event) = state.end.poll_event() {
            events.push(event);
        }
        self.settle(&state);
        drop(state);
        self.handle(events);
        taken
    }

    /// Moves what a link is to send next into `frames`: at most one batch.
    pub(crate) fn collect(&self, link: LinkId, frames: &mut Vec<Frame>) -> Duty {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Some(tally) = state.end.take_stats() {
            metrics::tally(tally);
        }
        let mut bytes = 0;
        while bytes < BATCH {
            let Some(frame) = state.end.poll_transmit(link, now) else { break };
            bytes += frame.encoded_len();
            frames.push(frame);
        }
        Duty {
            again: state.end.link_timeout(link),
            calls: state.end.calls(),
            more: bytes >= BATCH,
            stage: self.stage(),
        }
    }

    /// Changes the journals and wakes the links that have something to send then.
    fn write<R>(&self, change: impl FnOnce(&mut SlaveEnd) -> R) -> R {
        let mut state = lock(&self.state);
        let changed = change(&mut state.end);
        state.wake_senders();
        changed
    }

    /// One event of a call. When the journal is full, the state machine has ended the call by itself.
    fn event(&self, call: CallId, json: Bytes, kind: Flags) -> WriteOutcome {
        let wrote = self.write(|end| end.event(call, json, kind));
        if wrote == WriteOutcome::Gone {
            // Whoever wrote stops the call by itself; the event that asks for it is not to lie about.
            self.chores.notify_one();
        }
        wrote
    }

    fn end(&self, call: CallId, end: CallEnd) {
        let error = if end.error { Flags::ERROR } else { Flags::NONE };
        let tool_error = if end.tool_error { Flags::TOOL_ERROR } else { Flags::NONE };
        tracing::debug!(bytes = end.payload.len(), "Sending response back to proxy (call {call})");
        let wrote = self.write(|to| to.end(call, end.payload, error.with(tool_error), end.status));
        if wrote == WriteOutcome::Gone {
            // It may have been the last that a drain waits for.
            self.chores.notify_one();
        }
        lock(&self.running).remove(call);
    }

    /// Where the producer of a call waits for its reader.
    fn room(&self, call: CallId) -> Option<Arc<Notify>> {
        lock(&self.running).room(call)
    }
}

impl State {
    fn down(&mut self, link: LinkId) {
        self.end.link_down(link, Instant::now());
        self.links.retain(|up| up.id != link);
        self.roster.down(link);
    }

    fn wake_senders(&self) {
        for up in self.links.iter().filter(|up| self.end.wants_to_send(up.id)) {
            up.wake.raise();
        }
    }
}
