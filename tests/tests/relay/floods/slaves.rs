//! Strangers on the slaves' port: wrong codes, and refusals in log and audit stream.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::client::{Client, McpRequest};
use harness::rawslave::present_code;
use harness::relay::{CODE, Setup};
use harness::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::witness::{Witness, sum};

fn other(host: u8) -> IpAddr {
    [127, 0, 0, host].into()
}

#[tokio::test]
async fn a_wrong_code_waits_longer_each_time_and_a_right_one_never() {
    let proxy = Setup::proxy().start_proxy().await;
    let began = Instant::now();
    for _ in 0..4 {
        let answer = present_code(other(1), proxy.link, "no-code-of-this-proxy").await.unwrap();
        assert!(answer.contains("auth_failed"), "{answer}");
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(250 + 500 + 1000), "four answers in {took:?}");
    let wrong = tokio::spawn(present_code(other(1), proxy.link, "no-code-of-this-proxy"));
    let right = present_code(other(1), proxy.link, CODE).await.unwrap();
    assert!(right.contains("auth_success"), "{right}");
    assert!(!wrong.is_finished(), "the wrong code began earlier and waits for 2 s");
    assert!(wrong.await.unwrap().unwrap().contains("auth_failed"));
}

/// Lines of an audit stream about refusals: their number, and how many refusals they stand for.
fn refusals(path: &Path, event: &str) -> (usize, u64) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let refused =
        |line: &&Value| line["event"] == event && matches!(line["outcome"].as_str(), None | Some("refused"));
    let each = lines.iter().filter(refused).map(|line| line["repeats"].as_u64().unwrap_or(1));
    each.fold((0, 0), |(lines, sum), repeats| (lines + 1, sum + repeats))
}

/// Attempts with wrong codes, from each of the two flooders.
const ATTEMPTS: usize = 1500;

#[tokio::test]
async fn a_flood_of_wrong_codes_is_a_few_lines_and_a_right_slave_links_meanwhile() {
    let folder = TempDir::new().unwrap();
    let audit = folder.path().join("audit.jsonl");
    let proxy = Setup::proxy().env("AUDIT_LOG", audit.to_str().unwrap()).start_proxy().await;
    let _slave = Setup::slave("first", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let witness = Witness::start(Client::modern(proxy.http), proxy.pid());
    let link = proxy.link;
    let flooders: Vec<_> = (0..8_u8)
        .map(|flooder| {
            tokio::spawn(async move {
                for attempt in 0..ATTEMPTS / 4 {
                    let code = format!("guess-{flooder}-{attempt}");
                    let answer = present_code(other(2 + flooder % 2), link, &code).await;
                    assert!(answer.is_none_or(|answer| answer.contains("auth_failed")));
                }
            })
        })
        .collect();
    let _right = Setup::slave("right", proxy.link).start_slave().await;
    proxy.accepted(2).await;
    for flooder in flooders {
        flooder.await.unwrap();
    }
    witness.finish().await;
    wait::until("the audit stream to name every refusal", async || {
        let (_, named) = refusals(&audit, "link");
        let counted = sum(proxy.http, "mcp_relay_link_auth_failures_total", &[]).await;
        (named as f64 >= counted && named >= 2 * ATTEMPTS as u64).then_some(())
    })
    .await;
    let (lines, named) = refusals(&audit, "link");
    let counted = sum(proxy.http, "mcp_relay_link_auth_failures_total", &[]).await;
    assert!((named as f64 - counted).abs() < 0.5, "{named} in the stream, {counted} in the metric");
    assert!(lines * 5 < ATTEMPTS, "{lines} lines for {named} refusals");
    let about_them = ["Slave connection refused", "Invalid slave code", "New slave connection attempt"];
    let logged: usize = about_them.iter().map(|phrase| proxy.log.count(phrase)).sum();
    assert!(logged * 3 < ATTEMPTS, "{logged} lines in the log for {named} refusals");
}

#[tokio::test]
async fn clients_without_an_accepted_key_are_a_few_lines_too() {
    let folder = TempDir::new().unwrap();
    let audit = folder.path().join("audit.jsonl");
    let setup = Setup::proxy().env("AUDIT_LOG", audit.to_str().unwrap());
    let proxy = setup.env("AUTH_BEARER_KEYS", "a-key-that-nobody-guesses").start_proxy().await;
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer wrong");
    for n in 0..400 {
        let mut call = client.start(McpRequest::tool(n, "echo", json!({}))).await;
        call.exchange.head().await;
        assert_eq!(call.exchange.status.as_u16(), 401);
    }
    wait::until("the audit stream to name every refusal", async || {
        (refusals(&audit, "request_refused").1 >= 400).then_some(())
    })
    .await;
    let (lines, named) = refusals(&audit, "request_refused");
    assert_eq!(named, 400);
    assert!(lines < 200, "{lines} lines for 400 refusals");
    let logged = proxy.log.count("Request refused: ");
    assert!(logged < 200, "{logged} lines in the log for 400 refusals");
}
