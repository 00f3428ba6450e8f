//! The composition of the proxy: builds its parts and runs them until the shutdown. Must not know how the parts work.

mod broker;
mod drain;
mod error;
mod link_path;
mod ports;
mod readiness;

use std::sync::Arc;
use std::time::Instant;

use front::server::{AccessFile, follow_access};
use front::{Edge, EdgeConfig};
use policy::{PolicyFile, PolicyStore, Side};
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use protocol::mcp::failure::explain_outcome;
use runtime::activity::Activity;
use runtime::follow::{ReloadSignal, WatchedFile};
use runtime::keys::Reload;
use runtime::metrics::Metrics;
use runtime::ops::{Endpoints, Ops};
use runtime::secret::SessionKeys;
use runtime::shutdown::Shutdown;
use runtime::start::StartError;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{CodeStore, CodesFile, CodesSource};
use crate::config::ProxyConfig;
use crate::dispatch::{ActiveSettings, CallTimes, Dispatcher, Forwarder, Policies};
use crate::fleet::Fleet;
use crate::links::{
    AcceptContext, Admission, CatalogAccounts, LinkTimes, Registry, announce_changes, announce_revocations,
    announce_rotations, count_addresses, follow_codes, serve_slaves,
};
use crate::metrics;
use crate::routes::{self, EXPLAIN_PATH, RoutesFile};
use crate::setup::Setup;
use crate::start_window::StartWindow;
use crate::status::{Guards, Served, Status};
use crate::tls::{OpsEndpoints, TlsState};
pub use error::RunError;
use ports::Ports;

/// Largest answer of a plain slave, in bytes. The answer is one text frame, which is held in memory whole.
const MAX_PLAIN_ANSWER: usize = 64 * 1024 * 1024;

/// Background tasks, aborted when they are dropped.
type Tasks = Vec<AbortOnDropHandle<()>>;

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// Runs a proxy until `shutdown`; the proxy then takes no new calls, finishes those under way and closes its links.
///
/// Returns `Ok` even when the grace ended before the calls did; those calls have failed. Dropping the future ends all
/// connections and calls.
pub async fn run(setup: Setup, shutdown: Shutdown) -> Result<(), RunError> {
    let Setup { config, routes, policy, .. } = setup;
    let store = policy.as_ref().map(|file| PolicyStore::new(Arc::clone(&file.policy)));
    let recorder = Metrics::install("proxy", metrics::TABLES).map_err(StartError::from)?;
    let secured = TlsState::load(&config.tls).map_err(StartError::from)?;
    let ports = Ports::bind(&config, &secured).await?;
    let source = codes_source(&config)?;
    let codes = CodeStore::new(config.slave_codes.clone(), source.as_ref().map(|source| &source.read.0));
    let core = Core::new(&config, Arc::clone(&codes), store.clone())?;
    let reload = ReloadSignal::listen().map_err(StartError::Signals)?;
    let mut tasks = core.spawn_upkeep(&config, routes.as_ref(), &reload);
    tasks.extend(
        policy.zip(store.clone()).map(|(file, store)| core.follow_policy(&file, store, reload.clone())),
    );
    let guards = Guards { codes: Arc::clone(&codes), policy: store.clone(), certificates: secured.by_port() };
    let follow_codes = follow_codes(Arc::clone(&codes), Arc::clone(&core.registry), source, reload.clone());
    let addresses = ports.announce(&secured)?;
    let secured_ports = secured.ports(match ports.ops.scope() {
        Some(_) => OpsEndpoints::OwnPort,
        None => OpsEndpoints::ClientsPort,
    });
    tasks.extend([spawn(follow_codes), spawn(secured.follow(reload.clone()))]);
    // Before slaves link: they tell at once what they know to be revoked.
    let broker = broker::start(&config, &core.registry);
    let known_codes = codes.current().len();
    let accept = Arc::new(core.accept_context(&config, codes, ports.ws_tls));
    let upgrades = config.slaves_on_client_port.then(|| link_path::upgrades(Arc::clone(&accept)));
    tasks.push(spawn(serve_slaves(ports.ws, accept)));
    let edge_config = EdgeConfig::from_common(&config.common, "proxy", ports.http_at)
        .behind(config.trusted.clone())
        .under(store)
        .with_certificates(config.tls.client_certificates)
        .with_authority(broker.as_ref().map(broker::authority));
    let edge = Edge::new(edge_config, core.dispatcher.clone());
    let edge = Arc::new(edge);
    let access = edge.access_report(ports.ops.scope());
    let served = Served { access, tls: secured_ports, guards, ops: config.common.ops.clone() };
    access.log();
    let registry = Arc::clone(&core.registry);
    tasks.extend(broker.clone().map(|broker| broker::follow(broker, reload.clone())));
    let on_session_keys = move |keys: &SessionKeys| {
        registry.replace_keys(keys);
        broker::replace_keys(broker.as_deref(), keys);
    };
    let follow =
        follow_access(Arc::clone(&edge), config.common.clone(), reload, on_session_keys, record_reload);
    tasks.push(spawn(follow));
    let ended = Arc::clone(&edge);
    core.registry.on_session_end(move |end| ended.revoke_session(&end.session, end.at));
    let ops = core.ops(&config, recorder, &edge, &shutdown, served);
    let (_serving_ops, ops) = ports.ops.open(&edge, ops);
    addresses.log_start(access, known_codes);
    shutdown.set_serving();
    let drained = drain::drain(Arc::clone(&core.registry), shutdown.clone());
    tokio::join!(front::server::serve(ports.http.with_upgrades(upgrades), edge, ops, &shutdown), drained);
    drain::close_links(&core.registry).await;
    drop(tasks);
    tracing::info!("Stopped");
    Ok(())
}

/// The parts that handle calls.
struct Core {
    registry: Arc<Registry>,
    dispatcher: Dispatcher,
    activity: Activity,
    start: StartWindow,
}

impl Core {
    fn new(
        config: &ProxyConfig,
        codes: Arc<CodeStore>,
        policy: Option<PolicyStore>,
    ) -> Result<Self, RunError> {
        let instance = InstanceId(getrandom::u64().map_err(StartError::from)?);
        let limits = LinkLimits { grace: config.link_grace, ..LinkLimits::default() };
        let fleet =
            Fleet::new(instance, config.common.session.keys.open()).map_err(|_| RunError::FleetKeys)?;
        let catalogs = CatalogAccounts::new(config.max_catalog_bytes, config.max_links_per_code);
        let registry =
            Registry::new(fleet, config.slave_mode, config.max_slaves, limits, config.ejection, catalogs);
        let times =
            CallTimes { silence: config.common.request_timeout, total: config.common.request_timeout_total };
        let policies = Policies {
            conflict: config.tool_conflict,
            ejection: config.ejection,
            retry: config.retry,
            balance: config.balance,
        };
        let start = StartWindow::begin(Instant::now(), config.start_window, codes.current().len());
        let activity =
            Activity::new("slave", config.common.ops.ui.is_on().into()).explained_by(explain_outcome);
        let forwarder = Forwarder::new(Arc::clone(&registry), instance, start);
        let settings = ActiveSettings::new(policies, codes, policy);
        let dispatcher = Dispatcher::new(forwarder, settings, times, activity.clone());
        Ok(Self { registry, dispatcher, activity, start })
    }

    /// Starts the tasks that keep the directory of tools, the list of proxies and the routes up to date.
    fn spawn_upkeep(
        &self,
        config: &ProxyConfig,
        routes: Option<&RoutesFile>,
        reload: &ReloadSignal,
    ) -> Tasks {
        let mut tasks = vec![
            spawn(announce_changes(Arc::clone(&self.registry))),
            spawn(announce_revocations(Arc::clone(&self.registry))),
            spawn(announce_rotations(Arc::clone(&self.registry))),
            spawn(self.dispatcher.clone().follow_changes()),
        ];
        let peers = config.peers.clone();
        tasks.extend(peers.map(|name| spawn(count_addresses(Arc::clone(&self.registry), name.0, name.1))));
        tasks.extend(routes.map(|file| self.follow_routes(file, reload.clone())));
        tasks
    }

    /// Sets the rules of the routes file, and sets them again whenever the file changes.
    fn follow_routes(&self, file: &RoutesFile, reload: ReloadSignal) -> AbortOnDropHandle<()> {
        metrics::record_config_load("routes");
        tracing::info!(rules = file.routes.own_rules(), "Routes read from {}", file.path.display());
        self.dispatcher.set_routes(Arc::clone(&file.routes));
        let dispatcher = self.dispatcher.clone();
        let watched = WatchedFile::new(&file.path, Some(&file.content), reload);
        spawn(routes::follow(watched, move |routes| dispatcher.set_routes(routes)))
    }

    /// Sets the policy again whenever its file changes.
    fn follow_policy(
        &self,
        file: &PolicyFile,
        store: PolicyStore,
        reload: ReloadSignal,
    ) -> AbortOnDropHandle<()> {
        metrics::record_config_load("policy");
        tracing::info!(rules = file.policy.rules(), "Policy read from {}", file.path.display());
        let dispatcher = self.dispatcher.clone();
        let watched = WatchedFile::new(&file.path, Some(&file.content), reload);
        let apply = move |policy, outcome| {
            let gone = outcome == policy::Reload::Gone;
            metrics::record_config_reload("policy", if gone { "failed" } else { "ok" });
            store.replace(policy);
            dispatcher.on_policy_changed();
        };
        let refused = || metrics::record_config_reload("policy", "failed");
        spawn(policy::follow("POLICY", watched, Side::Proxy, apply, refused))
    }

    fn accept_context(
        &self,
        config: &ProxyConfig,
        codes: Arc<CodeStore>,
        tls: Option<Arc<runtime::tls::ServerTls>>,
    ) -> AcceptContext {
        AcceptContext {
            registry: Arc::clone(&self.registry),
            codes,
            admission: Admission::new(config.handshake_rate, Instant::now()),
            trusted: config.trusted.clone(),
            tls,
            times: LinkTimes {
                ping_interval: config.common.link_ping.interval,
                ping_timeout: config.common.link_ping.timeout,
                late: config.link_late,
            },
            plain_answer: MAX_PLAIN_ANSWER,
        }
    }

    /// Builds the operators' endpoints, which set the gauges of edge and slaves before each scrape.
    fn ops(
        &self,
        config: &ProxyConfig,
        recorder: Metrics,
        edge: &Arc<Edge<Dispatcher>>,
        shutdown: &Shutdown,
        served: Served,
    ) -> Ops {
        recorder.before_each_scrape(edge.gauge_sampler());
        let registry = Arc::clone(&self.registry);
        recorder.before_each_scrape(metrics::sample(move || registry.buffered_bytes()));
        let registry = Arc::clone(&self.registry);
        recorder.before_each_scrape(move || metrics::set_catalog_bytes(registry.catalogs().bytes()));
        let ready = readiness::readiness(config.ready_min_slaves, self.start, &self.registry, shutdown);
        let endpoints = Endpoints::new(recorder.clone(), ready);
        let endpoints = endpoints.with_request(EXPLAIN_PATH, explainer(self.dispatcher.clone()));
        Status::new(&self.registry, self.dispatcher.clone(), self.activity.clone(), recorder, served)
            .serve(endpoints)
            .build()
    }
}

/// Returns the label of a reload's outcome in metrics.
fn record_reload(file: AccessFile, outcome: Reload) {
    metrics::record_config_reload(file.label(), reload_outcome(outcome));
}

fn reload_outcome(outcome: Reload) -> &'static str {
    match outcome {
        Reload::Applied => "ok",
        Reload::Refused => "failed",
    }
}

/// Reads the file of codes, if there is one.
fn codes_source(config: &ProxyConfig) -> Result<Option<CodesSource>, RunError> {
    let Some(path) = &config.codes_file else { return Ok(None) };
    Ok(Some(CodesSource { path: path.clone(), read: CodesFile::read(path)? }))
}

/// Returns the function that explains which rule and slaves a call would use.
fn explainer(dispatcher: Dispatcher) -> impl Fn(&[u8]) -> Result<String, String> {
    move |body| {
        let question = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let explanation = dispatcher.explain(&question)?;
        serde_json::to_string(&explanation).map_err(|error| error.to_string())
    }
}
