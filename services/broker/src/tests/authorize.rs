//! Hostile requests of clients.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_request_whose_client_or_redirect_uri_is_not_known_goes_nowhere() {
    let broker = broker();
    let client = client(&broker).await;
    let foreign = register(&broker, &json!({"redirect_uris": ["https://evil.example/cb"]})).await.json();
    let foreign = foreign["client_id"].as_str().unwrap().to_owned();
    for changes in [
        [("client_id", "")],
        [("client_id", "mrc1_AAAA")],
        [("client_id", "https://relay.example")],
        [("redirect_uri", "https://evil.example/cb")],
        [("redirect_uri", "https://client.example/cb/")],
        [("redirect_uri", "https://client.example/cb?x=1")],
        [("redirect_uri", "https://client.example/cb#f")],
        [("redirect_uri", "https://client.example.evil.example/cb")],
        [("redirect_uri", "http://client.example/cb")],
        [("redirect_uri", "http://127.0.0.1:1/other")],
        [("redirect_uri", "javascript:alert(1)")],
        [("redirect_uri", "")],
        [("client_id", foreign.as_str())],
    ] {
        let page = get(&broker, &query(&client, &changes), "").await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{changes:?}");
        assert!(page.header("set-cookie").is_empty() && !page.text().contains("evil"), "{changes:?}");
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example%2Fcb", query(&client, &[]));
    assert_eq!(get(&broker, &twice, "").await.status, 400);
}

#[tokio::test]
async fn faults_of_a_known_client_are_told_to_it_with_state_and_issuer() {
    let broker = broker();
    let client = client(&broker).await;
    let plain = VERIFIER.repeat(2);
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "code token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge", plain.as_str()), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", "s256"), "invalid_request"),
        (("scope", "mcp root"), "invalid_scope"),
        (("resource", "https://other.example/mcp"), "invalid_target"),
        (("resource", "https://relay.example.evil/mcp"), "invalid_target"),
        (("request", "x"), "request_not_supported"),
        (("request_uri", "https://x"), "request_not_supported"),
        (("prompt", "none"), "interaction_required"),
    ] {
        let back = get(&broker, &query(&client, &[change]), "").await;
        assert_eq!(back.status, 303, "{change:?}");
        assert!(back.header("location").starts_with(&format!("{CALLBACK}?error=")), "{change:?}");
        let parameters = back.redirect();
        assert_eq!(parameters["error"], error, "{change:?}");
        assert_eq!((parameters["state"].as_str(), parameters["iss"].as_str()), ("a state & more", ISSUER));
    }
    let long = "s".repeat(5000);
    let back = get(&broker, &query(&client, &[("state", &long)]), "").await;
    assert_eq!((back.status, back.redirect().contains_key("state")), (303, false));
}

#[tokio::test]
async fn what_may_be_left_out_may_be_and_a_program_chooses_its_port() {
    let broker = broker();
    let client = client(&broker).await;
    for changes in [
        [("state", "")],
        [("scope", "")],
        [("resource", "")],
        [("resource", "https://relay.example/")],
        [("scope", "mcp offline_access")],
        [("redirect_uri", "http://127.0.0.1:49152/cb")],
        [("unknown", "x")],
    ] {
        let page = get(&broker, &query(&client, &changes), "").await;
        assert_eq!(page.status, 200, "{changes:?}: {}", page.text());
    }
    let single = register(&broker, &json!({"redirect_uris": [CALLBACK]})).await.json();
    let single = single["client_id"].as_str().unwrap();
    assert_eq!(get(&broker, &query(single, &[("redirect_uri", "")]), "").await.status, 200);
}

#[tokio::test]
async fn a_registration_that_is_not_json_or_not_ours_is_refused() {
    let broker = broker();
    let send_body = async |kind: &str, body: &str| {
        let body = Bytes::from(body.to_owned());
        let request = Request::post("/oauth/register").header("content-type", kind).body(body).unwrap();
        send(&broker, request, NOW).await
    };
    for (kind, body) in [
        ("text/plain", "{}"),
        ("application/json", "{"),
        ("application/json", ""),
        ("application/json", "[]"),
    ] {
        let answer = send_body(kind, body).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, "invalid_client_metadata"),
            "{kind} {body}"
        );
    }
    let answer =
        send_body("application/json; charset=utf-8", r#"{"redirect_uris":["http://evil.example/"]}"#).await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_redirect_uri"));
    let secret =
        r#"{"redirect_uris":["https://c.example/"],"token_endpoint_auth_method":"client_secret_basic"}"#;
    let answer = send_body("application/json", secret).await.json();
    assert_eq!(answer["token_endpoint_auth_method"], "none");
    assert_eq!(answer["grant_types"], json!(["authorization_code"]));
    assert!(answer.get("client_secret").is_none());
}
