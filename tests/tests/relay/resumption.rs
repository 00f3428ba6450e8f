//! A client of 2025-11-25 whose stream broke goes on with its call by `Last-Event-ID`, at any replica, exactly where it broke off.

use std::net::SocketAddr;

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::sse::{Event, Parser};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "the session key of both replicas, long enough";

async fn scene(variables: &[(&str, &str)]) -> (Vec<Proxy>, Slave, Fixture) {
    let fixture = Fixture::default();
    let mut proxies = Vec::new();
    for _ in 0..2 {
        let mut setup = Setup::proxy().env("SESSION_KEY", KEY);
        for (name, value) in variables {
            setup = setup.env(name, *value);
        }
        proxies.push(setup.start_proxy().await);
    }
    let urls = format!("ws://{},ws://{}", proxies[0].link, proxies[1].link);
    let mut setup = fixture.serve(Setup::slave("one", proxies[0].link)).env("PROXY_SERVER_URL", urls);
    for (name, value) in variables {
        setup = setup.env(name, *value);
    }
    let slave = setup.start_slave().await;
    for proxy in &proxies {
        proxy.offers("run").await;
    }
    (proxies, slave, fixture)
}

/// Opens the stream behind the event of this id.
async fn resume(address: SocketAddr, client: &Client, last: &str) -> Exchange {
    let headers = [
        ("accept".to_owned(), "text/event-stream".to_owned()),
        ("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()),
        ("mcp-session-id".to_owned(), client.session.clone().unwrap()),
        ("last-event-id".to_owned(), last.to_owned()),
    ];
    let mut exchange = Exchange::start(address, request(Method::GET, "/mcp", &headers, Vec::new())).await;
    exchange.head().await;
    exchange
}

/// Events of a stream up to its end.
async fn events(mut exchange: Exchange) -> Vec<Event> {
    assert_eq!(exchange.status.as_u16(), 200, "{}", String::from_utf8_lossy(&exchange.rest().await));
    let mut parser = Parser::default();
    parser.push(&exchange.rest().await);
    std::iter::from_fn(|| parser.pop()).collect()
}

fn message(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

/// Begins `run` with `steps` events of progress and reads its priming event.
async fn begin(client: &Client, key: &str, steps: u64) -> (Pending, Event) {
    let mut pending = client.start(McpRequest::tool(1, "run", run_args(key, steps)).progress("t")).await;
    let priming = pending.next_event().await.unwrap();
    (pending, priming)
}

#[tokio::test]
async fn a_call_that_runs_is_gone_on_with_at_another_replica_without_a_gap() {
    let (proxies, _slave, fixture) = scene(&[]).await;
    let client = Client::legacy(proxies[0].http).await;
    fixture.open_gate("call", 2);
    let (mut pending, priming) = begin(&client, "call", 4).await;
    assert_eq!((priming.data.as_str(), priming.retry.as_deref()), ("", Some("1000")));
    let first = pending.next_event().await.unwrap();
    assert_eq!(message(&first)["params"]["progress"], 1);
    drop(pending);
    fixture.open_gate("call", 5);
    let last = first.id.unwrap();
    let rest = events(resume(proxies[1].http, &client, &last).await).await;
    let progress: Vec<Value> =
        rest[..3].iter().map(|event| message(event)["params"]["progress"].clone()).collect();
    assert_eq!(progress, [2, 3, 4]);
    assert_eq!((rest.len(), message(&rest[3])["id"].clone()), (4, json!(1)));
    assert_eq!(message(&rest[3])["result"]["content"][0]["text"], "done call");
    assert_eq!(fixture.log("call"), ["start", "end"], "it ran once");
}

#[tokio::test]
async fn each_cut_of_a_call_that_ended_is_followed_by_exactly_the_rest() {
    let (proxies, _slave, fixture) = scene(&[]).await;
    let client = Client::legacy(proxies[0].http).await;
    fixture.open_gate("call", 9);
    let (mut pending, priming) = begin(&client, "call", 5).await;
    let mut all = vec![priming];
    while let Some(event) = pending.next_event().await {
        all.push(event);
    }
    assert_eq!(all.len(), 7, "{all:?}");
    let ids: Vec<&str> = all.iter().map(|event| event.id.as_deref().unwrap()).collect();
    for at in 0..6 {
        let rest = events(resume(proxies[at % 2].http, &client, ids[at]).await).await;
        let shown = |events: &[Event]| -> Vec<(Option<String>, String)> {
            events.iter().map(|event| (event.id.clone(), event.data.clone())).collect()
        };
        assert_eq!(shown(&rest), shown(&all[at + 1..]), "behind event {at}");
    }
}

#[tokio::test]
async fn an_id_that_was_not_given_out_to_the_session_or_is_not_kept_is_refused() {
    let (proxies, slave, fixture) = scene(&[("RETENTION_SECS", "300")]).await;
    let (client, other) = (Client::legacy(proxies[0].http).await, Client::legacy(proxies[0].http).await);
    fixture.open_gate("call", 9);
    let (mut pending, priming) = begin(&client, "call", 1).await;
    while pending.next_event().await.is_some() {}
    let id = priming.id.unwrap();
    let far = format!("{}.99", id.rsplit_once('.').unwrap().0);
    let refused = async |client: &Client, id: &str| {
        let mut exchange = resume(proxies[1].http, client, id).await;
        let body = String::from_utf8(exchange.rest().await).unwrap();
        assert_eq!(exchange.status.as_u16(), 400, "{id}: {body}");
        assert!(body.contains("Last-Event-ID"), "{id}: {body}");
    };
    for (who, id) in [
        (&other, id.as_str()),
        (&client, "1"),
        (&client, "forged.0"),
        (&client, &far),
        (&client, &format!("A{id}")),
    ] {
        refused(who, id).await;
    }
    // What a slave kept is gone with it.
    drop(slave);
    proxies[1].withdraws("run").await;
    refused(&client, &id).await;
}

/// A resumed stream without a response would look like one that broke off, and be resumed again and again.
#[tokio::test]
async fn a_call_that_its_client_cancelled_is_not_gone_on_with() {
    let (proxies, _slave, fixture) = scene(&[("RETENTION_SECS", "300")]).await;
    for (at, key) in ["at the same replica", "at another"].into_iter().enumerate() {
        let client = Client::legacy(proxies[0].http).await;
        fixture.open_gate(key, 1);
        let (mut pending, priming) = begin(&client, key, 2).await;
        let first = pending.next_event().await.unwrap();
        drop(pending);
        client.at(proxies[at].http).cancel(1).await;
        fixture.wait_for(key, "cancelled").await;
        // The progress that came before is no reason to open a stream either, where the client has it.
        let last = first.id.unwrap();
        let mut exchange = resume(proxies[1 - at].http, &client, &last).await;
        let body = String::from_utf8(exchange.rest().await).unwrap();
        assert_eq!(exchange.status.as_u16(), 400, "{key}: {body}");
        assert!(body.contains("Last-Event-ID"), "{key}: {body}");
        // From the beginning the client gets what it has not seen, and no response.
        let rest = resume(proxies[at].http, &client, &priming.id.unwrap()).await;
        assert!(rest.status.as_u16() == 400 || events(rest).await.iter().all(is_progress), "{key}");
    }
}

fn is_progress(event: &Event) -> bool {
    message(event)["method"] == "notifications/progress"
}

#[tokio::test]
async fn other_versions_and_answers_without_a_stream_have_no_ids() {
    let (proxies, _slave, fixture) = scene(&[("SSE_AFTER_MS", "60000")]).await;
    fixture.open_gate("call", 9);
    let old = Client::legacy_on(proxies[0].http, "/mcp", "2025-06-18").await;
    for client in [old, Client::modern(proxies[0].http)] {
        let mut pending = client.start(McpRequest::tool(1, "run", run_args("call", 2)).progress("t")).await;
        let mut count = 0;
        while let Some(event) = pending.next_event().await {
            assert_eq!((event.id, event.retry), (None, None));
            count += 1;
        }
        assert_eq!(count, 3);
    }
    let answer = Client::legacy(proxies[0].http).await.call("run", run_args("call", 0)).await;
    assert!(!answer.is_stream(), "{answer:?}");
}

#[tokio::test]
async fn a_silent_call_opens_its_stream_in_time_and_can_be_gone_on_with() {
    let (proxies, _slave, fixture) = scene(&[("SSE_AFTER_MS", "20")]).await;
    let client = Client::legacy(proxies[0].http).await;
    fixture.open_gate("call", 0);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("call", 0))).await;
    let priming = pending.next_event().await.unwrap();
    drop(pending);
    fixture.open_gate("call", 1);
    let rest = events(resume(proxies[1].http, &client, &priming.id.unwrap()).await).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(message(&rest[0])["result"]["content"][0]["text"], "done call");
}

#[tokio::test]
async fn the_slaves_own_port_goes_on_likewise() {
    let (_proxies, slave, fixture) = scene(&[]).await;
    let client = Client::legacy(slave.http).await;
    fixture.open_gate("call", 1);
    let (pending, priming) = begin(&client, "call", 2).await;
    drop(pending);
    fixture.open_gate("call", 3);
    let rest = events(resume(slave.http, &client, &priming.id.unwrap()).await).await;
    assert_eq!(rest.len(), 3, "{rest:?}");
    assert_eq!(message(&rest[2])["result"]["content"][0]["text"], "done call");
}

/// Waits until the slave keeps this many calls for clients that may come back.
async fn keeps(slave: &Slave, calls: f64) {
    wait::until(&format!("{calls} calls are kept"), async || {
        let scrape = Scrape::of(slave.http).await;
        let kept = scrape.sum("mcp_relay_slave_retained_calls", &[]);
        let bytes = scrape.sum("mcp_relay_slave_retained_bytes", &[]);
        ((kept - calls).abs() < 0.5 && (bytes > 0.5) == (calls > 0.5)).then_some(())
    })
    .await;
}

/// Without this a slave would keep the answer of each call of most clients for minutes, though nobody can ask for it again.
#[tokio::test]
async fn nothing_is_kept_of_calls_whose_clients_got_no_ids() {
    let (proxies, slave, fixture) = scene(&[("SSE_AFTER_MS", "60000")]).await;
    fixture.open_gate("plain", 1);
    for address in [proxies[0].http, proxies[1].http, slave.http] {
        let client = Client::legacy(address).await;
        for _ in 0..20 {
            let answer = client.call("run", run_args("plain", 0)).await;
            assert!(!answer.is_stream(), "{answer:?}");
        }
    }
    keeps(&slave, 0.0).await;
    // One that leaves before it has a stream.
    for address in [proxies[0].http, slave.http] {
        let client = Client::legacy(address).await;
        let key = format!("left {address}");
        fixture.open_gate(&key, 0);
        let pending = client.start(McpRequest::tool(1, "run", run_args(&key, 0))).await;
        fixture.wait_for(&key, "start").await;
        drop(pending);
        fixture.open_gate(&key, 1);
        fixture.wait_for(&key, "end").await;
    }
    keeps(&slave, 0.0).await;
    // Of streams everything is kept, whoever read them to their ends.
    for address in [proxies[0].http, slave.http] {
        let client = Client::legacy(address).await;
        fixture.open_gate("stream", 9);
        let (mut pending, _) = begin(&client, "stream", 1).await;
        while pending.next_event().await.is_some() {}
    }
    keeps(&slave, 2.0).await;
}

/// The proxy gives the call up, and the slave learns of that only when it goes on.
#[tokio::test]
async fn nothing_is_kept_of_a_call_that_took_too_long_where_its_client_got_no_ids() {
    let (proxies, slave, fixture) = scene(&[("SSE_AFTER_MS", "60000"), ("REQUEST_TIMEOUT", "1")]).await;
    for (round, proxy) in proxies.iter().enumerate() {
        let client = Client::legacy(proxy.http).await;
        let key = format!("late {round}");
        fixture.open_gate(&key, 0);
        let mut pending = client.start(McpRequest::tool(1, "run", run_args(&key, 0))).await;
        fixture.wait_for(&key, "start").await;
        slave.signal(Signal::SIGSTOP);
        let answer = pending.finish().await;
        slave.signal(Signal::SIGCONT);
        assert_eq!((answer.is_stream(), answer.code()), (false, -32001), "{answer:?}");
        keeps(&slave, 0.0).await;
    }
}

/// The proxy that could say that nobody comes back is gone: what it had not said is not taken for said.
#[tokio::test]
async fn a_call_is_kept_where_its_proxy_is_lost_before_it_said_that_it_is_done() {
    let (mut proxies, slave, fixture) = scene(&[("SSE_AFTER_MS", "20")]).await;
    let client = Client::legacy(proxies[0].http).await;
    fixture.open_gate("call", 0);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("call", 0))).await;
    let priming = pending.next_event().await.unwrap();
    drop(proxies.remove(0));
    drop(pending);
    fixture.open_gate("call", 1);
    fixture.wait_for("call", "end").await;
    let rest = events(resume(proxies[0].http, &client, &priming.id.unwrap()).await).await;
    assert_eq!(message(&rest[0])["result"]["content"][0]["text"], "done call");
    keeps(&slave, 1.0).await;
}
