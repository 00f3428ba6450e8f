//! Names under which tools are shown whose literal name is another's: `<provider>__<tool>`. Must not know slaves.

use crate::stable_hash::fnv1a_32;

/// Length of a tool's name that clients' models accept, in characters.
pub(super) const MAX_NAME_LENGTH: usize = 64;

/// Characters of a hash at the end of a name, with the underscore before it.
const HASH_LENGTH: usize = 9;

/// What stands between provider and tool. It is in no provider's part, so that a shown name belongs to one provider only.
const SEPARATOR: &str = "__";

/// Returns `provider__tool` in letters, digits, `_` and `-`. A name of which something was cut or replaced ends with a hash of the
/// whole name.
pub(super) fn derived(provider: &str, tool: &str) -> String {
    let head = provider_part(provider);
    let whole = format!("{head}{SEPARATOR}{}", allowed(tool));
    let is_exact = whole.len() <= MAX_NAME_LENGTH && whole == format!("{provider}{SEPARATOR}{tool}");
    if is_exact { whole } else { hashed(&whole, &format!("{provider}\0{tool}")) }
}

/// Returns another name for the same tool, for the case that the name without a hash is taken. `salt` tells apart what the names do
/// not.
pub(super) fn derived_apart(provider: &str, tool: &str, salt: &str) -> String {
    let whole = format!("{}{SEPARATOR}{}", provider_part(provider), allowed(tool));
    hashed(&whole, &format!("{provider}\0{tool}\0{salt}"))
}

/// Returns the provider's part: without a separator in it or an underscore at its end, which would blur where the tool begins.
fn provider_part(provider: &str) -> String {
    let mut part = allowed(provider);
    while part.contains(SEPARATOR) {
        part = part.replace(SEPARATOR, "_");
    }
    let part = part.trim_end_matches('_');
    if part.is_empty() { "slave".to_owned() } else { part.to_owned() }
}

/// Replaces all characters that are not allowed.
fn allowed(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

/// Cuts an ASCII name and appends a hash of `whole`.
fn hashed(name: &str, whole: &str) -> String {
    let head = &name[..name.len().min(MAX_NAME_LENGTH - HASH_LENGTH)];
    format!("{head}_{:08x}", fnv1a_32(whole.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_fit_are_exact() {
        assert_eq!(derived("a", "echo"), "a__echo");
        assert_eq!(derived("office-1", "pay__out"), "office-1__pay__out");
        let (whole, apart) = (derived("a", "echo"), derived_apart("a", "echo", "x"));
        assert!(apart.starts_with("a__echo_") && apart != whole, "{apart}");
        assert_ne!(apart, derived_apart("a", "echo", "y"));
    }

    #[test]
    fn cut_and_replaced_names_stay_distinct() {
        let (slave, tool) = ("s".repeat(40), "t".repeat(40));
        let one = derived(&slave, &format!("{tool}1"));
        assert_eq!(one.len(), MAX_NAME_LENGTH);
        assert_ne!(one, derived(&slave, &format!("{tool}2")));
        for (one, other) in [
            (("a.b", "t"), ("a_b", "t")),
            (("a", "t.x"), ("a", "t_x")),
            (("a__b", "t"), ("a", "b__t")),
            (("a_", "t"), ("a", "_t")),
            (("__", "t"), ("slave", "t")),
        ] {
            assert_ne!(derived(one.0, one.1), derived(other.0, other.1), "{one:?} {other:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_fits(provider in ".{0,80}", tool in ".{0,140}", salt in ".{0,9}") {
            for name in [derived(&provider, &tool), derived_apart(&provider, &tool, &salt)] {
                prop_assert!(name.len() <= MAX_NAME_LENGTH && name.contains(SEPARATOR), "{}", name);
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{}", name);
            }
        }
    }
}
