//! Names for tools that collide. Knows nothing of slaves.

use serde_json::value::RawValue;

/// Longest name that clients' models take.
const LONGEST: usize = 64;

/// `slave__tool`, at most 64 characters: a longer one is cut and told apart by a number made from the whole.
pub(super) fn namespaced(slave: &str, tool: &str) -> String {
    let whole = format!("{slave}__{tool}");
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    let head: String = whole.chars().take(LONGEST - 9).collect();
    format!("{head}_{:08x}", fnv(&whole))
}

/// FNV-1a, 32 bits: the same in every replica and version.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A tool's definition under another name; everything else as the backend wrote it.
pub(super) fn renamed(definition: &RawValue, name: &str) -> Result<Box<RawValue>, serde_json::Error> {
    Ok(protocol::mcp::members::with_name(definition, name)?.unwrap_or_else(|| definition.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_distinct() {
        assert_eq!(namespaced("a", "echo"), "a__echo");
        let (slave, tool) = ("s".repeat(40), "t".repeat(40));
        let one = namespaced(&slave, &format!("{tool}1"));
        let two = namespaced(&slave, &format!("{tool}2"));
        assert_eq!(one.len(), LONGEST);
        assert_ne!(one, two);
        assert_eq!(namespaced("x", &"é".repeat(70)).chars().count(), LONGEST);
    }

    #[test]
    fn only_the_name_changes() {
        let definition =
            RawValue::from_string(r#"{"z":1.0,"name":"a","inputSchema":{"name":"a"}}"#.into()).unwrap();
        let renamed = renamed(&definition, "b").unwrap();
        assert_eq!(renamed.get(), r#"{"z":1.0,"name":"b","inputSchema":{"name":"a"}}"#);
    }
}
