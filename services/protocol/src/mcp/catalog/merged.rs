//! Catalog of a slave with all its parts, for whoever reads what is offered. Must not know parts, pools or collisions of names.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{CatalogEntry, ListKind};
use super::error::CatalogError;
use super::hints::ListHints;
use super::limits::MAX_CATALOG;
use super::list::RawList;
use super::server::ServerFacts;
use crate::mcp::object::Object;

/// One backend of a slave.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogServer {
    /// Name of the backend at the slave.
    pub backend: String,
    /// What it says of itself.
    pub facts: Arc<ServerFacts>,
}

/// Catalog of a slave, each list in the slave's order. Entries are shared with whoever holds the parts.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// `tools/list`.
    pub tools: Vec<Arc<CatalogEntry>>,
    /// `prompts/list`.
    pub prompts: Vec<Arc<CatalogEntry>>,
    /// `resources/list`.
    pub resources: Vec<Arc<CatalogEntry>>,
    /// `resources/templates/list`.
    pub resource_templates: Vec<Arc<CatalogEntry>>,
    /// Hints for caches of each list, in the order of [`ListKind::ALL`].
    pub hints: [ListHints; 4],
    /// What the backends say of themselves, in the slave's order of backends.
    pub servers: Vec<CatalogServer>,
    /// Reason why the slave calls itself degraded, without secrets; `None`: not degraded.
    pub degraded: Option<String>,
    /// Whether the slave can run no call at present, though it offers tools.
    pub unavailable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListsJson<'a> {
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    prompts: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    resources: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    resource_templates: Vec<&'a RawValue>,
}

impl Catalog {
    /// Reads lists as the results of MCP's list methods have them: an object with arrays of definitions. Names are checked, the
    /// rest of the definitions is not.
    ///
    /// # Errors
    /// The text is too long, not of the form, or has an unusable name.
    pub fn decode(json: &[u8]) -> Result<Self, CatalogError> {
        if json.len() > MAX_CATALOG {
            return Err(CatalogError::TooLong(json.len()));
        }
        let Object(lists): Object<ListsJson<'_>> = serde_json::from_slice(json)?;
        Ok(Self {
            tools: RawList::of(ListKind::Tools, lists.tools)?.entries()?,
            prompts: RawList::of(ListKind::Prompts, lists.prompts)?.entries()?,
            resources: RawList::of(ListKind::Resources, lists.resources)?.entries()?,
            resource_templates: RawList::of(ListKind::ResourceTemplates, lists.resource_templates)?
                .entries()?,
            ..Self::default()
        })
    }

    /// Returns the list of this kind.
    pub fn list(&self, kind: ListKind) -> &[Arc<CatalogEntry>] {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts => &self.prompts,
            ListKind::Resources => &self.resources,
            ListKind::ResourceTemplates => &self.resource_templates,
        }
    }

    pub(super) fn list_mut(&mut self, kind: ListKind) -> &mut Vec<Arc<CatalogEntry>> {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::ResourceTemplates => &mut self.resource_templates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_survive_byte_for_byte() {
        let definition = r#"{"z":1.0,"name":"a","inputSchema":{"$defs":{},"b":1e2}}"#;
        let json = format!(
            r#"{{"tools":[{definition}],"resources":[{{"uri":"x:y"}}],"resourceTemplates":[{{"uriTemplate":"x:{{y}}"}}]}}"#
        );
        let catalog = Catalog::decode(json.as_bytes()).unwrap();
        assert_eq!(catalog.tools[0].name, "a");
        assert_eq!(catalog.tools[0].definition.get(), definition);
        assert_eq!(catalog.resources[0].name, "x:y");
        assert_eq!(catalog.list(ListKind::ResourceTemplates)[0].name, "x:{y}");
        assert!(catalog.list(ListKind::Prompts).is_empty());
    }
}
