//! A stdio MCP server for tests of the stdio backend, with every bad habit that servers have. Not shipped.
//!
//! `stdio_fixture MODE [FLAG]`. Modes: `legacy`, `modern`, `silent` (ignores what comes before `initialize`), `strict`
//! (dies of it), `late` (modern, but answers the first question only after two seconds). Flag `pages`: lists its tools
//! one a page. Must not know the slave's code.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::io::{BufRead, Write};
use std::process::{Command, exit};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

const TOOLS: [&str; 16] = [
    "echo",
    "die",
    "garbage",
    "flood",
    "hang",
    "wait",
    "cancelled",
    "spawn",
    "huge",
    "grow",
    "progress",
    "log",
    "ask",
    "env",
    "deaf",
    "seen",
];

struct Server {
    mode: String,
    pages: bool,
    greeted: bool,
    grown: bool,
    subscription: Option<Value>,
    /// Ids of requests that the client cancelled.
    cancelled: Arc<Mutex<HashSet<String>>>,
    /// The call that asked the client something.
    asking: Option<Value>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut server = Server {
        mode: args.next().unwrap_or_else(|| "legacy".into()),
        pages: args.next().as_deref() == Some("pages"),
        greeted: false,
        grown: false,
        subscription: None,
        cancelled: Arc::default(),
        asking: None,
    };
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { exit(90) };
        server.message(&line, &message);
    }
}

fn send(message: &Value) {
    raw(&message.to_string());
}

fn raw(line: &str) {
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    if written.is_err() {
        exit(0);
    }
}

fn answer(id: &Value, result: &Value) {
    send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
}

fn refuse(id: &Value, code: i64, message: &str) {
    send(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }));
}

fn text(id: &Value, text: &str) {
    answer(id, &json!({ "content": [{ "type": "text", "text": text }] }));
}

impl Server {
    fn is_modern(&self) -> bool {
        matches!(self.mode.as_str(), "modern" | "late")
    }

    fn message(&mut self, line: &str, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        let Some(method) = message["method"].as_str() else {
            if let Some(call) = self.asking.take() {
                text(&call, &message["error"]["code"].to_string());
            }
            return;
        };
        if !self.greeted && !self.is_modern() && method != "initialize" {
            match self.mode.as_str() {
                "silent" => return,
                "strict" => exit(3),
                _ => return refuse(id, -32602, "not initialized"),
            }
        }
        if self.is_modern()
            && !id.is_null()
            && params["_meta"]["io.modelcontextprotocol/protocolVersion"].is_null()
        {
            return refuse(id, -32602, "no protocol version");
        }
        match method {
            "initialize" if !self.is_modern() => self.initialize(id),
            "server/discover" if self.is_modern() => self.discover(id),
            "subscriptions/listen" if self.is_modern() => {
                self.subscription = Some(id.clone());
                let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
                send(
                    &json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": { "_meta": meta } }),
                );
            }
            "tools/list" => self.list(id, params),
            "tools/call" => self.call(id, params, line),
            "notifications/cancelled" => {
                self.cancelled.lock().insert(params["requestId"].to_string());
            }
            method if method.starts_with("notifications/") => {}
            _ => refuse(id, -32601, "no such method"),
        }
    }

    fn initialize(&mut self, id: &Value) {
        self.greeted = true;
        answer(
            id,
            &json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": { "listChanged": true } }, "serverInfo": { "name": "fixture", "version": "1" } }),
        );
    }

    fn discover(&mut self, id: &Value) {
        if self.mode == "late" && !self.greeted {
            std::thread::sleep(Duration::from_secs(2));
        }
        self.greeted = true;
        answer(
            id,
            &json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": { "listChanged": true } }, "ttlMs": 0, "cacheScope": "public" }),
        );
    }

    fn list(&self, id: &Value, params: &Value) {
        let mut tools: Vec<Value> =
            TOOLS.iter().map(|name| json!({ "name": name, "inputSchema": { "type": "object" } })).collect();
        if self.grown {
            tools.push(json!({ "name": "grown", "inputSchema": { "type": "object" } }));
        }
        if !self.pages {
            return answer(id, &json!({ "tools": tools }));
        }
        let at = params["cursor"].as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let mut page = json!({ "tools": [tools[at]] });
        if at + 1 < tools.len() {
            page["nextCursor"] = (at + 1).to_string().into();
        }
        answer(id, &page);
    }

    fn call(&mut self, id: &Value, params: &Value, line: &str) {
        let arguments = &params["arguments"];
        let number = |name: &str| arguments[name].as_u64().unwrap_or(0);
        match params["name"].as_str().unwrap_or_default() {
            "echo" => text(id, arguments["text"].as_str().unwrap_or_default()),
            "die" => exit(i32::try_from(number("code")).unwrap_or(1)),
            "garbage" => garbage(id),
            "flood" => flood(id, number("lines"), number("pad")),
            "hang" => {}
            "wait" => self.wait(id.clone()),
            "cancelled" => {
                let count = self.cancelled.lock().len();
                text(id, &count.to_string());
            }
            "spawn" => match Command::new("sleep").arg("1000").spawn() {
                Ok(child) => text(id, &child.id().to_string()),
                Err(error) => text(id, &error.to_string()),
            },
            "huge" => huge(id, number("bytes"), arguments["order"].as_str().unwrap_or_default()),
            "grow" => {
                self.grown = true;
                send(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
                text(id, "grown");
            }
            "progress" => progress(id, &params["_meta"]["progressToken"], number("steps")),
            "log" => log(id),
            "ask" => {
                self.asking = Some(id.clone());
                send(
                    &json!({ "jsonrpc": "2.0", "id": "q1", "method": "sampling/createMessage", "params": {} }),
                );
            }
            "env" => {
                let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                names.sort();
                text(id, &names.join(" "));
            }
            "deaf" => deaf(&params["_meta"]["progressToken"]),
            "seen" => text(id, line),
            "grown" => text(id, "I am new"),
            other => refuse(id, -32602, &format!("unknown tool {other}")),
        }
    }

    /// Answers when the request is cancelled, which no good server does: the answer must reach nobody.
    fn wait(&self, id: Value) {
        let cancelled = Arc::clone(&self.cancelled);
        std::thread::spawn(move || {
            let is_cancelled = || cancelled.lock().contains(&id.to_string());
            while !is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            text(&id, "late");
        });
    }
}

/// Everything on standard output that belongs to nobody.
fn garbage(id: &Value) {
    raw("this is no message");
    raw("");
    raw(&format!("[{id}]"));
    send(&json!({ "jsonrpc": "2.0", "id": 99_999_999, "result": {} }));
    let params = json!({ "progressToken": "x", "progress": 1 });
    send(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
    text(id, "after garbage");
}

/// The secret on standard error, again and again, and once where it belongs even less.
fn flood(id: &Value, lines: u64, pad: u64) {
    let canary = std::env::var("CANARY").unwrap_or_default();
    let pad = "x".repeat(usize::try_from(pad).unwrap_or(0));
    for count in 0..lines {
        eprintln!("{count} {pad}{canary} \u{1b}[31m{canary}");
    }
    raw(&format!("not json either: {canary}"));
    text(id, "flooded");
}

fn log(id: &Value) {
    let params = json!({ "level": "info", "data": "logged" });
    send(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }));
    text(id, "logged");
}

/// Says that it goes deaf, and reads nothing ever again.
fn deaf(token: &Value) -> ! {
    send(
        &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1, "progressToken": token } }),
    );
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

fn progress(id: &Value, token: &Value, steps: u64) {
    for step in 1..=steps {
        if !token.is_null() {
            send(
                &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": step, "progressToken": token, "total": steps } }),
            );
        }
    }
    text(id, "done");
}

fn huge(id: &Value, bytes: u64, order: &str) {
    let content = format!(
        r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#,
        "h".repeat(usize::try_from(bytes).unwrap_or(0))
    );
    match order {
        "id_last" => raw(&format!(r#"{{"result":{content},"jsonrpc":"2.0","id":{id}}}"#)),
        "nobody" => raw(&format!(r#"{{"result":{content},"more":[],"jsonrpc":"2.0"}}"#)),
        _ => raw(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{content}}}"#)),
    }
}
