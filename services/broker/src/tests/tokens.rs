//! Codes and tokens in wrong hands, used twice, and revoked.

use super::*;

#[tokio::test]
async fn a_code_is_of_use_to_its_client_with_its_verifier_alone_for_a_minute() {
    let broker = broker();
    let client = client(&broker).await;
    let foreign = register(&broker, &json!({"redirect_uris": [CALLBACK]})).await.json();
    let foreign = foreign["client_id"].as_str().unwrap().to_owned();
    let code = code(&broker, &client, &[]).await;
    let other_verifier = "b-verifier-of-at-least-forty-three-characters";
    for (name, value, error) in [
        ("client_id", "", "invalid_client"),
        ("client_id", foreign.as_str(), "invalid_grant"),
        ("client_secret", "x", "invalid_client"),
        ("code", "", "invalid_request"),
        ("code", "mro1_AAAA", "invalid_grant"),
        ("code", client.as_str(), "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("code_verifier", other_verifier, "invalid_grant"),
        ("code_verifier", "short", "invalid_grant"),
        ("redirect_uri", "https://client.example/cb/", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1/cb", "invalid_grant"),
        ("resource", "https://other.example", "invalid_target"),
        ("grant_type", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "refresh_token", "invalid_request"),
    ] {
        let mut fields = redemption(&client, &code);
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        let answer = post(&broker, "/oauth/token", &fields, NOW).await;
        assert_eq!(answer.error(), error, "{name}={value}");
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (if error == "invalid_client" { 401 } else { 400 }, "no-store")
        );
    }
    let mut basic = form("/oauth/token", &redemption(&client, &code));
    basic.headers_mut().insert("authorization", "Basic eDp5".parse().unwrap());
    assert_eq!(send(&broker, basic, NOW).await.error(), "invalid_client");
    let mut json = form("/oauth/token", &redemption(&client, &code));
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(send(&broker, json, NOW).await.error(), "invalid_request");
    assert_eq!(
        post(&broker, "/oauth/token", &redemption(&client, &code), NOW + 60).await.error(),
        "invalid_grant",
        "too late"
    );
    assert_eq!(
        post(&broker, "/oauth/token", &redemption(&client, &code), NOW + 59).await.status,
        200,
        "none of these used it up"
    );
}

#[tokio::test]
async fn a_code_that_is_used_twice_ends_what_it_gave() {
    let broker = broker();
    let client = client(&broker).await;
    let code = code(&broker, &client, &[]).await;
    let first = post(&broker, "/oauth/token", &redemption(&client, &code), NOW).await;
    let (access, refresh) = pair(&first);
    assert!(broker.verify_at(access.as_bytes(), NOW).is_some());
    assert_eq!(
        post(&broker, "/oauth/token", &redemption(&client, &code), NOW).await.error(),
        "invalid_grant"
    );
    assert!(broker.verify_at(access.as_bytes(), NOW).is_none());
    assert_eq!(refreshed(&broker, &client, &refresh).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_is_replaced_and_its_second_use_ends_the_grant() {
    let broker = broker();
    let client = client(&broker).await;
    let (_, first) = tokens(&broker, &client).await;
    let (access, second) = pair(&refreshed(&broker, &client, &first).await);
    assert!(broker.verify_at(access.as_bytes(), NOW).is_some());
    assert_eq!(refreshed(&broker, &client, &first).await.error(), "invalid_grant", "the thief or the client");
    assert_eq!(refreshed(&broker, &client, &second).await.error(), "invalid_grant", "both are out");
    assert!(broker.verify_at(access.as_bytes(), NOW).is_none());
    assert!(tokens(&broker, &client).await.0.starts_with("mra1_"), "another sign-in is another grant");
}

#[tokio::test]
async fn a_refresh_gives_no_more_than_was_granted_to_nobody_else_and_not_for_ever() {
    let broker = broker();
    let client = client(&broker).await;
    let (access, refresh) = tokens(&broker, &client).await;
    let ask = async |name: &str, value: &str, now| {
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("client_id", client.as_str()),
            ("refresh_token", refresh.as_str()),
        ];
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        post(&broker, "/oauth/token", &fields, now).await.error()
    };
    assert_eq!(ask("scope", "mcp admin", NOW).await, "invalid_scope", "admin was not granted");
    assert_eq!(ask("client_id", "another", NOW).await, "invalid_grant");
    assert_eq!(ask("refresh_token", &access, NOW).await, "invalid_grant", "an access token is none");
    assert_eq!(ask("resource", "https://other.example", NOW).await, "invalid_target");
    assert_eq!(ask("scope", "mcp", NOW + 24 * 3600).await, "invalid_grant", "the absolute end");
    assert_eq!(ask("scope", "mcp", NOW + 24 * 3600 - 1).await, "", "not used up");
    assert!(broker.verify_at(refresh.as_bytes(), NOW).is_none(), "a refresh token lets nobody in");
}

#[tokio::test]
async fn a_client_that_did_not_register_for_refresh_tokens_gets_none() {
    let broker = broker();
    let client = register(&broker, &json!({"redirect_uris": [CALLBACK]})).await.json();
    let (access, refresh) = tokens(&broker, client["client_id"].as_str().unwrap()).await;
    assert!(!access.is_empty() && refresh.is_empty());
}

#[tokio::test]
async fn a_revocation_ends_the_grant_here_and_where_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = RevocationsFile::open(&folder.path().join("revoked")).unwrap();
    let broker = broker_with(users(), Some(file.clone()));
    let client = client(&broker).await;
    let (access, refresh) = tokens(&broker, &client).await;
    let revoke = async |client: &str, token: &str| {
        post(&broker, "/oauth/revoke", &[("client_id", client), ("token", token)], NOW).await
    };
    assert_eq!(revoke("another", &access).await.error(), "invalid_grant");
    assert_eq!(revoke(&client, "").await.error(), "invalid_request");
    assert_eq!(revoke(&client, "unknown").await.status, 200, "RFC 7009, 2.2");
    let granted = broker.verify_at(access.as_bytes(), NOW).unwrap();
    let waiting = broker.ended(&granted);
    let revoking = async { assert_eq!(revoke(&client, &refresh).await.status, 200) };
    tokio::join!(waiting, revoking);
    assert!(broker.verify_at(access.as_bytes(), NOW).is_none());
    assert_eq!(refreshed(&broker, &client, &refresh).await.error(), "invalid_grant");
    let restarted = loop {
        // The line is written by another thread.
        let other = broker_with(users(), Some(file.clone()));
        if other.verify_at(access.as_bytes(), NOW).is_none() {
            break other;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refreshed(&restarted, &client, &refresh).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_token_ends_with_its_user_s_password_and_with_the_server_s_address() {
    let broker = broker();
    let client = client(&broker).await;
    let (access, refresh) = tokens(&broker, &client).await;
    let mut changed = users();
    changed.users[0].password = crate::hash_password("another").unwrap();
    for users in [UsersFile::default(), changed] {
        let other = broker_with(users, None);
        assert!(other.verify_at(access.as_bytes(), NOW).is_none());
        assert_eq!(refreshed(&other, &client, &refresh).await.error(), "invalid_grant");
    }
    let mut elsewhere = super::broker();
    elsewhere.settings.url = PublicUrl::new(&Url::parse("https://other.example/mcp").unwrap()).unwrap();
    assert!(elsewhere.verify_at(access.as_bytes(), NOW).is_none(), "another audience");
    let rekeyed = super::broker();
    rekeyed.replace_keys(&SessionKey::derive("another key").into());
    assert!(rekeyed.verify_at(access.as_bytes(), NOW).is_none());
}
