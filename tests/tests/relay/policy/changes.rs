//! Changes of the policy file: calls that wait are decided again, streams tell of one's own view, and a file that is gone allows nothing.

use harness::client::McpRequest;
use harness::relay::{Setup, sleep_args};
use serde_json::json;

use super::{Files, client, waits};

const OPEN: &str = "allow: [{ who: { key: [dev, ops] }, tools: '*' }]\n";

#[tokio::test]
async fn a_file_that_is_gone_allows_nothing_and_a_bad_one_changes_nothing() {
    let files = Files::new(OPEN);
    let (proxy, _slave) = files.scene().await;
    let dev = client(&proxy, "dev");
    dev.lists(&["echo", "fail", "payload", "sleep"]).await;
    let before = proxy.log.len();
    files.write("allow: [{ who: everyone }]\n");
    proxy.log.wait_for_after("POLICY cannot be used, the policy of before stays", before).await;
    dev.lists(&["echo", "fail", "payload", "sleep"]).await;
    std::fs::remove_file(files.path("policy.yaml")).unwrap();
    proxy.log.wait_for("POLICY is gone, nothing is allowed").await;
    dev.lists(&[]).await;
    assert_eq!(dev.call("echo", json!({ "text": "x" })).await.kind(), "unknown_tool");
    files.write(OPEN);
    dev.lists(&["echo", "fail", "payload", "sleep"]).await;
}

#[tokio::test]
async fn a_call_that_waits_is_decided_again() {
    let files = Files::new(OPEN);
    let proxy = files.proxy().start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1").start_slave().await;
    let (dev, ops) = (client(&proxy, "dev"), client(&proxy, "ops"));
    dev.lists(&["echo", "fail", "payload", "sleep"]).await;
    let running = ops.start(McpRequest::tool(1, "sleep", sleep_args(600.0, 1))).await;
    proxy.log.wait_for("Forwarding request to slave").await;
    let mut waiting = dev.start(McpRequest::tool(2, "echo", json!({ "text": "x" }))).await;
    waits(proxy.http).await;
    files.change(&proxy, "allow: [{ who: { key: dev }, tools: sleep }, { who: { key: ops } }]\n").await;
    assert_eq!(waiting.finish().await.kind(), "unknown_tool");
    drop(running);
}

#[tokio::test]
async fn a_stream_tells_of_changes_of_ones_own_view_only() {
    let files = Files::new("allow: [{ who: { key: dev }, tools: echo }]\n");
    let (proxy, _slave) = files.scene().await;
    let (dev, guest) = (client(&proxy, "dev"), client(&proxy, "guest"));
    dev.lists(&["echo"]).await;
    let listen = || {
        let filter = json!({ "notifications": { "toolsListChanged": true } });
        McpRequest::new(7, "subscriptions/listen", filter)
    };
    let (mut of_dev, mut of_guest) = (dev.start(listen()).await, guest.start(listen()).await);
    for stream in [&mut of_dev, &mut of_guest] {
        assert_eq!(stream.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
    }
    files.change(&proxy, "allow: [{ who: { key: dev }, tools: [echo, fail] }]\n").await;
    assert_eq!(of_dev.next().await.unwrap()["method"], "notifications/tools/list_changed");
    dev.lists(&["echo", "fail"]).await;
    files
        .change(
            &proxy,
            "allow: [{ who: { key: dev }, tools: [echo, fail] }, { who: { key: guest }, tools: sleep }]\n",
        )
        .await;
    // It is the first that it is told, and it is told with the list that it sees.
    assert_eq!(of_guest.next().await.unwrap()["method"], "notifications/tools/list_changed");
    guest.lists(&["sleep"]).await;
}
