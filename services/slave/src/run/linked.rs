//! Links to proxies, which the standalone server does not have. Must not know HTTP.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use front::Edge;
use protocol::link::ids::InstanceId;
use runtime::follow::ReloadSignal;
use runtime::shutdown::Shutdown;
use runtime::start::StartError;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::advertise::{self, AdvertisedParts};
use super::error::RunError;
use super::files::CodeFile;
use super::instance_lock::InstanceLock;
use super::settings;
use crate::config::SlaveConfig;
use crate::dial::Dialer;
use crate::endpoint::{Endpoint, Stage};
use crate::executor::{Executor, Offer};
use crate::link::{Code, LinkStatus, LinkTable, Links, PlainProxies, ResumeSecrets};
use crate::local::LocalCalls;

/// How long links may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The links of a slave, and what keeps them.
pub(super) struct Linked {
    pub(super) links: Arc<Links>,
    dialer: Dialer,
    code: Option<CodeFile>,
    offer: watch::Receiver<Arc<Offer>>,
    /// The parts of the catalog that the endpoint has.
    advertised: AdvertisedParts,
    /// Held until every call was delivered.
    _lock: Option<InstanceLock>,
}

impl Linked {
    /// Prepares the links; `None` where no proxy is configured. Nothing is dialled yet.
    pub(super) fn new(
        config: &SlaveConfig,
        lock: Option<InstanceLock>,
        executor: &Executor,
        edge: &Arc<Edge<LocalCalls>>,
        reload: &ReloadSignal,
    ) -> Result<Option<Self>, RunError> {
        let Some(link) = &config.link else { return Ok(None) };
        let mut offer = executor.offer();
        let advertised = AdvertisedParts::of_complete(&offer.borrow_and_update());
        let instance = InstanceId(getrandom::u64().map_err(StartError::from)?);
        let links = Arc::new(Links {
            endpoint: Endpoint::new(
                executor.clone(),
                Arc::clone(executor.retention()),
                settings::limits(config),
                advertised.all(),
            ),
            plain: PlainProxies::new(config.journal_bytes),
            edge: Arc::clone(edge),
            hello: settings::hello(config, instance, lock.as_ref().map(InstanceLock::name)),
            code: ArcSwap::from_pointee(Code::first(link.code.clone())),
            secrets: ResumeSecrets::default(),
            ping: config.common.link_ping,
            status: LinkStatus::default(),
            table: LinkTable::default(),
        });
        let dialer = Dialer::new(Arc::clone(&links), link, settings::plain_message(config))?;
        let code = link.code_file.clone().map(|source| CodeFile::new(source, reload.clone()));
        Ok(Some(Self { links, dialer, code, offer, advertised, _lock: lock }))
    }

    /// Keeps the links until the shutdown, then delivers what runs and closes them.
    pub(super) async fn run(self, shutdown: &Shutdown) {
        let endpoint = &self.links.endpoint;
        let spawn_code = |file: CodeFile| tokio::spawn(file.follow(Arc::clone(&self.links)));
        let mut dialing = AbortOnDropHandle::new(tokio::spawn(self.dialer.run()));
        let _expiry = AbortOnDropHandle::new(tokio::spawn(Arc::clone(endpoint).expire()));
        let _code = self.code.map(spawn_code).map(AbortOnDropHandle::new);
        let advertise = advertise::follow(self.offer, self.advertised, Arc::clone(endpoint));
        let _catalog = AbortOnDropHandle::new(tokio::spawn(advertise));
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
        // A proxy that does not answer must not hold this up.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut dialing).await;
    }
}
