//! Prompts, resources, a template, completion and a method of an extension, as the stdio fixture offers them. Knows nothing of the relay.
//!
//! `FIXTURE_KINDS` is the scheme of the URIs, and switches all of this on. `FIXTURE_PROMPTS` is a number of further prompts of about 1000 bytes
//! each. The tool `change` adds an entry to the list that `arguments.kind` names, and says so. `FIXTURE_SKILLS=0` leaves out the extension.

use std::sync::Mutex;

use serde_json::{Value, json};

/// The tool's name.
pub const TOOL: &str = "change";

/// Prompts on one page of the fixture's list.
const PAGE: usize = 500;

/// Lists that changed, with each change once.
static CHANGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Ids of the open `subscriptions/listen`.
static LISTENERS: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// Result or error of a request.
pub type Outcome = Result<Value, Value>;

/// Returns the scheme of the URIs; `None`: the fixture has tools only.
pub fn scheme() -> Option<String> {
    std::env::var("FIXTURE_KINDS").ok()
}

/// Adds capabilities and instructions to the answer to `initialize` or `server/discover`.
pub fn introduce(answer: &mut Value, modern: bool) {
    let Some(scheme) = scheme() else { return };
    let changes = json!({ "listChanged": true });
    let mut capabilities =
        json!({ "tools": changes, "prompts": changes, "resources": changes, "completions": {} });
    if !std::env::var("FIXTURE_SKILLS").is_ok_and(|skills| skills == "0") {
        let (member, name) =
            if modern { ("extensions", "org.example/skills") } else { ("experimental", "skills") };
        capabilities[member] = json!({ name: { "level": 1 } });
    }
    capabilities["experimental"]["org.example/trial"] = json!({ "of": scheme });
    answer["capabilities"] = capabilities;
    answer["instructions"] = format!("Use {scheme} with care.").into();
}

/// Number of changes of a list.
pub fn changes(kind: &str) -> usize {
    CHANGES.lock().expect("no panic").iter().filter(|changed| *changed == kind).count()
}

/// Answers a request about prompts, resources, completion or skills; `None`: of another method, or of none that is answered.
pub fn answer(message: &Value, modern: bool, say: fn(&Value)) -> Option<Outcome> {
    let scheme = scheme()?;
    let params = &message["params"];
    let outcome = match message["method"].as_str()? {
        "prompts/list" => prompts(params),
        "prompts/get" => prompt(params),
        "resources/list" => Ok(json!({ "resources": resources(&scheme) })),
        "resources/templates/list" => Ok(json!({ "resourceTemplates": templates(&scheme) })),
        "resources/read" => read(params, &scheme, modern),
        "completion/complete" => Ok(complete(params)),
        "skills/list" => Ok(json!({ "skills": [scheme], "seen": params })),
        "subscriptions/listen" => {
            LISTENERS.lock().expect("no panic").push(message["id"].clone());
            say(&notice(
                "notifications/subscriptions/acknowledged",
                &message["id"],
                &params["notifications"],
            ));
            return None;
        }
        _ => return None,
    };
    Some(outcome.map(|result| with_hints(result, modern)))
}

/// Changes the list that `kind` names, and says so.
pub fn change(kind: &str, modern: bool, say: fn(&Value)) -> String {
    CHANGES.lock().expect("no panic").push(kind.to_owned());
    let list = if kind == "templates" { "resources" } else { kind };
    let method = format!("notifications/{list}/list_changed");
    if modern {
        LISTENERS.lock().expect("no panic").iter().for_each(|id| say(&notice(&method, id, &Value::Null)));
    } else {
        say(&json!({ "jsonrpc": "2.0", "method": method }));
    }
    format!("changed {kind}")
}

fn notice(method: &str, id: &Value, notifications: &Value) -> Value {
    let mut params = json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": id } });
    if !notifications.is_null() {
        params["notifications"] = notifications.clone();
    }
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

fn with_hints(mut result: Value, modern: bool) -> Value {
    if modern {
        result["ttlMs"] = 0.into();
        result["cacheScope"] = "private".into();
    }
    result
}

fn prompts(params: &Value) -> Outcome {
    let more: usize = std::env::var("FIXTURE_PROMPTS").map_or(0, |text| text.parse().unwrap_or(0));
    let greet = json!({ "name": "greet", "description": "Greets", "arguments": [{ "name": "name", "required": true }] });
    let added = (1..=changes("prompts")).map(|n| json!({ "name": format!("prompt{n}") }));
    let large = (0..more).map(|n| json!({ "name": format!("p{n:05}"), "description": "x".repeat(1000) }));
    let all: Vec<Value> = std::iter::once(greet).chain(added).chain(large).collect();
    let start: usize = params["cursor"].as_str().map_or(Ok(0), str::parse).map_err(|_| invalid("cursor"))?;
    let mut page = json!({ "prompts": all.iter().skip(start).take(PAGE).collect::<Vec<_>>() });
    if start + PAGE < all.len() {
        page["nextCursor"] = (start + PAGE).to_string().into();
    }
    Ok(page)
}

fn invalid(what: &str) -> Value {
    json!({ "code": -32602, "message": format!("Invalid {what}") })
}

fn prompt(params: &Value) -> Outcome {
    let name = params["name"].as_str().unwrap_or_default();
    if name != "greet" && !name.starts_with('p') {
        return Err(invalid(&format!("prompt: {name}")));
    }
    let text = format!("Hello {}", params["arguments"]["name"].as_str().unwrap_or("you"));
    Ok(json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": text } }] }))
}

fn resources(scheme: &str) -> Vec<Value> {
    let resource = |name: String| json!({ "uri": format!("{scheme}://{name}"), "name": name });
    let added = (1..=changes("resources")).map(|n| resource(format!("added{n}")));
    std::iter::once(resource("about".into())).chain(added).collect()
}

fn templates(scheme: &str) -> Vec<Value> {
    let template = |name: String| json!({ "uriTemplate": format!("{scheme}://{name}/{{id}}"), "name": name });
    let added = (1..=changes("templates")).map(|n| template(format!("kind{n}")));
    std::iter::once(template("item".into())).chain(added).collect()
}

fn read(params: &Value, scheme: &str, modern: bool) -> Outcome {
    let uri = params["uri"].as_str().unwrap_or_default();
    let path = uri.strip_prefix(&format!("{scheme}://")).unwrap_or_default();
    if path == "about" || path == "unlisted" || path.starts_with("item/") {
        return Ok(
            json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": format!("text of {path}") }] }),
        );
    }
    let code = if modern { -32602 } else { -32002 };
    Err(json!({ "code": code, "message": "Resource not found", "data": { "uri": uri } }))
}

fn complete(params: &Value) -> Value {
    let of: &[&str] =
        if params["ref"]["type"] == "ref/prompt" { &["Ada", "Alan", "Grace"] } else { &["1", "10", "2"] };
    let start = params["argument"]["value"].as_str().unwrap_or_default();
    let values: Vec<&&str> = of.iter().filter(|value| value.starts_with(start)).collect();
    json!({ "completion": { "values": values, "total": values.len(), "hasMore": false } })
}
