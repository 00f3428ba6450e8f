//! The names of several backends' entries in one catalog. Must not know whether a backend runs.
//!
//! A tool's or prompt's name that one backend has stays as it is. A name that several have is shown as `backend__name` for each of them, by
//! the rules of [`shown_name`]. No entry takes a name that another has by itself, so that none is lost. A URI cannot be renamed: the first
//! backend that has it, in the order of the configuration, keeps it.

use std::collections::{HashMap, HashSet};

use protocol::mcp::catalog::{self, CatalogEntry, ListKind};
use protocol::mcp::shown_name;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backends::Curated;
use crate::splice::{Edit, range_in, splice};

/// How often another hash is tried for a name that is taken.
const MAX_SALTS: usize = 8;

/// An entry with its name in the catalog.
pub(super) struct NamedEntry {
    /// The index of the backend.
    pub(super) backend: usize,
    pub(super) kind: ListKind,
    /// The name in the catalog: a URI for resources.
    pub(super) name: String,
    /// The backend's own name.
    pub(super) own_name: String,
    /// The definition, with the catalog's name.
    pub(super) definition: Box<RawValue>,
}

/// Returns every entry of the lists of this kind with its name, and a message for each that is renamed or left out.
pub(super) fn assign<'a>(
    kind: ListKind,
    backends: impl Iterator<Item = (&'a str, &'a [Curated])>,
) -> (Vec<NamedEntry>, Vec<String>) {
    let backends: Vec<(&str, &[Curated])> = backends.collect();
    let mut owners: HashMap<&str, HashSet<usize>> = HashMap::new();
    for (index, (_, list)) in backends.iter().enumerate() {
        for entry in *list {
            owners.entry(entry.entry.name.as_str()).or_default().insert(index);
        }
    }
    let mut naming = Naming { kind, owners, taken: HashSet::new() };
    let (mut named, mut problems) = (Vec::new(), Vec::new());
    let what = kind.entry().as_str();
    for (index, (backend, list)) in backends.iter().enumerate() {
        let mut own = HashSet::new();
        for Curated { entry, own_name } in *list {
            let name = &entry.name;
            match naming.name(backend, entry, &mut own) {
                Ok((shown, definition)) => {
                    if shown != *name {
                        problems.push(format!(
                            "{what} {name:?} is offered by several backends: that of {backend:?} is now {shown:?}"
                        ));
                    }
                    let own_name = own_name.clone();
                    named.push(NamedEntry { backend: index, kind, name: shown, own_name, definition });
                }
                Err(reason) => {
                    problems.push(format!("{what} {name:?} of backend {backend:?} is left out: {reason}"));
                }
            }
        }
    }
    (named, problems)
}

struct Naming<'a> {
    kind: ListKind,
    /// Backends that have each name by themselves.
    owners: HashMap<&'a str, HashSet<usize>>,
    /// Names made for entries whose own name several backends have, and URIs that a backend has.
    taken: HashSet<String>,
}

impl Naming<'_> {
    /// Returns the name of an entry in the catalog, and its definition under that name. `own`: names that the backend has used already.
    fn name<'a>(
        &mut self,
        backend: &str,
        entry: &'a CatalogEntry,
        own: &mut HashSet<&'a str>,
    ) -> Result<(String, Box<RawValue>), &'static str> {
        if self.kind.has_names() {
            catalog::check_name(&entry.name)?;
        }
        if !own.insert(&entry.name) {
            return Err("another entry of the backend has the same name");
        }
        let is_shared = self.owners.get(entry.name.as_str()).is_some_and(|owners| owners.len() > 1);
        let name = match (is_shared, self.kind.has_names()) {
            (false, _) => entry.name.clone(),
            (true, true) => self.free_name(backend, &entry.name)?,
            (true, false) if self.taken.insert(entry.name.clone()) => entry.name.clone(),
            (true, false) => return Err("a backend before it has the same"),
        };
        let definition =
            if name == entry.name { entry.definition.clone() } else { renamed(&entry.definition, &name)? };
        Ok((name, definition))
    }

    /// Returns a name with the backend's in front that no other entry has, neither by itself nor made for it.
    fn free_name(&mut self, backend: &str, name: &str) -> Result<String, &'static str> {
        let salted = (0..MAX_SALTS).map(|salt| shown_name::derived_apart(backend, name, &salt.to_string()));
        let mut names = std::iter::once(shown_name::derived(backend, name)).chain(salted);
        let is_free = |name: &String| !self.owners.contains_key(name.as_str()) && !self.taken.contains(name);
        let name = names.find(is_free).ok_or("every name with the backend's in front is taken")?;
        self.taken.insert(name.clone());
        Ok(name)
    }
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

    fn entry(definition: &str) -> Curated {
        let entry = CatalogEntry::named(&RawValue::from_string(definition.to_owned()).unwrap()).unwrap();
        Curated { own_name: entry.name.clone(), entry }
    }

    fn tool(name: &str) -> Curated {
        entry(&format!(r#"{{"name":"{name}"}}"#))
    }

    fn assign_tools(backends: &[(&str, &[Curated])]) -> (Vec<NamedEntry>, Vec<String>) {
        assign(ListKind::Tools, backends.iter().copied())
    }

    fn names(backends: &[(&str, &[Curated])]) -> (Vec<String>, Vec<String>) {
        let (named, problems) = assign_tools(backends);
        (named.into_iter().map(|one| one.name).collect(), problems)
    }

    #[test]
    fn the_first_backend_with_a_uri_keeps_it() {
        let resource = |uri: &str| {
            let json = RawValue::from_string(format!(r#"{{"uri":"{uri}","name":"n"}}"#)).unwrap();
            let entry = CatalogEntry::read(ListKind::Resources, &json).unwrap();
            Curated { own_name: entry.name.clone(), entry }
        };
        let (one, two) =
            ([resource("a:1"), resource("a:2")], [resource("a:2"), resource("a:3"), resource("a:3")]);
        let (named, problems) =
            assign(ListKind::Resources, [("one", &one[..]), ("two", &two[..])].into_iter());
        let found: Vec<(usize, &str)> = named.iter().map(|one| (one.backend, one.name.as_str())).collect();
        assert_eq!(found, [(0, "a:1"), (0, "a:2"), (1, "a:3")]);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn a_shared_name_is_namespaced_for_all_backends_and_reported() {
        let (echo, own) = ([entry(r#"{"z":1e400,"name" : "echo"}"#)], [tool("own"), tool("echo")]);
        let (named, problems) = assign_tools(&[("a", &echo[..]), ("two", &own[..])]);
        let all: Vec<&str> = named.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(all, ["a__echo", "own", "two__echo"]);
        assert_eq!(named[0].definition.get(), r#"{"z":1e400,"name" : "a__echo"}"#);
        assert_eq!(named[0].own_name, "echo");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("a__echo"), "{problems:?}");
    }

    #[test]
    fn names_that_are_cut_or_replaced_stay_apart_and_no_tool_is_lost() {
        let long = "t".repeat(60);
        let (tools, short) = ([tool(&long)], [tool("add")]);
        let backend = "b".repeat(60);
        for (backends, shared) in [
            ([format!("{backend}x"), format!("{backend}y")], &tools),
            ([format!("{backend}x"), format!("{backend}y")], &short),
            (["bax".into(), "bay".into()], &tools),
            (["a b".into(), "a_b".into()], &short),
            (["a".into(), "a__".into()], &short),
            (["日".into(), "本".into()], &short),
        ] {
            let (all, problems) = names(&[(&backends[0], shared), (&backends[1], shared)]);
            assert_eq!((all.len(), problems.len()), (2, 2), "{backends:?}");
            assert_ne!(all[0], all[1]);
            for name in &all {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                assert!(name.len() <= 64 && name.bytes().all(allowed), "{name}");
            }
        }
    }

    #[test]
    fn a_literal_name_keeps_its_calls_whatever_another_is_renamed_to() {
        let (add, literal) = ([tool("add")], [tool("add"), tool("one__add"), tool("two__add")]);
        for backends in [
            [("one", &add[..]), ("two", &literal[..]), ("three", &add[..])],
            [("two", &literal[..]), ("three", &add[..]), ("one", &add[..])],
        ] {
            let (named, _) = assign_tools(&backends);
            assert_eq!(named.len(), 5);
            let literal = named.iter().find(|one| one.name == "one__add").unwrap();
            assert_eq!(literal.own_name, "one__add");
            let renamed = named.iter().filter(|one| one.own_name == "add");
            let mut shown: Vec<&str> = renamed.map(|one| one.name.as_str()).collect();
            shown.sort_unstable();
            assert!(shown[0].starts_with("one__add_") && shown[1] == "three__add", "{shown:?}");
            assert!(shown[2].starts_with("two__add_"), "{shown:?}");
        }
    }

    #[test]
    fn a_backend_s_repeated_and_invalid_names_are_left_out() {
        let tools = [tool("a"), tool("a"), tool("")];
        let (all, problems) = names(&[("one", &tools)]);
        assert_eq!(all, ["a"]);
        assert_eq!(problems.len(), 2);
    }
}
