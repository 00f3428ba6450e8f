//! Entry of a list of the catalog, with the rules for its name. Must not know lists or parts.

use serde::Deserialize;
use serde_json::value::RawValue;

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
        Ok(Self { name: name_of(kind, definition)?, definition: definition.to_owned() })
    }

    /// Returns whether both definitions are equal, whatever the order of their members.
    pub fn same_definition(&self, other: &Self) -> bool {
        self.definition.get() == other.definition.get() || self.canonical() == other.canonical()
    }

    /// Returns the definition with members in sorted order: equal text means equal definition.
    pub fn canonical(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(self.definition.get()).ok()?;
        Some(value.to_string())
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
    fn same_definition_ignores_member_order_only() {
        let entry =
            |text: &str| CatalogEntry::named(&RawValue::from_string(text.to_owned()).unwrap()).unwrap();
        let one = entry(r#"{"name":"a","x":{"p":1,"q":2}}"#);
        assert!(one.same_definition(&entry(r#"{"x":{"q":2,"p":1},"name":"a"}"#)));
        assert!(!one.same_definition(&entry(r#"{"name":"a","x":{"p":1,"q":3}}"#)));
    }
}
