//! Parts of catalogs from any bytes: no panic, and an accepted list is the same after it was written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::mcp::catalog::{
    BackendPart, CatalogPart, ListChange, ListKind, RawList, WrittenBackend, WrittenList, backend_at_head, write_backend,
    write_state,
};

fn tools<'a>(part: &BackendPart<'a>) -> Option<RawList<'a>> {
    match part.lists[ListKind::Tools as usize] {
        ListChange::Replaced(list) => RawList::parse(ListKind::Tools, list).ok(),
        ListChange::Unchanged | ListChange::Removed => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = backend_at_head(data);
    match CatalogPart::parse(data) {
        Ok(CatalogPart::Backend(part)) => {
            let Some(Ok(entries)) = tools(&part).map(|list| list.entries()) else { return };
            for entry in &entries {
                assert_eq!(entry.has_definition_of(entry), entry.digest.is_some());
            }
            let written = write_backend(&part.backend, 0, WrittenBackend { lists: [Some(WrittenList { entries: &entries, ..WrittenList::default() }), None, None, None], server: None });
            let Ok(written) = written else { panic!("what was read can be written") };
            let Ok(CatalogPart::Backend(again)) = CatalogPart::parse(&written) else { panic!("and read again") };
            assert_eq!(again.backend, part.backend);
            assert!(tools(&again).is_some_and(|list| list.is(&entries)));
        }
        Ok(CatalogPart::Slave(state)) => {
            let Ok(written) = write_state(&state) else { panic!("what was read can be written") };
            assert!(matches!(CatalogPart::parse(&written), Ok(CatalogPart::Slave(again)) if again == state));
        }
        Err(_) => {}
    }
});
