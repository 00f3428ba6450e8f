//! Tokens and secrets stay between client, proxy and issuer; who the client is goes on to the slave.

use harness::canary;
use harness::fixture::{Fixture, run_args};
use harness::issuer::{SigningKey, TestIssuer};
use harness::relay::Setup;
use harness::wait;

use super::{Issuers, RESOURCE, client, show};

#[tokio::test]
async fn no_token_is_in_a_log_an_answer_or_a_call() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let audit = tempfile::tempdir().unwrap();
    let lines = audit.path().join("audit");
    let issuers = Issuers::of(&issuer, &[]);
    let proxy = issuers
        .setup()
        .env("LOG_LEVEL", "trace")
        .env("LOG_CALLS", "all")
        .env("UI", "1")
        .env("AUDIT_LOG", lines.to_str().unwrap())
        .start_proxy()
        .await;
    let fixture = Fixture::default();
    let slave = fixture.serve(Setup::slave("one", proxy.link).env("LOG_LEVEL", "trace")).start_slave().await;
    let token = key.token("e", &issuer.claims("ada", RESOURCE));
    let ada = client(proxy.http, &token);
    wait::until("the tools", async || ada.tool_names().await.contains(&"run".into()).then_some(())).await;
    fixture.open_gate("g", 1);
    let done = ada.call("run", run_args("g", 1)).await;
    assert_eq!(done.text(), "done g");
    let bad = format!("{token}x");
    let refused = show(proxy.http, &bad).await;
    assert_eq!(refused.0, 401);
    let opaque = show(proxy.http, "opaque-canary-token").await;
    let operators = harness::http::request(hyper::Method::GET, "/api/v1/status", &[], Vec::new());
    let mut exchange = harness::http::Exchange::start(proxy.http, operators).await;
    let status = String::from_utf8(exchange.rest().await).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    for (place, text) in [
        ("the proxy's log", proxy.log.text()),
        ("the slave's log", slave.log.text()),
        ("the answers", format!("{done:?} {refused:?} {opaque:?}")),
        ("the audit stream", std::fs::read_to_string(&lines).unwrap()),
        ("the status", status),
    ] {
        for word in [&signature[..40], &payload[..40], "opaque-canary-token"] {
            assert_eq!(canary::find(&text, word), None, "{place}");
        }
    }
}
