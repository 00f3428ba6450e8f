//! First messages of either side from any text: no panic, and an accepted message can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::link::handshake::{Auth, AuthReply, choose_version};

fuzz_target!(|text: &str| {
    if let Ok(Auth { slave_code, protocol: Some(hello), .. }) = Auth::parse(text) {
        choose_version(&hello.versions);
        let written = fuzz::json(&Auth::new(slave_code.0, hello.clone()));
        // A long code or label may grow beyond the limit by being escaped; nothing else may change.
        if let Ok(read) = Auth::parse(&written) {
            assert_eq!(read.protocol, Some(hello));
        }
    }
    if let Ok(reply) = AuthReply::parse(text) {
        assert_eq!(AuthReply::parse(&fuzz::json(&reply)), Ok(reply));
    }
});
