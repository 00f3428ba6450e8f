//! The import graph of one crate: its files, and which file takes names from which. Knows no rule.
//!
//! Nodes are the files that a build without tests compiles. An edge A -> B says that code of A names an item that
//! B defines, by a `use` declaration, a path in an expression, type or pattern, or a path in a macro's arguments.
//! Re-exports are followed to the file that defines the item; `mod x;` alone is no edge.

mod cycles;
mod edges;
mod imports;
mod resolve;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use cycles::Cycle;
use tree::ModuleTree;

/// The sources of a crate: text by path below its `src`.
pub(crate) type Sources = BTreeMap<String, String>;

/// Files of a crate and the edges between them.
pub(crate) struct ImportGraph {
    /// Paths below `src`, in the order of the nodes' numbers.
    pub(crate) files: Vec<String>,
    /// Names that one file takes from another, by the numbers of both.
    pub(crate) edges: BTreeMap<(usize, usize), BTreeSet<String>>,
    /// First segments of paths that lead out of the crate, by file: crates, and names that no source declares.
    pub(crate) outside: BTreeMap<usize, BTreeSet<String>>,
}

impl ImportGraph {
    /// Reads the crate whose root is `root` (`lib.rs` or `main.rs`).
    ///
    /// Panics when a source does not parse or a file of a module is missing.
    pub(crate) fn build(sources: &Sources, root: &str) -> Self {
        let tree = ModuleTree::load(sources, root);
        let mut graph = Self { files: tree.files.clone(), edges: BTreeMap::new(), outside: BTreeMap::new() };
        edges::collect(&tree, &mut graph);
        graph
    }

    /// Every group of files that import each other in a circle.
    pub(crate) fn cycles(&self) -> Vec<Cycle> {
        cycles::find(self)
    }

    /// Files that are reached from those of `from`, themselves included, each with the file that leads to it.
    pub(crate) fn reached(&self, from: impl Fn(&str) -> bool) -> BTreeMap<usize, Option<usize>> {
        let mut reached: BTreeMap<usize, Option<usize>> =
            (0..self.files.len()).filter(|file| from(&self.files[*file])).map(|file| (file, None)).collect();
        let mut open: Vec<usize> = reached.keys().copied().collect();
        while let Some(file) = open.pop() {
            for (_, next) in self.edges.range((file, 0)..(file + 1, 0)).map(|(edge, _)| *edge) {
                reached.entry(next).or_insert_with(|| {
                    open.push(next);
                    Some(file)
                });
            }
        }
        reached
    }

    /// The path to `file` in the result of [`Self::reached`], as text.
    pub(crate) fn way(&self, reached: &BTreeMap<usize, Option<usize>>, file: usize) -> String {
        let mut way = vec![self.files[file].as_str()];
        let mut at = file;
        while let Some(Some(before)) = reached.get(&at) {
            way.push(&self.files[*before]);
            at = *before;
        }
        way.reverse();
        way.join(" -> ")
    }

    #[cfg(test)]
    fn shown(&self) -> Vec<String> {
        let edge = |((from, to), names): (&(usize, usize), &BTreeSet<String>)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("{} -> {}: {}", self.files[*from], self.files[*to], names.join(", "))
        };
        self.edges.iter().map(edge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> ImportGraph {
        let sources = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        ImportGraph::build(&sources, "lib.rs")
    }

    #[test]
    fn a_cycle_of_two_files_is_found_with_its_names() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() { super::a::A::new() }"),
        ]);
        let cycles = graph.cycles();
        assert_eq!(cycles.len(), 1);
        let text = cycles[0].to_string();
        assert!(text.contains("a.rs -> b.rs: B") && text.contains("b.rs -> a.rs: A"), "{text}");
    }

    #[test]
    fn a_chain_is_no_cycle() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B;"),
        ]);
        assert!(graph.cycles().is_empty());
        assert_eq!(graph.shown(), ["lib.rs -> a.rs: A", "a.rs -> b.rs: B"]);
    }

    #[test]
    fn a_declared_module_alone_is_no_edge() {
        let graph = graph(&[
            ("lib.rs", "mod a; pub struct Root;"),
            ("a.rs", "mod b; use super::Root; pub struct A(Root);"),
            ("a/b.rs", "pub struct B;"),
        ]);
        assert_eq!(graph.shown(), ["a.rs -> lib.rs: Root"]);
    }

    #[test]
    fn a_name_that_a_parent_re_exports_belongs_to_the_file_that_defines_it() {
        let graph = graph(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; mod c; pub use b::{B, other as renamed};"),
            ("a/b.rs", "pub struct B; pub fn other() {}"),
            ("a/c.rs", "use super::B; fn f(_: B) { super::renamed() }"),
        ]);
        assert_eq!(graph.shown(), ["a.rs -> a/b.rs: B, renamed", "a/c.rs -> a/b.rs: B, renamed"]);
        assert!(graph.cycles().is_empty());
    }

    #[test]
    fn a_name_that_a_parent_defines_and_uses_with_its_child_is_a_cycle() {
        let graph = graph(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; pub struct A; fn f() { b::run(A) }"),
            ("a/b.rs", "use super::A; pub fn run(_: A) {}"),
        ]);
        assert_eq!(graph.cycles().len(), 1);
    }

    #[test]
    fn imported_modules_lead_to_the_items_named_through_them() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b; fn f() -> b::B { b::C::new() }"),
            ("b.rs", "pub use crate::c::C; pub struct B;"),
            ("c.rs", "pub struct C;"),
        ]);
        assert_eq!(graph.shown(), ["a.rs -> b.rs: B", "a.rs -> c.rs: C", "b.rs -> c.rs: C"]);
    }

    #[test]
    fn a_module_and_a_function_of_one_name_are_told_apart() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "mod x; pub use x::x; pub fn here() {}"),
            ("a/x.rs", "pub fn x() {} pub struct Y;"),
            ("b.rs", "use crate::a::x; fn f(_: x::Y) { x() }"),
        ]);
        assert_eq!(graph.shown(), ["a.rs -> a/x.rs: x", "b.rs -> a/x.rs: Y, x"]);
    }

    #[test]
    fn code_of_tests_is_not_read() {
        let graph = graph(&[
            ("lib.rs", "mod a; #[cfg(test)] mod only; #[cfg(any(test, feature = \"x\"))] use a::A;"),
            ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::Gone; }"),
        ]);
        assert_eq!(graph.files, ["lib.rs", "a.rs"]);
        assert!(graph.shown().is_empty());
    }

    #[test]
    fn paths_in_macros_globs_and_functions_count() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::*; fn f(_: B) { use super::d::D; println!(\"{}\", crate::c::text(1)) }"),
            ("b.rs", "pub struct B;"),
            ("c.rs", "pub fn text(_: u8) {}"),
            ("d.rs", "pub struct D;"),
        ]);
        let shown = graph.shown();
        assert_eq!(shown, ["a.rs -> b.rs: B", "a.rs -> c.rs: text", "a.rs -> d.rs: D"]);
    }

    #[test]
    fn names_made_by_macros_belong_to_their_module() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::Made;"),
            ("b.rs", "structs! { Made }"),
        ]);
        assert_eq!(graph.shown(), ["a.rs -> b.rs: Made"]);
    }

    #[test]
    fn other_crates_are_noted_by_file() {
        let graph = graph(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "use front::Edge; fn f() { ::proxy::run(std::env::args()) }"),
        ]);
        let outside: Vec<_> = graph.outside[&1].iter().map(String::as_str).collect();
        assert_eq!(outside, ["front", "proxy", "std"]);
    }

    #[test]
    fn reached_files_are_reported_with_their_path() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C; pub struct B(C);"),
            ("c.rs", "pub struct C;"),
        ]);
        let reached = graph.reached(|file| file == "a.rs");
        let c = graph.files.iter().position(|file| file == "c.rs").unwrap();
        assert_eq!(graph.way(&reached, c), "a.rs -> b.rs -> c.rs");
    }
}
