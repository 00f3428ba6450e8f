//! The stdio backend against a real child process with every bad habit that servers have.

mod harness;

use harness::{
    begin, call, config, header, is_alive, json, kind, server, started, text, until, until_listed, within,
};
use protocol::mcp::era::Era;
use slave::executor::{Executor, State};
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_secs(6);

#[tokio::test]
async fn servers_of_both_eras_and_silent_ones_are_understood() {
    for mode in ["legacy", "modern", "silent", "strict", "late"] {
        let executor = started(config(vec![server("one", &[mode])])).await;
        assert_eq!(executor.catalog().borrow().tools.len(), 16, "{mode}");
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
async fn tools_are_listed_over_pages() {
    let executor = started(config(vec![server("one", &["legacy", "pages"])])).await;
    assert_eq!(executor.catalog().borrow().tools.len(), 16);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn the_child_sees_our_ids_and_otherwise_the_client_s_bytes() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let seen = text(&call(&executor, "seen", r#"{"n": 1.50e1, "u":"\u00e9","z":0}"#).await);
    assert!(seen.contains(r#""arguments":{"n": 1.50e1, "u":"\u00e9","z":0}"#), "{seen}");
    let value: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert!(value["id"].is_u64(), "{seen}");
    assert_eq!(value["params"]["_meta"]["progressToken"], value["id"]);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn progress_reaches_its_own_call_with_the_client_s_token() {
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
async fn a_cancelled_call_ends_at_once_and_the_child_is_told() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let waiting = begin(&executor, header(Era::Legacy), "wait", "{}");
    assert_eq!(text(&call(&executor, "cancelled", "{}").await), "0");
    waiting.handle.cancel();
    waiting.handle.cancel();
    assert_eq!(kind(&waiting.all().await.1), "cancelled");
    within(async { while text(&call(&executor, "cancelled", "{}").await) != "1" {} }).await;
    // The answer that comes all the same disturbs nobody.
    assert_eq!(text(&call(&executor, "echo", r#"{"text":"on"}"#).await), "on");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_ignores_everything() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let mut header = header(Era::Legacy);
    header.total_timeout_ms = 50;
    let end = begin(&executor, header, "hang", "{}").all().await.1;
    assert_eq!(kind(&end), "timeout");
    within(async { while text(&call(&executor, "cancelled", "{}").await) != "1" {} }).await;
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_child_that_dies_fails_its_calls_leaves_the_catalog_and_comes_back() {
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
    // The other went on all the time.
    assert_eq!(text(&call(&executor, "two__echo", r#"{"text":"x"}"#).await), "x");
    other.handle.cancel();
    assert_eq!(kind(&other.all().await.1), "cancelled");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn garbage_and_unknown_ids_are_skipped() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let (events, end) = begin(&executor, header(Era::Legacy), "garbage", "{}").all().await;
    assert_eq!((events.len(), text(&end).as_str()), (0, "after garbage"));
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn an_answer_beyond_the_limit_fails_its_call_only() {
    let mut config = config(vec![server("one", &["legacy"])]);
    config.max_output = 1_000_000;
    let executor = started(config).await;
    let waiting = begin(&executor, header(Era::Legacy), "wait", "{}");
    for order in ["id_first", "id_last"] {
        let arguments = format!(r#"{{"bytes":3000000,"order":"{order}"}}"#);
        assert_eq!(kind(&call(&executor, "huge", &arguments).await), "result_too_large", "{order}");
    }
    assert_eq!(text(&call(&executor, "huge", r#"{"bytes":900000}"#).await).len(), 900_000);
    // One that belongs to nobody we know costs the child.
    let end = call(&executor, "huge", r#"{"bytes":3000000,"order":"nobody"}"#).await;
    assert_eq!(kind(&end), "backend_failed");
    assert_eq!(kind(&waiting.all().await.1), "backend_failed");
    until_listed(&executor, "echo", true).await;
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
async fn log_messages_go_to_the_only_call_that_wants_them() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let (events, _) = begin(&executor, header(Era::Legacy), "log", "{}").all().await;
    assert_eq!(events[0]["params"]["data"], "logged");
    // A modern client that set no level gets none; with a second call in flight nobody does.
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
async fn requests_of_the_backend_are_refused_and_it_goes_on() {
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
    let allowed = |name: &str| name == "OWN" || slave::backends::environment::SAFE.contains(&name);
    let surplus: Vec<&str> = seen.split(' ').filter(|name| !allowed(name)).collect();
    assert!(surplus.is_empty(), "{surplus:?}");
    assert!(seen.contains("OWN") && seen.contains("PATH"), "{seen}");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_child_that_does_not_read_holds_up_nobody_else() {
    let mut config = config(vec![server("one", &["legacy"])]);
    config.demo_tools = true;
    let executor = started(config).await;
    until_listed(&executor, "one__echo", true).await;
    let mut deaf = begin(&executor, header(Era::Legacy), "deaf", "{}");
    within(deaf.events.recv()).await.unwrap();
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
    assert_eq!(kind(&deaf.all().await.1), "backend_failed");
}

#[tokio::test]
async fn stopping_takes_the_whole_process_group() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let grandchild = text(&call(&executor, "spawn", "{}").await);
    assert!(is_alive(&grandchild));
    executor.shutdown(GRACE).await;
    until(|| !is_alive(&grandchild)).await;
    assert!(executor.backend_states().iter().all(|backend| backend.state == State::Stopped));
    assert_eq!(kind(&call(&executor, "echo", "{}").await), "draining");
}

#[tokio::test]
async fn a_child_that_dies_takes_what_it_started_with_it() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let grandchild = text(&call(&executor, "spawn", "{}").await);
    call(&executor, "die", r#"{"code":0}"#).await;
    until(|| !is_alive(&grandchild)).await;
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_is_tried_again() {
    let mut missing = server("missing", &[]);
    missing.command = "no-such-command-anywhere".into();
    let executor = Executor::start(config(vec![missing, server("one", &["legacy"])])).await;
    until_listed(&executor, "echo", true).await;
    within(executor.settled()).await;
    let states = executor.backend_states();
    let State::Restarting { reason, .. } = &states[0].state else { panic!("{states:?}") };
    assert!(reason.contains("no-such-command-anywhere") && reason.contains("not found"), "{reason}");
    assert_eq!(states[1].state, State::Ready);
    assert_eq!(states[1].tools.len(), 16);
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn stopping_does_not_wait_longer_than_the_grace() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let mut deaf = begin(&executor, header(Era::Legacy), "deaf", "{}");
    within(deaf.events.recv()).await.unwrap();
    let started = Instant::now();
    within(executor.shutdown(Duration::from_millis(300))).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(kind(&deaf.all().await.1), "backend_failed");
}
