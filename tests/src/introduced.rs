//! The tool `introduced` of the stdio fixture, with which a test finds out which process runs a call and as whose client the process was
//! initialized. Knows nothing of the relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

/// The tool's name.
pub const TOOL: &str = "introduced";

static CAPABILITIES: LazyLock<Mutex<Value>> = LazyLock::new(Mutex::default);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Takes the parameters of `initialize`.
pub fn note(params: &Value) {
    *CAPABILITIES.lock().expect("no panic") = params["capabilities"].clone();
}

/// The text that the tool answers with: the process id, the number of this call, and the capabilities of `initialize`.
pub fn call() -> String {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let capabilities = CAPABILITIES.lock().expect("no panic").clone();
    json!({ "pid": std::process::id(), "calls": calls, "capabilities": capabilities }).to_string()
}
