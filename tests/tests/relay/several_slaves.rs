//! Any number of slaves: one pool for each definition, reported collisions, capacity, and single mode.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::frames::{CallId, Frame, FrameKind};
use harness::rawslave::{RawSlave, definition, dial, text_result};
use harness::relay::{CODE, Setup};
use harness::wait;
use serde_json::{Value, json};

/// A catalog with one tool that takes this parameter, which tells tools of one name apart.
fn catalog(name: &str, parameter: &str) -> Value {
    json!({ "tools": [{ "name": name, "inputSchema": { "type": "object", "required": [parameter] } }] })
}

#[tokio::test]
async fn calls_for_one_definition_are_spread_over_its_slaves() {
    let (left, right) = (Fixture::default(), Fixture::default());
    let proxy = Setup::proxy().start_proxy().await;
    let _one = left.serve(Setup::slave("one", proxy.link)).start_slave().await;
    let _two = right.serve(Setup::slave("two", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    proxy.accepted(2).await;
    let client = Client::modern(proxy.http);
    let started =
        |fixture: &Fixture, keys: &[String]| keys.iter().filter(|k| !fixture.log(k).is_empty()).count();
    // The slaves' tools may arrive one after the other: the first call on the second slave shows that both are in the pool.
    wait::until("a call on the second slave", async || {
        client.call("run", run_args("probe", 0)).await.result();
        (!left.log("probe").is_empty() && !right.log("probe").is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        client.tool_names().await.iter().filter(|name| name.contains("run")).count(),
        1,
        "one pool, one name"
    );
    let keys: Vec<String> = (0..12).map(|n| format!("k{n}")).collect();
    let mut pending = Vec::new();
    for key in &keys {
        left.open_gate(key, 0);
        right.open_gate(key, 0);
        pending.push(client.start(McpRequest::tool(1, "run", run_args(key, 0))).await);
    }
    wait::until("all twelve to run", async || {
        (started(&left, &keys) + started(&right, &keys) == keys.len()).then_some(())
    })
    .await;
    let (a, b) = (started(&left, &keys), started(&right, &keys));
    assert!(a.abs_diff(b) <= 2, "least in flight: {a} and {b}");
    for (key, pending) in keys.iter().zip(&mut pending) {
        left.open_gate(key, 9);
        right.open_gate(key, 9);
        assert_eq!(pending.finish().await.text(), format!("done {key}"));
    }
}

#[tokio::test]
async fn a_full_slave_gets_no_more_than_its_capacity() {
    let proxy = Setup::proxy().start_proxy().await;
    let (small, large) = (Fixture::default(), Fixture::default());
    let _one = small.serve(Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1")).start_slave().await;
    let _two = large.serve(Setup::slave("two", proxy.link)).start_slave().await;
    proxy.accepted(2).await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    wait::until("a call on either slave", async || {
        client.call("run", run_args("probe", 0)).await.result();
        (!small.log("probe").is_empty() && !large.log("probe").is_empty()).then_some(())
    })
    .await;
    let keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    let mut pending = Vec::new();
    for key in &keys {
        small.open_gate(key, 0);
        large.open_gate(key, 0);
        pending.push(client.start(McpRequest::tool(1, "run", run_args(key, 0))).await);
    }
    let started = |fixture: &Fixture| keys.iter().filter(|key| !fixture.log(key).is_empty()).count();
    wait::until("all eight to run", async || (started(&small) + started(&large) == 8).then_some(())).await;
    assert!(started(&small) <= 1, "{} on a slave of capacity 1", started(&small));
    for (key, pending) in keys.iter().zip(&mut pending) {
        small.open_gate(key, 9);
        large.open_gate(key, 9);
        pending.finish().await.result();
    }
}

#[tokio::test]
async fn different_tools_of_one_name_are_told_apart_by_their_slaves() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut alpha = RawSlave::link(proxy.link, CODE, "alpha", &[]).await;
    let mut beta = RawSlave::link(proxy.link, CODE, "beta", &[]).await;
    alpha.catalog(&catalog("dup", "one thing")).await;
    beta.catalog(&catalog("dup", "another thing")).await;
    proxy.offers("beta__dup").await;
    let client = Client::modern(proxy.http);
    let names = client.tool_names().await;
    assert_eq!(names, ["dup", "beta__dup"], "the first name owns the literal name");
    proxy.log.wait_for("Slaves offer different tools under one name").await;
    let mut pending = client.start(McpRequest::tool(1, "beta__dup", json!({ "x": 1 }))).await;
    let opened = beta.receive_open().await;
    assert_eq!(opened.header.name.as_deref(), Some("dup"), "the slave's own name");
    beta.accept(&opened).await;
    beta.end(opened.call, 0, &text_result("from beta")).await;
    assert_eq!(pending.finish().await.text(), "from beta");
    // Without one of the slaves there is no collision.
    alpha.disconnect();
    proxy.withdraws("beta__dup").await;
    proxy.offers("dup").await;
}

#[tokio::test]
async fn colliding_tools_are_refused_where_the_operator_says_so() {
    let proxy = Setup::proxy().env("TOOL_CONFLICT", "refuse").start_proxy().await;
    let mut alpha = RawSlave::link(proxy.link, CODE, "alpha", &[]).await;
    let mut beta = RawSlave::link(proxy.link, CODE, "beta", &["other"]).await;
    alpha.catalog(&catalog("dup", "one thing")).await;
    proxy.offers("dup").await;
    let both = json!({ "tools": [
        { "name": "dup", "inputSchema": { "type": "object", "required": ["another thing"] } },
        { "name": "new", "inputSchema": { "type": "object" } },
    ] });
    beta.catalog(&both).await;
    proxy.offers("new").await;
    let names = Client::modern(proxy.http).tool_names().await;
    assert!(!names.iter().any(|name| name.contains("dup")), "{names:?}");
    assert!(!names.contains(&"other".into()), "a catalog replaces the one before: {names:?}");
    Client::modern(proxy.http).call("dup", json!({})).await.error();
    proxy.log.wait_for("dup").await;
}

#[tokio::test]
async fn long_namespaced_names_stay_within_64_characters_and_distinct() {
    let proxy = Setup::proxy().start_proxy().await;
    let long = "t".repeat(60);
    let mut alpha = RawSlave::link(proxy.link, CODE, "alpha-with-a-long-name", &[]).await;
    let mut beta = RawSlave::link(proxy.link, CODE, "alpha-with-a-long-nose", &[]).await;
    alpha.catalog(&catalog(&long, "one thing")).await;
    beta.catalog(&catalog(&long, "another thing")).await;
    let client = Client::modern(proxy.http);
    let names = wait::until("both to be listed", async || {
        let names = client.tool_names().await;
        (names.len() == 2).then_some(names)
    })
    .await;
    assert!(names.iter().all(|name| name.len() <= 64) && names[0] != names[1], "{names:?}");
    let mut pending = client.start(McpRequest::tool(1, &names[1], json!({}))).await;
    let mut opened = tokio::select! { opened = alpha.receive_open() => (opened, true), opened = beta.receive_open() => (opened, false) };
    assert_eq!(opened.0.header.name.take().as_deref(), Some(long.as_str()));
    let slave = if opened.1 { &mut alpha } else { &mut beta };
    slave.end(opened.0.call, 0, &text_result("found")).await;
    assert_eq!(pending.finish().await.text(), "found");
}

#[tokio::test]
async fn in_single_mode_a_new_slave_replaces_the_one_before() {
    let proxy = Setup::proxy().env("SLAVE_MODE", "single").start_proxy().await;
    let mut first = RawSlave::link(proxy.link, CODE, "first", &["of_first"]).await;
    proxy.offers("of_first").await;
    let mut second = RawSlave::link(proxy.link, CODE, "second", &["of_second"]).await;
    assert_eq!(first.close_code().await, Some(4001));
    proxy.offers("of_second").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.tool_names().await, ["of_second"]);
    let mut pending = client.start(McpRequest::tool(1, "of_second", json!({}))).await;
    let opened = second.receive_open().await;
    second.end(opened.call, 0, &text_result("second")).await;
    assert_eq!(pending.finish().await.text(), "second");
}

#[tokio::test]
async fn a_new_connection_of_the_same_process_takes_the_old_one_s_place() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut old = RawSlave::link(proxy.link, CODE, "same", &["tool"]).await;
    proxy.offers("tool").await;
    let mut new = dial(proxy.link).await;
    new.resume(&old);
    new.authenticate(CODE, "same").await;
    new.catalog(&catalog("new_tool", "of the new connection")).await;
    assert_eq!(old.close_code().await, Some(4001));
    proxy.offers("new_tool").await;
    assert_eq!(Client::modern(proxy.http).tool_names().await, ["new_tool"]);
}

#[tokio::test]
async fn slaves_of_one_name_serve_side_by_side_and_never_list_a_name_twice() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut old = RawSlave::link(proxy.link, CODE, "same", &[]).await;
    let mut new = RawSlave::link(proxy.link, CODE, "same", &[]).await;
    let both = |description: &str, mark: &str| {
        let mut all = catalog("dup", description);
        all["tools"].as_array_mut().unwrap().push(definition(mark));
        all
    };
    old.catalog(&both("one thing", "mark_old")).await;
    new.catalog(&both("another thing", "mark_new")).await;
    proxy.offers("mark_old").await;
    proxy.offers("mark_new").await;
    let mut names = Client::modern(proxy.http).tool_names().await;
    let listed = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), listed, "{names:?}");
    assert!(names.contains(&"dup".into()) && names.contains(&"same__dup".into()), "{names:?}");
}

#[tokio::test]
async fn a_draining_slave_gets_no_new_call_and_finishes_the_old() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut leaving = RawSlave::link(proxy.link, CODE, "leaving", &["tool"]).await;
    proxy.offers("tool").await;
    let client = Client::modern(proxy.http);
    let mut old = client.start(McpRequest::tool(1, "tool", json!({}))).await;
    let opened = leaving.receive_open().await;
    leaving.accept(&opened).await;
    leaving.send(Frame::bare(FrameKind::Drain, CallId::LINK, 0)).await;
    let mut staying = RawSlave::link(proxy.link, CODE, "staying", &["tool", "mark"]).await;
    proxy.offers("mark").await;
    for _ in 0..5 {
        let mut new = client.start(McpRequest::tool(1, "tool", json!({}))).await;
        let opened = staying.receive_open().await;
        staying.end(opened.call, 0, &text_result("staying")).await;
        assert_eq!(new.finish().await.text(), "staying");
    }
    leaving.end(opened.call, 0, &text_result("leaving")).await;
    assert_eq!(old.finish().await.text(), "leaving");
}

#[tokio::test]
async fn a_call_beyond_all_capacity_is_busy() {
    // Shorter than SSE_AFTER_MS: once a stream is open, the status is 200.
    let proxy = Setup::proxy().env("QUEUE_TIMEOUT", "1").start_proxy().await;
    let fixture = Fixture::default();
    let _slave =
        fixture.serve(Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1")).start_slave().await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    fixture.open_gate("first", 0);
    let mut first = client.start(McpRequest::tool(1, "run", run_args("first", 0))).await;
    fixture.wait_for("first", "start").await;
    let mut second = client.start(McpRequest::tool(2, "run", run_args("second", 0))).await;
    let refused = second.finish().await;
    assert_eq!((refused.status, refused.kind()), (503, "busy"));
    assert!(second.exchange.header("retry-after").parse::<u32>().is_ok(), "when to come again");
    fixture.open_gate("first", 9);
    assert_eq!(first.finish().await.text(), "done first");
    assert_eq!(client.call("run", run_args("third", 0)).await.text(), "done third");
}

#[tokio::test]
async fn no_more_slaves_than_allowed_are_linked() {
    let proxy = Setup::proxy().env("MAX_SLAVES", "1").start_proxy().await;
    let first = RawSlave::link(proxy.link, CODE, "first", &["of_first"]).await;
    proxy.offers("of_first").await;
    let mut second = dial(proxy.link).await;
    let hello = serde_json::json!({ "type": "auth", "slaveCode": CODE });
    second.text(hello.to_string()).await;
    assert_eq!(second.close_code().await, Some(1013), "try again later (RFC 6455 registry)");
    proxy.log.wait_for("MAX_SLAVES").await;
    first.disconnect();
    proxy.withdraws("of_first").await;
    let _third = RawSlave::link(proxy.link, CODE, "third", &["of_third"]).await;
    proxy.offers("of_third").await;
}
