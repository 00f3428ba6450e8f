//! The tool `ask` of the stdio fixture, which asks its client in rounds: a legacy server by requests, a modern one by results. Knows nothing of
//! the relay.
//!
//! `arguments.rounds` is an array of rounds, each an array of `{method, params}`. Without `arguments.optional` an error in answer to one is one of the tool. The result's text is the JSON array of all answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// The tool's name.
pub const TOOL: &str = "ask";

/// Longest wait for an answer, so that an abandoned call does not keep the process alive.
const LIMIT: Duration = Duration::from_mins(2);

static NEXT: AtomicU64 = AtomicU64::new(1);
static WAITING: LazyLock<Mutex<HashMap<String, Sender<Value>>>> = LazyLock::new(Mutex::default);

/// Returns whether the parameters are of a call of the tool.
pub fn is_asked(params: &Value) -> bool {
    params["name"] == TOOL
}

/// Takes a response of the client.
pub fn on_response(message: Value) {
    let waiting = WAITING.lock().expect("no panic").remove(&message["id"].to_string());
    if let Some(sender) = waiting {
        let _ = sender.send(message);
    }
}

fn rounds(params: &Value) -> Vec<Vec<Value>> {
    serde_json::from_value(params["arguments"]["rounds"].clone()).expect("rounds")
}

fn text(answers: &[Value]) -> Value {
    json!({ "content": [{ "type": "text", "text": Value::from(answers).to_string() }] })
}

/// Asks as a legacy server does; reports progress after each round.
pub fn legacy(params: &Value, say: impl Fn(&Value)) -> Value {
    let mut answers = Vec::new();
    let mut failed = false;
    for (done, round) in rounds(params).into_iter().enumerate() {
        let waiting: Vec<Receiver<Value>> = round.into_iter().map(|asked| send(asked, &say)).collect();
        for answer in waiting {
            let answer = answer.recv_timeout(LIMIT).unwrap_or_default();
            failed |= answer.get("error").is_some();
            answers.push(answer.get("result").or(answer.get("error")).cloned().unwrap_or_default());
        }
        let token = &params["_meta"]["progressToken"];
        if !token.is_null() {
            let params = json!({ "progressToken": token, "progress": done + 1 });
            say(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
        }
    }
    let mut result = text(&answers);
    if failed && params["arguments"]["optional"] != true {
        result["isError"] = true.into();
    }
    result
}

fn send(mut asked: Value, say: &impl Fn(&Value)) -> Receiver<Value> {
    let (sender, receiver) = channel();
    let id: Value = format!("ask {}", NEXT.fetch_add(1, Ordering::Relaxed)).into();
    WAITING.lock().expect("no panic").insert(id.to_string(), sender);
    asked["jsonrpc"] = "2.0".into();
    asked["id"] = id;
    say(&asked);
    receiver
}

/// Answers as a modern server does: its state is what it has been told.
pub fn modern(params: &Value) -> Value {
    let state = params["requestState"].as_str().unwrap_or("[]");
    let mut answers: Vec<Value> = serde_json::from_str(state).expect("a state of ours");
    let rounds = rounds(params);
    let responses = &params["inputResponses"];
    let mut asked_before = 0;
    for round in &rounds {
        if answers.len() == asked_before {
            let told: Vec<Value> = (0..round.len())
                .filter_map(|at| responses.get(format!("k{asked_before}.{at}")).cloned())
                .collect();
            if told.len() < round.len() {
                let requests: serde_json::Map<String, Value> = round
                    .iter()
                    .enumerate()
                    .map(|(at, asked)| (format!("k{asked_before}.{at}"), asked.clone()))
                    .collect();
                let state = Value::from(answers).to_string();
                return json!({ "resultType": "input_required", "inputRequests": requests, "requestState": state });
            }
            answers.extend(told);
        }
        asked_before += round.len();
    }
    text(&answers)
}
