//! Where a path leads: the file that defines the item, followed through imports and re-exports.

use super::tree::ModuleTree;

/// How many re-exports are followed before a path counts as one that leads nowhere.
const MAX_DEPTH: usize = 32;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An item, or something of it (a variant, an associated function), in the file of this number.
    Item(usize),
    Module(usize),
    /// Something of another crate, or a name that no source declares: the path's first segment.
    Outside(String),
}

/// What a name is looked up as: Rust keeps modules and functions of one name apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Item,
    Module,
}

impl ModuleTree {
    /// Where `path`, as written in `module`, leads.
    pub(super) fn resolve(&self, module: usize, path: &[String], wanted: Wanted) -> Target {
        self.follow(module, path, wanted, 0)
    }

    fn follow(&self, module: usize, path: &[String], wanted: Wanted, depth: usize) -> Target {
        let outside = || Target::Outside(path.first().cloned().unwrap_or_default());
        let Some((mut at, anchored)) = self.anchor(module, path).filter(|_| depth < MAX_DEPTH) else {
            return outside();
        };
        for (index, name) in path.iter().enumerate().skip(anchored) {
            let is_last = index + 1 == path.len();
            match self.look_up(at, name, if is_last { wanted } else { Wanted::Module }, depth) {
                Some(Target::Module(next)) => at = next,
                Some(target) => return target,
                // Macros define names that no source declares.
                None if index > 0 => return Target::Item(self.modules[at].file),
                None => return outside(),
            }
        }
        Target::Module(at)
    }

    /// The module that a path starts from, and how many of its segments say so.
    fn anchor(&self, module: usize, path: &[String]) -> Option<(usize, usize)> {
        let mut at = module;
        for (index, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent?,
                _ => return Some((at, index)),
            }
        }
        Some((at, path.len()))
    }

    fn look_up(&self, module: usize, name: &str, wanted: Wanted, depth: usize) -> Option<Target> {
        let here = &self.modules[module];
        let child = here.children.get(name).map(|child| Target::Module(*child));
        let own = here.defined.contains(name).then_some(Target::Item(here.file));
        let import = here.imports.iter().find(|import| import.name.as_deref() == Some(name));
        let imported = import.map(|import| {
            if import.is_external {
                Target::Outside(import.path[0].clone())
            } else {
                self.follow_import(module, &import.path, wanted, depth + 1)
            }
        });
        let found = match wanted {
            Wanted::Module => child.or(imported).or(own),
            Wanted::Item => own.or(imported).or(child),
        };
        found.or_else(|| self.look_up_in_globs(module, name, wanted, depth + 1))
    }

    /// Follows an import; a path that begins with the import's own name leads past it, to a module or another crate.
    fn follow_import(&self, module: usize, path: &[String], wanted: Wanted, depth: usize) -> Target {
        let first = &path[0];
        let itself = |name: &Option<String>| name.as_deref() == Some(first.as_str());
        let shadowed =
            self.modules[module].imports.iter().any(|import| itself(&import.name) && import.path == path);
        if shadowed && !self.modules[module].children.contains_key(first) {
            return Target::Outside(first.clone());
        }
        self.follow(module, path, wanted, depth)
    }

    fn look_up_in_globs(&self, module: usize, name: &str, wanted: Wanted, depth: usize) -> Option<Target> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let globs = self.modules[module].imports.iter().filter(|import| import.name.is_none());
        globs.filter(|glob| !glob.is_external).find_map(|glob| {
            match self.follow(module, &glob.path, Wanted::Module, depth) {
                Target::Module(of) if of != module => self.look_up(of, name, wanted, depth + 1),
                _ => None,
            }
        })
    }
}
