//! Keys and issuers that change, tokens that end, and sessions that belong to a person rather than to a token.

use harness::client::Client;
use harness::http::{Exchange, request};
use harness::issuer::{SigningKey, TestIssuer, now};
use harness::wait;
use hyper::Method;
use serde_json::json;

use super::{Issuers, RESOURCE, show};

async fn session(address: std::net::SocketAddr, token: &str) -> Client {
    let mut client = Client::uninitialized(address).with_header("authorization", &format!("Bearer {token}"));
    client.initialize().await;
    client
}

/// Opens the GET stream of a session, and waits until it is open.
async fn listen(client: &Client, address: std::net::SocketAddr, token: &str) -> Exchange {
    let headers = [
        ("authorization".to_owned(), format!("Bearer {token}")),
        ("accept".to_owned(), "text/event-stream".to_owned()),
        ("mcp-session-id".to_owned(), client.session.clone().unwrap()),
    ];
    let mut stream = Exchange::start(address, request(Method::GET, "/mcp", &headers, Vec::new())).await;
    stream.head().await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.try_chunk().await.unwrap().unwrap(), ":\n\n");
    stream
}

async fn ends(stream: &mut Exchange) {
    wait::until("the stream's end", async || stream.try_chunk().await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_an_issuer_that_is_down_is_told_from_a_bad_token() {
    let (old, new) = (SigningKey::ec(), SigningKey::ed());
    let issuer = TestIssuer::start(&[old.jwk("old")]).await;
    issuer.set_down(true);
    let proxy = Issuers::of(&issuer, &[]).setup().start_proxy().await;
    let claims = issuer.claims("ada", RESOURCE);
    let (status, kind, _) = show(proxy.http, &old.token("old", &claims)).await;
    assert_eq!((status, kind.as_str()), (503, "issuer_unavailable"));
    proxy.log.wait_for("AUTH_ISSUERS: the issuer's keys cannot be read").await;
    issuer.set_down(false);
    wait::until("the issuer's keys", async || {
        (show(proxy.http, &old.token("old", &claims)).await.0 == 200).then_some(())
    })
    .await;
    // Tokens with unknown keys make the proxy ask, and not for each of them.
    issuer.publish(&[old.jwk("old"), new.jwk("new")]);
    let before = issuer.asked("/keys");
    wait::until("the new key", async || {
        for _ in 0..20 {
            assert_eq!(show(proxy.http, &old.token("none", &claims)).await.0, 401);
        }
        (show(proxy.http, &new.token("new", &claims)).await.0 == 200).then_some(())
    })
    .await;
    assert!(issuer.asked("/keys") - before <= 4, "{} requests", issuer.asked("/keys") - before);
    // With keys at hand, an issuer that is down does no harm.
    issuer.set_down(true);
    assert_eq!(show(proxy.http, &new.token("new", &claims)).await.0, 200);
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_a_session_goes_on_with_the_next_one() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let proxy = Issuers::of(&issuer, &["leeway: 0"]).setup().start_proxy().await;
    let token = |subject: &str, seconds: u64| {
        let mut claims = issuer.claims(subject, RESOURCE);
        claims["exp"] = (now() + seconds).into();
        key.token("e", &claims)
    };
    let short = token("ada", 8);
    let client = session(proxy.http, &short).await;
    let mut stream = listen(&client, proxy.http, &short).await;
    ends(&mut stream).await;
    assert_eq!(show(proxy.http, &short).await.0, 401);
    let with = |subject: &str| {
        let bearer = format!("Bearer {}", token(subject, 300));
        let mut next = Client::uninitialized(proxy.http).with_header("authorization", &bearer);
        next.session.clone_from(&client.session);
        next
    };
    assert_eq!(with("ada").call("none", json!({})).await.kind(), "no_slave", "the session goes on");
    assert_eq!(with("bob").call("none", json!({})).await.status, 404, "another's session");
}

#[tokio::test]
async fn a_key_or_an_issuer_that_is_removed_ends_what_is_open_and_a_bad_file_changes_nothing() {
    let (one, two) = (SigningKey::ec(), SigningKey::ed());
    let issuer = TestIssuer::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    let publish = |list: &[serde_json::Value]| {
        let new = folder.path().join("new");
        std::fs::write(&new, json!({ "keys": list }).to_string()).unwrap();
        std::fs::rename(&new, &keys).unwrap();
    };
    publish(&[one.jwk("one"), two.jwk("two")]);
    let file = format!("jwks_file: {}", keys.display());
    let issuers = Issuers::of(&issuer, &[&file]);
    let proxy = issuers.setup().start_proxy().await;
    let claims = issuer.claims("ada", RESOURCE);
    let (first, second) = (one.token("one", &claims), two.token("two", &claims));
    let client = session(proxy.http, &first).await;
    let mut streams = [listen(&client, proxy.http, &first).await, listen(&client, proxy.http, &second).await];
    publish(&[two.jwk("two")]);
    ends(&mut streams[0]).await;
    assert_eq!(show(proxy.http, &first).await.0, 401);
    assert_eq!(show(proxy.http, &second).await.0, 200);
    issuers.write("issuer: http://no.example");
    proxy.log.wait_for("AUTH_ISSUERS cannot be used, the issuers of before stay").await;
    assert_eq!(show(proxy.http, &second).await.0, 200);
    issuers.write("issuer: https://other.example");
    proxy.log.wait_for("AUTH_ISSUERS was read again").await;
    ends(&mut streams[1]).await;
    assert_eq!(show(proxy.http, &second).await.0, 401);
}
