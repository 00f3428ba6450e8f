//! Any bytes as a catalog: no panic, and what is accepted is written and read again without a change.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::mcp::catalog::Catalog;

fuzz_target!(|data: &[u8]| {
    let Ok(catalog) = Catalog::decode(data) else { return };
    for offer in &catalog.tools {
        assert!(offer.same_definition(offer));
    }
    let Ok(written) = catalog.encode() else { panic!("what was read can be written") };
    let Ok(again) = Catalog::decode(&written) else { panic!("what was written can be read") };
    assert_eq!(again.tools.len(), catalog.tools.len());
});
