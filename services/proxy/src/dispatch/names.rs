//! Names of tools whose names collide. Must not know slaves.

use serde_json::value::RawValue;

use crate::stable_hash::fnv1a_32;

/// Length of a tool's name that clients' models accept, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// Returns `slave__tool`. A name of more than 64 characters is cut and gets a hash of the whole name at its end.
pub(super) fn namespaced(slave: &str, tool: &str) -> String {
    let whole = format!("{slave}__{tool}");
    if whole.chars().count() <= MAX_NAME_LENGTH {
        return whole;
    }
    let head: String = whole.chars().take(MAX_NAME_LENGTH - 9).collect();
    format!("{head}_{:08x}", fnv1a_32(whole.as_bytes()))
}

/// Returns a tool's definition with another name and otherwise unchanged text.
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
        assert_eq!(one.len(), MAX_NAME_LENGTH);
        assert_ne!(one, two);
        assert_eq!(namespaced("x", &"é".repeat(70)).chars().count(), MAX_NAME_LENGTH);
    }

    #[test]
    fn only_the_name_changes() {
        let definition =
            RawValue::from_string(r#"{"z":1.0,"name":"a","inputSchema":{"name":"a"}}"#.into()).unwrap();
        let renamed = renamed(&definition, "b").unwrap();
        assert_eq!(renamed.get(), r#"{"z":1.0,"name":"b","inputSchema":{"name":"a"}}"#);
    }
}
