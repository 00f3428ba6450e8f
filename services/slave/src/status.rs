//! What the slave says of itself as JSON: for the status page, `mcp-relay status` and machines. Must not know HTTP.
//!
//! docs/OPERATIONS.md, "Status page and API", describes the members. Names only: no arguments, results, keys or codes;
//! of what backends write, the last lines as the log has them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use runtime::activity::Activity;
use runtime::moment;
use runtime::ops::{Endpoints, Readiness, ui};
use serde_json::{Value, json};

use crate::backends::diary::Page;
use crate::executor::{BackendState, Executor, State};
use crate::link::Links;

/// Tools of one backend that are named.
const MOST_TOOLS: usize = 100;

/// What never changes.
pub(crate) struct About {
    /// `slave` or `standalone`.
    pub(crate) role: &'static str,
    /// `SLAVE_NAME`.
    pub(crate) name: String,
    /// `SLAVE_LABELS`.
    pub(crate) labels: BTreeMap<String, String>,
    /// `SLAVE_CAPACITY`; 0: no limit.
    pub(crate) capacity: u32,
}

/// Everything that can be told.
pub(crate) struct Status {
    pub(crate) about: About,
    pub(crate) links: Option<Arc<Links>>,
    pub(crate) executor: Executor,
    pub(crate) began: (Instant, SystemTime),
}

impl Status {
    fn activity(&self) -> &Activity {
        self.executor.activity()
    }

    /// Adds the API, and the page if calls are written down for it.
    pub(crate) fn serve(self, ops: Endpoints) -> Endpoints {
        let page = self.activity().is_shown();
        let all = Arc::new(self);
        let (links, backends, calls) = (Arc::clone(&all), Arc::clone(&all), Arc::clone(&all));
        let ops = ops
            .with_document("/api/v1/status", move |ready| all.all(ready))
            .with_document("/api/v1/links", move |_| links.links())
            .with_document("/api/v1/backends", move |_| backends.backends())
            .with_document("/api/v1/calls", move |_| calls.activity().to_json());
        if page { ops.with_pages(ui::pages("slave", include_str!("status/tables.html"))) } else { ops }
    }

    fn all(&self, ready: &Readiness) -> Value {
        let (began, started_at) = self.began;
        let About { role, name, labels, capacity } = &self.about;
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
            "uptimeSeconds": began.elapsed().as_secs(),
            "readiness": ready.to_json(),
            "links": self.links(),
            "backends": self.backends(),
            "calls": self.activity().to_json(),
        })
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

fn backend(backend: &BackendState, page: Option<&Page>) -> Value {
    let (state, reason) = match &backend.state {
        State::Starting => ("starting", None),
        State::Ready => ("ready", None),
        State::Restarting { reason, .. } => ("restarting", Some(reason)),
        State::Failed { reason } => ("failed", Some(reason)),
        State::Stopped => ("stopped", None),
    };
    let tools: Vec<&str> = backend.tools.iter().take(MOST_TOOLS).map(String::as_str).collect();
    let lines = page.and_then(|page| page.lines.as_ref()).map(|lines| {
        let line =
            |line: &crate::backends::diary::Line| json!({ "at": moment::text(line.at), "text": line.text });
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
        "stderr": lines,
    })
}
