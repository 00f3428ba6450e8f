//! The names of several backends' tools in one catalog. Must not know whether a backend runs.

use std::collections::{HashMap, HashSet};

use protocol::mcp::catalog::{self, CatalogEntry};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::splice::{Edit, range_in, splice};

/// Characters of the longest namespaced name: the limit of common clients.
const MAX_NAMESPACED_LEN: usize = 64;

/// A tool with its name in the catalog.
pub(super) struct NamedTool {
    /// The index of the backend.
    pub(super) backend: usize,
    /// The name in the catalog.
    pub(super) name: String,
    /// The backend's own name of the tool.
    pub(super) own_name: String,
    /// The definition, with the catalog's name.
    pub(super) definition: Box<RawValue>,
}

/// Returns every tool with its name, and a message for each tool that is renamed or left out.
pub(super) fn assign<'a>(
    backends: impl Iterator<Item = (&'a str, &'a [CatalogEntry])>,
) -> (Vec<NamedTool>, Vec<String>) {
    let backends: Vec<(&str, &[CatalogEntry])> = backends.collect();
    let mut owners: HashMap<&str, HashSet<usize>> = HashMap::new();
    for (index, (_, tools)) in backends.iter().enumerate() {
        for tool in *tools {
            owners.entry(tool.name.as_str()).or_default().insert(index);
        }
    }
    let shared = |name: &str| owners.get(name).is_some_and(|owners| owners.len() > 1);
    let (mut named, mut problems, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, (backend, tools)) in backends.iter().enumerate() {
        for tool in *tools {
            let name =
                if shared(&tool.name) { namespaced(backend, &tool.name) } else { Ok(tool.name.clone()) };
            match name.and_then(|name| admit(index, name, tool, &mut taken)) {
                Ok(named_tool) => {
                    if named_tool.name != named_tool.own_name {
                        problems.push(format!(
                            "tool {:?} is offered by several backends: that of {backend:?} is now {:?}",
                            named_tool.own_name, named_tool.name
                        ));
                    }
                    named.push(named_tool);
                }
                Err(reason) => {
                    problems
                        .push(format!("tool {:?} of backend {backend:?} is left out: {reason}", tool.name));
                }
            }
        }
    }
    (named, problems)
}

/// Returns the tool under this name if the name is valid and free.
fn admit(
    backend: usize,
    name: String,
    tool: &CatalogEntry,
    taken: &mut HashSet<String>,
) -> Result<NamedTool, &'static str> {
    catalog::check_name(&name)?;
    let definition =
        if name == tool.name { tool.definition.clone() } else { renamed(&tool.definition, &name)? };
    if !taken.insert(name.clone()) {
        return Err("another tool has the same name");
    }
    Ok(NamedTool { backend, name, own_name: tool.name.clone(), definition })
}

/// Returns the tool's name with the backend's name in front, cut to the limit.
fn namespaced(backend: &str, tool: &str) -> Result<String, &'static str> {
    let room = MAX_NAMESPACED_LEN.saturating_sub(tool.chars().count() + 2);
    let prefix: String = backend
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' })
        .take(room)
        .collect();
    if prefix.is_empty() {
        return Err("several backends offer it, and with the backend's name it is longer than 64 characters");
    }
    Ok(format!("{prefix}__{tool}"))
}

/// Returns the definition with another name and nothing else changed.
fn renamed(definition: &RawValue, name: &str) -> Result<Box<RawValue>, &'static str> {
    #[derive(Deserialize)]
    struct Name<'a> {
        #[serde(borrow)]
        name: &'a RawValue,
    }
    const UNREADABLE: &str = "its definition cannot be read";
    let parsed: Name<'_> = serde_json::from_str(definition.get()).map_err(|_| UNREADABLE)?;
    let range = range_in(definition.get().as_bytes(), parsed.name);
    let with = serde_json::to_string(name).map_err(|_| UNREADABLE)?;
    let text = splice(definition.get().as_bytes(), &mut [Edit { range, with: with.as_bytes() }], 0);
    String::from_utf8(text).ok().and_then(|text| RawValue::from_string(text).ok()).ok_or(UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(definition: &str) -> CatalogEntry {
        CatalogEntry::named(&RawValue::from_string(definition.to_owned()).unwrap()).unwrap()
    }

    fn names(backends: &[(&str, &[CatalogEntry])]) -> (Vec<String>, Vec<String>) {
        let (named, problems) = assign(backends.iter().copied());
        (named.into_iter().map(|one| one.name).collect(), problems)
    }

    #[test]
    fn a_shared_name_is_namespaced_for_all_backends_and_reported() {
        let (echo, own) = (
            [entry(r#"{"z":1,"name" : "echo"}"#)],
            [entry(r#"{"name":"own"}"#), entry(r#"{"name":"echo"}"#)],
        );
        let (named, problems) = assign([("a b", &echo[..]), ("two", &own[..])].into_iter());
        let all: Vec<&str> = named.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(all, ["a_b__echo", "own", "two__echo"]);
        assert_eq!(named[0].definition.get(), r#"{"z":1,"name" : "a_b__echo"}"#);
        assert_eq!(named[0].own_name, "echo");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("a_b__echo"), "{problems:?}");
    }

    #[test]
    fn long_names_lose_characters_of_the_backend_s_part_or_the_tool_is_left_out() {
        let long = "t".repeat(60);
        let tools = [entry(&format!(r#"{{"name":"{long}"}}"#))];
        let (all, _) = names(&[("backend", &tools), ("other", &tools)]);
        assert_eq!(all, [format!("ba__{long}"), format!("ot__{long}")]);
        let (all, problems) = names(&[("bax", &tools), ("bay", &tools)]);
        assert_eq!(all, [format!("ba__{long}")]);
        assert!(problems[1].contains("left out"), "{problems:?}");
        let longer = [entry(&format!(r#"{{"name":"{}"}}"#, "t".repeat(63)))];
        let (all, problems) = names(&[("a", &longer), ("b", &longer)]);
        assert!(all.is_empty());
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn a_backend_s_repeated_and_invalid_names_are_left_out() {
        let tools = [entry(r#"{"name":"a"}"#), entry(r#"{"name":"a"}"#), entry(r#"{"name":""}"#)];
        let (all, problems) = names(&[("one", &tools)]);
        assert_eq!(all, ["a"]);
        assert_eq!(problems.len(), 2);
    }
}
