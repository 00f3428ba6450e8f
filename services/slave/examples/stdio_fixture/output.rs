//! Messages to standard output. Must not know what they answer.

use std::io::Write;
use std::process::exit;

use serde_json::{Value, json};

/// Writes one message.
pub(crate) fn send(message: &Value) {
    raw(&message.to_string());
}

/// Writes one line.
pub(crate) fn raw(line: &str) {
    raw_bytes(line.as_bytes());
}

/// Writes one line of any bytes.
pub(crate) fn raw_bytes(line: &[u8]) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    if written.is_err() {
        exit(0);
    }
}

/// Answers a request.
pub(crate) fn answer(id: &Value, result: &Value) {
    send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
}

/// Answers a request with an error.
pub(crate) fn refuse(id: &Value, code: i64, message: &str) {
    send(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }));
}

/// Answers a call with one text block.
pub(crate) fn text(id: &Value, text: &str) {
    answer(id, &json!({ "content": [{ "type": "text", "text": text }] }));
}
