//! Takes calls: finds the pool, chooses a slave, sends the call. Knows nothing of HTTP or frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use front::calls::{Asker, Calls, Listing};
use protocol::call::Part;
use protocol::failure::Failure;
use protocol::header::{CallHeader, SessionFacts};
use protocol::ids::{CallId, InstanceId};
use tokio::sync::watch;

use super::directory::{Directory, Pool};
use super::health::{self, Judgement};
use super::repeat::Repeat;
use super::stream::{CallStream, Open};
use crate::back::{OpenCall, Registry, Slave, Slot};
use crate::config::ToolConflict;
use crate::metrics;
use crate::outliers::Policy;
use crate::routes::{Asked, Explanation, Offer, Question, Route, Routes, Who, explain_among};

/// After the directory was built anew: how many times as long as that took nothing is built.
const REST: u32 = 4;

/// The longest time that a change of slaves or tools waits for that.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTimes {
    /// `REQUEST_TIMEOUT`.
    pub(crate) silence: Duration,
    /// `REQUEST_TIMEOUT_TOTAL`.
    pub(crate) total: Duration,
}

/// What the operator decided about tools and their slaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    /// `TOOL_CONFLICT`.
    pub(crate) conflict: ToolConflict,
    /// `EJECT_AFTER`, `EJECT_TIME`.
    pub(crate) ejection: Policy,
    /// `RETRY_IDEMPOTENT`.
    pub(crate) repeat: Repeat,
}

struct Shared {
    registry: Arc<Registry>,
    directory: ArcSwap<Directory>,
    routes: ArcSwap<Routes>,
    listing: watch::Sender<Arc<Listing>>,
    policies: Policies,
    instance: InstanceId,
    counter: AtomicU64,
    times: CallTimes,
}

/// Where a call may go.
pub(super) struct Aim<'a> {
    pub(super) pool: &'a Pool,
    pub(super) route: &'a Route,
    /// Where it was in vain: not again, if there is any other place.
    pub(super) avoid: Option<u64>,
}

/// Takes calls for all slaves. Clones are the same dispatcher.
#[derive(Clone)]
pub(crate) struct Dispatcher(Arc<Shared>);

impl Dispatcher {
    pub(crate) fn new(
        registry: Arc<Registry>,
        instance: InstanceId,
        (policies, times): (Policies, CallTimes),
    ) -> Self {
        let empty = Listing { tools: Bytes::from_static(b"[]"), tool_count: 0 };
        Self(Arc::new(Shared {
            registry,
            directory: ArcSwap::default(),
            routes: ArcSwap::default(),
            listing: watch::Sender::new(Arc::new(empty)),
            policies,
            instance,
            counter: AtomicU64::new(1),
            times,
        }))
    }

    /// Calls go by these rules from now on; those under way by the rule that they began with.
    pub(crate) fn set_routes(&self, routes: Arc<Routes>) {
        self.0.routes.store(routes);
        self.0.registry.changed.notify_one();
    }

    /// What would become of such a call now. The error says what cannot be understood.
    pub(crate) fn explain(&self, asked: &Asked) -> Result<Explanation, String> {
        let pool = self.0.directory.load().pool(&asked.tool).map(Arc::clone);
        let offer = pool.as_ref().map(|pool| Offer { own_name: &pool.own_name, members: &pool.members });
        explain_among(&self.0.routes.load(), asked, offer)
    }

    /// Keeps the directory up to date until the task is dropped. Changes that come together are one rebuild.
    pub(crate) async fn follow_changes(self) {
        loop {
            self.0.registry.changed.notified().await;
            let began = Instant::now();
            self.rebuild();
            // With thousands of slaves a look at all of them takes a while: when they come back together it must not
            // be all that is done.
            tokio::time::sleep((began.elapsed() * REST).min(LONGEST_REST)).await;
        }
    }

    fn rebuild(&self) {
        let before = self.0.directory.load();
        let routes = self.0.routes.load_full();
        let about = (&*routes, self.0.policies);
        let (directory, listing) = Directory::build(&self.0.registry.all(), about, &before);
        metrics::tools(listing.tool_count, directory.conflicts().len());
        for (name, instead) in directory.conflicts() {
            if before.conflicts().get(name) != Some(instead) {
                let instead = if instead.is_empty() {
                    "none (TOOL_CONFLICT=refuse)".into()
                } else {
                    instead.join(", ")
                };
                tracing::warn!(
                    tool = name,
                    "Slaves offer different tools under one name; clients see: {instead}"
                );
            }
        }
        self.0.directory.store(Arc::new(directory));
        let listing = Arc::new(listing);
        self.0.listing.send_if_modified(|old| {
            let changed = **old != *listing;
            *old = listing;
            changed
        });
    }

    pub(super) fn next_id(&self) -> CallId {
        CallId::new(self.0.instance, self.0.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// How long a call waits for a slave that may come back.
    pub(super) fn grace(&self) -> Duration {
        self.0.registry.limits().grace
    }

    pub(super) fn pool(&self, tool: &str) -> Result<Arc<Pool>, Failure> {
        let directory = self.0.directory.load();
        match directory.pool(tool) {
            Some(pool) => Ok(Arc::clone(pool)),
            None if !directory.any_slave => Err(Failure::NoSlave),
            None => Err(Failure::UnknownTool(directory.explain(tool))),
        }
    }

    /// Sends the call to a slave of its route, of a later tier only where none of an earlier one can take it.
    /// `Err`: none can take it now.
    pub(super) fn send(
        &self,
        Aim { pool, route, avoid }: Aim<'_>,
        (call, tool): (&OpenCall, &str),
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Result<Arc<Slave>, Failure> {
        let outliers = [&self.0.registry.outliers, &*pool.outliers];
        let tiers = health::sieve((&route.tiers, avoid), outliers, now);
        // A slave may lose its link between the choice and the sending: another choice, as often as there are slaves.
        let slaves = || tiers.iter().flat_map(|tier| tier.iter());
        for _ in 0..=slaves().count() {
            let chosen = tiers.iter().find_map(|tier| choose(tier, splitmix(call.id.0)));
            let Some(slave) = chosen else { break };
            if slave.open(call, slot, now).is_ok() {
                for outliers in outliers {
                    outliers.sent(slave.place(), now);
                }
                tracing::debug!(
                    slave = slave.name,
                    tool,
                    "Forwarding request to slave: tools/call (id: {})",
                    call.id
                );
                return Ok(Arc::clone(slave));
            }
        }
        if slaves().any(|slave| slave.is_ready()) {
            return Err(Failure::Busy { what: format!("every slave that offers {tool} is at its capacity") });
        }
        if self.0.registry.linked() == 0 {
            Err(Failure::NoSlave)
        } else {
            Err(Failure::NoSlaveForTool { name: tool.into(), wanted: route.wanted() })
        }
    }

    /// The last part of a call's answer tells how its slave does.
    pub(super) fn judge(&self, part: &Part, (tool, pool): (&str, &Pool), slave: &Slave) {
        health::judge(Judgement::of(part), (tool, &pool.outliers), (&self.0.registry, slave));
    }

    /// The client left before the end: that says nothing of the slave.
    pub(super) fn judge_nothing(&self, (tool, pool): (&str, &Pool), slave: &Slave) {
        health::judge(Judgement::Neither, (tool, &pool.outliers), (&self.0.registry, slave));
    }

    fn begin(&self, mut header: CallHeader, message: Bytes, asker: Asker<'_>) -> Result<CallStream, Failure> {
        if header.method != "tools/call" {
            return Err(Failure::MethodNotFound(header.method));
        }
        let Some(tool) = header.name.take() else {
            return Err(Failure::InvalidParams("\"name\" is missing".into()));
        };
        let pool = self.pool(&tool)?;
        let question = Question::new(Who::of(asker.who), (asker.headers, &header.param_headers), &message);
        let route = pool.routes.route(&question);
        let now = Instant::now();
        header.timeout_ms = u64::try_from(self.0.times.total.as_millis()).unwrap_or(u64::MAX);
        header.name = Some(pool.own_name.to_string());
        let text = serde_json::to_vec(&header).map_err(|_| Failure::Internal)?;
        if text.len() > protocol::limits::MAX_HEADER {
            return Err(Failure::InvalidRequest("names, ids and Mcp-* headers are too long".into()));
        }
        let call = OpenCall {
            id: self.next_id(),
            header: Bytes::from(text),
            message,
            name: Some(Arc::clone(&pool.own_name)),
            era: header.era,
            silence: self.0.times.silence,
            last: now + self.0.times.total,
        };
        let slot = Arc::new(Slot::default());
        let aim = Aim { pool: &pool, route: &route, avoid: None };
        let slave = self.send(aim, (&call, &tool), &slot, now)?;
        let repeats = pool.repeats;
        let open = Open {
            dispatcher: self.clone(),
            pool,
            route,
            slave,
            slot,
            call,
            tool,
            began: now,
            moves: 0,
            repeats,
            homeless: None,
        };
        Ok(CallStream::open(Box::new(open)))
    }
}

impl Calls for Dispatcher {
    type Stream = CallStream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.0.listing.subscribe()
    }

    fn call(&self, header: CallHeader, message: Bytes, asker: Asker<'_>) -> CallStream {
        self.begin(header, message, asker).unwrap_or_else(|failure| {
            if failure == Failure::NoSlave {
                tracing::warn!("No slave connected, cannot execute request");
            }
            CallStream::failed(failure)
        })
    }

    fn cancel(&self, session: &str, request_id: &str) {
        // Which slave has the call is known to that slave: nothing of it is kept here, so any replica can cancel.
        let facts = SessionFacts { session: session.into(), cancel: Some(request_id.into()), ended: false };
        self.broadcast(&facts);
    }

    fn end_session(&self, session: &str) {
        self.broadcast(&SessionFacts { session: session.into(), cancel: None, ended: true });
    }
}

impl Dispatcher {
    fn broadcast(&self, facts: &SessionFacts) {
        if let Ok(json) = serde_json::to_vec(facts)
            && json.len() <= protocol::limits::MAX_CHUNK
        {
            self.0.registry.broadcast(&Bytes::from(json));
        }
    }
}

/// The lighter of two random members that are well and can take a call; any such, if neither is; else a degraded one.
/// `random` is uniform.
fn choose(members: &[Arc<Slave>], random: u64) -> Option<&Arc<Slave>> {
    let free = |slave: &&Arc<Slave>| slave.is_ready() && !slave.load.is_full();
    let well = |slave: &&Arc<Slave>| free(slave) && !slave.is_degraded();
    let pick = |random: u64| members.get(usize::try_from(random % members.len().max(1) as u64).unwrap_or(0));
    let (one, two) = (pick(random & 0xffff_ffff).filter(well), pick(random >> 32).filter(well));
    match (one, two) {
        (Some(one), Some(two)) => Some(if two.load.is_lighter_than(&one.load) { two } else { one }),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => members.iter().find(well).or_else(|| members.iter().find(free)),
    }
}

/// Spreads call numbers over all 64 bits (Steele et al., `SplitMix64`).
fn splitmix(seed: u128) -> u64 {
    let seed = u64::try_from(seed & u128::from(u64::MAX)).unwrap_or(0);
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
