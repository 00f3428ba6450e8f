//! Tools of the fixture that need no state. Must not know the server.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::output::{raw, raw_bytes, send, text};

/// Writes lines to standard output that belong to no request.
pub(crate) fn garbage(id: &Value) {
    raw("this is no message");
    raw("");
    raw(&format!("[{id}]"));
    send(&json!({ "jsonrpc": "2.0", "id": 99_999_999, "result": {} }));
    let params = json!({ "progressToken": "x", "progress": 1 });
    send(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
    text(id, "after garbage");
}

/// Writes the secret to standard error in every line, and once to standard output.
pub(crate) fn flood(id: &Value, lines: u64, pad: u64) {
    let canary = std::env::var("CANARY").unwrap_or_default();
    let pad = "x".repeat(usize::try_from(pad).unwrap_or(0));
    for count in 0..lines {
        eprintln!("{count} {pad}{canary} \u{1b}[31m{canary}");
    }
    raw(&format!("not json either: {canary}"));
    text(id, "flooded");
}

/// Sends a log message and answers.
pub(crate) fn log(id: &Value) {
    let params = json!({ "level": "info", "data": "logged" });
    send(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }));
    text(id, "logged");
}

/// Sends one progress notification and never reads again.
pub(crate) fn deaf(token: &Value) -> ! {
    send(
        &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1, "progressToken": token } }),
    );
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

/// Sends progress notifications and answers.
pub(crate) fn progress(id: &Value, token: &Value, steps: u64) {
    for step in 1..=steps {
        if !token.is_null() {
            send(
                &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": step, "progressToken": token, "total": steps } }),
            );
        }
    }
    text(id, "done");
}

/// Answers with a text of that many bytes, the members in the given order.
pub(crate) fn huge(id: &Value, bytes: u64, order: &str) {
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

/// Starts a process of its own and answers with its id.
pub(crate) fn spawn(id: &Value) {
    match Command::new("sleep").arg("1000").spawn() {
        Ok(child) => text(id, &child.id().to_string()),
        Err(error) => text(id, &error.to_string()),
    }
}

/// Answers with the names of all variables of the environment.
pub(crate) fn env(id: &Value) {
    let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    names.sort();
    text(id, &names.join(" "));
}

/// Writes lines as they stand, but for `$id`, which becomes the request's, `$ff`, which becomes a byte that is not UTF-8, and `$long`, which
/// becomes 3 000 000 bytes.
pub(crate) fn say_raw(id: &Value, lines: &Value) {
    for line in lines.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let line = line.replace("$id", &id.to_string()).replace("$long", &"x".repeat(3_000_000));
        let mut bytes = Vec::with_capacity(line.len());
        for (index, part) in line.split("$ff").enumerate() {
            bytes.extend_from_slice(if index == 0 { b"" } else { b"\xff" });
            bytes.extend_from_slice(part.as_bytes());
        }
        raw_bytes(&bytes);
    }
}

/// Answers after some time with the number of calls of this tool that ran when it began.
pub(crate) fn overlap(id: Value, ms: u64) {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(ms));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        text(&id, &running.to_string());
    });
}

/// Writes a line to the file of `STARTS`, and returns its number of lines.
pub(crate) fn count_start() -> usize {
    let Some(path) = std::env::var_os("STARTS") else { return 0 };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let _ = file.and_then(|mut file| file.write_all(b"start\n"));
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
