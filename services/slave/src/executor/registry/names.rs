//! Names of the tools of several backends in one list. Must not know whether a backend runs.

use std::collections::{HashMap, HashSet};

use protocol::mcp::catalog::{self, CatalogEntry};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapt::{Edit, range_in, splice};

/// Longest namespaced name, in characters: what common clients take.
const MAX_NAMESPACED: usize = 64;

/// A tool with the name it has in the catalog.
pub(super) struct Named {
    /// Index of its backend.
    pub(super) backend: usize,
    /// Name in the catalog.
    pub(super) name: String,
    /// The backend's own name of it.
    pub(super) own_name: String,
    /// Its definition, with the catalog's name.
    pub(super) definition: Box<RawValue>,
}

/// Gives every tool its name, and says in words what had to be renamed or left out.
pub(super) fn assign<'a>(
    backends: impl Iterator<Item = (&'a str, &'a [CatalogEntry])>,
) -> (Vec<Named>, Vec<String>) {
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
            match name.and_then(|name| place(index, name, tool, &mut taken)) {
                Ok(one) => {
                    if one.name != one.own_name {
                        problems.push(format!(
                            "tool {:?} is offered by several backends: that of {backend:?} is now {:?}",
                            one.own_name, one.name
                        ));
                    }
                    named.push(one);
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

fn place(
    backend: usize,
    name: String,
    tool: &CatalogEntry,
    taken: &mut HashSet<String>,
) -> Result<Named, &'static str> {
    catalog::check_name(&name)?;
    let definition =
        if name == tool.name { tool.definition.clone() } else { renamed(&tool.definition, &name)? };
    if !taken.insert(name.clone()) {
        return Err("another tool has the same name");
    }
    Ok(Named { backend, name, own_name: tool.name.clone(), definition })
}

fn namespaced(backend: &str, tool: &str) -> Result<String, &'static str> {
    let room = MAX_NAMESPACED.saturating_sub(tool.chars().count() + 2);
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

/// The definition with another name and nothing else changed.
fn renamed(definition: &RawValue, name: &str) -> Result<Box<RawValue>, &'static str> {
    #[derive(Deserialize)]
    struct Name<'a> {
        #[serde(borrow)]
        name: &'a RawValue,
    }
    const UNREADABLE: &str = "its definition cannot be read";
    let parsed: Name<'_> = serde_json::from_str(definition.get()).map_err(|_| UNREADABLE)?;
    let place = range_in(definition.get().as_bytes(), parsed.name);
    let with = serde_json::to_string(name).map_err(|_| UNREADABLE)?;
    let text = splice(definition.get().as_bytes(), &mut [Edit { place, with: with.as_bytes() }], 0);
    String::from_utf8(text).ok().and_then(|text| RawValue::from_string(text).ok()).ok_or(UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(definition: &str) -> CatalogEntry {
        CatalogEntry::named(&RawValue::from_string(definition.to_owned()).unwrap()).unwrap()
    }

    fn names(backends: &[(&str, &[CatalogEntry])]) -> (Vec<String>, Vec<String>) {
        let (named, problems) = assign(backends.iter().copied());
        (named.into_iter().map(|one| one.name).collect(), problems)
    }

    #[test]
    fn a_shared_name_is_namespaced_for_all_and_reported() {
        let (echo, own) = (
            [offer(r#"{"z":1,"name" : "echo"}"#)],
            [offer(r#"{"name":"own"}"#), offer(r#"{"name":"echo"}"#)],
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
    fn long_names_are_cut_at_the_backend_s_part_or_left_out() {
        let long = "t".repeat(60);
        let tools = [offer(&format!(r#"{{"name":"{long}"}}"#))];
        let (all, _) = names(&[("backend", &tools), ("other", &tools)]);
        assert_eq!(all, [format!("ba__{long}"), format!("ot__{long}")]);
        let (all, problems) = names(&[("bax", &tools), ("bay", &tools)]);
        assert_eq!(all, [format!("ba__{long}")]);
        assert!(problems[1].contains("left out"), "{problems:?}");
        let longer = [offer(&format!(r#"{{"name":"{}"}}"#, "t".repeat(63)))];
        let (all, problems) = names(&[("a", &longer), ("b", &longer)]);
        assert!(all.is_empty());
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn one_backend_s_repeated_or_unusable_names_are_left_out() {
        let tools = [offer(r#"{"name":"a"}"#), offer(r#"{"name":"a"}"#), offer(r#"{"name":""}"#)];
        let (all, problems) = names(&[("one", &tools)]);
        assert_eq!(all, ["a"]);
        assert_eq!(problems.len(), 2);
    }
}
