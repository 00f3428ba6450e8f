//! The status of the proxy as JSON, for the status page, `mcp-relay status` and other programs. Must not know HTTP.
//!
//! docs/reference/status-api.md, describes the members. Arguments, results, keys and codes are left out.

mod catalog;
mod command;
mod guards;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use front::AccessReport;
use protocol::mcp::catalog::CatalogServer;
use protocol::mcp::era::Version;
use runtime::activity::Activity;
use runtime::config::{OpsConfig, StatusPage};
use runtime::metrics::Metrics;
use runtime::moment;
use runtime::ops::{Endpoints, Readiness, ui};
use runtime::telemetry;
use serde_json::{Map, Value, json};
use url::Url;

use crate::dispatch::Dispatcher;
use crate::links::{LeftOut, Registry, SlaveSnapshot};
use crate::metrics;
use crate::slave_state::SlaveState;
use crate::tls::SecuredPorts;
pub(crate) use guards::Guards;

/// Largest number of slaves in `/api/v1/status`; `/api/v1/slaves` lists all.
const MAX_SLAVES: usize = 500;

/// Largest number of tools, and of conflicts of names, in `/api/v1/status`.
const MAX_LISTED: usize = 500;

/// Largest number of tools that are listed for a slave.
const MAX_TOOLS: usize = 100;

/// Largest number of backends that are listed for a slave.
const MAX_BACKENDS: usize = 50;

/// Who is served by the ports, which of them are encrypted, and what guards them.
pub(crate) struct Served {
    pub(crate) access: AccessReport,
    pub(crate) tls: SecuredPorts,
    pub(crate) guards: Guards,
    pub(crate) ops: OpsConfig,
}

/// The source of the status document of this process.
pub(crate) struct Status {
    registry: Arc<Registry>,
    dispatcher: Dispatcher,
    activity: Activity,
    recorder: Metrics,
    served: Served,
    started: (Instant, SystemTime),
}

impl Status {
    /// Creates the status of a proxy that starts now.
    pub(crate) fn new(
        registry: &Arc<Registry>,
        dispatcher: Dispatcher,
        activity: Activity,
        recorder: Metrics,
        served: Served,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry: Arc::clone(registry),
            dispatcher,
            activity,
            recorder,
            served,
            started: (Instant::now(), SystemTime::now()),
        })
    }

    /// Adds the API, and the status page if calls are recorded, to the endpoints.
    pub(crate) fn serve(self: Arc<Self>, ops: Endpoints) -> Endpoints {
        let (all, slaves, calls) = (Arc::clone(&self), Arc::clone(&self), Arc::clone(&self));
        let has_page = self.activity.is_shown();
        let ops = ops
            .with_document("/api/v1/status", move |ready| all.all(ready))
            .with_document("/api/v1/slaves", move |_| slaves.slaves(usize::MAX))
            .with_document("/api/v1/calls", move |_| calls.activity.to_json());
        if !has_page {
            return ops;
        }
        let (catalog, guards, registry) = (Arc::clone(&self), Arc::clone(&self), Arc::clone(&self.registry));
        let ops = ops
            .with_document("/api/v1/catalog", move |_| catalog.catalog())
            .with_document("/api/v1/logs", |_| telemetry::lines_json())
            .with_document("/api/v1/guards", move |_| guards.served.guards.to_json());
        let columns = ui::CallColumns {
            worker: "slave",
            worker_key: "slaveId",
            worker_title: "Slave",
            client_title: "Client",
            has_trace: true,
        };
        let (tables, page) = (include_str!("status/tables.html"), self.served.ops.ui);
        let ops = ops.with_pages(ui::pages("proxy", tables, columns, page));
        if page != StatusPage::Full {
            return ops;
        }
        ops.with_operator_calls().with_command(command::DRAIN_PATH, move |operator, body| {
            command::drain(&registry, operator, body)
        })
    }

    fn all(&self, ready: &Readiness) -> Value {
        let (since, started_at) = self.started;
        json!({
            "schema": 1,
            "role": "proxy",
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.registry.peers().own().to_string(),
            "now": moment::text(SystemTime::now()),
            "startedAt": moment::text(started_at),
            "uptimeSeconds": since.elapsed().as_secs(),
            "readiness": ready.to_json(),
            "access": self.served.access.to_json(),
            "tls": self.served.tls.to_json(),
            "dashboards": self.served.ops.dashboards.as_ref().map(Url::as_str),
            "proxies": self.proxies(),
            "slaves": self.slaves(MAX_SLAVES),
            "tools": self.tools(),
            "calls": self.activity.to_json(),
        })
    }

    fn catalog(&self) -> String {
        let stats = metrics::calls_of_tools(&self.recorder);
        let members = Map::from_iter([
            ("schema".to_owned(), 1.into()),
            ("now".to_owned(), moment::text(SystemTime::now()).into()),
            ("policy".to_owned(), self.served.guards.policy.is_some().into()),
        ]);
        catalog::catalog(&self.dispatcher, &stats).to_json(members)
    }

    fn proxies(&self) -> Value {
        let peers = self.registry.peers();
        let own = peers.own();
        let list = peers.shared_slaves().into_iter().map(|(instance, slaves)| {
            // The slaves of other proxies are known only as far as they are linked here too.
            json!({ "instance": instance.to_string(), "self": instance == own, "sharedSlaves": slaves })
        });
        let list: Vec<Value> = list.collect();
        json!({ "total": list.len(), "atLeast": peers.known().at_least, "list": list })
    }

    /// The tools as clients see them with their owners, and the names that are not shown as all their slaves wrote them.
    fn tools(&self) -> Value {
        self.dispatcher.with_names(|listed, conflicts| {
            json!({
                "total": listed.len(),
                "list": &listed[..listed.len().min(MAX_LISTED)],
                "conflictsTotal": conflicts.len(),
                "conflicts": &conflicts[..conflicts.len().min(MAX_LISTED)],
            })
        })
    }

    fn slaves(&self, limit: usize) -> Value {
        let mut all: Vec<SlaveSnapshot> = self.registry.all().iter().map(|slave| slave.snapshot()).collect();
        let by_state: Map<String, Value> = SlaveState::ALL
            .iter()
            .map(|state| {
                let count = all.iter().filter(|slave| slave.state == *state).count();
                (state.label().to_owned(), count.into())
            })
            .collect();
        let total = all.len();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        // If there are too many slaves, those that are not ready are listed first.
        if total > limit {
            all.sort_by_key(|slave| slave.state == SlaveState::Ready);
            all.truncate(limit);
        }
        let list: Vec<Value> = all.iter().map(slave).collect();
        json!({ "total": total, "byState": by_state, "list": list })
    }
}

fn left_out(tool: &LeftOut) -> Value {
    json!({ "tool": tool.tool, "reason": tool.why.label() })
}

fn backend(server: &CatalogServer) -> Value {
    let info = server.facts.server_info.as_deref();
    let info: Value = info.and_then(|info| serde_json::from_str(info.get()).ok()).unwrap_or_default();
    json!({
        "name": server.backend,
        "server": info["name"].as_str(),
        "version": info["version"].as_str(),
        "protocol": server.facts.version.map(Version::as_str),
    })
}

fn slave(slave: &SlaveSnapshot) -> Value {
    let labels: Map<String, Value> =
        slave.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let tools: Vec<&str> = slave.tools.iter().take(MAX_TOOLS).map(String::as_str).collect();
    let left_out: Vec<Value> = slave.left_out.iter().take(MAX_TOOLS).map(left_out).collect();
    json!({
        "id": slave.id,
        "name": slave.name,
        "identity": slave.identity,
        "state": slave.state.label(),
        "reason": slave.reason,
        "drainedByOperator": slave.held,
        "labels": labels,
        "agent": slave.agent,
        "dialect": slave.dialect,
        "roundTripMs": slave.round_trip.map(|trip| (trip.as_secs_f64() * 1e5).round() / 100.0),
        "inFlight": slave.in_flight,
        "capacity": (slave.capacity > 0).then_some(slave.capacity),
        "weight": slave.weight,
        "announcedBeyond": slave.beyond,
        "toolsLeftOut": left_out,
        "backends": slave.backends.iter().take(MAX_BACKENDS).map(backend).collect::<Vec<_>>(),
        "toolCount": slave.tools.len(),
        "tools": tools,
        "peer": slave.peer.map(|peer| peer.to_string()),
        "since": slave.since.map(moment::text),
    })
}
