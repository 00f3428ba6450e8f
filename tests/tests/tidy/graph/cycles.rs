//! Cycles of the import graph: groups of files that reach each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ImportGraph;

/// Files that all reach each other, and the imports among them.
pub(crate) struct Cycle {
    files: Vec<String>,
    /// "a.rs -> b.rs: names" for each edge within the group.
    imports: Vec<String>,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files in a cycle: {}", self.files.len(), self.files.join(", "))?;
        self.imports.iter().try_for_each(|import| write!(f, "\n    {import}"))
    }
}

/// Every group of at least two files that reach each other.
pub(super) fn find(graph: &ImportGraph) -> Vec<Cycle> {
    let reached: Vec<BTreeSet<usize>> =
        (0..graph.files.len()).map(|from| reachable(&graph.edges, from)).collect();
    let mut grouped = BTreeSet::new();
    let mut cycles = Vec::new();
    for file in 0..graph.files.len() {
        let group: BTreeSet<usize> =
            reached[file].iter().copied().filter(|other| reached[*other].contains(&file)).collect();
        if group.len() > 1 && grouped.insert(group.clone()) {
            cycles.push(describe(graph, &group));
        }
    }
    cycles
}

/// Files that `from` reaches over at least one edge.
fn reachable(edges: &BTreeMap<(usize, usize), BTreeSet<String>>, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for ((_, next), _) in edges.range((file, 0)..(file + 1, 0)) {
            if reached.insert(*next) {
                open.push(*next);
            }
        }
    }
    reached
}

fn describe(graph: &ImportGraph, group: &BTreeSet<usize>) -> Cycle {
    let within = graph.edges.iter().filter(|((from, to), _)| group.contains(from) && group.contains(to));
    let imports = within.map(|((from, to), names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("{} -> {}: {}", graph.files[*from], graph.files[*to], names.join(", "))
    });
    Cycle { files: group.iter().map(|file| graph.files[*file].clone()).collect(), imports: imports.collect() }
}
