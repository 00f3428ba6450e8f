//! Puts the proxy together and runs it until the shutdown.

mod ports;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use front::metrics::EdgeMeter;
use front::{Edge, EdgeConfig};
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use runtime::activity::Activity;
use runtime::follow::{ReloadSignal, WatchedFile};
use runtime::listen::BindError;
use runtime::metrics::{Metrics, MetricsError};
use runtime::ops::{Endpoints, Readiness};
use runtime::shutdown::Shutdown;
use runtime::tls::TlsError;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::access::{CodeStore, CodesFile, CodesFileError, CodesSource};
use crate::config::ProxyConfig;
use crate::dispatch::{CallTimes, Dispatcher, Policies};
use crate::links::{
    AcceptContext, LinkTimes, Registry, announce_changes, count_addresses, follow_codes, serve_slaves,
};
use crate::metrics;
use crate::routes::{self, EXPLAIN, RoutesFile};
use crate::slave_state::SlaveState;
use crate::status::Status;
use crate::tls::TlsState;
use ports::Ports;

/// Largest answer of a plain slave, in bytes: it comes as one text frame and is held in memory whole.
const PLAIN_ANSWER: usize = 64 * 1024 * 1024;

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The socket's own address cannot be read.
    #[error("cannot read the address of a listening socket: {0}")]
    Address(#[from] std::io::Error),
    /// No metrics recorder.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// `SLAVE_CODES_FILE` changed for the worse since it was checked.
    #[error("SLAVE_CODES_FILE cannot be used: {0}")]
    Codes(#[from] CodesFileError),
    /// A TLS file changed for the worse since it was checked.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] TlsError),
    /// No random numbers.
    #[error("the system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
}

/// Runs a proxy until `shutdown`: then it takes nothing new, finishes its calls and tells its slaves.
///
/// Returns `Ok` also when the grace ended before the calls did; they were failed then.
pub async fn run(config: ProxyConfig, shutdown: Shutdown) -> Result<(), RunError> {
    let recorder = Metrics::install("proxy", metrics::TABLES)?;
    let secured = TlsState::load(&config.tls)?;
    let ports = Ports::bind(&config, &secured).await?;
    let instance = InstanceId(getrandom::u64()?);
    let limits = LinkLimits { grace: config.link_grace, ..LinkLimits::default() };
    let registry = Registry::new(instance, config.slave_mode, config.max_slaves, limits, config.ejection);
    let times =
        CallTimes { silence: config.common.request_timeout, total: config.common.request_timeout_total };
    let activity = Activity::new("slave", config.common.ops.ui.into());
    let dispatcher =
        Dispatcher::new(Arc::clone(&registry), instance, (policies(&config), times, activity.clone()));
    let peers = keep_peers(&registry, &config);
    let follower = Owned(tokio::spawn(dispatcher.clone().follow_changes()));
    let hangups = ReloadSignal::listen()?;
    let routes = keep_routes(&dispatcher, config.routes.as_ref(), hangups.clone());
    let source = codes_source(&config)?;
    let codes = CodeStore::new(config.slave_codes.clone(), source.as_ref().map(|source| &source.read.0));
    ports.announce(&secured)?;
    let following = follow_codes(Arc::clone(&codes), Arc::clone(&registry), source, hangups.clone());
    let following = [Owned(tokio::spawn(following)), Owned(tokio::spawn(secured.follow(hangups)))];
    let back = Arc::new(AcceptContext {
        registry: Arc::clone(&registry),
        codes,
        handshake_rate: config.handshake_rate,
        trusted: config.trusted.clone(),
        tls: ports.ws_tls,
        instance: instance.to_string(),
        times: LinkTimes {
            ping_interval: config.common.link_ping.interval,
            ping_timeout: config.common.link_ping.timeout,
            late: config.link_late,
        },
        plain_answer: PLAIN_ANSWER,
    });
    let slaves = Owned(tokio::spawn(serve_slaves(ports.ws, back)));
    let edge_config =
        EdgeConfig::from_common(&config.common, "proxy", ports.http_at).behind(config.trusted.clone());
    let edge = Edge::new(edge_config, dispatcher.clone()).with_observer(EdgeMeter::default());
    let edge = Arc::new(edge);
    watch(&recorder, (&edge, &registry));
    let ops = Endpoints::new(recorder, ready(&config, &registry, &shutdown));
    let ops = ops.with_inquiry(EXPLAIN, explainer(dispatcher));
    let ops = Status::new(&registry, activity).serve(ops).build();
    let ended_elsewhere = Arc::clone(&edge);
    registry.on_session_end(move |session| ended_elsewhere.session_ended(session));
    let (_serving_ops, ops) = ports.ops.open(&edge, ops);
    let drain = drain(Arc::clone(&registry), shutdown.clone());
    tokio::join!(front::server::serve(ports.http, (edge, ops), &shutdown), drain);
    registry.close_all();
    // The links' tasks say goodbye; a dead peer must not keep us.
    let _ = timeout(Duration::from_secs(2), wait_until_unlinked(&registry)).await;
    drop((slaves, follower, following, routes, peers));
    tracing::info!("Stopped");
    Ok(())
}

/// Looks at edge and slaves before each scrape.
fn watch(recorder: &Metrics, (edge, registry): (&Arc<Edge<Dispatcher>>, &Arc<Registry>)) {
    recorder.before_each_scrape(front::metrics::sample(edge));
    let registry = Arc::clone(registry);
    recorder.before_each_scrape(metrics::sample(move || registry.buffered_bytes()));
}

fn policies(config: &ProxyConfig) -> Policies {
    Policies {
        conflict: config.tool_conflict,
        ejection: config.ejection,
        repeat: config.repeat,
        balance: config.balance,
    }
}

/// Tells slaves which proxies there are, and counts them where there is a name to count by.
fn keep_peers(registry: &Arc<Registry>, config: &ProxyConfig) -> (Owned, Option<Owned>) {
    let count = |(host, port)| Owned(tokio::spawn(count_addresses(Arc::clone(registry), host, port)));
    (Owned(tokio::spawn(announce_changes(Arc::clone(registry)))), config.peers.clone().map(count))
}

/// The file of codes as it is now: what is followed is a change from that.
fn codes_source(config: &ProxyConfig) -> Result<Option<CodesSource>, CodesFileError> {
    let source = |path: &PathBuf| Ok(CodesSource { path: path.clone(), read: CodesFile::read(path)? });
    config.codes_file.as_ref().map(|(path, _)| source(path)).transpose()
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Goes by the file's rules, and by those that it says later.
fn keep_routes(dispatcher: &Dispatcher, file: Option<&RoutesFile>, hangups: ReloadSignal) -> Option<Owned> {
    let file = file?;
    metrics::config_loaded("routes");
    tracing::info!(rules = file.routes.own_rules(), "Routes read from {}", file.path.display());
    dispatcher.set_routes(Arc::clone(&file.routes));
    let (dispatcher, followed) =
        (dispatcher.clone(), WatchedFile::new(&file.path, Some(&file.content), hangups));
    let following = routes::follow(followed, move |routes| dispatcher.set_routes(routes));
    Some(Owned(tokio::spawn(following)))
}

/// Answers which rule and slaves a call would use.
fn explainer(dispatcher: Dispatcher) -> impl Fn(&[u8]) -> Result<String, String> {
    move |body| {
        let asked = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let explanation = dispatcher.explain(&asked)?;
        serde_json::to_string(&explanation).map_err(|error| error.to_string())
    }
}

fn ready(
    config: &ProxyConfig,
    registry: &Arc<Registry>,
    shutdown: &Shutdown,
) -> impl Fn() -> Readiness + use<> {
    let (least, registry, shutdown) = (config.ready_min_slaves, Arc::clone(registry), shutdown.clone());
    move || {
        // Degraded slaves count: a call that finds no better one goes to them.
        let slaves = registry.ready_slaves();
        let readiness = if shutdown.is_leaving() {
            Readiness::not_ready("shutting down")
        } else if slaves < least {
            Readiness::not_ready(why_not(&registry, slaves, least))
        } else {
            Readiness::ready()
        };
        readiness.with("slaves", slaves as u64)
    }
}

/// How many slaves there are in each state. No names: whoever asks showed no key.
fn why_not(registry: &Registry, slaves: usize, least: usize) -> String {
    let known = registry.health_by_name();
    let count = |state| known.iter().filter(|(_, health)| health.state == state).count();
    let counts = SlaveState::ALL.map(|state| (count(state), state.label()));
    let present: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, label)| format!("{count} {label}"))
        .collect();
    let known = if present.is_empty() { "none is known".to_owned() } else { present.join(", ") };
    format!("{slaves} slaves can take calls ({known}), READY_MIN_SLAVES asks for {least}")
}

/// Tells the slaves as soon as the shutdown begins, and waits for calls that nobody reads any more.
async fn drain(registry: Arc<Registry>, shutdown: Shutdown) {
    shutdown.draining().await;
    metrics::draining();
    tracing::info!(calls = registry.calls(), "Shutting down: no new calls, running ones finish");
    registry.drain();
    let finished = async {
        while registry.calls() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = finished => {}
        () = shutdown.grace_over() => tracing::warn!(calls = registry.calls(), "The grace is over: running calls are given up"),
    }
}

async fn wait_until_unlinked(registry: &Registry) {
    while registry.linked_slaves() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
}
