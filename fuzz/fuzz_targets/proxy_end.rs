//! The proxy's end with a hostile slave (services/protocol/tests/simulation/hostile.rs).

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other target uses the other half")]
#[path = "../../services/protocol/tests/simulation/hostile.rs"]
mod hostile;

fuzz_target!(|data: &[u8]| {
    hostile::slave(&mut fuzz::choices(data));
});
