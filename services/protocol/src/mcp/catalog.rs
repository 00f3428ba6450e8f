//! Catalog: what a slave offers, each definition as the backend wrote it (docs/PROTOCOL.md, "Catalog"). Must not know pools or
//! collisions of names.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::mcp::canonical::{self, DefinitionDigest};
use crate::mcp::object::Object;

/// Largest catalog, in bytes of JSON.
pub const MAX_CATALOG: usize = 16 * 1024 * 1024;

/// Longest name of a tool (MCP 2026-07-28, Tools, "Tool Names").
pub const MAX_TOOL_NAME: usize = 128;

/// Entry of a catalog: a tool, prompt, resource or resource template.
#[derive(Clone, Debug)]
pub struct CatalogEntry {
    /// `name` of a tool or prompt, `uri` of a resource, `uriTemplate` of a template.
    pub name: String,
    /// Definition as the backend wrote it.
    pub definition: Box<RawValue>,
    /// Digest of the definition's canonical form, computed once. `None`: it has no such form, and equals no other definition.
    pub digest: Option<DefinitionDigest>,
}

/// Catalog of a slave, each list in the slave's order.
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
    /// Reason why the slave calls itself degraded, without secrets; `None`: not degraded.
    pub degraded: Option<String>,
}

/// Why bytes are not a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Longer than [`MAX_CATALOG`].
    #[error("catalog of {0} bytes, at most {MAX_CATALOG} allowed")]
    TooLong(usize),
    /// Not the JSON that docs/PROTOCOL.md describes.
    #[error("catalog is not of the expected form: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A name that MCP does not allow or that appears twice in its list.
    #[error("{list} has an unusable name {name:?}: {reason}")]
    BadName {
        /// List that has the entry.
        list: &'static str,
        /// Name, cut to 128 characters.
        name: String,
        /// Rule that the name breaks.
        reason: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CatalogJson<'a> {
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

/// Health of a slave as the slave reports it.
#[derive(Serialize, Deserialize)]
struct Health {
    state: String,
    #[serde(default)]
    reason: String,
}

/// State in which other slaves are preferred; other states mean nothing.
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
    /// Makes an entry of its name and definition.
    pub fn new(name: String, definition: Box<RawValue>) -> Self {
        let digest = canonical::digest(&definition);
        Self { name, definition, digest }
    }

    /// Makes an entry of a tool or prompt.
    ///
    /// # Errors
    /// The definition has no `name`.
    pub fn named(definition: &RawValue) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let Named { name } = serde_json::from_str(definition.get())?;
        Ok(Self::new(name, definition.to_owned()))
    }

    fn resource(definition: &RawValue) -> Result<Self, serde_json::Error> {
        let Uri { uri } = serde_json::from_str(definition.get())?;
        Ok(Self::new(uri, definition.to_owned()))
    }

    fn template(definition: &RawValue) -> Result<Self, serde_json::Error> {
        let Template { uri_template } = serde_json::from_str(definition.get())?;
        Ok(Self::new(uri_template, definition.to_owned()))
    }

    /// Returns whether both definitions have the same canonical form.
    pub fn has_definition_of(&self, other: &Self) -> bool {
        self.digest.is_some() && self.digest == other.digest
    }
}

impl Catalog {
    /// Reads the payload of `catalog` frames. Names are checked, the rest of the definitions is not.
    ///
    /// # Errors
    /// The payload is too long, not of the form, or has an unusable name.
    pub fn decode(json: &[u8]) -> Result<Self, CatalogError> {
        if json.len() > MAX_CATALOG {
            return Err(CatalogError::TooLong(json.len()));
        }
        let Object(lists): Object<CatalogJson<'_>> = serde_json::from_slice(json)?;
        let read = |list: Vec<&RawValue>, name: fn(&RawValue) -> Result<CatalogEntry, serde_json::Error>| {
            list.into_iter().map(name).collect::<Result<Vec<_>, _>>()
        };
        let catalog = Self {
            tools: read(lists.tools, CatalogEntry::named)?,
            prompts: read(lists.prompts, CatalogEntry::named)?,
            resources: read(lists.resources, CatalogEntry::resource)?,
            resource_templates: read(lists.resource_templates, CatalogEntry::template)?,
            degraded: lists.health.filter(|health| health.state == DEGRADED).map(|health| health.reason),
        };
        check_names("tools", &catalog.tools)?;
        check_names("prompts", &catalog.prompts)?;
        Ok(catalog)
    }

    /// Writes the payload of `catalog` frames.
    ///
    /// # Errors
    /// A definition is not valid JSON, which [`RawValue`] rules out.
    pub fn encode(&self) -> Result<Bytes, serde_json::Error> {
        fn raw(list: &[CatalogEntry]) -> Vec<&RawValue> {
            list.iter().map(|entry| &*entry.definition).collect()
        }
        let json = CatalogJson {
            tools: raw(&self.tools),
            prompts: raw(&self.prompts),
            resources: raw(&self.resources),
            resource_templates: raw(&self.resource_templates),
            health: self.degraded.clone().map(|reason| Health { state: DEGRADED.into(), reason }),
        };
        serde_json::to_vec(&json).map(Bytes::from)
    }
}

/// Checks the name of a tool or prompt.
///
/// # Errors
/// What is wrong with the name, for people.
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

fn check_names(list: &'static str, entries: &[CatalogEntry]) -> Result<(), CatalogError> {
    let mut seen = std::collections::HashSet::new();
    for entry in entries {
        let fault =
            check_name(&entry.name).err().or((!seen.insert(&entry.name)).then_some("it appears twice"));
        if let Some(reason) = fault {
            let name = entry.name.chars().take(MAX_TOOL_NAME).collect();
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
    fn degraded_health_round_trips_and_other_states_mean_nothing() {
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
    fn definitions_are_equal_by_their_canonical_form_only() {
        let entry =
            |text: &str| CatalogEntry::named(&RawValue::from_string(text.to_owned()).unwrap()).unwrap();
        let one = entry(r#"{"name":"a","x":{"p":1,"q":2}}"#);
        assert!(one.has_definition_of(&entry(r#"{"x":{"q":2,"p":1},"name":"a"}"#)));
        assert!(!one.has_definition_of(&entry(r#"{"name":"a","x":{"p":1,"q":3}}"#)));
        // A JSON library reads both numbers as 0.1, and takes the last of two members.
        let exact = entry(r#"{"name":"a","x":0.1}"#);
        assert!(!exact.has_definition_of(&entry(r#"{"name":"a","x":0.1000000000000000055511151231257827}"#)));
        let twice = entry(r#"{"name":"a","x":{"y":1,"y":2}}"#);
        assert!(!twice.has_definition_of(&entry(r#"{"name":"a","x":{"y":2}}"#)));
        assert!(!twice.has_definition_of(&twice));
    }

    #[test]
    fn an_unusable_name_is_named_in_the_error() {
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
