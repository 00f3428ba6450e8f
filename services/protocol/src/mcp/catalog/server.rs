//! What a backend says of itself: era, version, capabilities, instructions and name (docs/PROTOCOL.md, "Catalog, names, owners"). Must not
//! know lists.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entry::ListKind;
use super::error::CatalogError;
use super::limits::MAX_SERVER_FACTS;
use crate::mcp::era::{Era, Version};
use crate::mcp::members::ExactMembers;
use crate::mcp::object::Object;

/// What the handshake with a backend found out about it. JSON is kept as the backend wrote it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerFacts {
    /// Era that the backend speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// Version that the backend speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// `capabilities` of its answer to `initialize` or `server/discover`, as far as the slave can carry them: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Box<RawValue>>,
    /// `instructions`: text for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// `serverInfo`: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_info: Option<Box<RawValue>>,
    /// `_meta` of its lists by the names of the lists: an object of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_meta: Option<Box<RawValue>>,
    /// What of the backend the slave carries that needs a slave which knows of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carries: Vec<String>,
}

/// The slave lists tasks of 2025-11-25 and passes on their status ([`ServerFacts::carries`]).
pub const CARRIES_TASKS: &str = "tasks";

/// Room in the facts for all of [`ServerFacts::carries`], in bytes.
const MAX_CARRIES: usize = 128;

/// The slave passes on notifications of extensions with no call in flight ([`ServerFacts::carries`]).
pub const CARRIES_EXTENSIONS: &str = "extensions";

impl ServerFacts {
    /// Reads the member `server` of a part.
    ///
    /// # Errors
    /// The text is too long or not of the form.
    pub fn parse(json: &str) -> Result<Self, CatalogError> {
        if json.len() > MAX_SERVER_FACTS {
            return Err(CatalogError::TooLong(json.len()));
        }
        let Object(facts) = serde_json::from_str(json)?;
        Ok(facts)
    }

    /// Returns whether [`ServerFacts::parse`] takes facts of this length, also with all that the slave carries of the backend.
    pub fn is_bounded(&self) -> bool {
        let json = serde_json::to_string(self);
        json.is_ok_and(|json| json.len() + MAX_CARRIES <= MAX_SERVER_FACTS)
    }

    /// Returns the `_meta` of a list, an object.
    pub fn meta_of(&self, list: ListKind) -> Option<&RawValue> {
        ExactMembers::of(self.list_meta.as_deref()?).get(list.name().as_bytes())
    }

    /// Returns whether a legacy backend runs calls of tools as tasks.
    pub fn has_legacy_tasks(&self) -> bool {
        self.era == Some(Era::Legacy) && self.capability(&["tasks", "requests", "tools", "call"]).is_some()
    }

    /// Returns whether the backend lists its tasks, and the slave can list those of one client.
    pub fn lists_tasks(&self) -> bool {
        self.carries(CARRIES_TASKS)
            && self.has_legacy_tasks()
            && self.capability(&["tasks", "list"]).is_some()
    }

    /// Returns whether the slave carries this of the backend.
    pub fn carries(&self, what: &str) -> bool {
        self.carries.iter().any(|carried| carried == what)
    }

    /// Returns whether a capability, an experimental one or an extension has this name, the latter two also behind the prefix of their owner
    /// (`org.example/skills`).
    pub fn names(&self, area: &str) -> bool {
        if self.capability(&[area]).is_some() {
            return true;
        }
        let is_named = |key: &[u8]| key.rsplit(|byte| *byte == b'/').next() == Some(area.as_bytes());
        let sets = ["extensions", "experimental"].into_iter().filter_map(|set| self.capability(&[set]));
        sets.flat_map(|set| ExactMembers::of(set).0).any(|(key, _)| is_named(&key))
    }

    /// Returns a capability by its path, as raw JSON, say `["resources", "subscribe"]`; `None` where it is absent, `false` or `null`.
    pub fn capability(&self, path: &[&str]) -> Option<&RawValue> {
        let mut at = self.capabilities.as_deref()?;
        for name in path {
            at = ExactMembers::of(at).get(name.as_bytes())?;
        }
        (!matches!(at.get(), "false" | "null")).then_some(at)
    }
}

impl PartialEq for ServerFacts {
    fn eq(&self, other: &Self) -> bool {
        let text = |json: &Option<Box<RawValue>>| json.as_ref().map(|json| json.get().to_owned());
        (self.era, self.version, &self.instructions, &self.carries)
            == (other.era, other.version, &other.instructions, &other.carries)
            && text(&self.capabilities) == text(&other.capabilities)
            && text(&self.server_info) == text(&other.server_info)
            && text(&self.list_meta) == text(&other.list_meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_listed_where_a_legacy_backend_and_its_slave_can() {
        let facts = |json: &str| ServerFacts::parse(json).unwrap();
        let of = |era: &str, tasks: &str, carries: &str| {
            facts(&format!(r#"{{"era":"{era}","capabilities":{{"tasks":{tasks}}},"carries":[{carries}]}}"#))
        };
        let (both, calls) = (
            r#"{"list":{},"requests":{"tools":{"call":{}}}}"#,
            r#"{"cancel":{},"requests":{"tools":{"call":{}}}}"#,
        );
        for (era, tasks, carries, has, lists) in [
            ("legacy", both, r#""tasks""#, true, true),
            ("legacy", both, r#""extensions""#, true, false),
            ("legacy", both, "", true, false),
            ("legacy", calls, r#""tasks""#, true, false),
            ("legacy", r#"{"list":{}}"#, r#""tasks""#, false, false),
            ("modern", both, r#""tasks""#, false, false),
        ] {
            let facts = of(era, tasks, carries);
            assert_eq!((facts.has_legacy_tasks(), facts.lists_tasks()), (has, lists), "{facts:?}");
        }
    }

    #[test]
    fn facts_that_count_as_bounded_are_taken_with_all_that_is_carried() {
        let text =
            |length: usize| ServerFacts { instructions: Some("x".repeat(length)), ..ServerFacts::default() };
        let longest = (0..MAX_SERVER_FACTS).rev().find(|length| text(*length).is_bounded()).unwrap();
        let carries = vec![CARRIES_TASKS.to_owned(), CARRIES_EXTENSIONS.to_owned()];
        let facts = ServerFacts { carries, ..text(longest) };
        assert!(ServerFacts::parse(&serde_json::to_string(&facts).unwrap()).is_ok());
        assert!(longest > MAX_SERVER_FACTS - 256 && !text(MAX_SERVER_FACTS - 20).is_bounded());
    }

    #[test]
    fn facts_survive_as_they_were_written_and_capabilities_are_found_by_path() {
        let json = r#"{"era":"legacy","version":"2025-11-25","capabilities":{"resources":{"subscribe":true,"listChanged":false},"x":1e400},"instructions":"do","serverInfo":{"name":"s"},"listMeta":{"tools":{"k":1e400}},"carries":["tasks"]}"#;
        let facts = ServerFacts::parse(json).unwrap();
        assert_eq!(serde_json::to_string(&facts).unwrap(), json);
        assert_eq!(facts, ServerFacts::parse(json).unwrap());
        assert_eq!(facts.meta_of(ListKind::Tools).unwrap().get(), r#"{"k":1e400}"#);
        assert!(
            facts.meta_of(ListKind::Prompts).is_none()
                && ServerFacts::default().meta_of(ListKind::Tools).is_none()
        );
        assert_ne!(facts, ServerFacts { list_meta: None, ..facts.clone() });
        assert!(facts.capability(&["resources", "subscribe"]).is_some());
        assert!(facts.capability(&["resources", "listChanged"]).is_none());
        assert!(facts.capability(&["tools"]).is_none());
        assert!(facts.capability(&["resources", "subscribe", "deeper"]).is_none());
        assert!(facts.names("resources") && !facts.names("skills"));
        let extended =
            ServerFacts::parse(r#"{"capabilities":{"extensions":{"org.example/skills":{}}}}"#).unwrap();
        assert!(extended.names("skills") && !extended.names("example"));
        let experimental = ServerFacts::parse(r#"{"capabilities":{"experimental":{"skills":{}}}}"#).unwrap();
        assert!(experimental.names("skills") && !experimental.names("experimental/skills"));
        assert_ne!(facts, ServerFacts::default());
        let not_carried = ServerFacts { carries: Vec::new(), ..facts.clone() };
        assert!(facts != not_carried && facts.carries(CARRIES_TASKS) && !not_carried.carries(CARRIES_TASKS));
        assert!(ServerFacts::parse("[]").is_err());
        assert!(
            ServerFacts::parse(&format!(r#"{{"instructions":"{}"}}"#, "x".repeat(MAX_SERVER_FACTS))).is_err()
        );
    }
}
