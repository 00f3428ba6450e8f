//! What the server says of itself in `initialize` and `server/discover`: capabilities and instructions, computed from those of the backends
//! and from what the relay can carry. Must not know requests.

use std::collections::BTreeMap;

use protocol::mcp::apps::APPS;
use protocol::mcp::catalog::{ListKind, ServerFacts};
use protocol::mcp::era::{Era, TASKS, meta};
use protocol::mcp::members::ExactMembers;
use serde_json::value::RawValue;

/// Longest instructions of several backends together, in bytes: they stand in each model's context.
const MAX_INSTRUCTIONS: usize = 64 * 1024;

/// Longest `_meta` of a list from all backends together, in bytes.
const MAX_LIST_META: usize = 64 * 1024;

/// What the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
pub struct Introduction {
    has_prompts: bool,
    has_resources: bool,
    has_updates: bool,
    has_completions: bool,
    /// A legacy backend takes calls of tools as tasks.
    has_tasks: bool,
    /// Of one that does, the tasks can be listed.
    has_task_lists: bool,
    /// Extensions by name, as the first backend with each wrote them.
    extensions: BTreeMap<String, String>,
    /// Extensions of legacy backends, and user interfaces of all, in the same way.
    legacy_extensions: BTreeMap<String, String>,
    /// Experimental capabilities, in the same way.
    experimental: BTreeMap<String, String>,
    /// `_meta` of each list, in the order of [`ListKind::ALL`] and in the same way.
    list_meta: [BTreeMap<String, String>; 4],
    instructions: Option<String>,
}

impl Introduction {
    /// Computes it from backends, given by name, in their order.
    pub fn of<'a>(servers: impl IntoIterator<Item = (&'a str, &'a ServerFacts)>) -> Self {
        let mut introduction = Self::default();
        let mut instructions: Vec<(&str, &str)> = Vec::new();
        for (name, facts) in servers {
            introduction.has_prompts |= facts.capability(&["prompts"]).is_some();
            introduction.has_resources |= facts.capability(&["resources"]).is_some();
            introduction.has_updates |= facts.capability(&["resources", "subscribe"]).is_some();
            introduction.has_completions |= facts.capability(&["completions"]).is_some();
            introduction.has_tasks |= facts.capability(&["tasks", "requests", "tools", "call"]).is_some();
            introduction.has_task_lists |= facts.lists_tasks();
            add(&mut introduction.extensions, facts.capability(&["extensions"]));
            if facts.era == Some(Era::Legacy) {
                add(&mut introduction.legacy_extensions, facts.capability(&["extensions"]));
            } else if let Some(apps) = facts.capability(&["extensions", APPS]) {
                add_one(&mut introduction.legacy_extensions, APPS.to_owned(), apps);
            }
            add(&mut introduction.experimental, facts.capability(&["experimental"]));
            for kind in ListKind::ALL {
                add(&mut introduction.list_meta[kind as usize], facts.meta_of(kind));
            }
            let text = facts.instructions.as_deref().filter(|text| !text.trim().is_empty());
            instructions.extend(text.map(|text| (name, text)).filter(|one| !instructions.contains(one)));
        }
        introduction.legacy_extensions.remove(TASKS);
        introduction.list_meta.iter_mut().for_each(bound);
        introduction.instructions = join(&instructions);
        introduction
    }

    /// Returns the instructions; `None`: no backend has any.
    pub fn instructions(&self) -> Option<&str> {
        self.instructions.as_deref()
    }

    /// Returns whether a backend has prompts.
    pub(crate) fn has_prompts(&self) -> bool {
        self.has_prompts
    }

    /// Returns whether a backend has resources.
    pub(crate) fn has_resources(&self) -> bool {
        self.has_resources
    }

    /// Returns the members of the `_meta` of a list: JSON.
    pub(crate) fn list_meta(&self, kind: ListKind) -> Vec<String> {
        self.list_meta[kind as usize].iter().map(|(name, value)| text(name, value)).collect()
    }

    /// Returns the JSON object of capabilities for a client of this era.
    pub fn capabilities(&self, era: Era) -> String {
        // Changes come from catalogs, whatever the backends say of themselves.
        let mut members = vec![r#""logging":{},"tools":{"listChanged":true}"#.to_owned()];
        if self.has_prompts {
            members.push(r#""prompts":{"listChanged":true}"#.to_owned());
        }
        if self.has_resources {
            let subscribe = if self.has_updates { r#""subscribe":true,"# } else { "" };
            members.push(format!(r#""resources":{{{subscribe}"listChanged":true}}"#));
        }
        if self.has_completions {
            members.push(r#""completions":{}"#.to_owned());
        }
        if self.has_tasks && era == Era::Legacy {
            let list = if self.has_task_lists { r#""list":{},"# } else { "" };
            members
                .push(format!(r#""tasks":{{{list}"cancel":{{}},"requests":{{"tools":{{"call":{{}}}}}}}}"#));
        }
        let extensions = match era {
            Era::Legacy => &self.legacy_extensions,
            Era::Modern => &self.extensions,
        };
        for (name, named) in [("experimental", &self.experimental), ("extensions", extensions)] {
            if !named.is_empty() {
                let named: Vec<String> = named.iter().map(|(name, value)| text(name, value)).collect();
                members.push(format!(r#""{name}":{{{}}}"#, named.join(",")));
            }
        }
        format!("{{{}}}", members.join(","))
    }
}

fn add(to: &mut BTreeMap<String, String>, object: Option<&RawValue>) {
    for (name, value) in object.map(ExactMembers::of).unwrap_or_default().0 {
        if let Ok(name) = String::from_utf8(name) {
            add_one(to, name, value);
        }
    }
}

fn add_one(to: &mut BTreeMap<String, String>, name: String, value: &RawValue) {
    to.entry(name).or_insert_with(|| value.get().replace(['\n', '\r'], " "));
}

/// Returns a member of an object: JSON.
fn text(name: &str, value: &str) -> String {
    format!("{}:{value}", serde_json::Value::from(name))
}

/// Removes the reserved member that is the relay's own, and, of the others, those beyond [`MAX_LIST_META`].
fn bound(members: &mut BTreeMap<String, String>) {
    members.remove(meta::SERVER_INFO);
    let mut length = 0;
    members.retain(|name, value| {
        length += name.len() + value.len();
        length <= MAX_LIST_META
    });
}

/// Joins the instructions of backends: those of a single one stand alone, those of several each under the name of its backend.
fn join(instructions: &[(&str, &str)]) -> Option<String> {
    let mut texts: Vec<&str> = instructions.iter().map(|(_, text)| *text).collect();
    texts.dedup();
    let mut all = match texts.as_slice() {
        [] => return None,
        [only] => (*only).to_owned(),
        _ => {
            let headed: Vec<String> =
                instructions.iter().map(|(name, text)| format!("## {name}\n\n{text}")).collect();
            headed.join("\n\n")
        }
    };
    if all.len() > MAX_INSTRUCTIONS {
        let end = (0..=MAX_INSTRUCTIONS).rev().find(|at| all.is_char_boundary(*at)).unwrap_or(0);
        all.truncate(end);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(json: &str) -> ServerFacts {
        ServerFacts::parse(json).unwrap()
    }

    #[test]
    fn capabilities_are_those_of_the_backends_and_no_others() {
        let none = Introduction::of([]);
        assert_eq!(none.capabilities(Era::Legacy), r#"{"logging":{},"tools":{"listChanged":true}}"#);
        assert_eq!(none.capabilities(Era::Modern), r#"{"logging":{},"tools":{"listChanged":true}}"#);
        let one =
            facts(r#"{"capabilities":{"prompts":{},"completions":{},"experimental":{"x":{"a":1e400}}}}"#);
        let two = facts(
            r#"{"era":"modern","capabilities":{"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{"z":1.0}}}}"#,
        );
        let both = Introduction::of([("one", &one), ("two", &two)]);
        assert_eq!(
            both.capabilities(Era::Legacy),
            r#"{"logging":{},"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"completions":{},"experimental":{"x":{"a":1e400}}}"#
        );
        assert_eq!(
            both.capabilities(Era::Modern),
            r#"{"logging":{},"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"completions":{},"experimental":{"x":{"a":1e400}},"extensions":{"a/b":{"z":1.0},"io.modelcontextprotocol/tasks":{}}}"#
        );
        let legacy = facts(
            r#"{"era":"legacy","capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{},"c/d":{"z":-0}}}}"#,
        );
        let all = Introduction::of([("two", &two), ("legacy", &legacy)]);
        assert!(all.capabilities(Era::Legacy).ends_with(r#","extensions":{"c/d":{"z":-0}}}"#));
        assert!(all.capabilities(Era::Modern).ends_with(
            r#","extensions":{"a/b":{"z":1.0},"c/d":{"z":-0},"io.modelcontextprotocol/tasks":{}}}"#
        ));
        let apps = facts(
            r#"{"era":"modern","capabilities":{"extensions":{"io.modelcontextprotocol/ui":{"v":1.0},"a/b":{}}}}"#,
        );
        let legacy = Introduction::of([("apps", &apps)]).capabilities(Era::Legacy);
        assert!(legacy.ends_with(r#","extensions":{"io.modelcontextprotocol/ui":{"v":1.0}}}"#), "{legacy}");
    }

    #[test]
    fn the_meta_of_a_list_is_that_of_the_backends_the_first_one_s_where_several_have_a_member() {
        let one = facts(
            r#"{"listMeta":{"tools":{"k":1e400,"io.modelcontextprotocol/serverInfo":{"name":"x"}},"prompts":[]}}"#,
        );
        let two = facts(r#"{"listMeta":{"tools":{"k":2,"a\"":{"z":-0}},"resources":{"r":1}}}"#);
        let both = Introduction::of([("one", &one), ("two", &two)]);
        assert_eq!(both.list_meta(ListKind::Tools), [r#""a\"":{"z":-0}"#, r#""k":1e400"#]);
        assert_eq!(both.list_meta(ListKind::Resources), [r#""r":1"#]);
        assert!(both.list_meta(ListKind::Prompts).is_empty());
        let long =
            facts(&serde_json::json!({ "listMeta": { "tools": { "a": "x".repeat(60_000) } } }).to_string());
        let other = facts(
            &serde_json::json!({ "listMeta": { "tools": { "b": "x".repeat(60_000), "c": 1 } } }).to_string(),
        );
        let bounded = Introduction::of([("one", &long), ("two", &other)]).list_meta(ListKind::Tools);
        let names: Vec<&str> = bounded.iter().map(|member| &member[..3]).collect();
        assert_eq!(names, [r#""a""#], "not what is beyond the limit");
    }

    #[test]
    fn lists_of_tasks_are_announced_where_a_backend_has_them_and_its_slave_can_list_them() {
        let tasks = |own: &str, carries: &str| {
            let calls = r#""requests":{"tools":{"call":{}}}"#;
            facts(&format!(
                r#"{{"era":"legacy","capabilities":{{"tasks":{{{own}{calls}}}}},"carries":[{carries}]}}"#
            ))
        };
        let (lists, old, without) =
            (tasks(r#""list":{},"#, r#""tasks""#), tasks(r#""list":{},"#, ""), tasks("", r#""tasks""#));
        for (servers, expected) in [
            (vec![("a", &lists)], r#""tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#),
            (vec![("a", &old), ("b", &without)], r#""tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}"#),
            (vec![("a", &old), ("b", &lists)], r#""tasks":{"list":{},"#),
        ] {
            let introduction = Introduction::of(servers);
            assert!(introduction.capabilities(Era::Legacy).contains(expected), "{expected}");
            assert!(!introduction.capabilities(Era::Modern).contains("tasks"));
        }
    }

    #[test]
    fn the_instructions_of_several_backends_stand_under_their_names() {
        let text = |text: &str| facts(&serde_json::json!({ "instructions": text }).to_string());
        let (one, two, empty) = (text("Do."), text("Don't."), text(" "));
        let joined = |servers: &[(&'static str, &ServerFacts)]| {
            Introduction::of(servers.iter().copied()).instructions().map(str::to_owned)
        };
        assert_eq!(joined(&[]), None);
        assert_eq!(joined(&[("a", &one), ("b", &empty)]).as_deref(), Some("Do."));
        assert_eq!(
            joined(&[("a", &one), ("a", &one)]).as_deref(),
            Some("Do."),
            "two replicas of one backend"
        );
        assert_eq!(joined(&[("a", &one), ("b", &two)]).as_deref(), Some("## a\n\nDo.\n\n## b\n\nDon't."));
        let long = text(&"ü".repeat(MAX_INSTRUCTIONS / 2 - 100));
        assert!(joined(&[("a", &long), ("b", &two)]).unwrap().len() <= MAX_INSTRUCTIONS);
    }
}
