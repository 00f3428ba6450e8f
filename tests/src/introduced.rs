//! The tool `introduced` of the stdio fixture, with which a test finds out which process runs a call and as whose client the process was
//! initialized. Knows nothing of the relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

/// The tool's name.
pub const TOOL: &str = "introduced";

static CAPABILITIES: LazyLock<Mutex<Value>> = LazyLock::new(Mutex::default);
static NOTIFICATIONS: Mutex<Vec<Value>> = Mutex::new(Vec::new());
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Takes the parameters of `initialize`.
pub fn note(params: &Value) {
    *CAPABILITIES.lock().expect("no panic") = params["capabilities"].clone();
}

/// Returns the capabilities of `initialize`.
pub fn capabilities() -> Value {
    CAPABILITIES.lock().expect("no panic").clone()
}

/// Takes a notification of the client.
pub fn note_notification(message: &Value) {
    NOTIFICATIONS.lock().expect("no panic").push(message.clone());
}

/// The text that the tool answers with: the process id, the number of this call, the capabilities of `initialize`, and the client's notifications
/// besides those of the protocol itself.
pub fn call() -> String {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let capabilities = capabilities();
    let notifications = NOTIFICATIONS.lock().expect("no panic").clone();
    let pid = std::process::id();
    json!({ "pid": pid, "calls": calls, "capabilities": capabilities, "notifications": notifications })
        .to_string()
}
