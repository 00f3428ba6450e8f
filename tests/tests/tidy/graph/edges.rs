//! Edges of the import graph: every path in a module's code, resolved.

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, ItemUse, Macro, Path, VisRestricted};

use super::ImportGraph;
use super::resolve::{Target, Wanted};
use super::tree::{ModuleTree, asks_for_test};

/// Adds every edge of the crate to `graph`.
pub(super) fn collect(tree: &ModuleTree, graph: &mut ImportGraph) {
    for (id, module) in tree.modules.iter().enumerate() {
        let mut reader = Reader { tree, graph, module: id };
        for import in &module.imports {
            if import.is_external {
                reader.add_outside(import.path[0].clone());
                continue;
            }
            reader.add_path(&import.path, import.name.as_deref());
            let target = tree.resolve(id, &import.path, Wanted::Module);
            if let (true, Target::Module(taken)) = (import.is_public, target) {
                reader.add_edge(tree.modules[taken].file, import.name.as_deref().unwrap_or("*"));
            }
        }
        for item in &module.items {
            reader.visit_item(item);
        }
    }
}

struct Reader<'a> {
    tree: &'a ModuleTree,
    graph: &'a mut ImportGraph,
    module: usize,
}

impl Reader<'_> {
    fn add_path(&mut self, path: &[String], called: Option<&str>) {
        match self.tree.resolve(self.module, path, Wanted::Item) {
            Target::Item(file) => {
                let name = called.or_else(|| self.named(path)).unwrap_or("*").to_owned();
                self.add_edge(file, &name);
            }
            // A name alone may be a variable's, a parameter's or the prelude's.
            Target::Outside(name) if path.len() > 1 || called.is_some() => self.add_outside(name),
            Target::Module(_) | Target::Outside(_) => {}
        }
    }

    /// The segment of a path that names the item: the first that is no module.
    fn named<'p>(&self, path: &'p [String]) -> Option<&'p str> {
        let modules = |end: &usize| {
            matches!(self.tree.resolve(self.module, &path[..*end], Wanted::Module), Target::Module(_))
        };
        let end = (1..path.len()).take_while(modules).count();
        path.get(end).map(String::as_str)
    }

    fn add_edge(&mut self, file: usize, name: &str) {
        let from = self.tree.modules[self.module].file;
        if from != file {
            self.graph.edges.entry((from, file)).or_default().insert(name.to_owned());
        }
    }

    fn add_outside(&mut self, name: String) {
        let from = self.tree.modules[self.module].file;
        self.graph.outside.entry(from).or_default().insert(name);
    }

    /// Paths among a macro's tokens: at least two names with `::` between them.
    fn read_tokens(&mut self, mut at: Cursor<'_>) {
        let mut path = Vec::new();
        while !at.eof() {
            if let Some((inside, _, _, after)) = at.any_group() {
                self.end_of_path(&mut path);
                self.read_tokens(inside);
                at = after;
            } else if let Some((ident, after)) = at.ident() {
                path.push(ident.to_string());
                at = after;
                if let Some(next) = separator(at) {
                    at = next;
                } else {
                    self.end_of_path(&mut path);
                }
            } else {
                self.end_of_path(&mut path);
                at = at.token_tree().map_or(at, |(_, after)| after);
            }
        }
        self.end_of_path(&mut path);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.add_path(path, None);
        }
        path.clear();
    }
}

/// What follows `::`.
fn separator(at: Cursor<'_>) -> Option<Cursor<'_>> {
    let (first, at) = at.punct()?;
    let (second, at) = at.punct()?;
    (first.as_char() == ':' && second.as_char() == ':').then_some(at)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_some() {
            self.add_outside(names[0].clone());
        } else if names[0] != "Self" {
            self.add_path(&names, None);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.visit_path(&mac.path);
        let tokens = TokenBuffer::new2(mac.tokens.clone());
        self.read_tokens(tokens.begin());
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !item.attrs.iter().any(asks_for_test) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !item.attrs.iter().any(asks_for_test) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    // Imports are read from the module; modules within functions do not occur; neither attributes nor
    // `pub(in path)` take names from other files.
    fn visit_item_use(&mut self, _: &'ast ItemUse) {}
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}
