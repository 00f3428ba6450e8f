//! Keys, origins, host names, CORS, and the absence of secrets in responses.

use axum::body::Body;
use axum::http::{HeaderName, Method};
use front::BindScope;
use runtime::config::{AllowedHosts, AllowedOrigins};
use runtime::secret::SecretSet;

use crate::fake::{BOTH, Reply, Rig, and};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn guarded() -> Rig {
    Rig::with(|config| {
        config.keys = SecretSet::new(["canary-one", "canary-two"]).into();
        config.key_header = Some(HeaderName::from_static("x-api-key"));
    })
}

#[tokio::test]
async fn every_path_but_health_needs_a_key() {
    let rig = guarded();
    for (headers, open) in [
        (vec![], false),
        (vec![("authorization", "Bearer canary-one")], true),
        (vec![("authorization", "bearer  canary-two ")], true),
        (vec![("x-api-key", "canary-two")], true),
        (vec![("authorization", "Bearer canary")], false),
        (vec![("authorization", "Bearer ")], false),
        (vec![("authorization", "Basic canary-one")], false),
        (vec![("authorization", "canary-one")], false),
        (vec![("x-api-key", "")], false),
        (vec![("x-other-key", "canary-one")], false),
    ] {
        let reply = rig.post(&and(&headers), PING).await;
        let expected = if open { (200, None) } else { (401, Some(-32001)) };
        assert_eq!(reply.outcome(), expected, "{headers:?}");
        assert!(!reply.text().contains("canary") && !reply.text().contains("wrong"), "{}", reply.text());
        if !open {
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
            assert_eq!(reply.json()["id"], serde_json::Value::Null);
        }
        for method in [Method::GET, Method::DELETE] {
            let status = rig.send(method, "/sse", &headers, Body::empty()).await.status();
            assert_eq!(status == 401, !open, "{headers:?}");
        }
        assert_eq!(rig.send(Method::GET, "/health", &headers, Body::empty()).await.status(), 200);
    }
}

#[tokio::test]
async fn no_credential_makes_up_for_a_wrong_one_whichever_comes_first() {
    let rig = guarded();
    let (bearer, custom) = ("authorization", "x-api-key");
    // What is shown on each way: good, or not. `Basic` is another's credential, and none here.
    let ways = [
        (bearer, "Bearer canary-one", true),
        (bearer, "Bearer wrong", false),
        (bearer, "Bearer", false),
        (custom, "canary-two", true),
        (custom, "wrong", false),
        (custom, "", false),
    ];
    for first in ways {
        for second in ways {
            let headers = [(bearer, "Basic b3RoZXI6"), (first.0, first.1), (second.0, second.1)];
            // Two on one way: who reads the other one would let somebody else in.
            let expected = first.2 && second.2 && first.0 != second.0;
            let reply = rig.post(&and(&headers), PING).await;
            assert_eq!(reply.status, if expected { 200 } else { 401 }, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn of_two_keys_the_one_in_authorization_says_who_it_is() {
    let rig = guarded();
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let both = [("x-api-key", "canary-two"), ("authorization", "Bearer canary-one")];
    let token = rig.post(&and(&both), body).await.header("mcp-session-id").to_owned();
    for (key, status) in [("canary-one", 200), ("canary-two", 404)] {
        let headers = and(&[("x-api-key", key), ("mcp-session-id", &token)]);
        assert_eq!(rig.post(&headers, PING).await.status, status, "{key}");
    }
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_opened_it() {
    let rig = guarded();
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let reply = rig.post(&and(&[("x-api-key", "canary-one")]), body).await;
    let token = reply.header("mcp-session-id");
    for (key, status) in [("canary-one", 200), ("canary-two", 404)] {
        let headers = and(&[("x-api-key", key), ("mcp-session-id", token)]);
        assert_eq!(rig.post(&headers, PING).await.status, status, "{key}");
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let listed =
        || Rig::with(|config| config.origins = AllowedOrigins::parse("https://app.example").unwrap());
    let any = || Rig::with(|config| config.origins = AllowedOrigins::Any);
    for (rig, origin, good) in [
        (Rig::new(), "http://localhost:6274", true),
        (Rig::new(), "http://[::1]:80", true),
        (Rig::new(), "https://evil.example", false),
        (Rig::new(), "null", false),
        (listed(), "https://app.example", true),
        (listed(), "http://localhost:6274", false),
        (any(), "https://evil.example", true),
    ] {
        for headers in [and(&[("origin", origin)]), and(&[("origin", origin), ("host", "localhost:8000")])] {
            let reply = rig.post(&headers, PING).await;
            assert_eq!(reply.outcome(), if good { (200, None) } else { (403, Some(-32600)) }, "{origin}");
            assert_eq!(reply.header("access-control-allow-origin"), if good { origin } else { "" });
            assert_eq!(reply.headers.contains_key("vary"), good);
        }
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,mcp-param-region"),
        ];
        let reply = Reply::read(rig.send(Method::OPTIONS, "/mcp", &preflight, Body::empty()).await).await;
        assert_eq!(reply.status, if good { 204 } else { 403 });
        assert_eq!(reply.header("access-control-allow-origin"), if good { origin } else { "" });
        if good {
            assert_eq!(reply.header("access-control-allow-headers"), "authorization,mcp-param-region");
            assert!(reply.header("access-control-allow-methods").contains("DELETE"));
            assert!(reply.header("access-control-expose-headers").contains("Mcp-Session-Id"));
        }
    }
    let twice = and(&[("origin", "http://localhost"), ("origin", "https://evil.example")]);
    assert_eq!(Rig::new().post(&twice, PING).await.status, 403);
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_the_page_can_read_refusals() {
    let rig = guarded();
    let origin = [("origin", "http://localhost:1")];
    assert_eq!(rig.send(Method::OPTIONS, "/mcp", &origin, Body::empty()).await.status(), 204);
    let reply = rig.post(&and(&origin), PING).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("access-control-allow-origin")),
        (401, "http://localhost:1")
    );
    assert!(reply.header("access-control-expose-headers").contains("WWW-Authenticate"));
}

#[tokio::test]
async fn a_page_under_a_foreign_host_name_is_refused() {
    let rig = |exposure| Rig::with(move |config| config.exposure = exposure);
    let browser = |host| [("accept", "text/event-stream"), ("host", host), ("sec-fetch-site", "same-origin")];
    for (exposure, headers, status) in [
        (BindScope::Loopback, browser("evil.example:8000").to_vec(), 403),
        (BindScope::Loopback, browser("localhost:8000").to_vec(), 200),
        (BindScope::Loopback, browser("evil.example")[..2].to_vec(), 403),
        (BindScope::Loopback, browser("relay")[..2].to_vec(), 200),
        (BindScope::Network, browser("relay.example").to_vec(), 403),
        (BindScope::Network, browser("relay").to_vec(), 200),
    ] {
        let response = rig(exposure).send(Method::GET, "/mcp", &headers, Body::empty()).await;
        assert_eq!(response.status(), status, "{exposure:?} {headers:?}");
    }
    assert_eq!(rig(BindScope::Loopback).post(BOTH, PING).await.status, 200);
}

#[tokio::test]
async fn the_host_is_checked_where_no_key_is_asked_for_or_hosts_are_listed() {
    let listed = |config: &mut front::EdgeConfig| {
        config.hosts = AllowedHosts::parse("relay.example").unwrap();
    };
    let keyed = |config: &mut front::EdgeConfig| config.keys = SecretSet::new(["canary-one"]).into();
    let key = ("authorization", "Bearer canary-one");
    for (rig, host, status) in [
        (Rig::new(), "127.0.0.1:8000", 200),
        (Rig::new(), "proxy:8000", 200),
        (Rig::new(), "relay.example", 403),
        (Rig::with(listed), "relay.example", 200),
        (Rig::with(listed), "proxy:8000", 403),
        (Rig::with(keyed), "evil.example", 200),
        (
            Rig::with(|config| {
                keyed(config);
                listed(config);
            }),
            "evil.example",
            403,
        ),
    ] {
        let reply = rig.post(&and(&[("host", host), key]), PING).await;
        assert_eq!(reply.status, status, "{host}");
        if status == 403 {
            assert_eq!(reply.json()["error"]["data"]["kind"], "host_forbidden", "{host}");
        }
        let health = rig.send(Method::GET, "/health", &[("host", host)], Body::empty()).await;
        assert_eq!(health.status(), 200, "{host}");
    }
    let twice = and(&[("host", "localhost"), ("host", "evil.example")]);
    assert_eq!(Rig::new().post(&twice, PING).await.status, 403);
    let target = Rig::new().send(Method::GET, "http://evil.example/mcp", BOTH, Body::empty()).await;
    assert_eq!(target.status(), 403);
}

#[tokio::test]
async fn no_secret_is_formatted_or_returned() {
    let rig = guarded();
    let token = {
        let body =
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
        let reply = rig.post(&and(&[("x-api-key", "canary-one")]), body).await;
        reply.header("mcp-session-id").to_owned()
    };
    let text = format!("{:?}", rig.edge);
    assert!(!text.contains("canary") && text.contains("redacted"), "{text}");
    let wrong = and(&[("x-api-key", "canary-two"), ("mcp-session-id", &token)]);
    let reply = rig.post(&wrong, PING).await;
    assert!(!reply.text().contains(&token) && !reply.text().contains("canary"));
}
