//! Entry of a list of the catalog, with the rules for its name. Must not know lists or parts.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::mcp::canonical::{self, DefinitionDigest};
use crate::mcp::kind::Kind;

/// Longest name of a tool (MCP 2026-07-28, Tools, "Tool Names").
pub const MAX_TOOL_NAME: usize = 128;

/// Kind of a list: which of MCP's list methods gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    ResourceTemplates,
}

impl ListKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::ResourceTemplates];

    /// Returns the member of a part that holds the list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }

    /// Returns the kind of the list's entries.
    pub fn entry(self) -> Kind {
        match self {
            Self::Tools => Kind::Tool,
            Self::Prompts => Kind::Prompt,
            Self::Resources => Kind::Resource,
            Self::ResourceTemplates => Kind::Template,
        }
    }

    /// Returns the method that lists the entries.
    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::ResourceTemplates => "resources/templates/list",
        }
    }

    /// Returns whether entries are known by a name, which [`check_name`] holds for and which is unique in its list.
    pub fn has_names(self) -> bool {
        matches!(self, Self::Tools | Self::Prompts)
    }
}

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

#[derive(Deserialize)]
struct Name {
    name: String,
}

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
        Self::read(ListKind::Tools, definition)
    }

    /// Makes an entry of a list of this kind.
    ///
    /// # Errors
    /// The definition lacks the member that names it.
    pub fn read(kind: ListKind, definition: &RawValue) -> Result<Self, serde_json::Error> {
        Ok(Self::new(name_of(kind, definition)?, definition.to_owned()))
    }

    /// Returns whether both definitions have the same canonical form.
    pub fn has_definition_of(&self, other: &Self) -> bool {
        self.digest.is_some() && self.digest == other.digest
    }
}

/// Returns what an entry of a list of this kind is known by.
pub(super) fn name_of(kind: ListKind, definition: &RawValue) -> Result<String, serde_json::Error> {
    let text = definition.get();
    match kind {
        ListKind::Tools | ListKind::Prompts => serde_json::from_str(text).map(|Name { name }| name),
        ListKind::Resources => serde_json::from_str(text).map(|Uri { uri }| uri),
        ListKind::ResourceTemplates => {
            serde_json::from_str(text).map(|Template { uri_template }| uri_template)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
