//! Canonical forms of any JSON: no panic, a form is its own form, and equal forms mean equal values.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::mcp::canonical::{canonical, digest, schema_digest};
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Box<RawValue>>(data) else { return };
    let Ok(definition) = RawValue::from_string(format!(r#"{{"inputSchema":{value}}}"#)) else { panic!("JSON") };
    let schema = schema_digest(&definition, "inputSchema");
    let Some(form) = canonical(&value) else {
        assert!(digest(&value).is_none() && schema.is_none());
        return;
    };
    let Ok(again) = serde_json::from_str::<Box<RawValue>>(&form) else { panic!("the form is JSON") };
    assert_eq!(canonical(&again), Some(form));
    assert_eq!(digest(&again), digest(&value));
});
