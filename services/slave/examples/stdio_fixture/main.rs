//! A stdio MCP server for tests of the stdio backend, which misbehaves in every known way. Not shipped.
//!
//! `stdio_fixture MODE [FLAG]`. Modes: `legacy`, `modern`, `silent` (ignores messages before `initialize`), `strict` (exits
//! at a message before `initialize`), `stuck` (hangs on a message before `initialize`), `slow` (begins to read after a second), `once` (exits
//! at its second start), `late` (modern, but answers the first request only after two seconds). `STARTS` names a file to which each
//! start adds a line; with `BOM` set each line begins with a byte order mark. Flag `pages`:
//! lists one tool a page. Must not know the slave's code.

mod output;
mod tools;

use std::collections::HashSet;
use std::io::BufRead;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use output::{answer, refuse, send, text};
use parking_lot::Mutex;
use serde_json::{Value, json};

const TOOLS: [&str; 18] = [
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
    "raw",
    "overlap",
];

struct Server {
    mode: String,
    pages: bool,
    initialized: bool,
    grown: bool,
    subscription: Option<Value>,
    /// The ids of requests that the client cancelled.
    cancelled: Arc<Mutex<HashSet<String>>>,
    /// The call that waits for the client's reply to a request.
    asking: Option<Value>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut server = Server {
        mode: args.next().unwrap_or_else(|| "legacy".into()),
        pages: args.next().as_deref() == Some("pages"),
        initialized: false,
        grown: false,
        subscription: None,
        cancelled: Arc::default(),
        asking: None,
    };
    let starts = tools::count_start();
    match server.mode.as_str() {
        "slow" => std::thread::sleep(Duration::from_secs(1)),
        "once" if starts > 1 => exit(4),
        _ => {}
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { exit(90) };
        server.message(&line, &message);
    }
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
        if !self.initialized && !self.is_modern() && method != "initialize" {
            match self.mode.as_str() {
                "silent" => return,
                "strict" => exit(3),
                "stuck" => std::thread::sleep(Duration::from_hours(1)),
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
        self.initialized = true;
        answer(
            id,
            &json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": { "listChanged": true } }, "serverInfo": { "name": "fixture", "version": "1" } }),
        );
    }

    fn discover(&mut self, id: &Value) {
        if self.mode == "late" && !self.initialized {
            std::thread::sleep(Duration::from_secs(2));
        }
        self.initialized = true;
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
            "garbage" => tools::garbage(id),
            "flood" => tools::flood(id, number("lines"), number("pad")),
            "hang" => {}
            "wait" => self.wait(id.clone()),
            "cancelled" => {
                let count = self.cancelled.lock().len();
                text(id, &count.to_string());
            }
            "spawn" => tools::spawn(id),
            "huge" => tools::huge(id, number("bytes"), arguments["order"].as_str().unwrap_or_default()),
            "grow" => {
                self.grown = true;
                send(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
                text(id, "grown");
            }
            "progress" => tools::progress(id, &params["_meta"]["progressToken"], number("steps")),
            "log" => tools::log(id),
            "ask" => {
                self.asking = Some(id.clone());
                send(
                    &json!({ "jsonrpc": "2.0", "id": "q1", "method": "sampling/createMessage", "params": {} }),
                );
            }
            "env" => tools::env(id),
            "deaf" => tools::deaf(&params["_meta"]["progressToken"]),
            "seen" => text(id, line),
            "overlap" => tools::overlap(id.clone(), number("ms")),
            "raw" => tools::say_raw(id, &arguments["lines"]),
            "grown" => text(id, "I am new"),
            other => refuse(id, -32602, &format!("unknown tool {other}")),
        }
    }

    /// Answers once the request is cancelled, which servers must not do: the answer must be dropped.
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
