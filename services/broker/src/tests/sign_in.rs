//! Sign-in and decision: wrong users, other browsers, other pages, other times.

use super::*;
use crate::users::STEP;

#[tokio::test]
async fn only_the_right_password_signs_in_and_the_page_does_not_say_what_was_wrong() {
    let broker = broker();
    let client = client(&broker).await;
    let page = get(&broker, &query(&client, &[]), "").await;
    let (cookie, flow) = (page.cookie(), page.flow());
    let mut texts = std::collections::HashSet::new();
    for (name, password) in [("ann", "wrong"), ("ann", ""), ("nobody", PASSWORD), ("", ""), ("bob", PASSWORD)]
    {
        let fields = [("flow", flow.as_str()), ("username", name), ("password", password)];
        let page = submit(&broker, "/oauth/login", &cookie, &fields).await;
        assert_eq!(page.status, 403, "{name}");
        texts.insert(page.text().replace(&page.flow(), ""));
        assert!(!page.text().contains(PASSWORD));
    }
    assert_eq!(texts.len(), 1, "the same page for each");
}

#[tokio::test]
async fn a_one_time_code_is_asked_for_where_the_user_has_a_secret_and_works_once() {
    let broker = broker();
    let client = client(&broker).await;
    let page = get(&broker, &query(&client, &[]), "").await;
    let (cookie, flow) = (page.cookie(), page.flow());
    let try_code = async |password: &str, code: &str| {
        let fields = [("flow", flow.as_str()), ("username", "bob"), ("password", password), ("code", code)];
        submit(&broker, "/oauth/login", &cookie, &fields).await.status
    };
    let now = secret().password_at(NOW).unwrap();
    assert_eq!(try_code(PASSWORD, "").await, 403);
    assert_eq!(
        try_code(PASSWORD, &secret().password_at(NOW + 3 * STEP).unwrap()).await,
        403,
        "of another time"
    );
    assert_eq!(try_code("wrong", &now).await, 403, "a wrong password does not use it up");
    assert_eq!(try_code(PASSWORD, &now).await, 200);
    assert_eq!(try_code(PASSWORD, &now).await, 403, "used");
    assert_eq!(try_code(PASSWORD, &secret().password_at(NOW + STEP).unwrap()).await, 200);
}

#[tokio::test]
async fn guesses_are_bounded_and_say_how_long() {
    let broker = broker();
    let client = client(&broker).await;
    let page = get(&broker, &query(&client, &[]), "").await;
    let (cookie, flow) = (page.cookie(), page.flow());
    let mut last = 0;
    for _ in 0..11 {
        let fields = [("flow", flow.as_str()), ("username", "ann"), ("password", "x")];
        let page = submit(&broker, "/oauth/login", &cookie, &fields).await;
        last = page.status;
        assert_eq!(page.status == 429, !page.header("retry-after").is_empty());
    }
    assert_eq!(last, 429);
    let fields = [("flow", flow.as_str()), ("username", "ann"), ("password", PASSWORD)];
    assert_eq!(submit(&broker, "/oauth/login", &cookie, &fields).await.status, 429, "the right one too");
}

/// Login CSRF, consent CSRF, a flow of another browser, forms of other pages, replayed and altered records.
#[tokio::test]
async fn a_step_is_taken_by_its_browser_from_our_page_alone() {
    let broker = broker();
    let client = client(&broker).await;
    let (cookie, decision) = to_decision(&broker, &client, &[]).await;
    let stranger = get(&broker, &query(&client, &[]), "").await;
    let first = stranger.flow();
    let allow = [("flow", decision.as_str()), ("decision", "allow")];
    for cookie in
        ["", "__Host-mcp-relay-browser=x", stranger.cookie().as_str(), &cookie.replacen("__Host-", "", 1)]
    {
        assert_eq!(submit(&broker, "/oauth/consent", cookie, &allow).await.status, 403, "{cookie}");
    }
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://relay.example"),
        ("origin", "https://relay.example.evil"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let mut request = form("/oauth/consent", &allow);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(send(&broker, request, NOW).await.status, 403, "{name}: {value}");
    }
    // A step that nobody signed in for, an altered one, one of another kind, none.
    let other = stranger.cookie();
    assert_eq!(
        submit(&broker, "/oauth/consent", &other, &[("flow", &first), ("decision", "allow")]).await.status,
        403
    );
    let mut altered = decision.clone();
    altered.pop();
    for flow in [altered.as_str(), client.as_str(), ""] {
        assert_eq!(
            submit(&broker, "/oauth/consent", &cookie, &[("flow", flow), ("decision", "allow")]).await.status,
            400
        );
    }
    for choice in ["", "maybe"] {
        assert_eq!(
            submit(&broker, "/oauth/consent", &cookie, &[("flow", &decision), ("decision", choice)])
                .await
                .status,
            400
        );
    }
    let mut late = form("/oauth/consent", &allow);
    late.headers_mut().insert("cookie", cookie.parse().unwrap());
    assert_eq!(send(&broker, late, NOW + 600).await.status, 400, "too late");
    assert_eq!(submit(&broker, "/oauth/consent", &cookie, &allow).await.status, 303);
}

#[tokio::test]
async fn a_refusal_is_told_and_a_removed_user_decides_nothing() {
    let broker = broker();
    let client = client(&broker).await;
    let (cookie, flow) = to_decision(&broker, &client, &[]).await;
    let back = submit(&broker, "/oauth/consent", &cookie, &[("flow", &flow), ("decision", "deny")]).await;
    let parameters = back.redirect();
    assert_eq!((parameters["error"].as_str(), parameters["iss"].as_str()), ("access_denied", ISSUER));
    assert!(!parameters.contains_key("code"));
    let without = broker_with(UsersFile::default(), None);
    let answer = submit(&without, "/oauth/consent", &cookie, &[("flow", &flow), ("decision", "allow")]).await;
    assert_eq!(answer.status, 403);
}
