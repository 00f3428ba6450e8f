//! Takes calls: finds the pool, chooses a slave, sends the call. Knows nothing of HTTP or frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use front::calls::{CallContext, Calls, Listing};
use front::metrics::Ended;
use protocol::link::call::ResponseEvent;
use protocol::link::header::{CallHeader, SessionFacts};
use protocol::link::ids::{CallId, InstanceId};
use protocol::mcp::failure::Failure;
use runtime::activity::{Activity, CallGuard};
use tokio::sync::watch;

use super::directory::{Directory, Pool, Rules};
use super::health::{self, Judgement};
use super::limits::{self, Limits};
use super::look;
use super::open_call::OpenCall;
use super::queue::Lobby;
use super::repeat::Repeat;
use super::send::{Aim, Caller, Unsent};
use super::stream::{At, CallStream, Open};
use crate::balance::CapacityListener;
use crate::balance::outliers::{EjectionPolicy, OutlierDetector};
use crate::config::{BalanceConfig, ToolConflict};
use crate::links::{Registry, ResponseRx, Slave};
use crate::metrics;
use crate::routes::{Asked, Explanation, Offer, Question, Routes, Who, explain_among};
use crate::trace::CallTrace;

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
    pub(crate) ejection: EjectionPolicy,
    /// `RETRY_IDEMPOTENT`.
    pub(crate) repeat: Repeat,
    /// Queues and rate limits where the `ROUTES` file says nothing.
    pub(crate) balance: BalanceConfig,
}

struct Shared {
    registry: Arc<Registry>,
    directory: ArcSwap<Directory>,
    routes: ArcSwap<Routes>,
    limits: ArcSwap<Limits>,
    lobby: Arc<Lobby>,
    listing: watch::Sender<Arc<Listing>>,
    policies: Policies,
    instance: InstanceId,
    counter: AtomicU64,
    times: CallTimes,
    activity: Activity,
}

/// Takes calls for all slaves. Clones are the same dispatcher.
#[derive(Clone)]
pub(crate) struct Dispatcher(Arc<Shared>);

impl Dispatcher {
    pub(crate) fn new(
        registry: Arc<Registry>,
        instance: InstanceId,
        (policies, times, activity): (Policies, CallTimes, Activity),
    ) -> Self {
        let empty = Listing { tools: Bytes::from_static(b"[]"), tool_count: 0 };
        Self(Arc::new(Shared {
            lobby: Lobby::new(Arc::clone(&registry)),
            limits: ArcSwap::from_pointee(Limits::new(
                &Routes::default(),
                &policies.balance,
                &Limits::default(),
            )),
            registry,
            directory: ArcSwap::default(),
            routes: ArcSwap::default(),
            listing: watch::Sender::new(Arc::new(empty)),
            policies,
            instance,
            counter: AtomicU64::new(1),
            times,
            activity,
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
        let (slaves, policies) = (self.0.registry.all(), &self.0.policies);
        let limits = Arc::new(Limits::new(&routes, &policies.balance, &self.0.limits.load()));
        let freed: Arc<dyn CapacityListener> = Arc::clone(&self.0.lobby) as _;
        for slave in &slaves {
            slave.active.subscribe(&freed);
            limits::limit(slave, &routes, &policies.balance);
        }
        let rules = Rules { routes: &routes, policies, limits: &limits };
        let (directory, listing) = Directory::build(&slaves, &rules, &before);
        self.0.limits.store(limits);
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
        self.0.lobby.refresh(|tool, route| self.ways(tool, route));
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
            // It may be the one that has the tool.
            None if directory.is_incomplete(Instant::now()) => {
                Err(Failure::NoSlaveForTool { name: tool.to_owned(), wanted: None })
            }
            None => Err(Failure::UnknownTool(directory.explain(tool))),
        }
    }

    /// The slave got a waiting call of this tool: one that is tried after its failures has one trial less.
    pub(super) fn sent(&self, slave: &Slave, tool: &str, now: Instant) {
        self.outliers().record_sent(slave.host_slot(), now);
        if let Some(pool) = self.0.directory.load().pool(tool) {
            pool.outliers.record_sent(slave.host_slot(), now);
        }
    }

    /// Slaves that fail by a fault of the slave itself.
    pub(super) fn outliers(&self) -> &OutlierDetector {
        &self.0.registry.outliers
    }

    /// Whether no slave is linked at all.
    pub(super) fn is_alone(&self) -> bool {
        self.0.registry.linked_slaves() == 0
    }

    /// Where calls wait.
    pub(super) fn lobby(&self) -> &Arc<Lobby> {
        &self.0.lobby
    }

    /// The last part of a call's answer tells how its slave does.
    pub(super) fn judge(&self, part: &ResponseEvent, (tool, pool): (&str, &Pool), slave: &Slave) {
        self.found(Judgement::of(part), (tool, pool), slave);
    }

    /// The client left before the end: that says nothing of the slave.
    pub(super) fn judge_nothing(&self, (tool, pool): (&str, &Pool), slave: &Slave) {
        self.found(Judgement::Neither, (tool, pool), slave);
    }

    fn found(&self, judgement: Judgement, (tool, pool): (&str, &Pool), slave: &Slave) {
        let may_bar = || self.outliers().may_eject() || pool.outliers.may_eject();
        let before = may_bar();
        health::judge(judgement, (tool, &pool.outliers), (&self.0.registry, slave));
        // It came back, or was left out: its place came free before that was known.
        if before || may_bar() {
            self.0.lobby.look_at(slave.key);
        }
    }

    /// The tool that a call is for, and its pool.
    fn called(&self, header: &mut CallHeader) -> Result<(String, Arc<Pool>), Failure> {
        if header.method != "tools/call" {
            return Err(Failure::MethodNotFound(std::mem::take(&mut header.method)));
        }
        let Some(tool) = header.name.take() else {
            return Err(Failure::InvalidParams("\"name\" is missing".into()));
        };
        let pool = self.pool(&tool)?;
        Ok((tool, pool))
    }

    fn begin(
        &self,
        (tool, pool): (String, &Arc<Pool>),
        came: Came,
        asker: CallContext<'_>,
    ) -> Result<CallStream, Failure> {
        let Came { id, at: now, trace, mut header, message } = came;
        self.0.limits.load().admit(&asker)?;
        limits::admit_to(&tool, pool.limit.as_deref())?;
        let question = Question::new(Who::of(asker.who), (asker.headers, &header.param_headers), &message);
        let route = pool.routes.route(&question);
        header.timeout_ms = u64::try_from(self.0.times.total.as_millis()).unwrap_or(u64::MAX);
        header.name = Some(pool.own_name.to_string());
        let text = serde_json::to_vec(&header).map_err(|_| Failure::Internal)?;
        if text.len() + trace.room() > protocol::link::limits::MAX_HEADER {
            return Err(Failure::InvalidRequest("names, ids and Mcp-* headers are too long".into()));
        }
        let caller = Caller::of(&asker, &mut header);
        let call = OpenCall {
            id,
            header: Bytes::from(text),
            message,
            name: Some(Arc::clone(&pool.own_name)),
            era: header.era,
            silence: self.0.times.silence,
            last: now + self.0.times.total,
            trace,
        };
        let slot = Arc::new(ResponseRx::default());
        let aim = Aim { pool, route: &route, avoid: None, caller: &caller };
        let at = match self.send(&aim, (&call, &tool), &slot, now) {
            Ok(slave) => At::Slave(slave),
            Err(Unsent::Full(reason)) => At::Queue(self.wait(&aim, (&call, &tool), &slot, reason)?, None),
            Err(Unsent::Failed(failure)) => return Err(failure),
        };
        let repeats = pool.repeats;
        let open = Open {
            dispatcher: self.clone(),
            pool: Arc::clone(pool),
            route,
            caller,
            at,
            slot,
            call,
            tool,
            version: header.version,
            began: now,
            moves: 0,
            repeats,
            watched: CallGuard::default(),
        };
        Ok(CallStream::open(Box::new(open)))
    }
}

/// A call as it came, and its names from now on.
struct Came {
    id: CallId,
    at: Instant,
    trace: CallTrace,
    header: CallHeader,
    message: Bytes,
}

impl Calls for Dispatcher {
    type Stream = CallStream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.0.listing.subscribe()
    }

    fn call(&self, mut header: CallHeader, message: Bytes, asker: CallContext<'_>) -> CallStream {
        let id = self.next_id();
        let trace = CallTrace::of(id, &mut header, &message, &asker);
        let subject = trace.subject(id);
        let _entered = subject.enter();
        let routes = || self.0.routes.load_full();
        let watched = look::begin(&self.0.activity, (subject, &header, &asker), &message, routes);
        let (came, version) = (Instant::now(), header.version);
        let failure = match self.called(&mut header) {
            Ok((tool, pool)) => {
                trace.of_tool(&tool);
                let call = Came { id, at: came, trace: trace.clone(), header, message };
                match self.begin((tool, &pool), call, asker) {
                    Ok(stream) => return stream.watched(watched),
                    Err(failure) => {
                        pool.meter.refused(&failure, version, came.elapsed().as_secs_f64());
                        failure
                    }
                }
            }
            Err(failure) => {
                metrics::not_offered(&failure, version, came.elapsed().as_secs_f64());
                failure
            }
        };
        trace.ended(failure.spec().kind, Ended::Code(failure.spec().code.into()));
        if failure == Failure::NoSlave {
            tracing::warn!("No slave connected, cannot execute request");
        }
        watched.ended(failure.spec().kind);
        CallStream::failed(failure)
    }

    fn cancel(&self, session: &str, request_id: &str) {
        // Which slave has the call is known to that slave: nothing of it is kept here, so any replica can cancel.
        // Unless it still waits here.
        self.0.lobby.cancel(session, request_id);
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
            && json.len() <= protocol::link::limits::MAX_CHUNK
        {
            self.0.registry.broadcast(&Bytes::from(json));
        }
    }
}
