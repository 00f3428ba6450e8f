//! The status of the slave as JSON, for the status page, `mcp-relay status` and other programs. Must not know HTTP.
//!
//! docs/reference/status-api.md, describes the members. Arguments, results, keys and codes are left out; of
//! what backends write to standard error, the last lines are there as the log has them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use front::AccessReport;
use protocol::mcp::catalog::ListKind;
use runtime::activity::Activity;
use runtime::config::StatusPage;
use runtime::metrics::Metrics;
use runtime::moment;
use runtime::ops::{CatalogDocument, CatalogItem, Endpoints, Readiness, ui};
use runtime::telemetry;
use serde_json::{Map, Value, json};
use url::Url;

use crate::backends::history::{HistorySnapshot, LogLine};
use crate::executor::{BackendSnapshot, BackendState, Executor};
use crate::link::Links;
use crate::metrics;

/// Tools of one backend that are listed.
const MAX_TOOLS: usize = 100;

/// Identity of this process, which never changes.
pub(crate) struct Identity {
    /// `slave` or `standalone`.
    pub(crate) role: &'static str,
    /// `SLAVE_NAME`.
    pub(crate) name: String,
    /// `SLAVE_LABELS`.
    pub(crate) labels: BTreeMap<String, String>,
    /// `SLAVE_CAPACITY`; 0: no limit.
    pub(crate) capacity: u32,
    /// `DASHBOARDS_URL`.
    pub(crate) dashboards: Option<Url>,
}

/// The status of this process.
pub(crate) struct Status {
    pub(crate) identity: Identity,
    pub(crate) links: Option<Arc<Links>>,
    pub(crate) executor: Executor,
    pub(crate) access: AccessReport,
    pub(crate) started: (Instant, SystemTime),
}

impl Status {
    fn activity(&self) -> &Activity {
        self.executor.activity()
    }

    /// Adds the API, and the status page if calls are recorded for it.
    pub(crate) fn serve(self, recorder: Metrics, ops: Endpoints) -> Endpoints {
        let has_page = self.activity().is_shown();
        let all = Arc::new(self);
        let [status, links, backends, calls] = std::array::from_fn(|_| Arc::clone(&all));
        let ops = ops
            .with_document("/api/v1/status", move |ready| status.all(ready))
            .with_document("/api/v1/links", move |_| links.links())
            .with_document("/api/v1/backends", move |_| backends.backends())
            .with_document("/api/v1/calls", move |_| calls.activity().to_json());
        if !has_page {
            return ops;
        }
        let ops = ops
            .with_document("/api/v1/catalog", move |_| all.catalog(&recorder))
            .with_document("/api/v1/logs", |_| telemetry::lines_json());
        let columns = ui::CallColumns {
            worker: "backend",
            worker_key: "backend",
            worker_title: "Backend",
            client_title: "From",
            has_trace: false,
        };
        ops.with_pages(ui::pages("slave", include_str!("status/tables.html"), columns, StatusPage::ReadOnly))
    }

    fn all(&self, ready: &Readiness) -> Value {
        let (since, started_at) = self.started;
        let Identity { role, name, labels, capacity, dashboards } = &self.identity;
        json!({
            "schema": 1,
            "role": role,
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.links.as_ref().map(|links| &links.hello.instance),
            "name": name,
            "labels": labels,
            "capacity": (*capacity > 0).then_some(capacity),
            "now": moment::text(SystemTime::now()),
            "startedAt": moment::text(started_at),
            "uptimeSeconds": since.elapsed().as_secs(),
            "readiness": ready.to_json(),
            "access": self.access.to_json(),
            // Ports of slaves have no TLS of their own.
            "tls": { "clients": "off", "operators": "off" },
            "dashboards": dashboards.as_ref().map(Url::as_str),
            "links": self.links(),
            "backends": self.backends(),
            "calls": self.activity().to_json(),
        })
    }

    fn catalog(&self, recorder: &Metrics) -> String {
        let stats = metrics::calls_of_tools(recorder);
        let mut document = CatalogDocument::default();
        let offer = self.executor.offer().borrow().clone();
        for kind in ListKind::ALL {
            for backend in &offer.backends {
                for entry in backend.lists[kind as usize].iter().flatten() {
                    let item = CatalogItem {
                        kind: kind.entry().as_str(),
                        name: &entry.name,
                        definition: &entry.definition,
                        stats: stats.get(&entry.name).filter(|_| kind == ListKind::Tools),
                    };
                    document
                        .add(item, || Map::from_iter([("backend".to_owned(), backend.name.as_str().into())]));
                }
            }
        }
        document.to_json(Map::from_iter([
            ("schema".to_owned(), 1.into()),
            ("now".to_owned(), moment::text(SystemTime::now()).into()),
        ]))
    }

    fn links(&self) -> Value {
        let Some(links) = &self.links else { return json!({ "enabled": false }) };
        let draining = links.endpoint.draining();
        let list = links.table.all().into_iter().map(|(id, facts)| {
            json!({
                "url": facts.url,
                "address": facts.address.to_string(),
                "proxy": facts.proxy,
                "agent": facts.agent,
                "dialect": facts.dialect,
                "state": if draining.contains(&id) { "draining" } else { "up" },
                "since": moment::text(facts.since),
            })
        });
        let list: Vec<Value> = list.collect();
        let wanted = links.endpoint.wanted().max(1);
        json!({
            "enabled": true,
            "total": list.len(),
            "wanted": wanted,
            "problem": (list.len() < wanted).then(|| links.status.why()),
            "list": list,
        })
    }

    fn backends(&self) -> Value {
        let list = self.executor.backends().into_iter().map(|(state, page)| backend(&state, page.as_ref()));
        let list: Vec<Value> = list.collect();
        json!({ "total": list.len(), "list": list })
    }
}

fn backend(backend: &BackendSnapshot, page: Option<&HistorySnapshot>) -> Value {
    let (state, reason) = match &backend.state {
        BackendState::Starting => ("starting", None),
        BackendState::Ready => ("ready", None),
        BackendState::Restarting { reason, .. } => ("restarting", Some(reason)),
        BackendState::Failed { reason } => ("failed", Some(reason)),
        BackendState::Stopped => ("stopped", None),
    };
    let tools: Vec<&str> = backend.tools.iter().take(MAX_TOOLS).map(String::as_str).collect();
    let lines = page.and_then(|page| page.lines.as_ref()).map(|lines| {
        let line = |line: &LogLine| json!({ "at": moment::text(line.at), "text": line.text });
        lines.iter().map(line).collect::<Vec<Value>>()
    });
    json!({
        "name": backend.name,
        "state": state,
        "reason": reason.map_or("", String::as_str),
        "pid": page.and_then(|page| page.pid),
        "restarts": page.map(|page| page.starts.saturating_sub(1)),
        "toolCount": backend.tools.len(),
        "tools": tools,
        "promptCount": backend.counts[ListKind::Prompts as usize],
        "resourceCount": backend.counts[ListKind::Resources as usize],
        "resourceTemplateCount": backend.counts[ListKind::ResourceTemplates as usize],
        "children": page.and_then(|page| page.children).map(|children| {
            json!({ "running": children.running, "most": children.most })
        }),
        "stderr": lines,
    })
}
