//! Tests of the slave's page.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::relay::Setup;
use serde_json::json;

use crate::checks::{hold_to_the_rules, open_page, open_view};

#[tokio::test]
async fn the_slave_s_page_shows_links_backends_and_what_they_wrote() {
    let proxy = Setup::proxy().start_proxy().await;
    let fixture = Fixture::default();
    let hostile = "<img src=x onerror=window.pwned=1>";
    let secret = [("FIXTURE_SECRET", "backend-canary-secret")];
    let servers = json!({ "files": fixture.entry(&secret), "broken": { "command": "/nowhere/server" } });
    let backends = fixture.write_backends(&servers);
    let slave = Setup::slave("berlin", proxy.link)
        .env("UI", "1")
        .env("SLAVE_LABELS", "platform=gitlab")
        .env("SLAVE_BACKENDS", backends.to_str().unwrap())
        .start_slave()
        .await;
    proxy.offers("leak").await;
    let client = Client::modern(proxy.http);
    client.call("leak", json!({ "say": hostile })).await.result();
    fixture.open_gate("k", 1);
    let mut call = client.start(McpRequest::tool(1, "run", run_args("k", 4)).progress(1)).await;
    call.next().await.unwrap();
    let mut browser = open_page(slave.http, "/ui/").await;
    let shows = |rows: &str, text: &str| {
        format!("document.querySelector('[data-rows=\"{rows}\"]').innerText.includes({text:?})")
    };
    browser.until("the backend", &shows("backends.list", "files")).await;
    browser.until("the broken one", &shows("backends.list", "restarting")).await;
    browser.until("its line, masked", &shows("backends.list/stderr", "the secret is [masked]")).await;
    browser.until("the hostile line as text", &shows("backends.list/stderr", hostile)).await;
    browser.until("the link", &shows("links.list", &proxy.link.to_string())).await;
    browser.until("the call", &shows("calls.live.list", "proxy ")).await;
    browser.until("its progress", "document.querySelector('[data-rows=\"calls.live.list\"] progress')").await;
    // The newest line is first: the hostile one was written after the masked one.
    let lines =
        browser.eval("document.querySelector('[data-rows=\"backends.list/stderr\"]').innerText").await;
    let at = |text: &str| lines.as_str().unwrap().find(text).unwrap();
    assert!(at(hostile) < at("the secret is [masked]"), "{lines}");
    hold_to_the_rules(&mut browser, "status-slave").await;
    browser.eval("document.querySelector('[data-rows=\"backends.list\"] tbody a').click()").await;
    open_view(&mut browser, "#backend/files", "the secret is [masked]").await;
    let text = browser.eval("document.querySelector('[data-view=backend]').innerText").await.to_string();
    for part in ["Backend files", "ready", "run", "0 of the last 1 calls", hostile] {
        assert!(text.contains(part), "{part}: {text}");
    }
    hold_to_the_rules(&mut browser, "status-slave-backend").await;
    open_view(&mut browser, "#catalog", "leak").await;
    hold_to_the_rules(&mut browser, "status-slave-catalog").await;
    open_view(&mut browser, "#log", "started again in").await;
    hold_to_the_rules(&mut browser, "status-slave-log").await;
    assert_eq!(browser.eval("typeof window.pwned").await, "undefined");
    let page = browser.eval("document.documentElement.outerHTML").await.to_string();
    assert!(!page.contains("canary"), "no secret");
    browser.assert_clean(&format!("http://{}/", slave.http));
    fixture.open_gate("k", 5);
}
