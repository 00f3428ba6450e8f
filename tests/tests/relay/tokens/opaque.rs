//! Opaque tokens: the issuer is asked, and its answer counts for a short time.

use harness::client::Client;
use harness::http::{Exchange, request};
use harness::issuer::TestIssuer;
use harness::wait;
use hyper::Method;
use serde_json::{Value, json};

use super::{Issuers, RESOURCE, introspection, show};

#[tokio::test]
async fn the_issuer_is_asked_once_and_its_answer_is_checked_and_kept() {
    let issuer = TestIssuer::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = introspection(&issuer, folder.path());
    let proxy = Issuers::of(&issuer, &[&endpoint, "scopes: [mcp]"]).setup().start_proxy().await;
    let good = issuer.claims("ada", RESOURCE);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    issuer.activate("good", good.clone());
    for _ in 0..10 {
        assert_eq!(show(proxy.http, "good").await.0, 200);
    }
    assert_eq!(issuer.asked("/introspect"), 1);
    for (token, claims, status) in [
        ("no-expiry", with("exp", Value::Null), 200),
        ("no-issuer", with("iss", Value::Null), 401),
        ("other-issuer", with("iss", json!("https://other.example")), 401),
        ("other-audience", with("aud", json!("https://other.example")), 401),
        ("no-audience", with("aud", Value::Null), 401),
        ("no-subject", with("sub", Value::Null), 401),
        ("expired", with("exp", json!(1)), 401),
        ("later", with("nbf", json!(u32::MAX)), 401),
        ("no-scope", with("scope", json!("other")), 403),
    ] {
        issuer.activate(token, claims);
        assert_eq!(show(proxy.http, token).await.0, status, "{token}");
    }
    assert_eq!(show(proxy.http, "unknown").await.0, 401);
    issuer.set_down(true);
    let (status, kind, _) = show(proxy.http, "new").await;
    assert_eq!((status, kind.as_str()), (503, "issuer_unavailable"));
    assert_eq!(show(proxy.http, "good").await.0, 200, "what was said a moment ago counts");
    issuer.set_down(false);
    // A stream ends when the issuer says that its token is not active any more.
    let mut client = Client::uninitialized(proxy.http).with_header("authorization", "Bearer good");
    client.initialize().await;
    let headers = [
        ("authorization".to_owned(), "Bearer good".to_owned()),
        ("accept".to_owned(), "text/event-stream".to_owned()),
        ("mcp-session-id".to_owned(), client.session.clone().unwrap()),
    ];
    let mut stream = Exchange::start(proxy.http, request(Method::GET, "/mcp", &headers, Vec::new())).await;
    stream.head().await;
    assert_eq!(stream.status, 200);
    issuer.revoke("good");
    wait::until("the stream's end", async || stream.try_chunk().await.unwrap().is_none().then_some(())).await;
    assert_eq!(show(proxy.http, "good").await.0, 401);
}
