//! Catalogs, as properties over any bytes: definitions stay unaltered, names are checked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::prelude::*;
use protocol::mcp::catalog::{
    Catalog, CatalogPart, ListChange, ListKind, RawList, WrittenBackend, WrittenList, backend_at_head,
    check_name, write_backend,
};
use serde_json::{Value, json};

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Catalog::decode(&bytes));
        drop(CatalogPart::parse(&bytes));
        drop(backend_at_head(&bytes));
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
                let part = write_backend("b", 1, WrittenBackend { lists: [Some(WrittenList { entries: &catalog.tools, hints: catalog.hints[0] }), None, None, None], server: None }).unwrap();
                let Ok(CatalogPart::Backend(part)) = CatalogPart::parse(&part) else { panic!("a part") };
                let ListChange::Replaced(list) = part.lists[ListKind::Tools as usize] else { panic!("a list") };
                let list = RawList::parse(ListKind::Tools, list).unwrap();
                prop_assert!(list.is(&catalog.tools));
                let written: Vec<Value> = list.entries().unwrap().iter()
                    .map(|entry| serde_json::from_str(entry.definition.get()).unwrap()).collect();
                prop_assert_eq!(written, tools);
                prop_assert_eq!(catalog.resources[0].name.as_str(), extra.as_str());
            }
            Err(error) => prop_assert!(!fine, "{}", error),
        }
    }

    #[test]
    fn a_head_names_the_backend_that_the_whole_part_names(cut in 0_usize..100, name in "[a-z\"]{0,8}") {
        let part = json!({"backend": name, "lists": {"tools": {"items": [{"name": "x".repeat(60)}]}}}).to_string();
        let head = &part.as_bytes()[..cut.min(part.len())];
        if let Some(found) = backend_at_head(head) {
            prop_assert_eq!(found, name);
        }
    }
}
