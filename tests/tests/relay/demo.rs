//! Test of `mcp-relay demo`.

use std::time::Duration;

use harness::relay::Setup;

#[tokio::test]
async fn the_demo_shows_the_main_job_and_ends_with_0() {
    let mut demo = Setup::bare("demo").args(&["demo"]).spawn();
    let status = demo.exit(Duration::from_mins(2)).await;
    let text = demo.log.text();
    assert_eq!(status.code(), Some(0), "{text}");
    for shown in ["tools/list", "echo", "progress", "mcp_relay_"] {
        assert!(text.contains(shown), "the demo does not show {shown:?}:\n{text}");
    }
}
