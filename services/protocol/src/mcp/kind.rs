//! Kinds of what slaves offer: each kind has names of its own. Must not know definitions.

use serde::{Deserialize, Serialize};

/// Kind of an entry. An entry is known by its kind and its name: a tool and a prompt may have one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Tool, by its `name`.
    Tool,
    /// Prompt, by its `name`.
    Prompt,
    /// Resource, by its `uri`.
    Resource,
    /// Resource template, by its `uriTemplate`.
    Template,
    /// Task, by its id.
    Task,
}

impl Kind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Tool, Self::Prompt, Self::Resource, Self::Template, Self::Task];

    /// Returns the stable name of the kind, as the API has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
            Self::Task => "task",
        }
    }
}
