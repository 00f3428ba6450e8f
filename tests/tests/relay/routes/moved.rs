//! A call that moves to another slave keeps the rule that it began with.

use harness::client::McpRequest;
use harness::frames::{Flags, Frame, FrameKind};
use harness::rawslave::{RawSlave, definition, dial, text_result};
use harness::relay::CODE;
use harness::wait;
use protocol::link::handshake::SlaveHello;
use serde_json::json;

use super::Fleet;

/// Authenticates with a label.
async fn authenticate(slave: &mut RawSlave, name: &str, region: &str) {
    let hello = SlaveHello { labels: [("region".to_owned(), region.to_owned())].into(), ..slave.hello(name) };
    slave.authenticate_as(CODE, hello).await;
}

async fn linked(fleet: &Fleet, name: &str, region: &str) -> RawSlave {
    let mut slave = dial(fleet.proxy.link).await;
    authenticate(&mut slave, name, region).await;
    slave.catalog(&json!({ "tools": [definition("tool")] })).await;
    until_explained(fleet, name).await;
    slave
}

/// Waits until the proxy's explanation of the tool's calls contains these words.
async fn until_explained(fleet: &Fleet, words: &str) {
    wait::until(&format!("{words:?} in the explanation"), async || {
        let (_, explanation) = fleet.explain(&json!({ "tool": "tool" })).await;
        explanation.to_string().contains(words).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_moved_call_keeps_the_rule_that_it_began_with() {
    let fleet = Fleet::with(Some("rules: [{ name: all, to: { region: west } }]")).await;
    let mut west = linked(&fleet, "west", "west").await;
    let _east = linked(&fleet, "east", "east").await;
    let mut pending = fleet.client().start(McpRequest::tool(1, "tool", json!({}))).await;
    let opened = west.receive_open().await;
    fleet.rewrite("rules: [{ name: all, to: { region: east } }]");
    until_explained(&fleet, "\"labels\":\"region=east\"").await;
    // The slave comes back without the call and no longer offers the tool.
    let mut again = dial(fleet.proxy.link).await;
    again.resume(&west);
    west.disconnect();
    authenticate(&mut again, "west", "west").await;
    again.catalog(&json!({ "tools": [] })).await;
    // Until the proxy has the new catalog, the call could go back to that slave.
    wait::until("west to be out of the pool", async || {
        let (_, explanation) = fleet.explain(&json!({ "tool": "tool" })).await;
        (!explanation.to_string().contains("\"west\"")).then_some(())
    })
    .await;
    let attach = again.frame(FrameKind::Attach).await;
    assert_eq!(attach.call, opened.call);
    again.send(Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, opened.call, 0) }).await;
    // The slave "east" has capacity, but the rule does not allow it.
    let mut other = linked(&fleet, "west2", "west").await;
    let opened = other.receive_open().await;
    other.end(opened.call, 0, &text_result("kept")).await;
    assert_eq!(pending.finish().await.text(), "kept");
}
