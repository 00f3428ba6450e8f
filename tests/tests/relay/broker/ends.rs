//! What ends with a token, a user or a code.

use harness::client::LEGACY;
use harness::wait;

use super::*;

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked_and_when_its_user_is_removed() {
    let files = Files::new();
    let proxy = files.setup().start_proxy().await;
    let at = proxy.http;
    let client = register(at).await;
    for round in ["revoked", "removed"] {
        let (access, refresh_token) = redeem(at, &client, &code([at; 3], &client).await).await;
        let mut session = Client::uninitialized(at).with_header("authorization", &format!("Bearer {access}"));
        session.initialize().await;
        let headers = [
            ("accept".to_owned(), "text/event-stream".to_owned()),
            ("authorization".to_owned(), format!("Bearer {access}")),
            ("mcp-session-id".to_owned(), session.session.clone().unwrap()),
            ("mcp-protocol-version".to_owned(), LEGACY.to_owned()),
        ];
        let mut stream = Exchange::start(at, request(Method::GET, "/mcp", &headers, Vec::new())).await;
        stream.head().await;
        assert_eq!(stream.status.as_u16(), 200);
        if round == "revoked" {
            let answer =
                post(at, "/oauth/revoke", &[("client_id", &client), ("token", &refresh_token)]).await;
            assert_eq!(answer.status, 200);
        } else {
            assert!(users(&["remove", "ann"], &files.users(), "").status.success());
        }
        wait::within("the end of the stream", wait::TIMEOUT, stream.rest()).await;
        assert_eq!(refresh(at, &client, &refresh_token).await.member("error"), "invalid_grant", "{round}");
    }
}

#[tokio::test]
async fn a_code_and_a_refresh_token_that_are_used_twice_end_the_grant() {
    let files = Files::new();
    let proxy = files.setup().start_proxy().await;
    let at = proxy.http;
    let client = register(at).await;
    let first = code([at; 3], &client).await;
    let (access, _) = redeem(at, &client, &first).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", &*client),
        ("code", &*first),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(post(at, "/oauth/token", &fields).await.member("error"), "invalid_grant");
    assert_eq!(bearer(at, &access).tools_status().await, 401);

    let (access, refresh_token) = redeem(at, &client, &code([at; 3], &client).await).await;
    let renewed = refresh(at, &client, &refresh_token).await;
    assert_eq!((renewed.status, bearer(at, &access).tools_status().await), (200, 200));
    assert_eq!(refresh(at, &client, &refresh_token).await.member("error"), "invalid_grant");
    assert_eq!(refresh(at, &client, &renewed.member("refresh_token")).await.member("error"), "invalid_grant");
    assert_eq!(bearer(at, &access).tools_status().await, 401);
}
