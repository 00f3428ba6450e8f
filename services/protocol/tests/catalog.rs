//! Catalogs, as properties over any bytes: definitions stay unaltered, names are checked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::prelude::*;
use protocol::mcp::catalog::{Catalog, check_name};
use serde_json::{Value, json};

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Catalog::decode(&bytes));
    }

    #[test]
    fn what_is_accepted_has_usable_names_and_is_written_as_it_was_read(
        names in prop::collection::vec("[ab\\x00]{0,3}", 0..6),
        extra in "[a-z ]{0,10}",
    ) {
        let tools: Vec<Value> = names.iter().map(|name| json!({"name": name, "x": extra, "n": 1.0})).collect();
        let text = json!({"tools": tools, "prompts": [], "resources": [{"uri": extra}], "resourceTemplates": []});
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        let fine = distinct.len() == names.len() && names.iter().all(|name| check_name(name).is_ok());
        match Catalog::decode(text.to_string().as_bytes()) {
            Ok(catalog) => {
                prop_assert!(fine);
                let written: Value = serde_json::from_slice(&catalog.encode().unwrap()).unwrap();
                prop_assert_eq!(written, text);
            }
            Err(error) => prop_assert!(!fine, "{}", error),
        }
    }
}
