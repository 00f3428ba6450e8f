//! Tests of where the pages lead: to runbooks beside conditions, and to dashboards.

use harness::rawslave::{definition, dial};
use harness::relay::{CODE, Setup};
use serde_json::json;

use crate::checks::{hold_to_the_rules, open_page, open_view};

const RUNBOOKS: &str = "https://mcp-relay.example/docs/operate/runbooks.html";

#[tokio::test]
async fn conditions_lead_to_their_runbooks_and_the_page_to_dashboards() {
    let dashboards = "https://grafana.example/d/relay?orgId=1";
    let proxy = Setup::proxy()
        .env("UI", "1")
        .env("LINK_PING_TIMEOUT_MS", "120000")
        .env("LINK_LATE_MS", "60000")
        .env("DASHBOARDS_URL", dashboards)
        .start_proxy()
        .await;
    // This slave answers no pings.
    let mut slave = dial(proxy.link).await;
    slave.authenticate(CODE, "raw").await;
    let health = json!({ "state": "degraded", "reason": "a backend is down" });
    slave.catalog(&json!({ "tools": [definition("tool")], "health": health })).await;
    let mut browser = open_page(proxy.http, "/ui/").await;
    let link = "document.querySelector('[data-rows=\"slaves.list\"] .runbook')";
    browser.until("the runbook", &format!("{link}?.href === '{RUNBOOKS}#mcprelayslavedegraded'")).await;
    assert_eq!(browser.eval(&format!("{link}.getAttribute('aria-label')")).await, "Runbook: degraded");
    assert_eq!(browser.eval(&format!("{link}.rel")).await, "noopener noreferrer");
    let shown = browser.eval("(() => { const link = document.querySelector('[data-href]'); return [link.hidden, link.href]; })()").await;
    assert_eq!(shown, json!([false, dashboards]));
    // Whoever is on the link stays there when the page is filled anew.
    browser.eval(&format!("{{ window.kept = {link}; window.kept.focus(); }}")).await;
    browser.eval("window.before = document.getElementById('updated').textContent").await;
    browser.until("another load", "document.getElementById('updated').textContent !== window.before").await;
    assert_eq!(
        browser.eval(&format!("{link} === window.kept && document.activeElement === window.kept")).await,
        true
    );
    hold_to_the_rules(&mut browser, "status-proxy-runbooks").await;
    browser.eval("document.querySelector('[data-rows=\"slaves.list\"] tbody a').click()").await;
    let of_view = format!(
        "document.querySelector('[data-view=slave] .runbook')?.href === '{RUNBOOKS}#mcprelayslavedegraded'"
    );
    browser.until("the runbook in the slave's view", &of_view).await;
    open_view(&mut browser, "#overview", "raw").await;
    slave.catalog(&json!({ "tools": [definition("tool")] })).await;
    browser.until("no runbook of a ready slave", &format!("!{link}")).await;
    browser.assert_clean(&format!("http://{}/", proxy.http));
}

#[tokio::test]
async fn a_page_without_dashboards_has_no_link_to_them() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let mut browser = open_page(proxy.http, "/ui/").await;
    browser.until("the page", "document.getElementById('said').textContent.includes('is ready')").await;
    assert_eq!(browser.eval("document.querySelector('[data-href]').checkVisibility()").await, false);
}
