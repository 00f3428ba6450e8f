//! A stdio MCP server for the tests, which logs what it runs, waits at gates that a test opens, and can exit during a call.
//!
//! `FIXTURE_DIR` holds, for each key, `<key>.log` (what happened) and `<key>.gate` (how far the call may go).
//! `FIXTURE_ERA=modern` makes it speak 2026-07-28. `FIXTURE_PREFIX` stands before its tools' names. `FIXTURE_PROBE=1` adds the tools of
//! [`harness::probe`], `FIXTURE_ASKS=1` that of [`harness::asking`], `FIXTURE_INTRODUCED=1` that of [`harness::introduced`], `FIXTURE_RESOURCES=1` the resources of [`harness::watched`],
//! `FIXTURE_KINDS` all of [`harness::kinds`], `FIXTURE_APPS` all of [`harness::apps`] and nothing else; with `FIXTURE_TASKS` it has tasks ([`harness::tasking`]). `FIXTURE_LOGGING=1` makes it declare the capability `logging`. With `FIXTURE_HANGS` it hangs on `server/discover`. The gate
//! `process` holds every start at 0. `FIXTURE_COUNT` names the file in which `count` writes down what it executes. `FIXTURE_LIST` is the result
//! of `tools/list` as it stands. Knows nothing of the relay.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{apps, asking, fixture, introduced, kinds, probe, tasking, wait, watched};
use serde_json::{Value, json};

/// Longest wait at a gate, so that an abandoned call does not keep the process alive.
const GATE_LIMIT: Duration = Duration::from_mins(2);

#[derive(Default)]
struct Server {
    modern: bool,
    running: Mutex<HashMap<String, Arc<AtomicBool>>>,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [probe::DETACHED, role, path] = args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return probe::run_detached(role, path).unwrap_or_else(|error| note("process", &error.to_string()));
    }
    let server = Arc::new(Server {
        modern: std::env::var("FIXTURE_ERA").is_ok_and(|era| era == "modern"),
        ..Server::default()
    });
    note("process", &format!("start {}", std::process::id()));
    // Held at its start, as a server is that is still being installed.
    wait::blocking_until(GATE_LIMIT, || gate("process") > 0);
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if let Ok(message) = serde_json::from_str::<Value>(&line) {
            server.handle(message);
        }
    }
}

impl Server {
    fn handle(self: &Arc<Self>, message: Value) {
        let Some(method) = message["method"].as_str().map(str::to_owned) else {
            return asking::on_response(message);
        };
        if method == "initialize" {
            introduced::note(&message["params"]);
        }
        if method == "notifications/cancelled" {
            return self.cancel(&message["params"]);
        }
        if message.get("id").is_none() {
            if method != "notifications/initialized" {
                introduced::note_notification(&message);
            }
            return;
        }
        if let Ok(list) = std::env::var("FIXTURE_LIST")
            && method == "tools/list"
        {
            return say_raw(
                r#"{"jsonrpc":"2.0","id":$id,"result":$list}"#.replace("$list", &list).as_str(),
                &message,
            );
        }
        if method == "server/discover" && std::env::var_os("FIXTURE_HANGS").is_some() {
            wait::blocking_until(GATE_LIMIT, || false);
        }
        if method == "logging/setLevel" {
            note("process", &format!("level {}", message["params"]["level"].as_str().unwrap_or_default()));
        }
        if self.answer_of_apps(&message) || self.answer_of_kinds(&method, &message) {
            return;
        }
        if method != "tools/call" {
            self.reply(&message["id"], self.answer(&method));
            return;
        }
        let cancelled = Arc::new(AtomicBool::new(false));
        if let Ok(mut running) = self.running.lock() {
            running.insert(message["id"].to_string(), cancelled.clone());
        }
        let server = self.clone();
        std::thread::spawn(move || {
            if let Some(lines) = message["params"]["arguments"]["lines"].as_array() {
                return lines.iter().filter_map(Value::as_str).for_each(|line| say_raw(line, &message));
            }
            let answer = server.run_tool(&message["params"], &cancelled);
            if let Ok(mut running) = server.running.lock() {
                running.remove(&message["id"].to_string());
            }
            if let Some(answer) = answer {
                server.reply(&message["id"], answer);
            }
        });
    }

    /// Answers as a server with user interfaces, if it is one. Returns whether it did.
    fn answer_of_apps(&self, message: &Value) -> bool {
        let Some(host) = apps::host() else { return false };
        let declared = if self.modern { apps::declared(message) } else { introduced::capabilities() };
        let Some(outcome) = apps::answer(message, &host, &declared) else { return false };
        self.reply(&message["id"], outcome);
        true
    }

    /// Answers what the optional parts of the fixture have. Returns whether one of them did.
    fn answer_of_kinds(&self, method: &str, message: &Value) -> bool {
        let id = &message["id"];
        if tasking::is_mute(method) {
            return true;
        }
        if let Some(result) = tasking::answer(message, self.modern) {
            if let Some(made) = result["task"]["taskId"].as_str().or(result["taskId"].as_str()) {
                note("tasks", made);
            }
            if tasking::is_held(method) {
                let (server, id) = (Self { modern: self.modern, ..Self::default() }, id.clone());
                note("result", "asked");
                std::thread::spawn(move || {
                    wait::blocking_until(GATE_LIMIT, || gate("result") > 0);
                    server.reply(&id, Ok(result));
                });
                return true;
            }
            self.reply(id, Ok(result));
            return true;
        }
        if method == "subscriptions/listen"
            && watched::listen_for_tasks(message, say, |what| note("process", what)).is_some()
        {
            return true;
        }
        if let Some(outcome) = kinds::answer(message, self.modern, say) {
            self.reply(id, outcome);
            return true;
        }
        if method == "subscriptions/listen" && kinds::scheme().is_some() {
            return true;
        }
        let answer = watched::is_on().then(|| watched::handle(message, say, |what| note("process", what)));
        match answer.flatten() {
            Some(watched::Answer::Now(answer)) => self.reply(id, answer),
            Some(watched::Answer::Open) => {}
            None => return false,
        }
        true
    }

    fn cancel(&self, params: &Value) {
        let id = &params["requestId"];
        note("cancelled", params["reason"].as_str().unwrap_or("without a reason"));
        watched::cancel(id);
        let running = self.running.lock().ok();
        if let Some(cancelled) = running.and_then(|running| running.get(&id.to_string()).cloned()) {
            cancelled.store(true, Ordering::SeqCst);
        }
    }

    /// Runs a tool; `None` where a cancelled call must not be answered.
    fn run_tool(&self, params: &Value, cancelled: &AtomicBool) -> Option<Result<Value, Value>> {
        match asking::is_asked(params) {
            true if self.modern => Some(Ok(asking::modern(params))),
            true => Some(Ok(asking::legacy(params, say))),
            false if params["name"] == kinds::TOOL && kinds::scheme().is_some() => {
                let kind = params["arguments"]["kind"].as_str().unwrap_or_default();
                let text = kinds::change(kind, self.modern, say);
                Some(Ok(json!({ "content": [{ "type": "text", "text": text }] })))
            }
            false => call(params, cancelled),
        }
    }

    fn answer(&self, method: &str) -> Result<Value, Value> {
        let mut answer = self.plain_answer(method)?;
        if matches!(method, "initialize" | "server/discover") {
            kinds::introduce(&mut answer, self.modern);
            if let Some(host) = apps::host() {
                apps::introduce(&mut answer, self.modern, &host);
            }
        }
        Ok(answer)
    }

    fn plain_answer(&self, method: &str) -> Result<Value, Value> {
        match method {
            "initialize" if !self.modern => Ok(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": capabilities(false),
                "serverInfo": { "name": "stdio-fixture", "version": "1" },
            })),
            "server/discover" if self.modern => Ok(json!({
                "supportedVersions": ["2026-07-28"],
                "capabilities": capabilities(true),
                "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "stdio-fixture", "version": "1" } },
                "ttlMs": 0,
                "cacheScope": "private",
            })),
            "ping" | "logging/setLevel" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": tools(), "ttlMs": 0, "cacheScope": "private" })),
            other => Err(json!({ "code": -32601, "message": format!("Method not found: {other}") })),
        }
    }

    fn reply(&self, id: &Value, answer: Result<Value, Value>) {
        let message = match answer {
            Ok(mut result) => {
                if self.modern && result.get("resultType").is_none() {
                    result["resultType"] = "complete".into();
                }
                json!({ "jsonrpc": "2.0", "id": id, "result": result })
            }
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        };
        say(&message);
    }
}

fn tools() -> Value {
    let names = ["run", "count", "big", "die", "leak", "environment", "arguments", "raw"];
    let probes = if std::env::var_os("FIXTURE_PROBE").is_some() { &probe::TOOLS[..] } else { &[] };
    let tool =
        |name: &&str| json!({ "name": format!("{}{name}", prefix()), "inputSchema": { "type": "object" } });
    let asks = if std::env::var_os("FIXTURE_ASKS").is_some() { &[asking::TOOL][..] } else { &[] };
    let introduced =
        if std::env::var_os("FIXTURE_INTRODUCED").is_some() { &[introduced::TOOL][..] } else { &[] };
    let watched = if watched::is_on() { &watched::TOOLS[..] } else { &[] };
    let changes = if kinds::scheme().is_some() { &[kinds::TOOL][..] } else { &[] };
    let plain = names.iter().chain(probes).chain(asks).chain(introduced).chain(watched).chain(changes);
    let mut all: Vec<Value> = plain.map(tool).chain(watched::grown_tools()).collect();
    all.extend((1..=kinds::changes("tools")).map(|n| tool(&&*format!("tool{n}"))));
    all.into()
}

fn capabilities(modern: bool) -> Value {
    let mut capabilities = json!({ "tools": {} });
    if !modern && std::env::var_os("FIXTURE_LOGGING").is_some() {
        capabilities["logging"] = json!({});
    }
    tasking::declare(&mut capabilities, modern);
    watched::declare(&mut capabilities);
    capabilities
}

fn prefix() -> String {
    std::env::var("FIXTURE_PREFIX").unwrap_or_default()
}

/// Runs a tool; `None` where a cancelled call must not be answered.
fn call(params: &Value, cancelled: &AtomicBool) -> Option<Result<Value, Value>> {
    let arguments = &params["arguments"];
    let (name, prefix) = (params["name"].as_str().unwrap_or_default(), prefix());
    let text = match name.strip_prefix(&prefix).unwrap_or(name) {
        "run" => run(arguments, &params["_meta"]["progressToken"], cancelled)?,
        "count" => count(arguments, &params["_meta"]["progressToken"], cancelled)?,
        "big" => "x".repeat(usize::try_from(arguments["bytes"].as_u64().unwrap_or(0)).unwrap_or(0)),
        "die" => std::process::exit(7),
        "leak" => {
            eprintln!("the secret is {}", std::env::var("FIXTURE_SECRET").unwrap_or_default());
            if let Some(words) = arguments["say"].as_str() {
                eprintln!("{words}");
            }
            "leaked".to_owned()
        }
        "environment" => {
            let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            names.join(" ")
        }
        "arguments" => params.to_string(),
        introduced::TOOL => introduced::call(),
        other if watched::TOOLS.contains(&other) => watched::call(other, arguments, say)?,
        other if probe::TOOLS.contains(&other) => probe::call(other, arguments)?,
        other => return Some(Err(json!({ "code": -32602, "message": format!("Unknown tool: {other}") }))),
    };
    Some(Ok(json!({ "content": [{ "type": "text", "text": text }] })))
}

/// Reports `steps` steps as far as the gate allows, then ends. Without a gate file it runs through.
fn run(arguments: &Value, token: &Value, cancelled: &AtomicBool) -> Option<String> {
    let key = arguments["key"].as_str().unwrap_or("none");
    let steps = arguments["steps"].as_u64().unwrap_or(0);
    note(key, "start");
    for step in 1..=steps + 1 {
        let mut stopped = false;
        wait::blocking_until(GATE_LIMIT, || {
            stopped = cancelled.load(Ordering::SeqCst);
            stopped || gate(key) >= step
        });
        if stopped {
            note(key, "cancelled");
            return None;
        }
        if step <= steps && !token.is_null() {
            let params = json!({ "progressToken": token, "progress": step, "total": steps });
            say(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
        }
    }
    note(key, "end");
    Some(format!("done {key}"))
}

/// Writes its `id` down before anything else: one line an execution, whatever becomes of this process afterwards. Then
/// reports `steps` steps, each after `ms` milliseconds, and answers with the id and `bytes` bytes more.
fn count(arguments: &Value, token: &Value, cancelled: &AtomicBool) -> Option<String> {
    let number = |name: &str| arguments[name].as_u64().unwrap_or(0);
    let path = std::env::var("FIXTURE_COUNT").unwrap_or_default();
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let line = format!("{}\n", number("id"));
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        return Some(format!("FIXTURE_COUNT={path:?}: {error}"));
    }
    for step in 1..=number("steps") + 1 {
        let stopped = || cancelled.load(Ordering::SeqCst);
        if wait::blocking_until(Duration::from_millis(number("ms")), stopped) {
            return None;
        }
        if step <= number("steps") && !token.is_null() {
            let params = json!({ "progressToken": token, "progress": step });
            say(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
        }
    }
    Some(fixture::count_text(number("id"), number("bytes")))
}

fn gate(key: &str) -> u64 {
    let folder = std::env::var("FIXTURE_DIR").unwrap_or_default();
    let text = std::fs::read_to_string(fixture::gate_file(folder.as_ref(), key));
    text.map_or(u64::MAX, |text| text.trim().parse().unwrap_or(0))
}

fn note(key: &str, what: &str) {
    let Ok(folder) = std::env::var("FIXTURE_DIR") else { return };
    let path = fixture::log_file(folder.as_ref(), key);
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        let _ = file.write_all(format!("{what}\n").as_bytes());
    }
}

/// Writes a line of the tool `raw` as it stands, but for `$id` and `$token`, which become those of the request, `$who`, which becomes
/// `FIXTURE_WHO`, `$ff`, which becomes a byte that is not UTF-8, and `$long`, which becomes a million bytes.
fn say_raw(line: &str, request: &Value) {
    let token = request["params"]["_meta"]["progressToken"].to_string();
    let line = line
        .replace("$who", &std::env::var("FIXTURE_WHO").unwrap_or_default())
        .replace("$id", &request["id"].to_string())
        .replace("$token", &token);
    let line = line.replace("$long", &"x".repeat(1_000_000));
    let mut bytes = line.split("$ff").map(str::as_bytes).collect::<Vec<_>>().join(&b"\xff"[..]);
    bytes.push(b'\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&bytes).and_then(|()| out.flush());
}

fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}
