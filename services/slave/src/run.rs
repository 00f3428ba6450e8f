//! Puts the slave together and runs it until the shutdown. With no proxy configured it is the standalone server.

mod files;
mod offer;
mod seat;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use front::metrics::EdgeMeter;
use front::server::OpsPort;
use front::{Edge, EdgeConfig};
use protocol::link::ids::InstanceId;
use protocol::mcp::catalog::Catalog;
use runtime::follow::ReloadSignal;
use runtime::listen::BindError;
use runtime::metrics::{Metrics, MetricsError};
use runtime::ops::{Endpoints, Readiness};
use runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backends::servers_file::ServersFileError;
use crate::config::SlaveConfig;
use crate::dial::{DialError, Dialer};
use crate::endpoint::{Endpoint, Stage};
use crate::executor::{Executor, State};
use crate::link::{Code, LinkStatus, LinkTable, Links};
use crate::local::LocalCalls;
use crate::metrics;
use crate::status::{self, About};
use files::{BackendsFile, CodeFile};
use seat::Seat;
pub use settings::executor_config;

/// How long links may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long backends may take to end by themselves once no call runs.
const BACKENDS_END: Duration = Duration::from_secs(3);

/// Why the slave could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The HTTP port could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The socket's own address cannot be read.
    #[error("cannot read the address of a listening socket: {0}")]
    Address(#[from] std::io::Error),
    /// No metrics recorder.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// No random numbers.
    #[error("the system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
    /// SIGHUP cannot be listened for.
    #[error("cannot listen for SIGHUP: {0}")]
    Signals(std::io::Error),
    /// The file of backends cannot be used.
    #[error(transparent)]
    Backends(#[from] ServersFileError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Dial(#[from] DialError),
}

/// Runs a slave until `shutdown`: then it takes nothing new, finishes its calls, delivers their ends and stops its
/// backends with all their processes.
///
/// Returns `Ok` also when the grace ended before the calls did. Dropping the future cuts everything off.
pub async fn run(config: SlaveConfig, shutdown: Shutdown) -> Result<(), RunError> {
    let role = if config.link.is_some() { "slave" } else { "standalone" };
    let recorder = Metrics::install(role, metrics::TABLES)?;
    metrics::limits(config.capacity, config.journal_bytes);
    Slave::start(config).await?.serve(recorder, &shutdown).await
}

/// A slave whose port is bound and whose backends are starting.
struct Slave {
    http: TcpListener,
    ops: OpsPort,
    executor: Executor,
    edge: Arc<Edge<LocalCalls>>,
    linked: Option<Linked>,
    status: status::Status,
    backends: Option<BackendsFile>,
    hangups: ReloadSignal,
}

/// What a slave has that the standalone server has not.
struct Linked {
    links: Arc<Links>,
    dialer: Dialer,
    code: Option<CodeFile>,
    offers: watch::Receiver<Arc<Catalog>>,
    /// Held until every call was delivered.
    _seat: Option<Seat>,
}

impl Slave {
    async fn start(config: SlaveConfig) -> Result<Self, RunError> {
        let http = config.common.http.bind().await?;
        let ops = OpsPort::bind(config.common.ops.port.as_ref()).await?;
        let hangups = ReloadSignal::listen().map_err(RunError::Signals)?;
        let backends = BackendsFile::read(&config)?;
        let executor = Executor::start(settings::executor(&config, backends.as_ref())).await;
        let role = if config.link.is_some() { "slave" } else { "standalone" };
        let edge_config = EdgeConfig::from_common(&config.common, role, http.local_addr()?);
        let edge = Edge::new(edge_config, LocalCalls::new(executor.clone()));
        let edge = Arc::new(edge.with_observer(EdgeMeter::default()));
        let seat = Seat::take(&http, config.common.http.port, &config.name);
        let linked = Linked::new((&config, seat), &executor, (&edge, &hangups))?;
        let status = status::Status {
            about: About {
                role,
                name: config.name.clone(),
                labels: config.labels.clone(),
                capacity: config.capacity,
            },
            links: linked.as_ref().map(|linked| Arc::clone(&linked.links)),
            executor: executor.clone(),
            began: (Instant::now(), SystemTime::now()),
        };
        Ok(Self { http, ops, executor, edge, linked, status, backends, hangups })
    }

    async fn serve(self, recorder: Metrics, shutdown: &Shutdown) -> Result<(), RunError> {
        let address = self.http.local_addr()?;
        recorder.before_each_scrape(front::metrics::sample(&self.edge));
        if let Some(linked) = &self.linked {
            let links = Arc::clone(&linked.links);
            recorder.before_each_scrape(move || metrics::held(links.endpoint.held()));
        }
        let ready = ready(self.linked.as_ref(), self.executor.clone(), shutdown);
        let ops = self.status.serve(Endpoints::new(recorder, ready)).build();
        let (_serving_ops, ops) = self.ops.open(&self.edge, ops);
        tracing::info!("MCP server listening on http://{address}");
        let following = self
            .backends
            .map(|file| Owned(tokio::spawn(file.follow(self.hangups.clone(), self.executor.clone()))));
        let link = async {
            match self.linked {
                Some(linked) => linked.run(shutdown).await,
                None => shutdown.draining().await,
            }
        };
        let http = async {
            shutdown.draining().await;
            // What runs now is what the calls end with.
            drop(following);
            metrics::draining();
            self.edge.close();
        };
        tokio::join!(front::server::serve(self.http, (Arc::clone(&self.edge), ops), shutdown), http, link);
        self.executor.shutdown(BACKENDS_END).await;
        tracing::info!("Stopped");
        Ok(())
    }
}

impl Linked {
    /// `None` without a proxy.
    fn new(
        (config, seat): (&SlaveConfig, Option<Seat>),
        executor: &Executor,
        (edge, hangups): (&Arc<Edge<LocalCalls>>, &ReloadSignal),
    ) -> Result<Option<Self>, RunError> {
        let Some(link) = &config.link else { return Ok(None) };
        let mut offers = executor.catalog();
        let catalog = offer::encode(&offers.borrow_and_update());
        let links = Arc::new(Links {
            endpoint: Endpoint::new(executor.clone(), settings::limits(config), catalog),
            edge: Arc::clone(edge),
            hello: settings::hello(config, InstanceId(getrandom::u64()?), seat.as_ref().map(Seat::name)),
            code: ArcSwap::from_pointee(Code::first(link.code.clone())),
            ping: config.common.link_ping,
            status: LinkStatus::default(),
            table: LinkTable::default(),
        });
        let dialer = Dialer::new(Arc::clone(&links), link, settings::plain_message(config))?;
        let code = link.code_file.clone().map(|source| CodeFile::new(source, hangups.clone()));
        Ok(Some(Self { links, dialer, code, offers, _seat: seat }))
    }

    /// Keeps the link until the shutdown, then delivers what runs and says goodbye.
    async fn run(self, shutdown: &Shutdown) {
        let endpoint = &self.links.endpoint;
        let mut dialing = Owned(tokio::spawn(self.dialer.run()));
        let _chores = Owned(tokio::spawn(Arc::clone(endpoint).expire()));
        let links = Arc::clone(&self.links);
        let _code = self.code.map(|file| Owned(tokio::spawn(file.follow(links))));
        let _offers = Owned(tokio::spawn(offer::follow(self.offers, Arc::clone(endpoint))));
        shutdown.draining().await;
        tracing::info!(calls = endpoint.calls(), "Shutting down: no new calls, running ones finish");
        endpoint.drain();
        tokio::select! {
            () = endpoint.reached(Stage::Drained) => {}
            () = shutdown.grace_over() => {
                tracing::warn!(calls = endpoint.calls(), "The grace is over: running calls are given up");
            }
        }
        endpoint.close_links();
        // A proxy that does not answer must not keep us.
        let _ = tokio::time::timeout(GOODBYE, &mut dialing.0).await;
    }
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a call that is sent here, through a proxy or to the own port, would be taken: there must be something to call.
fn ready(linked: Option<&Linked>, executor: Executor, shutdown: &Shutdown) -> impl Fn() -> Readiness + use<> {
    let links = linked.map(|linked| Arc::clone(&linked.links));
    let shutdown = shutdown.clone();
    let catalog = executor.catalog();
    move || {
        let up = links.as_ref().map(|links| links.endpoint.links());
        let tools = catalog.borrow().tools.len();
        let readiness = match (&links, up) {
            _ if shutdown.is_leaving() => Readiness::not_ready("shutting down"),
            (Some(links), Some(0)) => {
                Readiness::not_ready(format!("not linked to a proxy: {}", links.status.why()))
            }
            _ if tools == 0 => Readiness::not_ready(format!("no tools are offered{}", why(&executor))),
            _ => Readiness::ready(),
        };
        let readiness = readiness.with("tools", tools as u64);
        match up {
            Some(up) => readiness.with("links", up as u64),
            None => readiness,
        }
    }
}

/// What the backends are doing instead. No names: whoever asks showed no key.
fn why(executor: &Executor) -> &'static str {
    let states = executor.backend_states();
    let any = |wanted: fn(&State) -> bool| states.iter().any(|one| wanted(&one.state));
    if states.is_empty() {
        ": no backend is configured"
    } else if any(|state| *state == State::Starting) {
        ": backends are starting"
    } else if any(|state| matches!(state, State::Restarting { .. } | State::Failed { .. })) {
        ": backends failed, see the log"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests;
