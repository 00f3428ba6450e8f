//! The precedence among codes: which of two owns a tool's name. It follows from the configuration alone, so that every replica finds the
//! same. Must not know slaves.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::glob::Glob;

use super::entry::CodeEntry;
use super::identity::Identity;
use super::provision::Provided;

/// The order of the codes, and the names that codes provide.
#[derive(Clone, Debug, Default)]
pub(crate) struct Precedence {
    /// Position of each identity's first code.
    ranks: HashMap<Identity, u32>,
    /// Items of `provide` with the name of their code, in the order of the codes.
    provided: Vec<(Glob, Provided, Arc<str>)>,
}

impl Precedence {
    /// The precedence of codes in this order: `SLAVE_CODES`, then the file.
    pub(super) fn new(entries: &[CodeEntry]) -> Self {
        let mut precedence = Self::default();
        for (rank, entry) in (0_u32..).zip(entries) {
            let identity = entry.policy.identity_of(entry.digest);
            precedence.ranks.entry(identity).or_insert(rank);
            let Some(name) = &entry.policy.name else { continue };
            let items = entry.policy.provide.iter();
            precedence
                .provided
                .extend(items.map(|item| (item.tool.clone(), item.provided, Arc::clone(name))));
        }
        precedence
    }

    /// Returns the rank of an identity; a lower one precedes. An identity without a code, whose links are about to end, comes last.
    pub(crate) fn rank(&self, identity: &Identity) -> u32 {
        self.ranks.get(identity).copied().unwrap_or(u32::MAX)
    }

    /// Returns the name of the code that provides a tool exclusively; the first one where several say so.
    pub(crate) fn exclusive(&self, tool: &str) -> Option<&str> {
        let mut items = self.provided.iter();
        items
            .find(|(pattern, provided, _)| *provided == Provided::Exclusive && pattern.matches(tool))
            .map(|(_, _, name)| &**name)
    }

    /// Returns whether any code names exactly this tool under `provide`: then it is no other tool's shown name.
    pub(crate) fn is_provided(&self, tool: &str) -> bool {
        let mut patterns = self.provided.iter().map(|(pattern, _, _)| pattern);
        patterns.any(|pattern| pattern.exact_name() == Some(tool))
    }
}

#[cfg(test)]
mod tests {
    use runtime::secret::SecretSet;

    use super::super::{Codes, CodesFile};
    use super::*;

    #[test]
    fn the_order_of_the_configuration_is_the_order_of_the_codes() {
        let file = CodesFile::parse(
            "- {code: z, name: office, provide: [{tool: 'pay_*', exclusive: true}, echo]}\n- two\n\
             - {code: y, name: lab, provide: [{tool: pay_out, exclusive: true}, {tool: run, exclusive: false}]}\n\
             - {code: x, name: office}\n",
        )
        .unwrap();
        let codes = Codes::new(&SecretSet::new(["two", "one"]), Some(&file));
        let precedence = codes.precedence();
        let unnamed = |code| Identity::Unnamed(super::super::CodeDigest::of(code));
        let order =
            [unnamed("two"), unnamed("one"), Identity::Named("office".into()), Identity::Named("lab".into())];
        assert!(order.is_sorted_by_key(|identity| precedence.rank(identity)));
        assert_eq!(precedence.rank(&Identity::Named("gone".into())), u32::MAX);
        assert_eq!(precedence.exclusive("pay_out"), Some("office"), "the first one");
        assert_eq!((precedence.exclusive("echo"), precedence.exclusive("run")), (None, None));
        assert!(
            precedence.is_provided("echo")
                && precedence.is_provided("run")
                && !precedence.is_provided("pay_in")
        );
    }
}
