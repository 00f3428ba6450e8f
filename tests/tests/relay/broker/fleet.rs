//! Revocations between proxies that have no file in common: slaves carry them, and can neither make one up nor alter one.

use harness::frames::{CallId, Frame, FrameKind};
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, dial};
use harness::relay::{CODE, Proxy, Slave};
use harness::wait;
use protocol::link::handshake::SlaveHello;

use super::*;

/// A slave that dials both proxies, and is linked to both.
pub(super) async fn slave(name: &str, proxies: [&Proxy; 2]) -> Slave {
    let urls = proxies.map(|proxy| format!("ws://{}", proxy.link)).join(",");
    let slave = Setup::slave(name, proxies[0].link).env("PROXY_SERVER_URL", urls).start_slave().await;
    linked(&slave).await;
    slave
}

pub(super) async fn linked(slave: &Slave) {
    wait::until("a link to each proxy", async || {
        let body = harness::http::get(slave.http, "/readyz").await.1;
        (serde_json::from_str::<Value>(&body).unwrap()["links"] == 2).then_some(())
    })
    .await;
}

/// A grant of a client: its access token and its refresh token.
pub(super) async fn grant(at: SocketAddr, client: &str) -> (String, String) {
    redeem(at, client, &code([at; 3], client).await).await
}

pub(super) async fn refused(at: SocketAddr, access: &str) {
    wait::until("a proxy to refuse the token", async || {
        (bearer(at, access).tools_status().await == 401).then_some(())
    })
    .await;
}

/// Uses a refresh token twice.
async fn reuse(at: SocketAddr, client: &str, refresh_token: &str) {
    assert_eq!(refresh(at, client, refresh_token).await.status, 200);
    assert_eq!(refresh(at, client, refresh_token).await.member("error"), "invalid_grant");
}

/// Starts a proxy again that has ended, at the same port for slaves.
pub(super) async fn restarted(setup: &Setup, proxy: Proxy) -> Proxy {
    let port = proxy.link.port().to_string();
    drop(proxy);
    setup.clone().env("PROXY_WS_PORT", port).start_proxy().await
}

#[tokio::test]
async fn a_grant_that_ends_at_one_proxy_ends_at_the_other_and_stays_ended_when_all_start_again() {
    let files = Files::new();
    let setup = files.without_revocations();
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let slaves = [slave("one", [&one, &two]).await, slave("two", [&one, &two]).await];
    let client = register(one.http).await;
    let (kept, _) = grant(one.http, &client).await;
    let (reused, first) = grant(two.http, &client).await;
    let (revoked, second) = grant(one.http, &client).await;
    for access in [&kept, &reused, &revoked] {
        assert_eq!(bearer(two.http, access).tools_status().await, 200);
    }
    reuse(one.http, &client, &first).await;
    refused(two.http, &reused).await;
    assert_eq!(refresh(two.http, &client, &first).await.member("error"), "invalid_grant");
    let answer = post(two.http, "/oauth/revoke", &[("client_id", &client), ("token", &second)]).await;
    assert_eq!(answer.status, 200);
    refused(one.http, &revoked).await;
    for proxy in [&one, &two] {
        let scrape = Scrape::of(proxy.http).await;
        let told = scrape.sum("mcp_relay_broker_revocations_total", &["reason=\"elsewhere\""]);
        assert!((told - 1.0).abs() < 0.1, "{told}: each proxy was told the one that it did not revoke");
    }
    // No proxy knows anything any more; the slaves do.
    let (one, two) = (restarted(&setup, one).await, restarted(&setup, two).await);
    for slave in &slaves {
        linked(slave).await;
    }
    for at in [one.http, two.http] {
        refused(at, &reused).await;
        refused(at, &revoked).await;
        assert_eq!(bearer(at, &kept).tools_status().await, 200);
    }
}

#[tokio::test]
async fn a_slave_that_links_later_tells_a_proxy_that_starts_again() {
    let files = Files::new();
    let setup = files.without_revocations();
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let client = register(one.http).await;
    let (access, refresh_token) = grant(one.http, &client).await;
    reuse(one.http, &client, &refresh_token).await;
    assert_eq!(bearer(two.http, &access).tools_status().await, 200, "nobody told it yet");
    let slave = slave("late", [&one, &two]).await;
    refused(two.http, &access).await;
    let two = restarted(&setup, two).await;
    linked(&slave).await;
    refused(two.http, &access).await;
}

/// Links a slave of the test's own, which passes on what it wants.
pub(super) async fn raw(proxy: &Proxy, name: &str) -> RawSlave {
    let mut slave = dial(proxy.link).await;
    let hello = SlaveHello { linked: Some(Vec::new()), ..slave.hello(name) };
    slave.authenticate_as(CODE, hello).await;
    slave
}

pub(super) async fn tell(slave: &mut RawSlave, kind: &str, facts: &[String]) {
    for facts in facts.chunks(512) {
        let payload = json!({ kind: facts }).to_string().into_bytes().into();
        slave.send(Frame { payload, ..Frame::bare(FrameKind::Session, CallId::LINK, 0) }).await;
    }
}

/// Returns what a slave is told next of this kind, while it may be told of other kinds.
pub(super) async fn told(slave: &mut RawSlave, kind: &str) -> Vec<String> {
    loop {
        let payload = slave.frame(FrameKind::Session).await.payload;
        let facts: HashMap<String, Vec<String>> = serde_json::from_slice(&payload).unwrap();
        if let Some(facts) = facts.get(kind) {
            return facts.clone();
        }
    }
}

#[tokio::test]
async fn a_slave_can_neither_make_a_revocation_up_nor_alter_one_and_lies_cost_little() {
    let files = Files::new();
    // A slave of the test's own answers only while it is read from.
    let setup = files.without_revocations().env("LINK_PING_TIMEOUT_MS", "60000");
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let (mut witness, mut liar) = (raw(&one, "witness").await, raw(&two, "liar").await);
    let client = register(one.http).await;
    let (kept, _) = grant(one.http, &client).await;
    let (access, refresh_token) = grant(one.http, &client).await;
    reuse(one.http, &client, &refresh_token).await;
    let told = told(&mut witness, "revoked").await;
    let [genuine] = <[String; 1]>::try_from(told).unwrap();
    let [grant, until, tag] = genuine.split('.').collect::<Vec<_>>()[..] else { panic!("{genuine}") };
    let later = until.parse::<u64>().unwrap() + 1;
    let mut lies = vec![
        format!("{grant}.{later}.{tag}"),
        format!("{grant}.{until}.AAAAAAAAAAAAAAAAAAAAAA"),
        format!("AAAAAAAAAAAAAAAAAAAAAA.{until}.{tag}"),
        format!("{grant}.{until}"),
    ];
    lies.extend((0..20_000).map(|n| format!("{n:021}A.{until}.{tag}")));
    tell(&mut liar, "revoked", &lies).await;
    let rejected = async || {
        let scrape = Scrape::of(two.http).await;
        scrape.sum("mcp_relay_rejected_facts_total", &["kind=\"revocation\""])
    };
    wait::until("the lies to be noticed", async || (rejected().await > 63.5).then_some(())).await;
    // Who lied is not believed for a while, even with the truth; a catalog that comes after it shows that it was read.
    tell(&mut liar, "revoked", std::slice::from_ref(&genuine)).await;
    liar.catalog(&json!({ "tools": [harness::rawslave::definition("mark")] })).await;
    wait::until("what the liar said to be read", async || {
        bearer(two.http, &access).tool_names().await.contains(&"mark".to_owned()).then_some(())
    })
    .await;
    assert!((rejected().await - 64.0).abs() < 0.1, "no more of them was checked");
    assert_eq!(bearer(two.http, &access).tools_status().await, 200);
    // The fact as it was said, by another slave.
    let mut honest = raw(&two, "honest").await;
    tell(&mut honest, "revoked", &[genuine.clone(), genuine]).await;
    refused(two.http, &access).await;
    assert_eq!(bearer(two.http, &kept).tools_status().await, 200);
}
