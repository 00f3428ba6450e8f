//! Test of `mcp-relay demo`.

use std::time::Duration;

use harness::relay::Setup;

#[tokio::test]
async fn the_demo_shows_the_main_job_and_ends_with_0() {
    let mut demo = Setup::bare("demo").args(&["demo"]).spawn();
    let status = demo.exit(Duration::from_mins(2)).await;
    let text = demo.log.text();
    assert_eq!(status.code(), Some(0), "{text}");
    for shown in ["tools/list", "echo", "progress 100 %", "outcome_unknown", "mcp_relay_forwards_total"] {
        assert!(text.contains(shown), "the demo does not show {shown:?}:\n{text}");
    }
    assert!(!text.contains("jsonrpc"), "the demo shows messages of the wire:\n{text}");
    assert_eq!(text.matches("mcp_relay_").count(), 5, "five metrics are enough:\n{text}");
}
