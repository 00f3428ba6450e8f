//! The part of the stdio fixture that has resources and prompts which change: `FIXTURE_RESOURCES=1` adds it, in both eras. Knows nothing of the
//! relay.
//!
//! Its log `process` says for what it was asked: `subscribe <uri>`, `unsubscribe <uri>`, `listen <uris>`. The resource `res:refused` cannot be
//! subscribed to.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// Names of the tools: `touch` updates the resource `uri`, `grow` adds an entry to the list `list`.
pub const TOOLS: [&str; 2] = ["touch", "grow"];

/// Subscriptions: of the legacy era by URI, of the modern one by the id of the request, with its filter.
static SUBSCRIBED: Mutex<Option<HashMap<String, Value>>> = Mutex::new(None);

/// Entries that `grow` added.
static GROWN: [AtomicUsize; 3] = [AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)];

const LISTS: [&str; 3] = ["tools", "prompts", "resources"];

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is answered.
    Now(Result<Value, Value>),
    /// It stays open.
    Open,
}

/// Whether the fixture has this part.
pub fn is_on() -> bool {
    std::env::var_os("FIXTURE_RESOURCES").is_some()
}

/// Adds what this part can do to the capabilities.
pub fn declare(capabilities: &mut Value) {
    if is_on() {
        capabilities["tools"] = json!({ "listChanged": true });
        capabilities["prompts"] = json!({ "listChanged": true });
        capabilities["resources"] = json!({ "listChanged": true, "subscribe": true });
    }
}

/// Definitions that `grow` added to the tools.
pub fn grown_tools() -> impl Iterator<Item = Value> {
    let grown = GROWN[0].load(Ordering::SeqCst);
    (0..grown).map(|number| json!({ "name": format!("grown{number}"), "inputSchema": { "type": "object" } }))
}

fn change<R>(act: impl FnOnce(&mut HashMap<String, Value>) -> R) -> R {
    act(SUBSCRIBED.lock().expect("no panic").get_or_insert_default())
}

/// Handles a `subscriptions/listen` for tasks: all but those that `refused` is a part of are acknowledged; `None`: it is for something else.
pub fn listen_for_tasks(message: &Value, say: impl Fn(&Value), note: impl Fn(&str)) -> Option<()> {
    let (id, asked) = (&message["id"], message["params"]["notifications"]["taskIds"].as_array()?);
    note(&format!("listen for tasks {}", json!(asked)));
    let (meta, mine): (Value, Vec<&Value>) = (
        json!({ "io.modelcontextprotocol/subscriptionId": id }),
        asked.iter().filter(|id| !id.to_string().contains("refused")).collect(),
    );
    let params = json!({ "_meta": meta, "notifications": { "taskIds": mine } });
    say(&json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params }));
    Some(())
}

/// Handles a request of this part; `None`: it is of another part.
pub fn handle(message: &Value, say: impl Fn(&Value), note: impl Fn(&str)) -> Option<Answer> {
    let params = &message["params"];
    let uri = params["uri"].as_str().unwrap_or_default();
    let grown = |list: usize| 0..GROWN[list].load(Ordering::SeqCst);
    let result = match message["method"].as_str()? {
        "prompts/list" => {
            let prompts: Vec<Value> = grown(1).map(|n| json!({ "name": format!("prompt{n}") })).collect();
            json!({ "prompts": prompts, "ttlMs": 0, "cacheScope": "private" })
        }
        "resources/list" => {
            let more = grown(2).map(|n| format!("grown:{n}"));
            let uris = ["res:1".to_owned(), "res:2".into(), "res:refused".into()].into_iter().chain(more);
            let resources: Vec<Value> = uris.map(|uri| json!({ "uri": uri, "name": uri })).collect();
            json!({ "resources": resources, "ttlMs": 0, "cacheScope": "private" })
        }
        "resources/templates/list" => {
            json!({ "resourceTemplates": [], "ttlMs": 0, "cacheScope": "private" })
        }
        "resources/read" => {
            json!({ "contents": [{ "uri": uri, "text": "x" }], "ttlMs": 0, "cacheScope": "private" })
        }
        "resources/subscribe" => {
            note(&format!("subscribe {uri}"));
            if uri == "res:refused" {
                return Some(Answer::Now(Err(json!({ "code": -32050, "message": "not this one" }))));
            }
            change(|subscribed| subscribed.insert(uri.to_owned(), Value::Null));
            json!({})
        }
        "resources/unsubscribe" => {
            note(&format!("unsubscribe {uri}"));
            change(|subscribed| subscribed.remove(uri));
            json!({})
        }
        "subscriptions/listen" => {
            let (id, filter) = (&message["id"], &params["notifications"]);
            note(&format!("listen {}", filter["resourceSubscriptions"]));
            change(|subscribed| subscribed.insert(id.to_string(), filter.clone()));
            let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
            let params = json!({ "_meta": meta, "notifications": filter });
            say(
                &json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params }),
            );
            return Some(Answer::Open);
        }
        _ => return None,
    };
    Some(Answer::Now(Ok(result)))
}

/// Ends a subscription of the modern era.
pub fn cancel(id: &Value) {
    change(|subscribed| subscribed.remove(&id.to_string()));
}

/// Runs one of [`TOOLS`]: tells those who asked.
pub fn call(name: &str, arguments: &Value, say: impl Fn(&Value)) -> Option<String> {
    let subscribed = change(|subscribed| subscribed.clone());
    let meta = |id: &str| json!({ "io.modelcontextprotocol/subscriptionId": id.parse::<u64>().ok() });
    match name {
        "touch" => {
            let uri = arguments["uri"].as_str().unwrap_or_default();
            for (key, filter) in &subscribed {
                let asked = filter["resourceSubscriptions"].as_array();
                let mut params = json!({ "uri": uri, "title": "kept" });
                match asked {
                    None if key == uri => {}
                    Some(asked) if asked.iter().any(|asked| asked == uri) => params["_meta"] = meta(key),
                    _ => continue,
                }
                let method = "notifications/resources/updated";
                say(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
            }
        }
        "grow" => {
            let list = arguments["list"].as_str().unwrap_or_default();
            GROWN[LISTS.iter().position(|known| *known == list)?].fetch_add(1, Ordering::SeqCst);
            let method = format!("notifications/{list}/list_changed");
            say(&json!({ "jsonrpc": "2.0", "method": method }));
        }
        _ => return None,
    }
    Some("done".into())
}
