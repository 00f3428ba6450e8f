//! What a slave offers. Definitions are kept as the backend wrote them. Knows nothing of pools or collisions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::mcp::object::Object;

/// Largest catalog, in bytes of JSON.
pub const MAX_CATALOG: usize = 16 * 1024 * 1024;

/// Longest name of a tool (MCP 2026-07-28, Tools, "Tool Names").
pub const MAX_TOOL_NAME: usize = 128;

/// One offered thing with its definition as the backend wrote it.
#[derive(Clone, Debug)]
pub struct CatalogEntry {
    /// `name` of a tool or prompt, `uri` of a resource, `uriTemplate` of a template.
    pub name: String,
    /// The whole definition, unaltered.
    pub definition: Box<RawValue>,
}

/// Everything a slave offers, each list in the slave's order.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// `tools/list`.
    pub tools: Vec<CatalogEntry>,
    /// `prompts/list`.
    pub prompts: Vec<CatalogEntry>,
    /// `resources/list`.
    pub resources: Vec<CatalogEntry>,
    /// `resources/templates/list`.
    pub resource_templates: Vec<CatalogEntry>,
    /// What the slave says is wrong with itself, without secrets; `None`: nothing.
    pub degraded: Option<String>,
}

/// Why bytes are not a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Beyond [`MAX_CATALOG`].
    #[error("catalog of {0} bytes, at most {MAX_CATALOG} allowed")]
    TooLong(usize),
    /// Not the JSON that docs/PROTOCOL.md describes.
    #[error("catalog is not of the expected form: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A name that MCP does not allow or that appears twice in its list.
    #[error("{list} has an unusable name {name:?}: {reason}")]
    BadName {
        /// The list it stands in.
        list: &'static str,
        /// The name, cut to 128 characters.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    prompts: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    resources: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    resource_templates: Vec<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

/// How the slave does, as it says itself.
#[derive(Serialize, Deserialize)]
struct Health {
    state: String,
    #[serde(default)]
    reason: String,
}

/// The state in which others should be preferred; no other means anything.
const DEGRADED: &str = "degraded";

#[derive(Deserialize)]
struct Uri {
    uri: String,
}

#[derive(Deserialize)]
struct Template {
    #[serde(rename = "uriTemplate")]
    uri_template: String,
}

impl CatalogEntry {
    /// Reads the name of a tool or prompt out of its definition.
    pub fn named(definition: &RawValue) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let Named { name } = serde_json::from_str(definition.get())?;
        Ok(Self { name, definition: definition.to_owned() })
    }

    fn resource(definition: &RawValue) -> Result<Self, serde_json::Error> {
        let Uri { uri } = serde_json::from_str(definition.get())?;
        Ok(Self { name: uri, definition: definition.to_owned() })
    }

    fn template(definition: &RawValue) -> Result<Self, serde_json::Error> {
        let Template { uri_template } = serde_json::from_str(definition.get())?;
        Ok(Self { name: uri_template, definition: definition.to_owned() })
    }

    /// Whether both mean the same: equal definitions whatever the order of their members.
    pub fn same_definition(&self, other: &Self) -> bool {
        self.definition.get() == other.definition.get() || self.canonical() == other.canonical()
    }

    /// The definition with members in sorted order: equal text means equal definition.
    pub fn canonical(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(self.definition.get()).ok()?;
        Some(value.to_string())
    }
}

impl Catalog {
    /// Reads a `catalog` payload. Names are checked; definitions are not looked into further.
    pub fn decode(json: &[u8]) -> Result<Self, CatalogError> {
        if json.len() > MAX_CATALOG {
            return Err(CatalogError::TooLong(json.len()));
        }
        let Object(wire): Object<Wire<'_>> = serde_json::from_slice(json)?;
        let read = |list: Vec<&RawValue>, name: fn(&RawValue) -> Result<CatalogEntry, serde_json::Error>| {
            list.into_iter().map(name).collect::<Result<Vec<_>, _>>()
        };
        let catalog = Self {
            tools: read(wire.tools, CatalogEntry::named)?,
            prompts: read(wire.prompts, CatalogEntry::named)?,
            resources: read(wire.resources, CatalogEntry::resource)?,
            resource_templates: read(wire.resource_templates, CatalogEntry::template)?,
            degraded: wire.health.filter(|health| health.state == DEGRADED).map(|health| health.reason),
        };
        check_names("tools", &catalog.tools)?;
        check_names("prompts", &catalog.prompts)?;
        Ok(catalog)
    }

    /// Writes a `catalog` payload.
    pub fn encode(&self) -> Result<Bytes, serde_json::Error> {
        fn raw(list: &[CatalogEntry]) -> Vec<&RawValue> {
            list.iter().map(|offer| &*offer.definition).collect()
        }
        let wire = Wire {
            tools: raw(&self.tools),
            prompts: raw(&self.prompts),
            resources: raw(&self.resources),
            resource_templates: raw(&self.resource_templates),
            health: self.degraded.clone().map(|reason| Health { state: DEGRADED.into(), reason }),
        };
        serde_json::to_vec(&wire).map(Bytes::from)
    }
}

/// Checks one name as the proxy does for every tool and prompt it lists.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > MAX_TOOL_NAME {
        return Err("it is longer than 128 characters");
    }
    if name.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    Ok(())
}

fn check_names(list: &'static str, offers: &[CatalogEntry]) -> Result<(), CatalogError> {
    let mut seen = std::collections::HashSet::new();
    for offer in offers {
        let fault =
            check_name(&offer.name).err().or((!seen.insert(&offer.name)).then_some("it appears twice"));
        if let Some(reason) = fault {
            let name = offer.name.chars().take(MAX_TOOL_NAME).collect();
            return Err(CatalogError::BadName { list, name, reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_survive_byte_for_byte() {
        let json = br#"{"tools":[{"z":1.0,"name":"a","inputSchema":{"$defs":{},"b":1e2}}],"prompts":[],"resources":[{"uri":"x:y"}],"resourceTemplates":[{"uriTemplate":"x:{y}"}]}"#;
        let catalog = Catalog::decode(json).unwrap();
        assert_eq!(catalog.tools[0].name, "a");
        assert_eq!(catalog.resources[0].name, "x:y");
        assert_eq!(&catalog.encode().unwrap()[..], json);
    }

    #[test]
    fn a_slave_s_report_round_trips_and_other_states_mean_nothing() {
        let json = br#"{"tools":[],"prompts":[],"resources":[],"resourceTemplates":[],"health":{"state":"degraded","reason":"why"}}"#;
        let catalog = Catalog::decode(json).unwrap();
        assert_eq!(catalog.degraded.as_deref(), Some("why"));
        assert_eq!(&catalog.encode().unwrap()[..], json);
        for other in
            [r#"{"health":{"state":"fine"}}"#, r#"{"health":null}"#, r#"{"health":{"state":"x","y":1}}"#]
        {
            assert_eq!(Catalog::decode(other.as_bytes()).unwrap().degraded, None, "{other}");
        }
    }

    #[test]
    fn same_definition_ignores_member_order_only() {
        let offer =
            |text: &str| CatalogEntry::named(&RawValue::from_string(text.to_owned()).unwrap()).unwrap();
        let one = offer(r#"{"name":"a","x":{"p":1,"q":2}}"#);
        assert!(one.same_definition(&offer(r#"{"x":{"q":2,"p":1},"name":"a"}"#)));
        assert!(!one.same_definition(&offer(r#"{"name":"a","x":{"p":1,"q":3}}"#)));
    }

    #[test]
    fn unusable_names_are_named() {
        for json in [
            r#"{"tools":[{"name":""}]}"#,
            r#"{"tools":[{"name":"a\n"}]}"#,
            r#"{"tools":[{"name":"a"},{"name":"a"}]}"#,
        ] {
            assert!(
                matches!(Catalog::decode(json.as_bytes()), Err(CatalogError::BadName { list: "tools", .. })),
                "{json}"
            );
        }
        assert!(matches!(Catalog::decode(b"{\"tools\":[{}]}"), Err(CatalogError::Malformed(_))));
    }
}
