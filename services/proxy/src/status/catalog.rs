//! The catalog of the status page as JSON: entries with their providers, calls and rules. Must not know HTTP.

use std::collections::HashMap;

use protocol::mcp::kind::Kind;
use runtime::metrics::CallStats;
use runtime::ops::{CatalogDocument, CatalogItem};
use serde_json::{Map, Value, json};

use crate::dispatch::{CatalogRow, Dispatcher};

/// Returns the catalog. `stats` are the calls of each tool by the clients' name.
pub(super) fn catalog(dispatcher: &Dispatcher, stats: &HashMap<String, CallStats>) -> CatalogDocument {
    let mut document = CatalogDocument::default();
    dispatcher.read_catalog(|row| {
        let item = CatalogItem {
            kind: row.kind.as_str(),
            name: row.name,
            definition: row.definition,
            stats: stats.get(row.name).filter(|_| row.kind == Kind::Tool),
        };
        document.add(item, || members(&row));
    });
    document
}

fn members(row: &CatalogRow<'_>) -> Map<String, Value> {
    let rules = row.rules.as_ref().map(|rules| {
        let rule = |rule: &policy::RuleSummary| {
            let effect = if rule.allows { "allows" } else { "denies" };
            format!("{} {effect} {}", rule.name, rule.who)
        };
        rules.iter().map(rule).collect::<Vec<String>>()
    });
    Map::from_iter([
        ("ownName".to_owned(), row.own_name.into()),
        ("owner".to_owned(), row.owner.as_str().into()),
        ("providers".to_owned(), json!(row.slaves)),
        ("providerCount".to_owned(), row.slave_count.into()),
        ("rules".to_owned(), rules.into()),
    ])
}
