//! The whole way of a client, each step at the other of two proxies that share a session key.

use harness::canary;
use harness::client::MODERN;
use harness::otlp::Collector;
use harness::wait;

use super::*;

fn traced(setup: Setup, collector: &Collector) -> Setup {
    let setup = setup.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    setup.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

/// Waits for the spans of three calls at each side.
async fn spans(collector: &Collector) {
    wait::until("the spans of the calls", async || {
        let calls = |service: &str| {
            let spans = collector.spans();
            spans.iter().filter(|span| span.service == service && span.name.starts_with("tools/call")).count()
        };
        (calls("mcp-relay-proxy") >= 3 && calls("mcp-relay-slave") >= 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_goes_from_discovery_to_revocation_with_each_step_at_another_proxy() {
    let files = Files::new();
    let collector = Collector::http().await;
    let traced = |setup: Setup| traced(setup, &collector);
    let setup = traced(files.setup().env("LOG_LEVEL", "debug").env("AUDIT_LOG", "stderr"));
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let slaves = [
        traced(Setup::slave("one", one.link)).start_slave().await,
        traced(Setup::slave("two", two.link)).start_slave().await,
    ];
    let (a, b) = (one.http, two.http);

    discover(a, b).await;
    let client = register(b).await;
    let code = code([a, b, a], &client).await;
    let (access, refresh_token) = redeem(b, &client, &code).await;
    for (proxy, at) in [(&one, a), (&two, b)] {
        wait::until("the slave's tools", async || {
            let names = bearer(at, &access).tool_names().await;
            names.iter().any(|name| name == "echo").then_some(())
        })
        .await;
        let answer = bearer(at, &access).call("echo", json!({"text": "hello"})).await;
        assert_eq!(answer.status, 200, "{:?} {}", answer.messages, proxy.log.text());
    }
    let mut legacy = Client::uninitialized(a).with_header("authorization", &format!("Bearer {access}"));
    legacy.initialize().await;

    let renewed = refresh(a, &client, &refresh_token).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    let (access2, refresh2) = (renewed.member("access_token"), renewed.member("refresh_token"));
    assert_eq!(bearer(b, &access2).call("echo", json!({"text": "x"})).await.status, 200);
    assert!(
        !legacy.with_header("authorization", &format!("Bearer {access2}")).at(b).tools().await.is_empty()
    );

    let revoked = post(b, "/oauth/revoke", &[("client_id", &client), ("token", &refresh2)]).await;
    assert_eq!((revoked.status, revoked.text.as_str()), (200, ""));
    let refused = async |at: SocketAddr, token: &str| {
        let headers = [
            ("authorization", &*format!("Bearer {token}")),
            ("content-type", "application/json"),
            ("mcp-protocol-version", MODERN),
        ];
        let answer = send(at, Method::POST, "/mcp", &headers, "{}".into()).await;
        (answer.status == 401).then(|| answer.header("www-authenticate").to_owned())
    };
    assert!(
        refused(b, &access2).await.is_some_and(|challenge| challenge.contains("error=\"invalid_token\""))
    );
    wait::until("the other proxy to read the revocation", async || refused(a, &access).await).await;
    assert_eq!(refresh(a, &client, &refresh2).await.member("error"), "invalid_grant");

    spans(&collector).await;
    drop(slaves);
    let metrics = harness::http::get(a, "/metrics").await.1;
    let secrets = [&code, &access, &refresh_token, &access2, &refresh2].map(|token| &token[10..60]);
    no_text_has(&[one.log.text(), two.log.text(), metrics, collector.raw()], &secrets);
}

/// Holds that neither these words nor password and verifier are in a text.
fn no_text_has(texts: &[String], secrets: &[&str]) {
    for text in texts {
        for word in [PASSWORD, VERIFIER].iter().chain(secrets) {
            assert_eq!(canary::find(text, word), None);
        }
    }
}

/// Finds the authorization server as a client does that knows the URL alone: from the first refusal at one proxy, at the other.
async fn discover(a: SocketAddr, b: SocketAddr) {
    let refused = send(a, Method::POST, "/mcp", &[("content-type", "application/json")], "{}".into()).await;
    let challenge = refused.header("www-authenticate").to_owned();
    assert_eq!(refused.status, 401, "{}", refused.text);
    let metadata_url =
        challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(!challenge.contains("error=") && challenge.contains("scope=\"mcp\""), "{challenge}");
    let resource = get(b, metadata_url.strip_prefix(ISSUER).unwrap()).await.json();
    assert_eq!(
        (&resource["resource"], &resource["authorization_servers"]),
        (&json!(RESOURCE), &json!([ISSUER]))
    );
    let metadata = get(a, "/.well-known/oauth-authorization-server").await.json();
    assert_eq!(
        (&metadata["issuer"], &metadata["token_endpoint"]),
        (&json!(ISSUER), &json!("https://relay.example/oauth/token"))
    );
}
