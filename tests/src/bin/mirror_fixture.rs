//! A stdio MCP server that shows what reached it and sends it back, byte by byte: a tool, a prompt, a resource and a template, all of
//! them called `mirror`.
//!
//! A result holds the request's `params` as they came (`seen`), and their member `canary` in several places. `MIRROR_ERA=modern` makes it
//! speak 2026-07-28. Reads no more of a message than it must, so that it alters nothing. Knows nothing of the relay.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

fn main() {
    let modern = std::env::var("MIRROR_ERA").is_ok_and(|era| era == "modern");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Message<'_>>(&line) else { continue };
        if let (Some(id), Some(method)) = (message.id, &message.method) {
            answer(modern, id.get(), method, message.params.map_or("{}", RawValue::get));
        }
    }
}

fn answer(modern: bool, id: &str, method: &str, params: &str) {
    let capabilities = r#"{"tools":{},"prompts":{},"resources":{},"completions":{}}"#;
    let info = r#"{"name":"mirror","version":"1"}"#;
    let canary = member(params, "canary").unwrap_or("null");
    if let Some(token) = member(params, "_meta").and_then(|meta| member(meta, "progressToken")) {
        let params = format!(r#"{{"progressToken":{token},"progress":1,"canary":{canary}}}"#);
        say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#));
    }
    let of_era = match (modern, method) {
        (false, "initialize") => {
            format!(r#""protocolVersion":"2025-11-25","capabilities":{capabilities},"serverInfo":{info}"#)
        }
        (true, "server/discover") => format!(
            r#""supportedVersions":["2026-07-28"],"capabilities":{capabilities},"_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}"#
        ),
        (_, "tools/list") => r#""tools":[{"name":"mirror","inputSchema":{"type":"object"}}]"#.to_owned(),
        (_, "prompts/list") => r#""prompts":[{"name":"mirror","arguments":[{"name":"text"}]}]"#.to_owned(),
        (_, "resources/list") => r#""resources":[{"name":"mirror","uri":"mirror://fixed"}]"#.to_owned(),
        (_, "resources/templates/list") => {
            r#""resourceTemplates":[{"name":"mirror","uriTemplate":"mirror://{id}/data"}]"#.to_owned()
        }
        (_, "tools/call") => {
            mirrored(params, canary, r#""content":[{"type":"text","text":"mirror","canary":$c}]"#)
        }
        (_, "prompts/get") => mirrored(
            params,
            canary,
            r#""messages":[{"role":"user","canary":$c,"content":{"type":"text","text":"mirror","canary":$c}}]"#,
        ),
        (_, "resources/read") => {
            mirrored(params, canary, r#""contents":[{"uri":"mirror://fixed","text":"mirror","canary":$c}]"#)
        }
        (_, "completion/complete") => {
            mirrored(params, canary, r#""completion":{"values":["mirror"],"canary":$c}"#)
        }
        _ => return say(&refusal(id)),
    };
    let rest = if modern { r#","resultType":"complete","ttlMs":0,"cacheScope":"private""# } else { "" };
    say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{of_era}{rest}}}}}"#));
}

/// Members of a result: what the method has, what was seen, and the canary beside it and in `_meta`.
fn mirrored(params: &str, canary: &str, of_method: &str) -> String {
    let of_method = of_method.replace("$c", canary);
    format!(r#"{of_method},"canary":{canary},"_meta":{{"example.com/canary":{canary}}},"seen":{params}"#)
}

fn refusal(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found"}}}}"#)
}

/// Raw text of a member of an object.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(object).ok()?;
    members.get(name).map(|value| value.get())
}

fn say(message: &str) {
    let mut out = std::io::stdout().lock();
    // A relay that is gone reads nothing any more; standard input ends then.
    let _ = out.write_all(message.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}
