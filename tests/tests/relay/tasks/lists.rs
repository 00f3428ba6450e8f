//! `tasks/list` (2025-11-25): each client sees the tasks that it made, at whatever proxy it asks, and nobody else's.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::answer::Answer;
use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::relay::Setup;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{KEY, KEYS, client, request, slave, slave_with};

/// Makes a task with these arguments and returns its id.
async fn make(client: &Client, arguments: Value) -> String {
    let call = request("tools/call", json!({ "name": "arguments", "arguments": arguments }), "legacy");
    let made = client.request(call).await;
    made.result()["task"]["taskId"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
}

async fn make_some(client: &Client, count: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        ids.insert(make(client, json!({})).await);
    }
    ids
}

async fn list(client: &Client, cursor: Option<&Value>) -> Answer {
    let params = cursor.map_or(json!({}), |cursor| json!({ "cursor": cursor }));
    client.request(McpRequest::new(1, "tasks/list", params)).await
}

fn ids_of(answer: &Answer) -> Vec<String> {
    let tasks = answer.result()["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()).collect()
}

/// The ids of a list that is one page.
async fn ids(client: &Client) -> BTreeSet<String> {
    let answer = list(client, None).await;
    assert_eq!(answer.result()["nextCursor"], Value::Null);
    let listed = ids_of(&answer);
    let ids: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(ids.len(), listed.len(), "each once");
    ids
}

/// Waits until the list has all these: a slave that is slow to answer, as any is on a loaded machine, is left out of one. It never has others.
async fn lists(client: &Client, expected: &BTreeSet<String>) {
    wait::until("the list of the tasks", async || {
        let listed = ids(client).await;
        assert!(listed.is_subset(expected), "{listed:?} are not all of {expected:?}");
        (listed == *expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_client_lists_its_own_tasks_of_all_slaves_at_any_proxy() {
    let setup = Setup::proxy().env("SESSION_KEY", KEY).env("AUTH_BEARER_KEYS", KEYS);
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let proxies = [&one, &two];
    let _slaves = [slave(&proxies, "legacy", "alpha").await, slave(&proxies, "legacy", "beta").await];
    let (mine, mine_too) = (client(&one, "legacy", "one").await, client(&two, "legacy", "one").await);
    let (yours, yours_too) = (client(&two, "legacy", "two").await, client(&one, "legacy", "two").await);
    assert_eq!(ids(&mine).await, BTreeSet::new(), "also where the backend has tasks of others");
    let mut made = make_some(&mine, 8).await;
    made.extend(make_some(&mine_too, 8).await);
    let others = make_some(&yours, 3).await;
    let slaves: BTreeSet<&str> = made.iter().map(|id| &id[..20]).collect();
    assert_eq!(slaves.len(), 2, "tasks of both slaves");
    for (who, expected) in [(&mine, &made), (&mine_too, &made), (&yours, &others), (&yours_too, &others)] {
        lists(who, expected).await;
    }
    wait::until("one order", async || {
        let listed = ids_of(&list(&mine, None).await);
        (listed.len() == made.len() && listed == ids_of(&list(&mine_too, None).await)).then_some(())
    })
    .await;
    for task in list(&mine, None).await.result()["tasks"].as_array().unwrap() {
        let got = mine_too.request(request("tasks/get", json!({ "taskId": task["taskId"] }), "legacy")).await;
        assert_eq!(got.result()["taskId"], task["taskId"]);
        assert_eq!(
            (&task["status"], &task["ttl"]),
            (&json!("working"), &Value::Null),
            "as the backend has it"
        );
    }
    for cursor in [json!("x"), json!("1.x")] {
        assert_eq!(list(&mine, Some(&cursor)).await.code(), -32602);
    }
    // What is one's by its address alone is not listed: several clients may have one.
    let bare = Client::uninitialized(one.http).with_header("authorization", "Bearer one-key-of-the-tests");
    // A key says who it is, also without a session.
    lists(&bare, &made).await;
}

#[tokio::test]
async fn pages_add_up_also_where_tasks_are_made_between() {
    let proxy = Setup::proxy().start_proxy().await;
    let (slave, _fixture) = slave(&[&proxy], "legacy", "alpha").await;
    for address in [proxy.http, slave.http] {
        let client = Client::legacy(address).await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(make(&client, json!({ "bytes": 300_000 })).await);
        }
        wait::until("pages that add up", async || {
            let first = list(&client, None).await;
            let (mut read, mut cursor) = (ids_of(&first), first.result()["nextCursor"].clone());
            // Five tasks of 300 KB are more than a page; on a loaded machine the backend is late, and is left out.
            cursor.is_string().then_some(())?;
            made.push(make(&client, json!({})).await);
            while !cursor.is_null() {
                let page = list(&client, Some(&cursor)).await;
                read.extend(ids_of(&page));
                cursor = page.result()["nextCursor"].clone();
            }
            let once: BTreeSet<&String> = read.iter().collect();
            assert_eq!(once.len(), read.len(), "{address}: each once");
            (read == made).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_slave_or_backend_that_does_not_answer_is_left_out() {
    let proxy = Setup::proxy().quick_pings().start_proxy().await;
    let (alpha, _one) = slave(&[&proxy], "legacy", "alpha").await;
    let (beta, _two) = slave(&[&proxy], "legacy", "beta").await;
    let (_gamma, _three) = slave_with(&[&proxy], "legacy", "gamma", "mute").await;
    let client = Client::legacy(proxy.http).await;
    // The label of a slave is the same in all its ids.
    let label = |id: &str| id[..20].to_owned();
    let made = loop {
        let made = make_some(&client, 12).await;
        if made.iter().map(|id| label(id)).collect::<BTreeSet<_>>().len() == 3 {
            break made;
        }
    };
    let labels = |ids: &BTreeSet<String>| ids.iter().map(|id| label(id)).collect::<BTreeSet<_>>();
    let listed = wait::until("all but the one whose backend answers nothing", async || {
        let listed = ids(&client).await;
        assert!(labels(&listed).len() <= 2, "{listed:?}");
        (labels(&listed).len() == 2).then_some(listed)
    })
    .await;
    assert!(made.iter().filter(|id| labels(&listed).contains(&label(id))).all(|id| listed.contains(id)));
    alpha.signal(Signal::SIGSTOP);
    let began = Instant::now();
    ids(&client).await;
    let took = began.elapsed();
    // Generous for a loaded machine: the longest wait for a slave is 3 s.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let without = wait::until("the list without the paused one", async || {
        let listed = ids(&client).await;
        assert!(labels(&listed).len() <= 1, "{listed:?}");
        (labels(&listed).len() == 1).then_some(listed)
    })
    .await;
    alpha.signal(Signal::SIGCONT);
    beta.signal(Signal::SIGKILL);
    let left: BTreeSet<String> = labels(&listed).difference(&labels(&without)).cloned().collect();
    wait::until("the list of the one that is left", async || {
        (labels(&ids(&client).await) == left).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_list_is_announced_where_a_backend_has_one() {
    for (tasks, has_list) in [("1", true), ("unlisted", false)] {
        let proxy = Setup::proxy().start_proxy().await;
        let (slave, _fixture) = slave_with(&[&proxy], "legacy", "alpha", tasks).await;
        for address in [proxy.http, slave.http] {
            let mut client = Client::uninitialized(address);
            let introduced = client.initialize().await;
            let announced = &introduced.result()["capabilities"]["tasks"];
            assert_eq!(announced["list"].is_object(), has_list, "{announced}");
            assert!(announced["requests"]["tools"]["call"].is_object() && announced["cancel"].is_object());
            let listed = list(&client, None).await;
            if has_list {
                assert_eq!(listed.result()["tasks"], json!([]));
                let nobody = list(&Client::uninitialized(address), None).await;
                assert_eq!(nobody.code(), -32600, "{nobody:?}");
            } else {
                assert_eq!(listed.code(), -32601, "{listed:?}");
            }
            let modern = Client::modern(address).request(McpRequest::new(1, "tasks/list", json!({}))).await;
            assert_eq!(modern.code(), -32601);
        }
    }
}

#[tokio::test]
async fn processes_of_sessions_are_asked_for_their_own_session_and_not_started_for_it() {
    let fixture = Fixture::default();
    let mut entry = fixture.entry(&[("FIXTURE_TASKS", "1")]);
    entry["sessions"] = "per-session".into();
    let path = fixture.write_backends(&json!({ "own": entry }));
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
    let _slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    proxy.offers("arguments").await;
    let (one, two) = (Client::legacy(proxy.http).await, Client::legacy(proxy.http).await);
    let made = make_some(&one, 3).await;
    lists(&one, &made).await;
    lists(&two, &BTreeSet::new()).await;
    assert_eq!(fixture.pids().len(), 2, "the first process, and that of the session that called");
}
