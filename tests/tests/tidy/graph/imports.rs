//! `use` declarations taken apart into one import a name.

use syn::visit::{self, Visit};
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

use super::tree::asks_for_test;

/// One name that a `use` declaration brings in.
pub(super) struct Import {
    /// What it is called here; `None` for a glob.
    pub(super) name: Option<String>,
    /// Where it comes from, as it is written; a glob's ends with the module.
    pub(super) path: Vec<String>,
    /// Whether the path begins with `::`.
    pub(super) is_external: bool,
    /// Whether others may take it from here.
    pub(super) is_public: bool,
}

/// The imports of a module, wherever in its items they stand.
pub(super) fn imports_of(items: &[Item]) -> Vec<Import> {
    let mut collector = Collector(Vec::new());
    for item in items {
        collector.visit_item(item);
    }
    collector.0
}

struct Collector(Vec<Import>);

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !item.attrs.iter().any(asks_for_test) {
            let declaration = Declaration {
                is_external: item.leading_colon.is_some(),
                is_public: !matches!(item.vis, Visibility::Inherited),
            };
            declaration.flatten(&item.tree, &mut Vec::new(), &mut self.0);
        }
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !item.attrs.iter().any(asks_for_test) {
            visit::visit_item_fn(self, item);
        }
    }
}

struct Declaration {
    is_external: bool,
    is_public: bool,
}

impl Declaration {
    fn flatten(&self, tree: &UseTree, prefix: &mut Vec<String>, into: &mut Vec<Import>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.flatten(&path.tree, prefix, into);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.flatten(tree, prefix, into);
                }
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.add(prefix, &name, &name, into);
            }
            UseTree::Rename(rename) => {
                self.add(prefix, &rename.ident.to_string(), &rename.rename.to_string(), into);
            }
            UseTree::Glob(_) => into.push(self.import(None, prefix.clone())),
        }
    }

    fn add(&self, prefix: &[String], taken: &str, called: &str, into: &mut Vec<Import>) {
        let mut path = prefix.to_vec();
        if taken != "self" || prefix.is_empty() {
            path.push(taken.to_owned());
        }
        let called = if called == "self" { path.last().map_or("self", String::as_str) } else { called };
        let name = Some(called.to_owned());
        into.push(self.import(name, path));
    }

    fn import(&self, name: Option<String>, path: Vec<String>) -> Import {
        Import { name, path, is_external: self.is_external, is_public: self.is_public }
    }
}
