//! Fleets of proxies: only proxies with a common `SESSION_KEY` know each other, and a slave lets no other touch a call.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::frames::{CallId, Flags, Frame, FrameKind, InstanceId};
use harness::metrics::Scrape;
use harness::rawproxy::RawProxy;
use harness::relay::{Proxy, Setup};
use harness::{http, wait};
use serde_json::Value;

async fn status(proxy: &Proxy) -> Value {
    serde_json::from_str(&http::get(proxy.http, "/api/v1/status").await.1).unwrap()
}

#[tokio::test]
async fn a_proxy_of_another_fleet_cannot_attach_to_a_call_or_cancel_it() {
    let (proxy, rogue, fixture) =
        (Setup::proxy().start_proxy().await, RawProxy::start().await, Fixture::default());
    let urls = format!("ws://{},ws://{}", proxy.link, rogue.address());
    let setup = fixture.serve(Setup::slave("one", proxy.link)).env("PROXY_SERVER_URL", urls);
    let _slave = setup.start_slave().await;
    proxy.offers("run").await;
    let client = Client::legacy(proxy.http).await;
    fixture.open_gate("x", 0);
    let mut pending = client.start(McpRequest::tool("x", "run", run_args("x", 2)).progress(1)).await;
    fixture.wait_for("x", "start").await;
    // The rogue proxy claims to be the process that opened the call.
    let instance = status(&proxy).await["instance"].as_str().unwrap().to_owned();
    let mut link = rogue.accept().await;
    let reply = link.reply(&instance, 1);
    link.authenticate(reply).await;
    let opener = InstanceId::parse(&instance).unwrap();
    let calls: Vec<CallId> = (1..=4).map(|counter| CallId::new(opener, counter)).collect();
    for call in &calls {
        for kind in [FrameKind::Attach, FrameKind::Credit, FrameKind::Cancel] {
            link.send(Frame::bare(kind, *call, 0)).await;
        }
        let answer = link.frame(FrameKind::End).await.expect("an answer to attach");
        assert!(answer.flags.has(Flags::GONE) && answer.payload.is_empty(), "{answer:?}");
    }
    fixture.open_gate("x", 9);
    assert_eq!(pending.finish().await.text(), "done x");
    assert_eq!(fixture.log("x"), ["start", "end"]);
    // A call under another instance than its own ends the link.
    let open = Frame {
        aux: 2,
        payload: "{}".into(),
        ..Frame::bare(FrameKind::Open, CallId::new(InstanceId(1), 1), 0)
    };
    link.send(open).await;
    assert_eq!(link.frame(FrameKind::End).await, Err(Some(1002)));
}

#[tokio::test]
async fn a_slave_closes_the_link_of_a_proxy_that_does_not_prove_its_fleet() {
    let rogue = RawProxy::start().await;
    let slave = Setup::slave("one", rogue.address()).start_slave().await;
    let mut link = rogue.accept().await;
    let mut reply = link.reply("00000000000000aa", 1);
    reply.fleet[0].key = link.reply("00000000000000aa", 2).fleet[0].key.clone();
    link.authenticate(reply).await;
    assert_eq!(link.frame(FrameKind::Catalog).await, Err(Some(1002)));
    slave.log.wait_for("the proxy's proof of its fleet does not verify").await;
    // The next attempt is as good as any.
    let mut link = rogue.accept().await;
    let reply = link.reply("00000000000000aa", 1);
    link.authenticate(reply).await;
    link.frame(FrameKind::Catalog).await.expect("a catalog");
}

#[tokio::test]
async fn proxies_with_different_session_keys_form_no_fleet_and_say_so() {
    let key = |n: u8| format!("session-key-number-{n}-of-at-least-32-characters");
    let start = |n| async move { Setup::proxy().env("SESSION_KEY", key(n)).start_proxy().await };
    let (one, two, three) = (start(1).await, start(2).await, start(1).await);
    let urls = [&one, &two, &three].map(|proxy| format!("ws://{}", proxy.link)).join(",");
    let _slave = Setup::slave("one", one.link).env("PROXY_SERVER_URL", urls).start_slave().await;
    for proxy in [&one, &two, &three] {
        proxy.offers("echo").await;
    }
    for proxy in [&one, &two] {
        let line = proxy.log.wait_for("Slaves are linked to a proxy with another SESSION_KEY").await;
        assert!(line.contains("form no fleet"), "{line}");
    }
    for (proxy, known) in [(&one, 2), (&two, 1), (&three, 2)] {
        wait::until("the proxies of the fleet", async || {
            (status(proxy).await["proxies"]["total"] == known).then_some(())
        })
        .await;
    }
    assert!(Scrape::of(two.http).await.sum("mcp_relay_rejected_facts_total", &["kind=\"peer\""]) > 0.5);
    // A session that ended at one proxy is over at those of its fleet.
    let client = Client::legacy(one.http).await;
    client.at(three.http).call("echo", serde_json::json!({ "text": "x" })).await.result();
    assert_eq!(client.end_session().await, 200);
    wait::until("the session's end at the other proxy", async || {
        let answer = client.at(three.http).notify("notifications/initialized", serde_json::json!({})).await;
        (answer == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn proxy_peers_without_a_session_key_is_a_problem_of_the_configuration() {
    let mut proxy = Setup::proxy().env("PROXY_PEERS", "localhost:8001").spawn();
    assert_eq!(proxy.exit(wait::TIMEOUT).await.code(), Some(64));
    let line = proxy.log.wait_for("PROXY_PEERS").await;
    assert!(line.contains("SESSION_KEY"), "{line}");
}
