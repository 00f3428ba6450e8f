//! Reuse of codes and refresh tokens at two proxies that have no file in common: slaves carry which token is valid.

use std::collections::BTreeSet;

use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, definition};
use harness::wait;

use super::fleet::{grant, linked, raw, refused, restarted, slave, tell, told};
use super::*;

/// Redeems a code for the client; returns the status.
async fn redeem_again(at: SocketAddr, client: &str, code: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    post(at, "/oauth/token", &fields).await
}

async fn invalid(at: SocketAddr, client: &str, refresh_token: &str) {
    assert_eq!(refresh(at, client, refresh_token).await.member("error"), "invalid_grant");
}

/// Waits until a proxy has read all that this slave of the test's own sent before: a tool of this name is offered.
async fn read(slave: &mut RawSlave, at: SocketAddr, access: &str, mark: &str) {
    slave.catalog(&json!({ "tools": [definition(mark)] })).await;
    wait::until("what the slave said to be read", async || {
        bearer(at, access).tool_names().await.contains(&mark.to_owned()).then_some(())
    })
    .await;
}

/// Whether the second proxy was told before or answers first, the grant ends at both.
#[tokio::test]
async fn a_token_that_was_used_at_one_proxy_and_again_at_the_other_ends_the_grant_in_both_orders() {
    let files = Files::new();
    let setup = files.without_revocations();
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let _slaves = [slave("one", [&one, &two]).await, slave("two", [&one, &two]).await];
    let client = register(one.http).await;
    for [first, second] in [[one.http, two.http], [two.http, one.http]] {
        let (access, refresh_token) = grant(first, &client).await;
        let renewed = refresh(first, &client, &refresh_token).await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        let again = refresh(second, &client, &refresh_token).await;
        for access in [access, renewed.member("access_token")] {
            refused(first, &access).await;
            refused(second, &access).await;
        }
        for at in [first, second] {
            invalid(at, &client, &renewed.member("refresh_token")).await;
            if again.status == 200 {
                invalid(at, &client, &again.member("refresh_token")).await;
            }
        }
        // A code, in the same way.
        let code = code([first; 3], &client).await;
        let (access, refresh_token) = redeem(first, &client, &code).await;
        redeem_again(second, &client, &code).await;
        refused(first, &access).await;
        refused(second, &access).await;
        invalid(first, &client, &refresh_token).await;
    }
}

#[tokio::test]
async fn what_is_valid_is_known_to_proxies_that_all_start_again() {
    let files = Files::new();
    // A slave of the test's own answers only while it is read from.
    let setup = files.without_revocations().env("LINK_PING_TIMEOUT_MS", "60000");
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let slave = slave("late", [&one, &two]).await;
    let mut witness = raw(&two, "witness").await;
    let client = register(one.http).await;
    let (access, first) = grant(one.http, &client).await;
    let renewed = refresh(one.http, &client, &first).await;
    let (kept, of_kept) = grant(one.http, &client).await;
    let of_kept = refresh(one.http, &client, &of_kept).await.member("refresh_token");
    // The other proxy tells its slaves what the slave told it: it has passed on, and keeps, both.
    let mut renewals = BTreeSet::new();
    while renewals.len() < 2 {
        let facts = told(&mut witness, "rotated").await;
        renewals.extend(facts.into_iter().filter(|fact| fact.split('.').nth(2) == Some("1")));
    }
    drop(witness);
    let (one, two) = (restarted(&setup, one).await, restarted(&setup, two).await);
    linked(&slave).await;
    refresh(two.http, &client, &first).await;
    refused(one.http, &access).await;
    refused(two.http, &access).await;
    invalid(one.http, &client, &renewed.member("refresh_token")).await;
    let mut token = of_kept;
    for at in [two.http, one.http, one.http, two.http] {
        let renewed = refresh(at, &client, &token).await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        token = renewed.member("refresh_token");
    }
    assert_eq!(bearer(one.http, &kept).tools_status().await, 200, "whoever goes here and there is no thief");
}

#[tokio::test]
async fn a_slave_can_neither_make_up_which_token_is_valid_nor_alter_it_and_lies_cost_little() {
    let files = Files::new();
    // A slave of the test's own answers only while it is read from.
    let setup = files.without_revocations().env("LINK_PING_TIMEOUT_MS", "60000");
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let (mut witness, mut liar) = (raw(&one, "witness").await, raw(&two, "liar").await);
    let client = register(one.http).await;
    let (access, first) = grant(one.http, &client).await;
    let [begun] = <[String; 1]>::try_from(told(&mut witness, "rotated").await).unwrap();
    let second = refresh(one.http, &client, &first).await.member("refresh_token");
    let [genuine] = <[String; 1]>::try_from(told(&mut witness, "rotated").await).unwrap();
    let [grant, until, "1", token, tag] = genuine.split('.').collect::<Vec<_>>()[..] else {
        panic!("{genuine}")
    };
    assert!(begun.starts_with(&format!("{grant}.{until}.0.")), "{begun}");
    let other = "AAAAAAAAAAAAAAAAAAAAAA";
    let mut lies = vec![
        format!("{grant}.{until}.9.{token}.{tag}"),
        format!("{grant}.{until}.1.{other}.{tag}"),
        format!("{grant}.{until}.1.{token}.{other}"),
        format!("{other}.{until}.1.{token}.{tag}"),
        format!("{grant}.{until}.1.{token}"),
    ];
    lies.extend((0..20_000).map(|n| format!("{n:021}A.{until}.1.{token}.{tag}")));
    tell(&mut liar, "rotated", &lies).await;
    tell(&mut liar, "rotated", std::slice::from_ref(&genuine)).await;
    read(&mut liar, two.http, &access, "lied").await;
    let rejected = Scrape::of(two.http).await.sum("mcp_relay_rejected_facts_total", &["kind=\"rotation\""]);
    assert!((rejected - 64.0).abs() < 0.1, "{rejected}: no more of them was checked");
    // The facts as they were said, in the wrong order and twice, by another slave.
    let mut honest = raw(&two, "honest").await;
    tell(&mut honest, "rotated", &[genuine.clone(), begun.clone(), genuine, begun]).await;
    read(&mut honest, two.http, &access, "said").await;
    let third = refresh(two.http, &client, &second).await;
    assert_eq!(third.status, 200, "{}", third.text);
    assert_eq!(bearer(two.http, &access).tools_status().await, 200);
    // The token that was used at the other proxy is recognised by what the slave said alone.
    invalid(two.http, &client, &first).await;
    invalid(two.http, &client, &third.member("refresh_token")).await;
    refused(two.http, &access).await;
    assert_eq!(told(&mut honest, "revoked").await.len(), 1, "and everybody is told");
}
