//! Batches of frames from any bytes: no panic, and the frames that are read encode to the same bytes.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use protocol::link::frame::Frame;

fuzz_target!(|data: &[u8]| {
    let mut batch = Bytes::copy_from_slice(data);
    let mut again = BytesMut::new();
    while let Ok(Some(frame)) = Frame::decode(&mut batch) {
        frame.encode(&mut again);
    }
    assert!(data.starts_with(&again));
});
