//! Parameters have names: no function of ours takes a tuple. Knows no other rule.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{FnArg, ItemImpl, ItemTrait, Pat, Signature, Type};

use crate::source::{self, report};

/// Functions with a tuple among their parameters.
struct TupleParameters<'a> {
    /// Names of the traits that the project defines: what others' traits ask for is not ours to change.
    traits: &'a BTreeSet<String>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for TupleParameters<'_> {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        let is_tuple = |argument: &FnArg| match argument {
            FnArg::Receiver(_) => false,
            FnArg::Typed(typed) => matches!(&*typed.pat, Pat::Tuple(_)) || is_tuple_type(&typed.ty),
        };
        if signature.inputs.iter().any(is_tuple) {
            self.found.push(signature.ident.to_string());
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let name = block.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        if name.is_none_or(|segment| self.traits.contains(&segment.ident.to_string())) {
            visit::visit_item_impl(self, block);
        }
    }
}

fn is_tuple_type(ty: &Type) -> bool {
    match ty {
        Type::Tuple(tuple) => !tuple.elems.is_empty(),
        Type::Reference(reference) => is_tuple_type(&reference.elem),
        _ => false,
    }
}

struct Traits(BTreeSet<String>);

impl<'ast> Visit<'ast> for Traits {
    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.0.insert(item.ident.to_string());
    }
}

#[test]
fn no_function_takes_a_tuple() {
    let parsed: Vec<_> = source::all().into_iter().map(|file| (file.parse(), file.path)).collect();
    let mut traits = Traits(BTreeSet::new());
    for (file, _) in &parsed {
        traits.visit_file(file);
    }
    let mut faults = BTreeSet::new();
    for (file, path) in &parsed {
        let mut functions = TupleParameters { traits: &traits.0, found: Vec::new() };
        functions.visit_file(file);
        faults.extend(
            functions.found.iter().map(|name| format!("{path}: fn {name} takes a tuple: name its parts")),
        );
    }
    report(&faults);
}

#[test]
fn tuples_are_found_where_functions_of_ours_take_them() {
    let code = "trait Ours { fn a(x: (u8, u8)); } impl Theirs for X { fn b((a, b): (u8, u8)) {} } \
                fn c(x: &(u8, u8)) {} fn d(x: &[(u8, u8)], y: ()) { xs.map(|(a, b)| a) }";
    let traits = BTreeSet::from(["Ours".to_owned()]);
    let mut functions = TupleParameters { traits: &traits, found: Vec::new() };
    functions.visit_file(&syn::parse_file(code).unwrap());
    assert_eq!(functions.found, ["a", "c"]);
}
