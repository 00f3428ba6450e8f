//! Moving over from the Node server, slave by slave: its tool and ours, which differ in wording only, are one tool.

use std::os::unix::fs::PermissionsExt;

use harness::client::Client;
use harness::http::get;
use harness::plain::{PlainLink, node_slave};
use harness::relay::{CODE, Setup};
use harness::wait;
use serde_json::{Value, json};

const TOOL: &str = "review_merge_request";

const REPORT: &str = "#!/bin/sh
cat <<'END'
============================================================
                      MR REVIEW REPORT
============================================================
Goal Status: MET
Quality Score: 90/100

Remarks:
   From the new slave.
============================================================
END
";

/// The tool in the form that the Node server gives it, in words of this test; `limit` is the type of `maxDiffChars`.
fn of_node_server(limit: &str) -> Value {
    let text = || json!({ "type": "string", "description": "of the Node slave" });
    let flag = || json!({ "type": "boolean", "description": "of the Node slave", "default": false });
    json!({
        "name": TOOL,
        "description": "of the Node slave",
        "inputSchema": {
            "type": "object",
            "properties": {
                "mrUrlOrId": text(), "ticketSpec": text(), "guidelines": text(), "postComment": flag(),
                "maxDiffChars": { "type": limit, "description": "of the Node slave" },
                "acceptanceCriteria": text(),
                "platform": { "type": "string", "description": "of the Node slave", "enum": ["gitlab", "github"] },
                "project": text(), "debug": flag(),
            },
            "required": ["mrUrlOrId"],
        },
        "outputSchema": { "type": "object", "properties": { "success": { "type": "boolean" } } },
    })
}

/// Answers as a Node slave that has this tool, until the link ends.
async fn serve(mut link: PlainLink, tool: Value) {
    while let Ok(request) = link.receive().await {
        let result = match request["method"].as_str() {
            Some("tools/list") => json!({ "tools": [tool] }),
            Some("tools/call") => json!({ "content": [{ "type": "text", "text": "From the Node slave." }] }),
            _ => json!({
                "protocolVersion": "2025-06-18",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "node", "version": "1" },
            }),
        };
        link.answer(&request, result).await;
    }
}

/// Reviews among the tools that clients see.
async fn reviews(client: &Client) -> Vec<Value> {
    let mut tools = client.tools().await;
    tools.retain(|tool| tool["name"].as_str().is_some_and(|name| name.contains(TOOL)));
    tools
}

fn reviewer(folder: &std::path::Path) -> String {
    let path = folder.join("mr-pilot");
    std::fs::write(&path, REPORT).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_node_slave_and_ours_share_the_calls_of_one_tool() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Setup::proxy().start_proxy().await;
    let link = node_slave(proxy.link, CODE).await.expect("accepted");
    tokio::spawn(serve(link, of_node_server("number")));
    proxy.offers(TOOL).await;
    let client = Client::modern(proxy.http);
    assert_eq!(reviews(&client).await, [of_node_server("number")], "as it came while it is alone");
    let setup = Setup::slave("one", proxy.link).env("MR_PILOT_COMMAND", reviewer(folder.path()).as_str());
    let _slave = setup.start_slave().await;
    // "one" comes before "plain1": the texts are its own now.
    let tools = wait::until("the owner's texts", async || {
        let tools = reviews(&client).await;
        (!json!(tools).to_string().contains("of the Node slave")).then_some(tools)
    })
    .await;
    assert_eq!((tools.len(), &tools[0]["name"]), (1, &json!(TOOL)), "{tools:?}");
    assert!(tools[0].get("outputSchema").is_none(), "the output schemas differ: {tools:?}");
    let (_, status) = get(proxy.http, "/api/v1/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["tools"]["conflicts"], json!([]));
    let (mut node, mut ours) = (false, false);
    wait::until("a review by each of them", async || {
        let arguments = json!({ "mrUrlOrId": "https://gitlab.com/a/b/-/merge_requests/7" });
        let answer = client.call(TOOL, arguments).await;
        let by_node = answer.text() == "From the Node slave.";
        assert!(by_node || answer.text().contains("From the new slave."), "{:?}", answer.messages);
        (node, ours) = (node || by_node, ours || !by_node);
        (node && ours).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_slave_whose_tool_takes_something_else_is_a_tool_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Setup::proxy().start_proxy().await;
    let link = node_slave(proxy.link, CODE).await.expect("accepted");
    tokio::spawn(serve(link, of_node_server("string")));
    proxy.offers(TOOL).await;
    let setup = Setup::slave("one", proxy.link).env("MR_PILOT_COMMAND", reviewer(folder.path()).as_str());
    let _slave = setup.start_slave().await;
    proxy.offers(&format!("plain1__{TOOL}")).await;
    assert_eq!(reviews(&Client::modern(proxy.http)).await.len(), 2);
}
