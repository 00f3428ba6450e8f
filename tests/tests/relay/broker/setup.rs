//! The configuration, the commands for users, and keys beside tokens.

use std::os::unix::fs::PermissionsExt;

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_broker_without_what_it_needs_does_not_start() {
    let files = Files::new();
    for (name, value, told) in [
        ("PUBLIC_URL", "", "PUBLIC_URL beside it"),
        ("PUBLIC_URL", "http://relay.example", "an https URL"),
        ("BROKER_USERS_FILE", "", "BROKER_USERS_FILE"),
        ("BROKER_USERS_FILE", "/nowhere/users.yaml", "a file of users"),
        ("BROKER_SCOPES", "a\"b", "BROKER_SCOPES"),
    ] {
        let mut process = files.setup().env(name, value).spawn();
        assert_eq!(process.exit(Duration::from_mins(1)).await.code(), Some(64), "{name}={value}");
        process.log.wait_for(told).await;
    }
}

#[tokio::test]
async fn keys_go_on_to_work_and_nobody_gets_in_with_nothing_or_with_a_wrong_token() {
    let files = Files::new();
    let proxy = files.setup().env("AUTH_BEARER_KEYS", "a-key-of-sixteen-letters").env("ALLOW_ANONYMOUS", "1");
    let proxy = proxy.env("AUTH_CUSTOM_HEADER", "x-key").start_proxy().await;
    let at = proxy.http;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let ask = async |headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        send(at, Method::POST, "/mcp", &all, list.to_owned()).await.status
    };
    let key = ("authorization", "Bearer a-key-of-sixteen-letters");
    assert_ne!(ask(&[key]).await, 401);
    assert_eq!(ask(&[]).await, 401);
    assert_eq!(ask(&[("authorization", "Bearer mra1_AAAA")]).await, 401);
    let both = [("authorization", "Bearer mra1_AAAA"), ("x-key", "a-key-of-sixteen-letters")];
    assert_eq!(ask(&both).await, 401, "a wrong token does not fall through to a key");
    let client = register(at).await;
    let (access, refresh_token) = redeem(at, &client, &code([at; 3], &client).await).await;
    for token in [&refresh_token, &client] {
        assert_eq!(ask(&[("authorization", &format!("Bearer {token}"))]).await, 401);
    }
    assert_ne!(ask(&[("authorization", &format!("Bearer {access}"))]).await, 401);
    // Operators' endpoints are not for tokens.
    let bearer = format!("Bearer {access}");
    let metrics = send(at, Method::GET, "/metrics", &[("authorization", &bearer)], String::new()).await;
    assert!(matches!(metrics.status, 401 | 403), "{}", metrics.status);
}

#[test]
fn users_are_added_changed_listed_and_removed() {
    let files = Files::new();
    let file = files.users();
    let run = |args: &[&str], input: &str| {
        let output = users(args, &file, input);
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains(PASSWORD), "{text}");
        (output.status.code(), text)
    };
    assert_eq!(run(&["add", "ann"], PASSWORD).0, Some(64), "a name once");
    assert_eq!(run(&["add", "a b"], PASSWORD).0, Some(64));
    assert_eq!(run(&["add", "eve"], "").0, Some(64), "no password");
    let (status, text) = run(&["add", "bob@example.com", "--totp"], PASSWORD);
    assert!(
        status == Some(0) && text.contains("otpauth://totp/mcp-relay:bob%40example.com?secret="),
        "{text}"
    );
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(!before.contains(PASSWORD) && before.contains("$argon2id$"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&["passwd", "ANN"], "another-one").0, Some(0));
    assert_ne!(std::fs::read_to_string(&file).unwrap(), before);
    assert_eq!(run(&["list"], "").1, "ann  dev\nbob@example.com  one-time codes\n");
    assert_eq!(run(&["remove", "ann"], "").0, Some(0));
    assert_eq!(run(&["remove", "ann"], "").0, Some(64));
    std::fs::write(&file, "- {name: x, password: hush-hush}\n").unwrap();
    let (status, text) = run(&["list"], "");
    assert!(status == Some(64) && text.contains("line 1") && !text.contains("hush"), "{text}");
}
