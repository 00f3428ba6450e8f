//! The module tree of a crate, read from its sources without what only tests compile.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Item, Meta};

use super::Sources;
use super::imports::{Import, imports_of};

/// One module, in a file of its own or inline.
pub(super) struct Module {
    /// Number of the file that holds it.
    pub(super) file: usize,
    pub(super) parent: Option<usize>,
    /// Modules declared in it, by name.
    pub(super) children: BTreeMap<String, usize>,
    /// Names of what it defines itself.
    pub(super) defined: BTreeSet<String>,
    /// Its `use` declarations, those inside of functions included.
    pub(super) imports: Vec<Import>,
    /// Its items, without those of tests and without `mod`.
    pub(super) items: Vec<Item>,
}

/// All modules of a crate; number 0 is the root.
#[derive(Default)]
pub(super) struct ModuleTree {
    pub(super) files: Vec<String>,
    pub(super) modules: Vec<Module>,
}

impl ModuleTree {
    pub(super) fn load(sources: &Sources, root: &str) -> Self {
        let mut tree = Self::default();
        tree.load_file(sources, root, "", None);
        tree
    }

    /// Reads a file whose modules live in `folder` (empty for the root, else ending in `/`).
    fn load_file(&mut self, sources: &Sources, path: &str, folder: &str, parent: Option<usize>) -> usize {
        let text = sources.get(path).unwrap_or_else(|| panic!("{path}: no such file"));
        let ast = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.files.push(path.to_owned());
        self.load_items(sources, ast.items, folder, parent, self.files.len() - 1)
    }

    fn load_items(
        &mut self,
        sources: &Sources,
        items: Vec<Item>,
        folder: &str,
        parent: Option<usize>,
        file: usize,
    ) -> usize {
        let (modules, items): (Vec<_>, Vec<_>) =
            items.into_iter().filter(|item| !is_test(item)).partition(|item| matches!(item, Item::Mod(_)));
        let id = self.modules.len();
        let defined = items.iter().filter_map(defined_name).collect();
        let imports = imports_of(&items);
        self.modules.push(Module { file, parent, children: BTreeMap::new(), defined, imports, items });
        for item in modules {
            let Item::Mod(module) = item else { continue };
            let name = module.ident.to_string();
            let inner = format!("{folder}{name}/");
            let child = if let Some((_, items)) = module.content {
                self.load_items(sources, items, &inner, Some(id), file)
            } else {
                let flat = format!("{folder}{name}.rs");
                let path = if sources.contains_key(&flat) { flat } else { format!("{inner}mod.rs") };
                self.load_file(sources, &path, &inner, Some(id))
            };
            self.modules[id].children.insert(name, child);
        }
        id
    }
}

/// Whether only tests compile the item: `mod tests`, or `#[cfg(…)]` that asks for `test` and not for its absence.
fn is_test(item: &Item) -> bool {
    matches!(item, Item::Mod(module) if module.ident == "tests") || attributes(item).iter().any(asks_for_test)
}

/// Whether an attribute is a `cfg` that holds in tests only.
pub(super) fn asks_for_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let text = list.tokens.to_string();
    list.path.is_ident("cfg")
        && text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "test")
        && !text.contains("not")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
