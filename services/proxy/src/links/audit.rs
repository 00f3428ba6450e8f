//! Audit lines of slaves' connections: each attempt with its outcome, changed catalogs, and the end of each link. Slaves are named by
//! what they proved as well as by what they say. Never contains a code.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use protocol::mcp::catalog::{Catalog, CatalogEntry};
use runtime::audit::{self, AuditLine};
use runtime::ops::Operator;
use runtime::repeats::Repeats;

use super::catalog::CatalogRefusal;
use super::disconnect::DisconnectReason;
use super::slave::Slave;

/// Most names of tools of one kind in a line.
const MAX_NAMES: usize = 20;

/// Records a connection that did not become a link.
pub(super) fn refused(peer: SocketAddr, reason: &'static str, detail: impl FnOnce() -> String) {
    if audit::is_on() {
        let line = attempt("refused", peer).with("reason", reason).with("detail", detail());
        audit::write_line(line);
    }
}

/// Records how many more connections of one network were refused.
pub(super) fn refused_more(repeats: &Repeats) {
    if audit::is_on() {
        let line = AuditLine::new("link")
            .with("outcome", "refused")
            .with("peer", repeats.peers())
            .with("reason", repeats.reason)
            .with("repeats", repeats.count);
        audit::write_line(line);
    }
}

/// Records a connection that only asked something.
pub(super) fn asked(peer: SocketAddr, outcome: &'static str) {
    if audit::is_on() {
        audit::write_line(attempt(outcome, peer));
    }
}

/// Records a connection that became a link.
pub(super) fn linked(peer: SocketAddr, slave: &Slave, dialect: &'static str) {
    if !audit::is_on() {
        return;
    }
    let line = attempt("linked", peer).with("slave", slave.name.as_str());
    let line = proven(line, slave).with("dialect", dialect);
    audit::write_line(line);
}

/// Records the end of a link.
pub(super) fn closed(slave: &Slave, reason: &DisconnectReason, since: Instant) {
    if audit::is_on() {
        let line = AuditLine::new("link_closed").with("slave", slave.name.as_str());
        let line = proven(line, slave)
            .with("reason", reason.kind())
            .with("detail", reason.to_string())
            .with("duration_ms", u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
        audit::write_line(line);
    }
}

/// Records that an operator drains a slave, or ends that.
pub(super) fn held(slave: &Slave, held: bool, operator: &Operator) {
    if audit::is_on() {
        let line = AuditLine::new("slave_drain").with("slave", slave.name.as_str());
        let line = proven(line, slave)
            .with("draining", held)
            .with("operator_key_id", operator.key_id.as_deref())
            .with("peer", operator.peer.map(|peer| peer.to_string()));
        audit::write_line(line);
    }
}

/// Records that a part of a slave's catalog is left out.
pub(super) fn catalog_refused(slave: &Slave, refusal: &CatalogRefusal) {
    if audit::is_on() {
        let line = AuditLine::new("catalog_refused").with("slave", slave.name.as_str());
        let line = proven(line, slave).with("reason", refusal.kind()).with("detail", refusal.to_string());
        audit::write_line(line);
    }
}

/// Records a catalog that differs from the one before: how many tools there are, and which were added, removed or changed.
pub(super) fn catalog(slave: &Slave, before: &Catalog, now: &Catalog) {
    if !audit::is_on() {
        return;
    }
    let change = CatalogChange::between(before, now);
    if change.is_empty() {
        return;
    }
    let line = AuditLine::new("catalog").with("slave", slave.name.as_str());
    let line = proven(line, slave)
        .with("tools", now.tools.len())
        .with("added", change.added)
        .with("removed", change.removed)
        .with("changed", change.changed);
    audit::write_line(line);
}

/// Names of tools by what became of them: at most [`MAX_NAMES`] of each kind, and how many more there are.
#[derive(Debug, Default, PartialEq, Eq)]
struct CatalogChange {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl CatalogChange {
    fn between(before: &Catalog, now: &Catalog) -> Self {
        let by_name = |catalog: &'_ Catalog| -> HashMap<String, Arc<CatalogEntry>> {
            catalog.tools.iter().map(|tool| (tool.name.clone(), Arc::clone(tool))).collect()
        };
        let (old, new) = (by_name(before), by_name(now));
        let named = |tools: &[Arc<CatalogEntry>], is_named: &dyn Fn(&CatalogEntry) -> bool| {
            bounded(tools.iter().filter(|tool| is_named(tool)).map(|tool| tool.name.as_str()).collect())
        };
        Self {
            added: named(&now.tools, &|tool| !old.contains_key(&tool.name)),
            removed: named(&before.tools, &|tool| !new.contains_key(&tool.name)),
            changed: named(&now.tools, &|tool| {
                old.get(&tool.name).is_some_and(|other| !tool.has_definition_of(other))
            }),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn bounded(names: Vec<&str>) -> Vec<String> {
    let rest = names.len().saturating_sub(MAX_NAMES);
    let mut shown: Vec<String> = names.into_iter().take(MAX_NAMES).map(str::to_owned).collect();
    if rest > 0 {
        shown.push(format!("and {rest} more"));
    }
    shown
}

/// Adds what a slave proved: the name of its code (else its key id), and the key id.
fn proven(line: AuditLine, slave: &Slave) -> AuditLine {
    let grant = slave.grant();
    line.with("slave_id", slave.id())
        .with("code", grant.identity().to_string())
        .with("key_id", grant.key_id())
}

fn attempt(outcome: &'static str, peer: SocketAddr) -> AuditLine {
    AuditLine::new("link").with("outcome", outcome).with("peer", peer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_catalog_names_what_changed() {
        let catalog = |json: &str| Catalog::decode(json.as_bytes()).unwrap();
        let before = catalog(r#"{"tools":[{"name":"stays","a":1},{"name":"goes"},{"name":"turns","a":1}]}"#);
        let now = catalog(r#"{"tools":[{"a":1,"name":"stays"},{"name":"turns","a":2},{"name":"comes"}]}"#);
        let change = CatalogChange::between(&before, &now);
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((change.added, change.removed), (names(&["comes"]), names(&["goes"])));
        assert_eq!(change.changed, names(&["turns"]));
        assert!(CatalogChange::between(&now, &now).is_empty());
        assert_eq!(bounded(vec!["x"; 25])[20], "and 5 more");
    }
}
