//! Tasks of the stdio fixture in both eras (2025-11-25, Tasks; the extension `io.modelcontextprotocol/tasks`): every call that may be a task is
//! one, and is over at once. Knows nothing of the relay.

use serde_json::{Value, json};

/// Start of each id: it needs escapes.
pub const ID: &str = "task \"é\" ";

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Returns whether the fixture has tasks.
pub fn is_on() -> bool {
    std::env::var_os("FIXTURE_TASKS").is_some()
}

/// Adds what the fixture says of tasks to its capabilities.
pub fn declare(capabilities: &mut Value, modern: bool) {
    if is_on() && modern {
        capabilities["extensions"][EXTENSION] = json!({});
    } else if is_on() {
        capabilities["tasks"] = json!({ "cancel": {}, "requests": { "tools": { "call": {} } } });
    }
}

fn task(id: &str, status: &str) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({ "taskId": id, "status": status, "createdAt": at, "lastUpdatedAt": at, "ttl": null })
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
            if modern {
                made["resultType"] = "task".into();
                return Some(made);
            }
            Some(json!({ "task": made }))
        }
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
