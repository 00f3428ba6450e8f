//! A slave as the proxy knows it, whether its link is up or not. Shared by the task of its link and by its callers.
//!
//! Its links' life is in `lifecycle`, its calls are in `slave_calls`, its catalog is in `slave_catalog`. Must not know sockets or tools' pools.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use protocol::link::handshake::SlaveHello;
use protocol::link::limits::LinkLimits;
use protocol::link::proxy_end::ProxyEnd;
use protocol::mcp::catalog::Catalog;
use tokio::sync::Notify;

use super::awaited::Awaited;
use super::bounds::BoundsReport;
use super::catalog::AnnouncedCatalog;
use super::event_window::EventWindow;
use super::health::{Health, HealthSnapshot};
use super::info::SlaveInfo;
use super::offer::EffectiveOffer;
use super::plain::PlainEnd;
use super::response::ResponseTx;
use super::resume::ResumeKey;
use crate::access::{Grant, Identity};
use crate::balance::ActiveCalls;
use crate::metrics::LinkMeter;
use crate::slave_state::SlaveState;

/// State machine of a slave's link, by dialect.
pub(super) enum LinkState {
    Native(Box<ProxyEnd<ResponseTx>>),
    Plain(Box<PlainEnd>),
}

/// Weight of a slave before its grant is known, in percent.
const DEFAULT_WEIGHT: u32 = 100;

/// A slave process of the native dialect, as it proved to be.
pub(super) struct Process {
    /// The instance that it announced, which alone proves nothing.
    pub(super) instance: String,
    /// The secret by which it resumes its calls.
    pub(super) secret: ResumeKey,
    /// The host slot that it announced: at most one process of the identity lives in a slot, so another one there means
    /// that this process is gone.
    pub(super) seat: Option<String>,
    /// Digest of the instance, by which labels of `requestState` name the process.
    pub(super) state: u64,
}

/// A slave process (native dialect) or a single connection of a slave (plain dialect).
pub(crate) struct Slave {
    /// Key in the registry: random, shown to operators as the slave's id.
    pub(crate) key: u64,
    /// Name under which the slave is shown: derived from `SLAVE_NAME` and the code, or generated for a plain slave.
    pub(crate) name: String,
    /// Weight in force, in percent.
    weight: AtomicU32,
    /// Calls in flight, with their limits.
    pub(crate) active: Arc<ActiveCalls>,
    /// Counts the slave's calls.
    pub(crate) meter: LinkMeter,
    /// The offer that clients see.
    pub(super) offer: EffectiveOffer,
    /// The catalog in parts, as the slave announced them.
    announced: Mutex<AnnouncedCatalog>,
    /// What was reported of its announcements and tools.
    pub(super) bounds: BoundsReport,
    link: Mutex<LinkState>,
    /// Wakes the task of the current link.
    pub(super) waker: AtomicWaker,
    /// Whether the task of the current link begins its next round by itself. Changes under the lock of `link`.
    pub(super) gathers: AtomicBool,
    pub(super) health: Health,
    pub(super) info: SlaveInfo,
    /// Whether the slave takes `peers` frames.
    pub(super) takes_peers: bool,
    /// Number of the current link.
    pub(super) generation: AtomicU64,
    /// `None`: a slave of the plain dialect.
    pub(super) process: Option<Process>,
    host_slot: u64,
    /// Whether the process is known to be gone, or to go with its link.
    pub(super) dead: AtomicBool,
    /// Whether the slave has sent a whole catalog.
    pub(super) has_catalog: AtomicBool,
    pub(super) since: Instant,
    /// The `CloseReason` with which the current link is to be closed; 0: none.
    pub(super) close_request: AtomicU8,
    /// Malformed answers on the current link.
    pub(super) bad_answers: EventWindow,
    /// Facts about sessions and grants that no proxy of the fleet made.
    pub(super) false_facts: EventWindow,
    /// Facts about proxies that are not accepted. Apart from the others: slaves of two fleets report both.
    pub(super) false_peers: EventWindow,
    pub(super) awaited: Awaited,
    /// Told of each link that begins.
    pub(super) relinked: Notify,
}

impl Slave {
    /// A slave of the native dialect, shown under this name. Its link is not up yet.
    pub(super) fn native(
        key: u64,
        name: String,
        host_slot: u64,
        process: Process,
        hello: &SlaveHello,
        limits: LinkLimits,
    ) -> Self {
        let link = LinkState::Native(Box::new(ProxyEnd::new(limits)));
        let slave = Self::new(key, name, hello.capacity, link);
        Self {
            host_slot,
            process: Some(process),
            takes_peers: hello.linked.is_some(),
            info: SlaveInfo::new(&hello.agent),
            ..slave
        }
    }

    /// A slave whose link is up, for tests of what uses slaves.
    #[cfg(test)]
    pub(crate) fn for_test(hello: &SlaveHello, key: u64, limits: LinkLimits, catalog: Catalog) -> Arc<Self> {
        let process = Process {
            instance: hello.instance.clone(),
            secret: ResumeKey::random().unwrap(),
            seat: hello.seat.clone(),
            state: protocol::mcp::request_state::process_digest(&hello.instance),
        };
        let slave = Self::native(key, hello.slave_name.clone(), key, process, hello, limits);
        slave.link_up(hello.window, Instant::now());
        slave.set_grant(Grant::unrestricted(hello.into()));
        slave.set_catalog(catalog);
        slave.has_catalog.store(true, Ordering::Release);
        Arc::new(slave)
    }

    /// Sets another grant, for tests of what uses slaves.
    #[cfg(test)]
    pub(crate) fn regrant_for_test(&self, grant: Grant) {
        self.set_grant(grant);
    }

    /// A slave of the plain dialect, whose requests have ids with this prefix, and whose calls outlive its link by `grace`. Its link is
    /// not up yet.
    pub(super) fn plain(key: u64, name: String, ids: u128, grace: Duration) -> Self {
        let end = PlainEnd::new(ids, grace, Instant::now());
        Self::new(key, name, 0, LinkState::Plain(Box::new(end)))
    }

    fn new(key: u64, name: String, capacity: u32, link: LinkState) -> Self {
        Self {
            key,
            meter: LinkMeter::new(&name),
            name,
            weight: AtomicU32::new(DEFAULT_WEIGHT),
            active: ActiveCalls::new(key, capacity),
            offer: EffectiveOffer::default(),
            announced: Mutex::default(),
            bounds: BoundsReport::default(),
            link: Mutex::new(link),
            waker: AtomicWaker::new(),
            gathers: AtomicBool::new(false),
            health: Health::new(),
            info: SlaveInfo::default(),
            takes_peers: false,
            generation: AtomicU64::new(0),
            process: None,
            host_slot: key,
            dead: AtomicBool::new(false),
            has_catalog: AtomicBool::new(false),
            since: Instant::now(),
            close_request: AtomicU8::new(0),
            bad_answers: EventWindow::default(),
            false_facts: EventWindow::default(),
            false_peers: EventWindow::default(),
            awaited: Awaited::default(),
            relinked: Notify::new(),
        }
    }

    /// Returns the id by which operators know the slave: 16 hex digits.
    pub(crate) fn id(&self) -> String {
        format!("{:016x}", self.key)
    }

    /// Locks the state of the link. The lock is held briefly, and never across an await.
    pub(super) fn link(&self) -> MutexGuard<'_, LinkState> {
        self.link.lock()
    }

    /// Returns whether calls can be sent to the slave now, degraded or not.
    pub(crate) fn accepts_calls(&self) -> bool {
        self.health.accepts_calls()
    }

    /// Returns whether another slave is preferred where one can take the call: this one answers late or not, reports a fault
    /// or is ejected.
    pub(crate) fn is_degraded(&self) -> bool {
        self.health.is_degraded()
    }

    /// Returns whether the slave has not answered for so long that it may be paused.
    pub(crate) fn is_overdue(&self) -> bool {
        self.health.is_overdue()
    }

    /// Returns whether a link is up.
    pub(crate) fn is_linked(&self) -> bool {
        self.health.is_linked()
    }

    /// Returns whether a link is up over which the slave gets no new calls.
    pub(crate) fn is_draining(&self) -> bool {
        self.state() == SlaveState::Draining
    }

    pub(super) fn state(&self) -> SlaveState {
        self.health.state()
    }

    /// Returns state and reason.
    pub(crate) fn health_snapshot(&self) -> HealthSnapshot {
        self.health.snapshot()
    }

    /// Records that the slave announced its shutdown: it gets no new calls.
    pub(super) fn set_draining(&self) {
        self.health.set_draining();
    }

    /// Returns the key of the slave's host slot, which a restarted process has again; without a slot, of the process.
    pub(crate) fn host_slot(&self) -> u64 {
        self.host_slot
    }

    /// Returns whether both slaves are of one identity and announced the same host slot, so that at most one of them lives.
    pub(super) fn shares_host_slot(&self, other: &Self) -> bool {
        let (Some(process), Some(other_process)) = (&self.process, &other.process) else { return false };
        self.key != other.key
            && process.seat.is_some()
            && process.seat == other_process.seat
            && self.grant().identity() == other.grant().identity()
    }

    /// Returns whether a hello with a code of this identity says that it is of this process. It proves nothing yet.
    pub(super) fn claims_match(&self, hello: &SlaveHello, identity: &Identity) -> bool {
        let is_claimed = |process: &Process| process.instance == hello.instance;
        // Codes without a name are one domain, so that such a code can be exchanged for another without a loss of calls.
        self.process.as_ref().is_some_and(is_claimed) && self.grant().identity().domain() == identity.domain()
    }

    /// Returns whether a hello with a code of this identity proves to be of this process. `proxy` is the instance of this proxy.
    pub(super) fn is_resumed_by(&self, hello: &SlaveHello, identity: &Identity, proxy: &str) -> bool {
        let is_proved = |process: &Process| process.secret.is_proved_by(hello, proxy);
        self.claims_match(hello, identity) && self.process.as_ref().is_some_and(is_proved)
    }

    /// Returns the digest by which labels of `requestState` name the process; `None`: a plain slave, which knows no labels.
    pub(crate) fn state_process(&self) -> Option<u64> {
        self.process.as_ref().map(|process| process.state)
    }

    /// Returns the text by which labels of `requestState` name the identity. No name of a code begins as one without a name does.
    pub(crate) fn state_identity(&self) -> String {
        let grant = self.grant();
        let identity = grant.identity();
        format!("{}\n{identity}", if identity.name().is_some() { "code" } else { "digest" })
    }

    /// Returns the weight in force, in percent.
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Returns whether the slave speaks the native dialect.
    pub(crate) fn is_native(&self) -> bool {
        self.process.is_some()
    }

    /// Returns what the slave's code grants it.
    pub(crate) fn grant(&self) -> Arc<Grant> {
        self.offer.grant()
    }

    /// Returns what the slave offers, reduced to what its grant allows.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.offer.catalog()
    }

    /// Sets what the slave's code grants it.
    pub(super) fn set_grant(&self, grant: Grant) {
        self.weight.store(grant.weight, Ordering::Relaxed);
        self.active.set_capacity(grant.capacity);
        self.bounds.on_grant(&self.name, &grant);
        let left_out = self.offer.set_grant(grant);
        self.bounds.on_left_out(&self.name, &self.grant(), &left_out);
        self.health.set_tools(self.catalog().tools.len());
    }

    /// Locks what the slave has announced. The lock is held briefly, and never across an await.
    pub(super) fn announced(&self) -> MutexGuard<'_, AnnouncedCatalog> {
        self.announced.lock()
    }
}
