//! Catalogs from any bytes: no panic, and an accepted catalog is the same after it was written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::mcp::catalog::Catalog;

fuzz_target!(|data: &[u8]| {
    let Ok(catalog) = Catalog::decode(data) else { return };
    for entry in &catalog.tools {
        assert_eq!(entry.has_definition_of(entry), entry.digest.is_some());
    }
    let Ok(written) = catalog.encode() else { panic!("what was read can be written") };
    let Ok(again) = Catalog::decode(&written) else { panic!("what was written can be read") };
    assert_eq!(again.tools.len(), catalog.tools.len());
});
