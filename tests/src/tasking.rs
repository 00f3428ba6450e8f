//! Tasks of the stdio fixture in both eras (2025-11-25, Tasks; the extension `io.modelcontextprotocol/tasks`): every call that may be a task is
//! one, and is over at once. Knows nothing of the relay.
//!
//! `FIXTURE_TASKS=1` lists tasks two on a page, the first of them one that was made elsewhere; `unlisted` declares no list, `mute` answers no
//! request for one; with `held` results wait at the gate `result`.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Start of each id: it needs escapes.
pub const ID: &str = "task \"é\" ";

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Id of a task that no client of the relay has made.
pub const ELSEWHERE: &str = "made elsewhere";

/// Tasks on a page of the list.
const PAGE: usize = 2;

/// Tasks that were made, in order.
static MADE: Mutex<Vec<Value>> = Mutex::new(Vec::new());

fn mode() -> Option<String> {
    std::env::var("FIXTURE_TASKS").ok()
}

/// Returns whether the fixture has tasks.
pub fn is_on() -> bool {
    mode().is_some()
}

/// Returns whether this request gets no answer.
pub fn is_mute(method: &str) -> bool {
    method == "tasks/list" && mode().as_deref() == Some("mute")
}

/// Returns whether the answer of this request waits at the gate `result`.
pub fn is_held(method: &str) -> bool {
    method == "tasks/result" && mode().as_deref() == Some("held")
}

/// Adds what the fixture says of tasks to its capabilities.
pub fn declare(capabilities: &mut Value, modern: bool) {
    if is_on() && modern {
        capabilities["extensions"][EXTENSION] = json!({});
    } else if is_on() {
        capabilities["tasks"] = json!({ "cancel": {}, "requests": { "tools": { "call": {} } } });
        if mode().as_deref() != Some("unlisted") {
            capabilities["tasks"]["list"] = json!({});
        }
    }
}

fn task(id: &str, status: &str) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({ "taskId": id, "status": status, "createdAt": at, "lastUpdatedAt": at, "ttl": null })
}

/// Returns the page behind a cursor, which is a number.
fn page(cursor: &Value) -> Value {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<Value> = [task(ELSEWHERE, "working")].into_iter().chain(made.iter().cloned()).collect();
    let at = cursor.as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0_usize);
    let mut page = json!({ "tasks": all.iter().skip(at).take(PAGE).collect::<Vec<_>>() });
    if at + PAGE < all.len() {
        page["nextCursor"] = (at + PAGE).to_string().into();
    }
    page
}

/// Answers a request that makes a task or is about one; `None` for all others.
pub fn answer(message: &Value, modern: bool) -> Option<Value> {
    let params = &message["params"];
    let id = params["taskId"].as_str().unwrap_or_default();
    let capabilities = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    let wants = if modern { &capabilities["extensions"][EXTENSION] } else { &params["task"] };
    match message["method"].as_str()? {
        "tools/call" if is_on() && wants.is_object() => {
            let id = format!("{ID}{}", message["id"]);
            let mut made = task(&id, "working");
            if let Some(bytes) = params["arguments"]["bytes"].as_u64() {
                made["statusMessage"] = "x".repeat(usize::try_from(bytes).unwrap_or(0)).into();
            }
            MADE.lock().unwrap_or_else(PoisonError::into_inner).push(made.clone());
            if modern {
                made["resultType"] = "task".into();
                return Some(made);
            }
            Some(json!({ "task": made }))
        }
        "tasks/list" if !modern => Some(page(&params["cursor"])),
        "tasks/get" => Some(task(id, "completed")),
        "tasks/cancel" => Some(if modern { json!({}) } else { task(id, "cancelled") }),
        "tasks/update" => Some(json!({})),
        "tasks/result" => {
            let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": id } });
            Some(json!({ "content": [{ "type": "text", "text": id }], "_meta": related }))
        }
        _ => None,
    }
}
