//! An MCP server on standard input and output with a tool that answers, a tool that asks, a prompt and a large resource: the child of a
//! measured slave. Reads each message once, and answers one at a time.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use protocol::mcp::era::Version;
use serde_json::{Value, json};

use crate::error::{Doing, Result};
use crate::request::echo_text;

/// Name of the prompt.
pub(crate) const PROMPT: &str = "greet";

/// URI of the resource.
pub(crate) const RESOURCE: &str = "bench://large";

/// Bytes of the resource's text.
pub(crate) const RESOURCE_BYTES: usize = 1_000_000;

/// Name of the tool that asks its client before it answers.
pub(crate) const ASKING_TOOL: &str = "ask";

/// Text of that tool's result.
pub(crate) const ASKED: &str = "accepted";

/// Text of the prompt's message.
pub(crate) const GREETING: &str =
    "Greet the reader in one sentence of a hundred letters or so, and say which tools there are for them.";

/// Serves until the end of input.
pub(crate) fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    let mut asked = HashMap::new();
    let resource = echo_text("", RESOURCE_BYTES);
    for line in input.lines() {
        let line = line.doing("reading standard input")?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(mut answer) = answer(&message, &mut asked, &resource).map(|answer| answer.to_string())
        else {
            continue;
        };
        answer.push('\n');
        output.write_all(answer.as_bytes()).and_then(|()| output.flush()).doing("writing standard output")?;
    }
    Ok(())
}

/// Returns the message that follows from a message, if one does. `asked` has the calls that wait for their clients, by the id of the
/// question.
fn answer(message: &Value, asked: &mut HashMap<String, Value>, resource: &str) -> Option<Value> {
    let id = message.get("id")?;
    let Some(method) = message["method"].as_str() else {
        let call = asked.remove(id.as_str()?)?;
        return Some(result(&call, &json!({ "content": [{ "type": "text", "text": ASKED }] })));
    };
    if method == "tools/call" && message["params"]["name"] == ASKING_TOOL {
        let question = format!("question {id}");
        asked.insert(question.clone(), id.clone());
        return Some(json!({
            "jsonrpc": "2.0", "id": question, "method": "elicitation/create",
            "params": {
                "message": "Go on?",
                "requestedSchema": { "type": "object", "properties": { "yes": { "type": "boolean" } } },
            },
        }));
    }
    Some(match result_of(method, &message["params"], resource) {
        Some(value) => result(id, &value),
        None => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "no such method" } })
        }
    })
}

fn result(id: &Value, value: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": value })
}

fn result_of(method: &str, params: &Value, resource: &str) -> Option<Value> {
    let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
    Some(match method {
        "initialize" => json!({
            "protocolVersion": Version::NEWEST_LEGACY,
            "capabilities": { "tools": {}, "prompts": {}, "resources": { "subscribe": true } },
            "serverInfo": { "name": "mcp-relay-bench", "version": "1" },
        }),
        "ping" | "resources/subscribe" | "resources/unsubscribe" => json!({}),
        "tools/list" => json!({ "tools": [
            { "name": "echo", "inputSchema": schema },
            { "name": ASKING_TOOL, "inputSchema": { "type": "object" } },
        ] }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": params["arguments"]["text"] }] }),
        "prompts/list" => json!({ "prompts": [{ "name": PROMPT }] }),
        "prompts/get" => json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": GREETING } }],
        }),
        "resources/list" => json!({ "resources": [{ "uri": RESOURCE, "name": "large" }] }),
        "resources/templates/list" => json!({ "resourceTemplates": [] }),
        "resources/read" => {
            json!({ "contents": [{ "uri": RESOURCE, "mimeType": "text/plain", "text": resource }] })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(input: &[Value]) -> Vec<Value> {
        let lines: Vec<String> = input.iter().map(ToString::to_string).collect();
        let mut output = Vec::new();
        serve(lines.join("\n").as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn requests_are_answered_in_order_and_notifications_are_not() {
        let answers = answers(&[
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize" }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "echo", "arguments": { "text": "a" } } }),
            json!({ "jsonrpc": "2.0", "id": 3, "method": "server/discover" }),
            json!({ "jsonrpc": "2.0", "id": 4, "method": "resources/read", "params": { "uri": RESOURCE } }),
        ]);
        assert_eq!(answers.len(), 4);
        assert_eq!(answers[1]["result"]["content"][0]["text"], "a");
        assert_eq!(answers[2]["error"]["code"], -32601);
        let text = answers[3]["result"]["contents"][0]["text"].as_str().unwrap();
        assert_eq!(text.len(), RESOURCE_BYTES);
    }

    #[test]
    fn the_asking_tool_answers_once_its_question_is_answered() {
        let answers = answers(&[
            json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": ASKING_TOOL } }),
            json!({ "jsonrpc": "2.0", "id": "question 8", "result": {} }),
            json!({ "jsonrpc": "2.0", "id": "question 7", "result": { "action": "accept" } }),
        ]);
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0]["method"], "elicitation/create");
        assert_eq!(
            (&answers[1]["id"], &answers[1]["result"]["content"][0]["text"]),
            (&json!(7), &json!(ASKED))
        );
    }
}
