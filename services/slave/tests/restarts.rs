//! Tests of backends that start, start again or never come up, against a real child process: what is listed, which calls wait, and how
//! often a process is started. And of backends that run one call at a time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::time::Duration;

use harness::{begin, call, config, header, json, kind, server, started, text, until_listed, within};
use protocol::mcp::era::Era;
use slave::backends::stdio::StdioServer;
use slave::executor::Executor;

/// The grace of a shutdown.
const GRACE: Duration = Duration::from_secs(6);

/// Returns a server of this mode, and the file that has a line for each of its starts.
fn counted(mode: &str) -> (StdioServer, tempfile::TempPath) {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut server = server("one", &[mode]);
    server.env = vec![("STARTS".into(), runtime::secret::Secret::new(file.to_str().unwrap()))];
    (server, file)
}

fn starts(file: &tempfile::TempPath) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}

fn lists_echo(executor: &Executor) -> bool {
    executor.catalog().borrow().tools.iter().any(|tool| tool.name == "echo")
}

#[tokio::test]
async fn a_server_that_hangs_on_discovery_is_tried_with_initialize_at_once_and_that_is_remembered() {
    let (server, file) = counted("stuck");
    let mut config = config(vec![server.clone()]);
    // Far beyond any wait of this test.
    config.timing.start = Duration::from_hours(1);
    let executor = started(config).await;
    assert_eq!(starts(&file), 2);
    // Another entry with the same command is known.
    let mut other = server.clone();
    other.name = "other".into();
    executor.set_servers(vec![server, other], &[]);
    until_listed(&executor, "other__echo", true).await;
    assert_eq!(starts(&file), 3);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_server_that_begins_to_read_late_is_not_started_twice() {
    let (server, file) = counted("slow");
    let executor = started(config(vec![server])).await;
    assert_eq!(starts(&file), 1);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_byte_order_mark_disturbs_nothing() {
    let (mut server, file) = counted("legacy");
    server.env.push(("BOM".into(), runtime::secret::Secret::new("1")));
    let executor = started(config(vec![server])).await;
    assert_eq!((starts(&file), text(&call(&executor, "echo", r#"{"text":"x"}"#).await).as_str()), (1, "x"));
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_call_right_after_the_start_waits_for_the_first_list() {
    let executor = Executor::start(config(vec![server("one", &["slow"])])).await;
    assert_eq!(text(&call(&executor, "echo", r#"{"text":"early"}"#).await), "early");
    // With every backend there, an unknown tool is unknown at once.
    assert_eq!(kind(&call(&executor, "nothing", "{}").await), "unknown_tool");
    executor.shutdown(GRACE).await;
    let mut config = config(vec![server("one", &["slow"])]);
    config.timing.wait = Duration::from_millis(50);
    let executor = Executor::start(config).await;
    let end = call(&executor, "echo", "{}").await;
    assert_eq!(kind(&end), "no_slave_for_tool", "{}", json(&end));
    assert_eq!(json(&end)["data"]["retryAfter"], 1);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_backend_that_is_started_again_stays_listed_and_its_calls_wait() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    for _ in 0..3 {
        assert_eq!(kind(&call(&executor, "die", r#"{"code":1}"#).await), "backend_failed");
        assert!(lists_echo(&executor));
        assert_eq!(text(&call(&executor, "echo", r#"{"text":"again"}"#).await), "again");
    }
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn calls_of_a_backend_that_does_not_come_back_fail_with_advice() {
    let (server, _file) = counted("once");
    let mut config = config(vec![server]);
    config.timing.wait = Duration::from_millis(100);
    let executor = started(config).await;
    assert_eq!(kind(&call(&executor, "die", r#"{"code":1}"#).await), "backend_failed");
    let end = call(&executor, "echo", "{}").await;
    assert_eq!((kind(&end).as_str(), lists_echo(&executor)), ("backend_failed", true));
    assert_eq!(json(&end)["data"]["retryAfter"], 5);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_backend_runs_as_many_calls_at_once_as_its_entry_says() {
    let mut one = server("one", &["legacy"]);
    one.concurrency = std::num::NonZeroUsize::new(1);
    let executor = started(config(vec![one])).await;
    let calls: Vec<_> =
        (0..10).map(|_| begin(&executor, header(Era::Legacy), "overlap", r#"{"ms":20}"#)).collect();
    for call in calls {
        assert_eq!(text(&within(call.all()).await.1), "1");
    }
    // A waiting call that is cancelled or too late never reaches the backend, and holds up nobody.
    let running = begin(&executor, header(Era::Legacy), "overlap", r#"{"ms":500}"#);
    let cancelled = begin(&executor, header(Era::Legacy), "overlap", r#"{"ms":1}"#);
    let mut short = header(Era::Legacy);
    short.total_timeout_ms = 50;
    let late = begin(&executor, short, "overlap", r#"{"ms":1}"#);
    let last = begin(&executor, header(Era::Legacy), "overlap", r#"{"ms":1}"#);
    cancelled.handle.cancel();
    assert_eq!(kind(&cancelled.all().await.1), "cancelled");
    assert_eq!(kind(&late.all().await.1), "timeout");
    assert_eq!(text(&running.all().await.1), "1");
    assert_eq!(text(&last.all().await.1), "1");
    // A call that its client gave up keeps its place until the backend has answered it.
    let given_up = begin(&executor, header(Era::Legacy), "overlap", r#"{"ms":300}"#);
    let mut waiting = begin(&executor, header(Era::Legacy), "overlap", r#"{"ms":1}"#);
    tokio::task::yield_now().await;
    given_up.handle.cancel();
    assert_eq!(kind(&given_up.all().await.1), "cancelled");
    assert!(waiting.end.try_recv().is_err());
    assert_eq!(text(&waiting.all().await.1), "1");
    executor.shutdown(GRACE).await;
}
