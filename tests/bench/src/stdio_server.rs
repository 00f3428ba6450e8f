//! An MCP server on standard input and output with the tool `echo`: the child of a measured slave. Reads each message once,
//! and answers one at a time.

use std::io::{BufRead, Write};

use protocol::mcp::era::Version;
use serde_json::{Value, json};

use crate::error::{Doing, Result};

/// Serves until the end of input.
pub(crate) fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    for line in input.lines() {
        let line = line.doing("reading standard input")?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = message.get("id") else { continue };
        let mut answer = match result(&message) {
            Some(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            None => json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "no such method" } }),
        }
        .to_string();
        answer.push('\n');
        output.write_all(answer.as_bytes()).and_then(|()| output.flush()).doing("writing standard output")?;
    }
    Ok(())
}

fn result(message: &Value) -> Option<Value> {
    match message["method"].as_str()? {
        "initialize" => Some(json!({
            "protocolVersion": Version::NEWEST_LEGACY,
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "mcp-relay-bench", "version": "1" },
        })),
        "ping" => Some(json!({})),
        "tools/list" => Some(json!({ "tools": [{
            "name": "echo",
            "inputSchema": {
                "type": "object",
                "properties": { "text": { "type": "string" } },
                "required": ["text"],
            },
        }] })),
        "tools/call" => Some(json!({
            "content": [{ "type": "text", "text": message["params"]["arguments"]["text"] }],
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_in_order_and_notifications_are_not() {
        let input = concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
            "\n",
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a"}}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":3,"method":"server/discover"}"#,
            "\n",
        );
        let mut output = Vec::new();
        serve(input.as_bytes(), &mut output).unwrap();
        let answers: Vec<Value> = String::from_utf8(output)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(answers.len(), 3);
        assert_eq!(answers[1]["result"]["content"][0]["text"], "a");
        assert_eq!(answers[2]["error"]["code"], -32601);
    }
}
