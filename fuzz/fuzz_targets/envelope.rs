//! Envelopes from any bytes: no panic, and what the relay reads is borrowed from the message.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::link::plain::{PlainCalls, rewrite_request};
use protocol::mcp::envelope::{self, Message};

fuzz_target!(|data: &[u8]| {
    let mut calls = PlainCalls::new(1);
    let call = calls.insert(());
    if let Ok(Message::Request { id, params, .. }) = envelope::parse(data) {
        assert!(data.as_ptr_range().contains(&id.get().as_ptr()));
        let name = params.name.as_ref().map(|name| name.as_str());
        assert!(rewrite_request(call, data, name).is_ok());
        assert!(rewrite_request(call, data, Some("other")).is_ok());
    }
    let _ = calls.on_response(&Bytes::copy_from_slice(data));
});
