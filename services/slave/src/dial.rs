//! Keeps a link to every proxy behind `PROXY_SERVER_URL`: resolves, dials, carries links until they end, dials again. Must
//! not know frames. [`plan`] decides when and where; what the links share stands in [`Links`].

mod audit;
mod connect;
mod patience;
mod plan;

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::handshake::SlaveHello;
use tokio::task::JoinSet;

use crate::config::{LinkConfig, ProxyUrl};
use crate::endpoint::{PeerDiscovery, Stage};
use crate::link::{self, Ended, Entered, Links};
use crate::metrics;
use crate::trace::LinkStart;
use connect::Connector;
pub use connect::DialError;
use plan::{Line, Pace, Plan, Purpose, Step};

/// How long a name may take to be resolved.
const RESOLVE_TIME: Duration = Duration::from_secs(5);

/// Keeps the links.
pub(crate) struct Dialer {
    shared: Arc<Shared>,
    plan: Plan,
    /// Links to proxies that go down, when last looked at.
    draining: usize,
    /// Why the last link of a line ended, until it has another.
    lost: BTreeMap<Line, &'static str>,
    /// Of the code that opens links, when last looked at.
    turn: u64,
}

/// Lines that are remembered as lost.
const MOST_LOST: usize = 256;

struct Shared {
    links: Arc<Links>,
    connectors: Vec<Connector>,
    /// Held from the first message to its answer: two at once could reach one proxy, and the second would replace the first.
    greeting: tokio::sync::Mutex<()>,
    /// URLs with a link to a proxy that cannot tell a second link of this slave.
    alone: Mutex<HashSet<usize>>,
}

/// What a task of the dialer came to.
enum Done {
    Resolved(usize, io::Result<BTreeSet<SocketAddr>>),
    Dialed((Line, Purpose), Box<Result<Entered, Ended>>),
    TraceContext(Line, Ended, Duration),
}

impl Dialer {
    /// `max_message` is the longest message in bytes that is read from or written to a proxy of the plain dialect.
    pub(crate) fn new(links: Arc<Links>, config: &LinkConfig, max_message: usize) -> Result<Self, DialError> {
        let connector = |url: &ProxyUrl| Connector::new(url.clone(), &config.tls, max_message);
        let connectors = config.proxies.iter().map(connector).collect::<Result<Vec<_>, _>>()?;
        let pace = Pace { reconnect_max: config.reconnect_max, resolve: config.resolve_interval, random };
        let plan = Plan::new(connectors.len(), pace, Instant::now());
        let shared =
            Shared { links, connectors, greeting: tokio::sync::Mutex::default(), alone: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), plan, draining: 0, turn: 0, lost: BTreeMap::new() })
    }

    /// Until links are to close, or the slave drains and nothing is left to deliver. Dropping it cuts the links.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let endpoint = &shared.links.endpoint;
        let (mut tasks, mut outlook) = (JoinSet::new(), endpoint.discovery());
        loop {
            let stage = endpoint.stage();
            let now = Instant::now();
            if stage >= Stage::Drained && tasks.is_empty() {
                return;
            }
            let seen = *outlook.borrow_and_update();
            self.look(seen, now);
            // One that drains keeps what it has.
            let seen = if stage == Stage::Serving { seen } else { PeerDiscovery::default() };
            while stage < Stage::Drained
                && let Some(step) = self.plan.poll(now, seen)
            {
                self.begin(step, &mut tasks);
            }
            let due = async {
                match self.plan.timeout() {
                    Some(at) if stage < Stage::Drained => tokio::time::sleep_until(at.into()).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = tasks.join_next() => match done {
                    Ok(done) => self.take(done, &mut tasks),
                    Err(error) => tracing::error!("A link's task failed: {error}"),
                },
                () = due => {}
                Ok(()) = outlook.changed() => {}
                () = endpoint.reached(Stage::Drained), if stage < Stage::Drained => {}
            }
        }
    }

    /// One proxy more that goes down: a link to another is wanted now. Another code: it is tried wherever the last was
    /// not accepted.
    fn look(&mut self, seen: PeerDiscovery, now: Instant) {
        if seen.draining > self.draining {
            self.plan.hurry(now);
        }
        self.draining = seen.draining;
        if seen.code_generation > self.turn {
            self.plan.code_changed(now);
            self.turn = seen.code_generation;
        }
    }

    fn begin(&self, step: Step, tasks: &mut JoinSet<Done>) {
        let shared = Arc::clone(&self.shared);
        match step {
            Step::Resolve(url) => {
                tasks.spawn(async move { Done::Resolved(url, shared.resolve(url).await) });
            }
            Step::Dial(line, purpose) => {
                let (url, address) = (shared.connectors[line.url].url(), line.address);
                match purpose {
                    Purpose::Keep => tracing::info!(%address, "Connecting to proxy server at {url}"),
                    Purpose::Search => tracing::debug!(%address, "Looking for other proxies at {url}"),
                }
                tasks.spawn(async move {
                    let turn = shared.links.code.load().turn;
                    let url = shared.connectors[line.url].url();
                    let start = LinkStart::start(url.host(), url.port(), line.address);
                    let came = shared.dial(line).await.map_err(|ended| shared.since(turn, ended));
                    start.end(came.as_ref().map(Entered::dialect).map_err(Ended::kind));
                    Done::Dialed((line, purpose), Box::new(came))
                });
            }
        }
    }

    fn take(&mut self, done: Done, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        match done {
            Done::Resolved(url, Ok(addresses)) => self.plan.resolved(url, &addresses, now),
            Done::Resolved(url, Err(error)) => self.unresolved(url, &error, now),
            Done::Dialed(dialed, came) => match *came {
                Ok(entered) => self.linked(dialed, entered, tasks),
                Err(ended) => self.failed(dialed, &ended, now),
            },
            Done::TraceContext(line, ended, held) => {
                metrics::record_link_end(ended.kind());
                audit::closed(self.shared.place(line), &ended, held);
                if self.lost.len() < MOST_LOST {
                    self.lost.insert(line, ended.kind());
                }
                let wait = self.plan.ended(line, (&ended, held), now);
                if ended == Ended::Renewed {
                    return tracing::info!(address = %line.address, "Link renewed with the changed code");
                }
                if ended != Ended::Closing {
                    report(&ended, Some(wait));
                }
                self.shared.links.status.lost(&ended);
            }
        }
    }

    fn linked(&mut self, dialed: (Line, Purpose), entered: Entered, tasks: &mut JoinSet<Done>) {
        metrics::record_dial("linked");
        audit::linked(self.shared.place(dialed.0));
        if let Some(reason) = self.lost.remove(&dialed.0) {
            metrics::record_reconnect(reason);
        }
        let since = Instant::now();
        self.plan.linked(dialed, entered.is_alone(), since);
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            let (line, _) = dialed;
            let turn = entered.turn();
            let ended = shared.since(turn, link::carry(&shared.links, entered).await);
            shared.lock_alone().remove(&line.url);
            Done::TraceContext(line, ended, since.elapsed())
        });
    }

    fn failed(&mut self, dialed: (Line, Purpose), ended: &Ended, now: Instant) {
        metrics::record_link_end(ended.kind());
        let outcome = match ended {
            Ended::AlreadyLinked => "already_linked",
            Ended::Refused(_) => "refused",
            _ => "failed",
        };
        metrics::record_dial(outcome);
        audit::failed(self.shared.place(dialed.0), outcome, ended);
        let served = self.plan.is_served(dialed.0.url);
        let wait = self.plan.failed(dialed, ended, now);
        if *ended == Ended::AlreadyLinked || (served && !matches!(ended, Ended::Refused(_))) {
            let address = dialed.0.address;
            return tracing::debug!(%address, "No further link: {ended}");
        }
        report(ended, wait);
        self.shared.links.status.lost(ended);
    }

    fn unresolved(&mut self, url: usize, error: &io::Error, now: Instant) {
        let wait = self.plan.unresolved(url, now);
        let proxy = self.shared.connectors[url].url();
        let host = proxy.host();
        let ended = Ended::Lost(format!(
            "{host} has no address: {error}. Check the host name in PROXY_SERVER_URL and this machine's name resolution"
        ));
        if self.plan.is_served(url) {
            tracing::debug!("{ended}");
        } else {
            tracing::info!("Connecting to proxy server at {proxy}");
            report(&ended, Some(wait));
            self.shared.links.status.lost(&ended);
        }
    }
}

impl Shared {
    /// Where a line leads.
    fn place(&self, line: Line) -> (&ProxyUrl, SocketAddr) {
        (self.connectors[line.url].url(), line.address)
    }

    async fn resolve(&self, url: usize) -> io::Result<BTreeSet<SocketAddr>> {
        let proxy = self.connectors[url].url();
        let lookup = tokio::net::lookup_host((proxy.host(), proxy.port()));
        let looking = async {
            let found = tokio::time::timeout(RESOLVE_TIME, lookup).await;
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            let found: BTreeSet<SocketAddr> = found.map_err(late)??.collect();
            if found.is_empty() { Err(io::Error::other("none is known")) } else { Ok(found) }
        };
        tokio::select! {
            found = looking => found,
            () = self.links.endpoint.reached(Stage::Drained) => Err(io::Error::other("going down")),
        }
    }

    async fn dial(&self, line: Line) -> Result<Entered, Ended> {
        tokio::select! {
            dialed = self.greet(line) => dialed,
            () = self.links.endpoint.reached(Stage::Drained) => Err(Ended::Closing),
        }
    }

    /// A connection and its first messages.
    async fn greet(&self, line: Line) -> Result<Entered, Ended> {
        let (links, connector) = (&self.links, &self.connectors[line.url]);
        let socket = connector.connect(line.address).await.map_err(|error| match error {
            DialError::Busy { after } => Ended::Busy(after),
            error => Ended::Lost(error.to_string()),
        })?;
        let _turn = self.greeting.lock().await;
        if self.lock_alone().contains(&line.url) {
            return Err(Ended::AlreadyLinked);
        }
        let hello = SlaveHello { linked: Some(links.endpoint.linked()), ..links.hello.clone() };
        let code = links.code.load_full();
        let opened = link::open(socket, &code.secret, &hello).await?;
        let entered = Entered::new(links, opened, (connector.url().origin(), line.address), code.turn);
        if entered.is_alone() {
            self.lock_alone().insert(line.url);
        }
        let dialect = entered.dialect();
        tracing::info!(dialect, address = %line.address, "Authentication successful, ready to receive requests");
        metrics::record_link_start(dialect);
        Ok(entered)
    }

    /// What the end of a link, or of an attempt, that began with the code of this turn means now.
    fn since(&self, turn: u64, ended: Ended) -> Ended {
        if turn == self.links.code.load().turn {
            return ended;
        }
        match ended {
            Ended::Refused(_) => Ended::Lost(
                "the proxy does not accept the code of before any more: the changed one is used".into(),
            ),
            Ended::Replaced => Ended::Renewed,
            other => other,
        }
    }

    fn lock_alone(&self) -> parking_lot::MutexGuard<'_, HashSet<usize>> {
        self.alone.lock()
    }
}

fn random() -> u64 {
    // Without random numbers the middle is as good a wait as any.
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

/// What people look for in the log, and what they should check.
fn report(ended: &Ended, wait: Option<Duration>) {
    let seconds = wait.unwrap_or_default().as_secs_f64();
    let next = format!("Connection to proxy closed, attempting to reconnect in {seconds:.1} s");
    match ended {
        Ended::Refused(why) => tracing::error!(
            "{next}: the proxy does not accept SLAVE_CODE ({why}). Check that it (or what SLAVE_CODE_FILE says) is one \
             of the codes in the proxy's SLAVE_CODES, without extra whitespace; upper and lower case differ"
        ),
        Ended::Replaced => tracing::warn!(
            "{next}: another slave took this one's place (SLAVE_MODE=single on the proxy, or a second slave with the \
             same instance)"
        ),
        Ended::Lost(why) | Ended::Misbehaved(why) => tracing::warn!("{next}: {why}"),
        Ended::Closing | Ended::AlreadyLinked | Ended::Renewed => tracing::info!("{next}"),
        Ended::Busy(_) | Ended::GoingDown => tracing::warn!("{next}: {ended}"),
    }
}
