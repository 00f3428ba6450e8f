//! What browsers are sent: headers, escaping, secrets.

use super::*;

#[tokio::test]
async fn pages_are_in_no_frame_run_no_script_and_escape_what_clients_say() {
    let broker = broker();
    let client = client(&broker).await;
    let page = get(&broker, &query(&client, &[]), "").await;
    let fault = get(&broker, "/oauth/authorize", "").await;
    let fields = [("flow", page.flow()), ("username", "ann".into()), ("password", PASSWORD.into())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let decision = submit(&broker, "/oauth/login", &page.cookie(), &fields).await;
    for page in [&page, &fault, &decision] {
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(policy.contains("base-uri 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("access-control-allow-origin", ""),
        ] {
            assert_eq!(page.header(name), value, "{name}");
        }
        let text = page.text();
        assert!(!text.contains("<script") && !text.contains("src=") && !text.contains("<b>"), "{text}");
    }
    assert!(decision.text().contains("Tester &lt;b&gt;") && decision.text().contains("client.example"));
    assert!(
        decision.header("content-security-policy").contains("form-action 'self' https://client.example;")
    );
    let cookie = page.header("set-cookie");
    for part in ["__Host-mcp-relay-browser=", "; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(part) && !cookie.contains("Domain"), "{cookie}");
    }
    let again = get(&broker, &query(&client, &[]), &page.cookie()).await;
    assert!(again.header("set-cookie").is_empty(), "a browser keeps its cookie");
}

#[tokio::test]
async fn what_clients_ask_for_is_readable_by_pages_of_any_origin_and_pages_of_users_are_not() {
    let broker = broker();
    let client = client(&broker).await;
    for path in
        ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource", "/oauth/keys"]
    {
        let answer = get(&broker, path, "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"), "{path}");
    }
    let answer = post(&broker, "/oauth/token", &[("client_id", &client)], NOW).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let metadata = get(&broker, "/.well-known/oauth-authorization-server", "").await.json();
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    let resource = get(&broker, "/.well-known/oauth-protected-resource/mcp", "").await.json();
    assert_eq!(
        (&resource["resource"], &resource["authorization_servers"]),
        (&json!(RESOURCE), &json!([ISSUER]))
    );
    // Clients ask for what they are told of: at first the default scopes, and what something needs once it does.
    assert_eq!(
        (&resource["scopes_supported"], &metadata["scopes_supported"]),
        (&json!(["mcp"]), &json!(["mcp", "admin"]))
    );
    let step_up = broker.challenge(Some("insufficient_scope"), &["admin".to_owned()]);
    assert!(
        step_up.contains("scope=\"admin\"") && step_up.ends_with("error=\"insufficient_scope\""),
        "{step_up}"
    );
    let challenge = broker.challenge(Some("invalid_token"), &[]);
    assert!(challenge.starts_with(
        "Bearer resource_metadata=\"https://relay.example/.well-known/oauth-protected-resource/mcp\""
    ));
    assert!(
        challenge.contains("scope=\"mcp\"") && challenge.ends_with("error=\"invalid_token\""),
        "{challenge}"
    );
}
