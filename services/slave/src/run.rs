//! The composition of the slave: builds its parts and runs them until the shutdown. With no proxy configured, the slave
//! is the standalone server.

mod advertise;
mod error;
mod files;
mod identity_keys;
mod instance_lock;
mod linked;
mod offer;
mod readiness;
mod settings;
mod start_line;
mod tools_file;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use front::server::{AccessFile, OpsPort, follow_access};
use front::{Edge, EdgeConfig};
use runtime::follow::ReloadSignal;
use runtime::keys::Reload;
use runtime::metrics::Metrics;
use runtime::ops::{Endpoints, Readiness};
use runtime::shutdown::Shutdown;
use runtime::start::StartError;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{LinkConfig, SlaveConfig};
use crate::executor::{Executor, ExecutorConfig};
use crate::identity_tokens::{IdentityTokens, JWKS_PATH};
use crate::local::LocalCalls;
use crate::metrics::{self, ConfigFile};
use crate::status::{Identity, Status};
pub use error::RunError;
use files::BackendsFile;
use identity_keys::IdentityKeys;
use instance_lock::InstanceLock;
use linked::Linked;
use offer::ToolSources;
pub use offer::missing_pilot;
use readiness::readiness;
pub use settings::{
    backends_file, backends_file_of, executor_config, http_servers, tools_file, tools_file_of,
};
use start_line::StartLine;
use tools_file::ReadTools;

/// How long backends may take to end by themselves once no call runs.
const BACKEND_EXIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs a slave until `shutdown`: then it takes no new calls, finishes those under way, delivers their ends and stops
/// its backends with all their processes.
///
/// Returns `Ok` also when the grace ended before the calls did. Dropping the future cuts everything off.
pub async fn run(config: SlaveConfig, shutdown: Shutdown) -> Result<(), RunError> {
    let recorder = Metrics::install(role(&config), metrics::TABLES).map_err(StartError::from)?;
    metrics::set_limits(config.capacity, config.journal_bytes);
    Slave::start(config).await?.serve(recorder, &shutdown).await
}

fn role(config: &SlaveConfig) -> &'static str {
    if config.link.is_some() { "slave" } else { "standalone" }
}

/// A slave whose port is bound and whose backends are starting.
struct Slave {
    http: TcpListener,
    ops: OpsPort,
    executor: Executor,
    edge: Arc<Edge<LocalCalls>>,
    linked: Option<Linked>,
    status: Status,
    sources: ToolSources,
    /// The proxies that are dialled, as URLs.
    proxies: Option<String>,
    backends: Option<BackendsFile>,
    tools: Option<ReadTools>,
    reload: ReloadSignal,
    following_keys: AbortOnDropHandle<()>,
    following_policy: Option<AbortOnDropHandle<()>>,
    identity_keys: Option<IdentityKeys>,
}

impl Slave {
    async fn start(config: SlaveConfig) -> Result<Self, RunError> {
        let http = config.common.http.bind().await.map_err(StartError::from)?;
        let address = http.local_addr().map_err(StartError::Address)?;
        let ops = OpsPort::bind(config.common.ops.port.as_ref()).await.map_err(StartError::from)?;
        let reload = ReloadSignal::listen().map_err(StartError::Signals)?;
        let backends = BackendsFile::read(&config)?;
        if let Some(file) = &backends {
            file.report();
        }
        let tools = ReadTools::read(&config)?;
        if let Some(file) = &tools {
            file.report();
        }
        let (policy, following_policy) = files::follow_policy(config.policy.as_ref(), &reload);
        let settings = settings::executor(&config, backends.as_ref(), tools.as_ref(), policy.clone());
        let identity_keys = IdentityKeys::read(&config, &reload)?;
        let identity_tokens = identity_keys.as_ref().map(IdentityKeys::tokens);
        let executor = Executor::start(ExecutorConfig { identity_tokens, ..settings }).await;
        let edge_config = EdgeConfig::from_common(&config.common, role(&config), address).under(policy);
        let edge = Edge::new(edge_config, LocalCalls::new(executor.clone()));
        let edge = Arc::new(edge);
        let access = edge.access_report(ops.scope());
        let lock = InstanceLock::take(&http, config.common.http.port, &config.name);
        let sources = ToolSources::of(&config);
        let proxies = config.link.as_ref().map(LinkConfig::urls);
        let linked = Linked::new(&config, lock, &executor, &edge, &reload)?;
        let status = Status {
            identity: Identity {
                role: role(&config),
                name: config.name,
                labels: config.labels,
                capacity: config.capacity,
                dashboards: config.common.ops.dashboards.clone(),
            },
            links: linked.as_ref().map(|linked| Arc::clone(&linked.links)),
            executor: executor.clone(),
            access,
            started: (Instant::now(), SystemTime::now()),
        };
        let follow =
            follow_access(Arc::clone(&edge), config.common, reload.clone(), |_| (), record_keys_reload);
        let following_keys = AbortOnDropHandle::new(tokio::spawn(follow));
        Ok(Self {
            http,
            ops,
            executor,
            edge,
            linked,
            status,
            sources,
            proxies,
            backends,
            tools,
            reload,
            following_keys,
            following_policy,
            identity_keys,
        })
    }

    fn start_line(&self) -> StartLine {
        let Status { identity, access, .. } = &self.status;
        StartLine {
            role: identity.role,
            name: identity.name.clone(),
            proxies: self.proxies.clone(),
            operators: self.ops.url(),
            access: *access,
        }
    }

    async fn serve(self, recorder: Metrics, shutdown: &Shutdown) -> Result<(), RunError> {
        let address = self.http.local_addr().map_err(StartError::Address)?;
        self.status.access.log();
        let start = self.start_line();
        let _following_files = (self.following_keys, self.following_policy);
        let report = offer::report(self.executor.clone(), self.sources.clone());
        let reporting = AbortOnDropHandle::new(tokio::spawn(report));
        let ready = readiness(self.status.links.clone(), self.executor.clone(), self.sources, shutdown);
        let executor = self.executor.clone();
        recorder.before_each_scrape(move || metrics::set_subscriptions(executor.session_subscriptions()));
        let tokens = self.identity_keys.as_ref().map(IdentityKeys::tokens);
        let retention = Arc::clone(self.executor.retention());
        recorder.before_each_scrape(move || metrics::set_retained(retention.bytes(), retention.len()));
        let ops = publish_keys(ops(self.status, recorder, &self.edge, ready), tokens).build();
        let following_identity_keys =
            self.identity_keys.map(|keys| AbortOnDropHandle::new(tokio::spawn(keys.follow())));
        let (_serving_ops, ops) = self.ops.open(&self.edge, ops);
        tracing::info!("MCP server listening on http://{address}");
        start.log(&format!("http://{address}"));
        shutdown.set_serving();
        let (reload, executor) = (self.reload, &self.executor);
        let tools = self.tools.map(|file| tokio::spawn(file.follow(reload.clone(), executor.clone())));
        let backends = self.backends.map(|file| tokio::spawn(file.follow(reload, executor.clone())));
        let following: Vec<_> = tools.into_iter().chain(backends).map(AbortOnDropHandle::new).collect();
        let link = async {
            match self.linked {
                Some(linked) => linked.run(shutdown).await,
                None => shutdown.draining().await,
            }
        };
        let close = async {
            shutdown.draining().await;
            // Calls end with the backends that they began with.
            drop(following);
            metrics::set_draining();
            self.edge.close();
            self.executor.end_listening();
        };
        let http = front::server::serve(self.http, Arc::clone(&self.edge), ops, shutdown);
        tokio::join!(http, close, link);
        // Backends that end take their tools with them, which is no news then.
        drop((reporting, following_identity_keys));
        self.executor.shutdown(BACKEND_EXIT_TIMEOUT).await;
        tracing::info!("Stopped");
        Ok(())
    }
}

fn record_keys_reload(file: AccessFile, outcome: Reload) {
    let file = ConfigFile::Keys(file.label());
    match outcome {
        Reload::Applied => file.record_reload(),
        Reload::Refused => file.record_failed_reload(),
    }
}

/// Builds the operators' endpoints, and sets the gauges of edge and links before each scrape.
fn ops(
    status: Status,
    recorder: Metrics,
    edge: &Arc<Edge<LocalCalls>>,
    ready: impl Fn() -> Readiness + Send + Sync + 'static,
) -> Endpoints {
    recorder.before_each_scrape(edge.gauge_sampler());
    if let Some(links) = status.links.clone() {
        recorder.before_each_scrape(move || metrics::set_link_usage(links.endpoint.usage()));
    }
    status.serve(recorder.clone(), Endpoints::new(recorder, ready))
}

/// Adds the public keys of tokens for backends, which need no key to be read.
fn publish_keys(endpoints: Endpoints, tokens: Option<IdentityTokens>) -> Endpoints {
    match tokens {
        Some(tokens) => endpoints.with_open_document(JWKS_PATH, move || tokens.public_keys()),
        None => endpoints,
    }
}

#[cfg(test)]
mod tests;
