//! The requests of a proxy of the plain dialect, whichever link they come on: they go on while the link is broken, and their answers are
//! sent on the next one. Must not know sockets.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use front::Edge;
use futures_util::FutureExt;
use link::Signal;
use parking_lot::Mutex;
use protocol::link::ids::LinkId;
use protocol::link::plain::foreign_id;
use protocol::mcp::failure::Failure;
use tokio::task::JoinSet;

use super::plain_requests::{Begun, MAX_REQUESTS, RequestTable};
use crate::endpoint::Endpoint;
use crate::local::LocalCalls;

/// Time between two warnings of ids that come twice.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// The plain proxies by the URL that leads to them.
pub(crate) struct PlainProxies {
    proxies: Mutex<BTreeMap<String, Arc<PlainProxy>>>,
    /// Largest sum of the answers that wait for one proxy, in bytes.
    max_bytes: usize,
}

impl PlainProxies {
    /// Creates a set without proxies. `max_bytes`: what the answers that wait for one proxy may take.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { proxies: Mutex::default(), max_bytes }
    }

    /// Returns the proxy behind a URL.
    pub(super) fn at(
        &self,
        url: &str,
        endpoint: &Arc<Endpoint>,
        edge: &Arc<Edge<LocalCalls>>,
    ) -> Arc<PlainProxy> {
        let mut proxies = self.proxies.lock();
        let new = || {
            let state = State {
                table: RequestTable::new(self.max_bytes),
                link: None,
                tasks: JoinSet::new(),
                warned_at: None,
            };
            let (endpoint, edge) = (Arc::clone(endpoint), Arc::clone(edge));
            Arc::new(PlainProxy { endpoint, edge, state: Mutex::new(state) })
        };
        Arc::clone(proxies.entry(url.to_owned()).or_insert_with(new))
    }
}

struct State {
    table: RequestTable,
    /// The link that is up, and what wakes its task.
    link: Option<(LinkId, Arc<Signal>)>,
    /// The tasks that answer requests; aborted with the process's links.
    tasks: JoinSet<()>,
    /// When it was last warned of ids that come twice.
    warned_at: Option<Instant>,
}

/// A plain proxy, with the requests that it has made.
pub(super) struct PlainProxy {
    endpoint: Arc<Endpoint>,
    edge: Arc<Edge<LocalCalls>>,
    state: Mutex<State>,
}

impl PlainProxy {
    /// Changes the table, and tells the endpoint how many requests it has.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let before = state.table.len();
        let changed = change(&mut state);
        let after = state.table.len();
        if before != after {
            // Under the lock: changes must not overtake each other.
            self.endpoint.count_plain(before, after);
        }
        changed
    }

    /// Makes a link the one that answers go out on.
    pub(super) fn link_up(&self, link: LinkId, signal: &Arc<Signal>) {
        self.change(|state| {
            state.link = Some((link, Arc::clone(signal)));
            state.table.link_up(Instant::now());
        });
        signal.raise();
    }

    /// Records the end of a link. `replaced`: another slave has taken the proxy's requests.
    pub(super) fn link_down(self: &Arc<Self>, link: LinkId, replaced: Replaced) {
        self.change(|state| {
            if state.link.as_ref().is_none_or(|(current, _)| *current != link) {
                return;
            }
            state.link = None;
            state.table.link_down();
            if replaced == Replaced::Yes {
                state.table.drop_all();
            }
            state.tasks.spawn(expire(Arc::downgrade(self)));
        });
    }

    /// Starts a request.
    pub(super) fn start(self: &Arc<Self>, request: Bytes) {
        let now = Instant::now();
        self.change(|state| {
            let id = id_of(&request);
            let ticket = match state.table.begin(&id, now) {
                Begun::Run(ticket) => ticket,
                Begun::RunInstead(ticket) => {
                    warn_of_reuse(&mut state.warned_at, now);
                    ticket
                }
                Begun::Full => {
                    let what = format!("the slave answers {MAX_REQUESTS} requests of a proxy at once");
                    return state.table.refuse(&id, &Failure::Busy { what, retry_after: 1 }, now);
                }
            };
            while state.tasks.try_join_next().is_some() {}
            let (edge, proxy) = (Arc::clone(&self.edge), Arc::downgrade(self));
            state.tasks.spawn(async move {
                let answer = AssertUnwindSafe(edge.answer_plain(request)).catch_unwind().await;
                let Some(proxy) = proxy.upgrade() else { return };
                if answer.is_err() {
                    tracing::error!("A request could not be answered: its task failed");
                }
                proxy.change(|state| state.table.end(ticket, answer.ok()));
                proxy.wake();
            });
        });
    }

    /// Refuses a request.
    pub(super) fn refuse(&self, request: &Bytes, failure: &Failure) {
        self.change(|state| state.table.refuse(&id_of(request), failure, Instant::now()));
    }

    fn wake(&self) {
        if let Some((_, signal)) = &self.state.lock().link {
            signal.raise();
        }
    }

    /// Takes the next answer for a link; none for a link that is not the current one.
    pub(super) fn next_answer(&self, link: LinkId) -> Option<Bytes> {
        self.change(|state| {
            state.link.as_ref().filter(|(current, _)| *current == link)?;
            state.table.next_answer()
        })
    }

    /// Returns whether an answer waits to be sent.
    pub(super) fn has_answer(&self) -> bool {
        self.state.lock().table.has_answer()
    }

    /// Returns whether every request was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().table.len() == 0
    }

    /// Answers what still runs with an error: the slave ends.
    pub(super) fn give_up(&self) {
        self.change(|state| state.table.give_up(&Failure::OutcomeUnknown));
    }
}

/// Whether another slave took a link's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    Yes,
    No,
}

/// Drops answers that the proxy does not wait for any more, until a link is up or none waits.
async fn expire(proxy: Weak<PlainProxy>) {
    loop {
        let next = proxy.upgrade().and_then(|proxy| {
            proxy.change(|state| {
                state.table.expire(Instant::now());
                state.table.next_expiry()
            })
        });
        let Some(next) = next else { return };
        tokio::time::sleep_until(next.into()).await;
    }
}

fn warn_of_reuse(warned_at: &mut Option<Instant>, now: Instant) {
    if warned_at.is_none_or(|at| now.saturating_duration_since(at) >= WARNING_INTERVAL) {
        *warned_at = Some(now);
        tracing::warn!(
            "The proxy gave a request the id of one that still runs: it passes its clients' ids on. The answer to the earlier one is \
             dropped, so that the later client does not get it"
        );
    }
}

/// Returns the id of a request as raw JSON; `null` where none can be read.
fn id_of(request: &Bytes) -> String {
    foreign_id(request).unwrap_or("null").to_owned()
}
