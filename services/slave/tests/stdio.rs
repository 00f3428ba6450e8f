//! Tests of the stdio backend against a real child process that misbehaves in every known way.

mod harness;

use harness::{
    begin, call, config, header, is_alive, json, kind, server, started, text, until, until_listed, within,
};
use protocol::mcp::era::Era;
use slave::executor::{BackendState, Executor};
use std::time::Duration;

/// The grace of a shutdown.
const GRACE: Duration = Duration::from_secs(6);

#[tokio::test]
async fn servers_of_both_eras_and_servers_silent_before_initialize_work() {
    for mode in ["legacy", "modern", "silent", "strict", "late"] {
        let executor = started(config(vec![server("one", &[mode])])).await;
        assert_eq!(executor.catalog().borrow().tools.len(), 18, "{mode}");
        for client in [Era::Legacy, Era::Modern] {
            let (_, end) = begin(&executor, header(client), "echo", r#"{"text":"hello"}"#).all().await;
            assert_eq!(text(&end), "hello", "{mode} {client:?}");
            let has_type = json(&end)["resultType"] == "complete";
            assert_eq!(
                has_type,
                client == Era::Modern && !matches!(mode, "modern" | "late"),
                "{mode} {client:?}"
            );
        }
        executor.shutdown(GRACE).await;
    }
}

#[tokio::test]
async fn all_pages_of_tools_are_listed() {
    let executor = started(config(vec![server("one", &["legacy", "pages"])])).await;
    assert_eq!(executor.catalog().borrow().tools.len(), 18);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn the_child_gets_the_client_s_bytes_with_our_ids() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let seen = text(&call(&executor, "seen", r#"{"n": 1.50e1, "u":"\u00e9","z":0}"#).await);
    assert!(seen.contains(r#""arguments":{"n": 1.50e1, "u":"\u00e9","z":0}"#), "{seen}");
    let value: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert!(value["id"].is_u64(), "{seen}");
    assert_eq!(value["params"]["_meta"]["progressToken"], value["id"]);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn progress_reaches_only_its_own_call_with_the_client_s_token() {
    let executor = started(config(vec![server("one", &["modern"])])).await;
    let calls: Vec<_> = (1..=20)
        .map(|steps| {
            (steps, begin(&executor, header(Era::Modern), "progress", &format!(r#"{{"steps":{steps}}}"#)))
        })
        .collect();
    for (steps, call) in calls {
        let (events, end) = call.all().await;
        assert_eq!(text(&end), "done");
        assert_eq!(events.len(), steps);
        assert!(events.iter().all(|event| event["params"]["progressToken"] == "client token"), "{events:?}");
        assert_eq!(events[0]["params"]["total"], steps);
    }
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once_and_the_child_is_notified() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let waiting = begin(&executor, header(Era::Legacy), "wait", "{}");
    assert_eq!(text(&call(&executor, "cancelled", "{}").await), "0");
    waiting.handle.cancel();
    waiting.handle.cancel();
    assert_eq!(kind(&waiting.all().await.1), "cancelled");
    within(async { while text(&call(&executor, "cancelled", "{}").await) != "1" {} }).await;
    // The answer that the child sends all the same is dropped.
    assert_eq!(text(&call(&executor, "echo", r#"{"text":"on"}"#).await), "on");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_is_never_answered() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let mut header = header(Era::Legacy);
    header.total_timeout_ms = 50;
    let end = begin(&executor, header, "hang", "{}").all().await.1;
    assert_eq!(kind(&end), "timeout");
    within(async { while text(&call(&executor, "cancelled", "{}").await) != "1" {} }).await;
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn calls_of_a_child_that_exits_fail_and_its_tools_return_with_its_restart() {
    let executor = started(config(vec![server("one", &["legacy"]), server("two", &["silent"])])).await;
    // Two backends with the same tools: each is namespaced.
    until_listed(&executor, "one__echo", true).await;
    until_listed(&executor, "two__echo", true).await;
    let waiting = begin(&executor, header(Era::Legacy), "one__hang", "{}");
    let other = begin(&executor, header(Era::Legacy), "two__wait", "{}");
    let mut catalog = executor.catalog();
    catalog.mark_unchanged();
    let end = call(&executor, "one__die", r#"{"code":5}"#).await;
    assert_eq!(kind(&end), "backend_failed");
    assert!(json(&end)["message"].as_str().unwrap().contains("exited with code 5"), "{}", json(&end));
    assert_eq!(kind(&waiting.all().await.1), "backend_failed");
    within(catalog.changed()).await.unwrap();
    until_listed(&executor, "one__echo", true).await;
    assert_eq!(text(&call(&executor, "one__echo", r#"{"text":"again"}"#).await), "again");
    // The other child was not affected.
    assert_eq!(text(&call(&executor, "two__echo", r#"{"text":"x"}"#).await), "x");
    other.handle.cancel();
    assert_eq!(kind(&other.all().await.1), "cancelled");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn invalid_lines_and_unknown_ids_are_skipped() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let (events, end) = begin(&executor, header(Era::Legacy), "garbage", "{}").all().await;
    assert_eq!((events.len(), text(&end).as_str()), (0, "after garbage"));
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn an_answer_beyond_the_limit_fails_only_its_call() {
    let mut config = config(vec![server("one", &["legacy"])]);
    config.max_output = 1_000_000;
    let executor = started(config).await;
    let waiting = begin(&executor, header(Era::Legacy), "wait", "{}");
    for order in ["id_first", "id_last"] {
        let arguments = format!(r#"{{"bytes":3000000,"order":"{order}"}}"#);
        assert_eq!(kind(&call(&executor, "huge", &arguments).await), "result_too_large", "{order}");
    }
    assert_eq!(text(&call(&executor, "huge", r#"{"bytes":900000}"#).await).len(), 900_000);
    // With several calls in flight a message beyond the limit that names none is skipped; the other calls go on.
    let nobody = begin(&executor, header(Era::Legacy), "huge", r#"{"bytes":30000000,"order":"nobody"}"#);
    assert_eq!(text(&call(&executor, "echo", r#"{"text":"on"}"#).await), "on");
    waiting.handle.cancel();
    assert_eq!(kind(&waiting.all().await.1), "cancelled");
    nobody.handle.cancel();
    assert_eq!(kind(&nobody.all().await.1), "cancelled");
    // With one it is that one's.
    let end = call(&executor, "huge", r#"{"bytes":3000000,"order":"nobody"}"#).await;
    assert_eq!(kind(&end), "result_too_large");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn changed_tools_reach_the_catalog_in_both_eras() {
    for mode in ["legacy", "modern"] {
        let executor = started(config(vec![server("one", &[mode])])).await;
        assert_eq!(text(&call(&executor, "grow", "{}").await), "grown");
        until_listed(&executor, "grown", true).await;
        assert_eq!(text(&call(&executor, "grown", "{}").await), "I am new");
        executor.shutdown(GRACE).await;
    }
}

#[tokio::test]
async fn log_messages_go_to_a_single_call_that_wants_them() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let (events, _) = begin(&executor, header(Era::Legacy), "log", "{}").all().await;
    assert_eq!(events[0]["params"]["data"], "logged");
    // A modern client that set no level gets none; with two calls in flight neither gets any.
    let (events, _) = begin(&executor, header(Era::Modern), "log", "{}").all().await;
    assert!(events.is_empty(), "{events:?}");
    let waiting = begin(&executor, header(Era::Legacy), "wait", "{}");
    assert_eq!(text(&call(&executor, "cancelled", "{}").await), "0");
    let (events, _) = begin(&executor, header(Era::Legacy), "log", "{}").all().await;
    assert!(events.is_empty(), "{events:?}");
    drop(waiting);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn requests_of_the_backend_are_refused() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    assert_eq!(text(&call(&executor, "ask", "{}").await), "-32601");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn the_environment_is_limited_to_the_entry_and_the_safe_base() {
    let mut server = server("one", &["legacy"]);
    server.env = vec![("OWN".into(), runtime::secret::Secret::new("value"))];
    let executor = started(config(vec![server])).await;
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it for tests");
    let seen = text(&call(&executor, "env", "{}").await);
    let allowed = |name: &str| name == "OWN" || slave::backends::environment::INHERITED.contains(&name);
    let surplus: Vec<&str> = seen.split(' ').filter(|name| !allowed(name)).collect();
    assert!(surplus.is_empty(), "{surplus:?}");
    assert!(seen.contains("OWN") && seen.contains("PATH"), "{seen}");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_child_that_does_not_read_delays_no_other_backend() {
    let mut config = config(vec![server("one", &["legacy"])]);
    config.demo_tools = true;
    let executor = started(config).await;
    until_listed(&executor, "one__echo", true).await;
    let mut unread = begin(&executor, header(Era::Legacy), "deaf", "{}");
    within(unread.events.recv()).await.unwrap();
    let big = format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000));
    let stuck: Vec<_> = (0..200).map(|_| begin(&executor, header(Era::Legacy), "one__echo", &big)).collect();
    assert_eq!(text(&call(&executor, "demo__echo", r#"{"text":"free"}"#).await), "free");
    for call in &stuck {
        call.handle.cancel();
    }
    for call in stuck {
        assert_eq!(kind(&call.all().await.1), "cancelled");
    }
    executor.shutdown(GRACE).await;
    assert_eq!(kind(&unread.all().await.1), "backend_failed");
}

#[tokio::test]
async fn a_shutdown_ends_the_whole_process_group() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let grandchild = text(&call(&executor, "spawn", "{}").await);
    assert!(is_alive(&grandchild));
    executor.shutdown(GRACE).await;
    until(|| !is_alive(&grandchild)).await;
    assert!(executor.backend_states().iter().all(|backend| backend.state == BackendState::Stopped));
    assert_eq!(kind(&call(&executor, "echo", "{}").await), "draining");
}

#[tokio::test]
async fn processes_that_a_child_started_end_with_it() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let grandchild = text(&call(&executor, "spawn", "{}").await);
    call(&executor, "die", r#"{"code":0}"#).await;
    until(|| !is_alive(&grandchild)).await;
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_server_that_cannot_start_has_a_reason_and_is_started_again() {
    let mut missing = server("missing", &[]);
    missing.command = "no-such-command-anywhere".into();
    let executor = Executor::start(config(vec![missing, server("one", &["legacy"])])).await;
    until_listed(&executor, "echo", true).await;
    within(executor.settled()).await;
    let states = executor.backend_states();
    let BackendState::Restarting { reason, .. } = &states[0].state else { panic!("{states:?}") };
    assert!(reason.contains("no-such-command-anywhere") && reason.contains("not found"), "{reason}");
    assert_eq!(states[1].state, BackendState::Ready);
    assert_eq!(states[1].tools.len(), 18);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_shutdown_kills_a_child_that_outlasts_the_grace() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let mut unread = begin(&executor, header(Era::Legacy), "deaf", "{}");
    within(unread.events.recv()).await.unwrap();
    // The child never exits by itself: the shutdown returns only because the grace ends in SIGKILL.
    within(executor.shutdown(Duration::from_millis(300))).await;
    assert_eq!(kind(&unread.all().await.1), "backend_failed");
}
