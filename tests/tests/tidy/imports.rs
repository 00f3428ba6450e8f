//! Who may import whom within a crate: no cycles, and the directions that docs/ARCHITECTURE.md names.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::directions::CRATES;
use crate::graph::{ImportGraph, Sources};
use crate::source::{root, walk};

/// A part of a crate that must not reach another one, directly or through other files.
struct Barrier {
    krate: &'static str,
    from: &'static str,
    /// Modules of the same crate, or other crates.
    never: &'static [&'static str],
}

const BARRIERS: [Barrier; 5] = [
    Barrier { krate: "proxy", from: "links", never: &["dispatch", "routes", "front"] },
    Barrier { krate: "proxy", from: "routes", never: &["dispatch", "links"] },
    Barrier { krate: "protocol", from: "mcp", never: &["link"] },
    Barrier { krate: "slave", from: "backends", never: &["executor"] },
    Barrier { krate: "slave", from: "call", never: &["executor", "backends"] },
];

/// Modules that import no other module of their crate.
const LEAVES: [(&str, &str); 2] = [("proxy", "config"), ("slave", "config")];

fn sources(folder: &str) -> Sources {
    let folder = root().join(folder).join("src");
    let mut found = Sources::new();
    walk(&folder, &mut |path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
            found.insert(name, std::fs::read_to_string(path).unwrap());
        }
    });
    found
}

/// The import graph of every crate, by its name.
fn graphs() -> &'static BTreeMap<&'static str, ImportGraph> {
    static GRAPHS: OnceLock<BTreeMap<&str, ImportGraph>> = OnceLock::new();
    GRAPHS.get_or_init(|| CRATES.iter().map(|(krate, folder, _)| (*krate, graph(folder))).collect())
}

fn graph(folder: &str) -> ImportGraph {
    let sources = sources(folder);
    let root = if sources.contains_key("lib.rs") { "lib.rs" } else { "main.rs" };
    ImportGraph::build(&sources, root)
}

/// Whether a file belongs to a module of the crate's root: `name.rs`, or below `name/`.
fn is_of(file: &str, module: &str) -> bool {
    file.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_cycle() {
    let mut faults = Vec::new();
    for (krate, graph) in graphs() {
        faults.extend(graph.cycles().iter().map(|cycle| format!("{krate}: {cycle}")));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn crates_import_only_downwards() {
    let mut faults = Vec::new();
    for (krate, _, allowed) in CRATES {
        let graph = &graphs()[krate];
        for (other, ..) in CRATES.iter().filter(|(other, ..)| *other != krate && !allowed.contains(other)) {
            let uses = graph.outside.iter().filter(|(_, names)| names.contains(*other));
            faults.extend(uses.map(|(file, _)| format!("{krate}: {} imports {other}", graph.files[*file])));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn parts_of_a_crate_do_not_reach_what_lies_above_them() {
    let mut faults = Vec::new();
    for Barrier { krate, from, never } in BARRIERS {
        let graph = &graphs()[krate];
        let reached = graph.reached(|file| is_of(file, from));
        if reached.is_empty() {
            faults.push(format!("{krate}: there is no {from}"));
        }
        for file in reached.keys() {
            let name = &graph.files[*file];
            let outside = graph.outside.get(file);
            for banned in never
                .iter()
                .filter(|banned| is_of(name, banned) || outside.is_some_and(|names| names.contains(**banned)))
            {
                faults.push(format!("{krate}: {from} reaches {banned}: {}", graph.way(&reached, *file)));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn configuration_imports_no_other_module_of_its_crate() {
    let mut faults = Vec::new();
    for (krate, leaf) in LEAVES {
        let graph = &graphs()[krate];
        for ((from, to), names) in &graph.edges {
            let (from, to) = (&graph.files[*from], &graph.files[*to]);
            if is_of(from, leaf) && !is_of(to, leaf) {
                faults.push(format!("{krate}: {from} imports {names:?} from {to}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
