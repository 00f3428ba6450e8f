//! The user interfaces that tools of the backends name (MCP Apps) and that no backend lists: servers need not list them. Must not know routes.

use std::collections::HashMap;

use protocol::mcp::apps::interface_of;
use protocol::mcp::catalog::ListKind;

use super::list::RegisteredBackend;

/// Returns the URI of each with the position of its backend, which is the first that names it, and a message for each that the relay reads
/// from another backend than the one whose tool names it. A URI that a backend hides is not that backend's.
pub(super) fn assign(backends: &[RegisteredBackend]) -> (Vec<(String, usize)>, Vec<String>) {
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (at, backend) in backends.iter().enumerate() {
        for resource in backend.list(ListKind::Resources) {
            owners.entry(resource.own_name.clone()).or_insert(at);
        }
    }
    let (mut interfaces, mut problems) = (Vec::new(), Vec::new());
    for (at, backend) in backends.iter().enumerate() {
        for tool in backend.list(ListKind::Tools) {
            let Some(uri) = interface_of(&tool.entry.definition) else { continue };
            if !backend.curation.offers_resource(&uri) {
                continue;
            }
            let owner = *owners.entry(uri.clone()).or_insert_with(|| {
                interfaces.push((uri.clone(), at));
                at
            });
            if let Some(other) = backends.get(owner).filter(|_| owner != at) {
                problems.push(format!(
                    "the user interface {uri:?} of tool {:?} of backend {:?} is read from backend {:?}, which has the same URI",
                    tool.own_name, backend.name, other.name
                ));
            }
        }
    }
    (interfaces, problems)
}
