//! Names under which tools are shown whose literal name is another's: `<provider>__<tool>`, where the provider is a slave or code at a
//! proxy and a backend at a slave. Must not know either.
//!
//! The same in every replica and every release, also while old and new releases run side by side.

/// Length of a tool's name that clients' models accept, in characters.
pub const MAX_NAME_LENGTH: usize = 64;

/// Characters of a hash at the end of a name, with the underscore before it.
const HASH_LENGTH: usize = 9;

/// What stands between provider and tool. It is in no provider's part, so that a shown name belongs to one provider only.
const SEPARATOR: &str = "__";

/// Provider's part of a name of which nothing can be kept.
const FALLBACK: &str = "slave";

/// Returns `provider__tool` in letters, digits, `_` and `-`. A name of which something was cut or replaced ends with a hash of the
/// whole name.
pub fn derived(provider: &str, tool: &str) -> String {
    let whole = format!("{}{SEPARATOR}{}", provider_part(provider), allowed(tool));
    let is_exact = whole.len() <= MAX_NAME_LENGTH && whole == format!("{provider}{SEPARATOR}{tool}");
    if is_exact { whole } else { hashed(provider, tool, "") }
}

/// Returns another name for the same tool, for the case that the name without a hash is taken. `salt` tells apart what the names do
/// not, and is not empty.
pub fn derived_apart(provider: &str, tool: &str, salt: &str) -> String {
    hashed(provider, tool, &format!("\0{salt}"))
}

/// Returns the provider's part: without a separator in it or an underscore at its end, which would blur where the tool begins.
fn provider_part(provider: &str) -> String {
    let mut part = allowed(provider);
    while part.contains(SEPARATOR) {
        part = part.replace(SEPARATOR, "_");
    }
    let part = part.trim_end_matches('_');
    if part.is_empty() { FALLBACK.to_owned() } else { part.to_owned() }
}

/// Replaces all characters that are not allowed.
fn allowed(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

/// Returns provider and tool, each cut to its share where both do not fit, with a hash of the whole name at the end.
fn hashed(provider: &str, tool: &str, salt: &str) -> String {
    const PARTS_LENGTH: usize = MAX_NAME_LENGTH - HASH_LENGTH - SEPARATOR.len();
    let hash = fnv1a_32(format!("{provider}\0{tool}{salt}").as_bytes());
    let (mut head, mut tail) = (provider_part(provider), allowed(tool));
    // What is left of either is ASCII.
    head.truncate(PARTS_LENGTH.saturating_sub(tail.len()).max(PARTS_LENGTH / 2));
    tail.truncate(PARTS_LENGTH - head.len());
    format!("{head}{SEPARATOR}{tail}_{hash:08x}")
}

/// Returns the FNV-1a hash of bytes with 32 bits.
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
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
        assert!(one.starts_with(&format!("{}__{}_", "s".repeat(26), "t".repeat(27))), "{one}");
        let short = derived(&"s".repeat(60), "echo");
        assert!(short.starts_with(&format!("{}__echo_", "s".repeat(49))), "{short}");
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

    #[test]
    fn the_hash_is_that_of_every_release() {
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
    }

    proptest! {
        #[test]
        fn every_name_fits(provider in ".{0,80}|[a-z_]{0,80}", tool in ".{0,140}|[a-z_]{0,140}", salt in ".{0,9}") {
            for name in [derived(&provider, &tool), derived_apart(&provider, &tool, &salt)] {
                prop_assert!(name.len() <= MAX_NAME_LENGTH && name.contains(SEPARATOR), "{}", name);
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{}", name);
            }
        }
    }
}
