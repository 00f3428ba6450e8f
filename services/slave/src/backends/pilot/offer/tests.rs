//! Tests of the definition against the one that the existing Node server has.

use protocol::mcp::canonical::schema_digest;
use serde_json::{Value, json};

use super::*;

/// The existing server's definition as far as programs read it, in words of this test.
fn of_node_server() -> Value {
    let text = |words: &str| json!({ "description": words, "type": "string" });
    let flag = |words: &str| json!({ "description": words, "default": false, "type": "boolean" });
    json!({
        "name": "review_merge_request",
        "inputSchema": {
            "required": ["mrUrlOrId"],
            "type": "object",
            "properties": {
                "project": text("path"),
                "platform": { "type": "string", "description": "one of two", "enum": ["gitlab", "github"] },
                "debug": flag("more output"),
                "postComment": flag("comment"),
                "maxDiffChars": { "description": "limit", "type": "number" },
                "acceptanceCriteria": text("criteria"),
                "guidelines": text("rules"),
                "ticketSpec": text("ticket"),
                "mrUrlOrId": text("which"),
            },
        },
    })
}

fn input(definition: &str) -> Option<protocol::mcp::canonical::DefinitionDigest> {
    schema_digest(&RawValue::from_string(definition.trim_end().to_owned()).unwrap(), "inputSchema")
}

#[test]
fn the_input_schema_is_the_existing_server_s_but_for_its_wording() {
    let ours = input(DEFINITION);
    assert!(ours.is_some());
    assert_eq!(ours, input(&of_node_server().to_string()));
    let edits: [(&str, Value); 5] = [
        ("/inputSchema/properties/maxDiffChars/type", json!("integer")),
        ("/inputSchema/properties/postComment/default", json!(true)),
        ("/inputSchema/properties/platform/enum", json!(["github", "gitlab"])),
        ("/inputSchema/properties/debug", json!(true)),
        ("/inputSchema/required", json!([])),
    ];
    for (place, value) in edits {
        let mut other = of_node_server();
        *other.pointer_mut(place).unwrap() = value;
        assert_ne!(ours, input(&other.to_string()), "{place}");
    }
}
