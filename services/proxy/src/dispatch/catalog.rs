//! What the API says of each entry that clients are shown: its definition, its providers and the rules about it. Must not know how it is
//! written.

use std::collections::BTreeSet;

use front::calls::Listing;
use policy::RuleSummary;
use protocol::mcp::catalog::ListKind;
use protocol::mcp::kind::Kind;
use protocol::mcp::members::ExactMembers;
use serde_json::value::RawValue;

use super::directory::Directory;

/// Largest number of slaves that are named for an entry.
const MAX_PROVIDERS: usize = 50;

/// An entry as clients are shown it.
pub(crate) struct CatalogRow<'a> {
    pub(crate) kind: Kind,
    /// Name, URI or URI template.
    pub(crate) name: &'a str,
    pub(crate) definition: &'a RawValue,
    /// The slaves' own name.
    pub(crate) own_name: &'a str,
    /// Identity of the provider whose texts are shown: name of its code, or key id.
    pub(crate) owner: String,
    /// Names of the slaves that share its calls.
    pub(crate) slaves: BTreeSet<&'a str>,
    /// Number of these slaves.
    pub(crate) slave_count: usize,
    /// Rules of the policy about it at any of these slaves, in the order of the file. `None`: there is no policy.
    pub(crate) rules: Option<Vec<RuleSummary>>,
}

/// Calls `each` with every entry of the lists, in their order. An entry that has gone since the lists were made is left out.
pub(super) fn read(directory: &Directory, listing: &Listing, mut each: impl FnMut(CatalogRow<'_>)) {
    for kind in ListKind::ALL {
        let json = listing.lists[kind as usize].entries.json();
        let entries: Vec<&RawValue> = serde_json::from_slice(json).unwrap_or_default();
        for definition in entries {
            let Some(name) = name_of(kind, definition) else { continue };
            let Some(row) = row(directory, kind.entry(), &name, definition) else { continue };
            each(row);
        }
    }
}

fn row<'a>(
    directory: &'a Directory,
    kind: Kind,
    name: &'a str,
    definition: &'a RawValue,
) -> Option<CatalogRow<'a>> {
    let pool = directory.entry(kind, name)?;
    let rules = pool.access.as_ref().map(|access| {
        let mut all: Vec<RuleSummary> = Vec::new();
        for rule in access.rules_about(name).iter().flat_map(|set| access.policy().summaries(Some(set))) {
            if !all.contains(&rule) {
                all.push(rule);
            }
        }
        all.sort_by_key(|rule| rule.line);
        all
    });
    let owner = pool.members.first().map(|slave| slave.grant().identity().to_string()).unwrap_or_default();
    Some(CatalogRow {
        kind,
        name,
        definition,
        own_name: &pool.own_name,
        owner,
        slaves: pool.members.iter().take(MAX_PROVIDERS).map(|slave| slave.name.as_str()).collect(),
        slave_count: pool.members.len(),
        rules,
    })
}

/// Returns the member that names an entry of this list.
fn name_of(kind: ListKind, definition: &RawValue) -> Option<String> {
    let member = match kind {
        ListKind::Tools | ListKind::Prompts => "name",
        ListKind::Resources => "uri",
        ListKind::ResourceTemplates => "uriTemplate",
    };
    serde_json::from_str(ExactMembers::of(definition).get(member.as_bytes())?.get()).ok()
}
