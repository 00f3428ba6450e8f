//! Tests of the proxy's page.

use harness::browser::Browser;
use harness::client::{Client, McpRequest};
use harness::http::get;
use harness::rawslave::{definition, dial};
use harness::relay::{CODE, Setup};
use protocol::link::handshake::SlaveHello;
use serde_json::json;

use crate::checks::{hold_to_the_rules, open_page, open_view, tab_through};

const HOSTILE: &str = "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=2</script>";

#[tokio::test]
async fn the_proxy_s_page_shows_slaves_and_calls_and_asks_for_a_key() {
    let proxy = Setup::proxy().env("UI", "1").env("AUTH_BEARER_KEYS", "key-canary").start_proxy().await;
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer key-canary");
    let slave = |name: &str, platform: &str| {
        Setup::slave(name, proxy.link)
            .env("SLAVE_LABELS", format!("platform={platform}"))
            .env("SLAVE_CAPACITY", "8")
    };
    let _one = slave("berlin", "gitlab").start_slave().await;
    let _two = slave("lisbon", "github").start_slave().await;
    harness::wait::until("the tools", async || {
        client.tool_names().await.contains(&"echo".into()).then_some(())
    })
    .await;
    let mut browser = open_page(proxy.http, "/ui").await;
    browser.until("the question for a key", "document.activeElement.id === 'key'").await;
    browser.write("wrong").await;
    browser.press("Enter").await;
    browser.until("a refusal", "document.getElementById('said').textContent.includes('not accepted')").await;
    browser.until("the question again", "document.activeElement.id === 'key'").await;
    browser.write("key-canary").await;
    browser.press("Enter").await;
    browser.until("both slaves", "['berlin', 'lisbon'].every((s) => document.querySelector('[data-rows=\"slaves.list\"]').innerText.includes(s))").await;
    for text in 0..40 {
        client.call("echo", json!({ "text": text.to_string() })).await.result();
    }
    client.call("fail", json!({ "message": "result-canary" })).await.result();
    let sleep = McpRequest::tool(1, "sleep", json!({ "seconds": 30, "steps": 60 })).progress(1);
    let mut call = client.start(sleep).await;
    call.next().await.unwrap();
    let live = "document.querySelector('[data-rows=\"calls.live.list\"]')";
    browser.until("the call's progress", &format!("{live}.querySelector('progress')?.value > 0")).await;
    let row = browser.eval(&format!("{live}.tBodies[0].innerText")).await.to_string();
    assert!(row.contains("sleep") && row.contains("running") && row.contains("key "), "{row}");
    browser
        .until(
            "recent calls",
            "document.querySelector('[data-rows=\"calls.recent\"]').innerText.includes('tool error')",
        )
        .await;
    browser.until("a plot of them", "document.querySelector('polyline.line') && /at most [1-9]/.test(document.querySelector('figcaption .now').textContent)").await;
    hold_to_the_rules(&mut browser, "status-proxy").await;
    let recent = "document.querySelector('[data-rows=\"calls.recent\"]')";
    let text = browser.eval(&format!("{recent}.innerText")).await.to_string();
    assert!(text.contains("The tool reported an error"), "{text}");
    let facts = browser.eval("document.querySelector('.facts').innerText").await.to_string();
    assert!(facts.contains("needed (clients' keys)") && facts.contains("slaves off"), "{facts}");
    browser.eval("document.querySelector('.skip').focus()").await;
    let stops = tab_through(&mut browser, 8).await;
    let views = ["Overview", "Catalog", "Log", "Access"];
    assert_eq!(stops[..2], ["pause", "forget"], "{stops:?}");
    assert_eq!(stops[2..6], views, "{stops:?}");
    assert_eq!(stops[6..], ["h-live", "f-calls-live-list"], "{stops:?}");
    filter_and_turn_pages(&mut browser).await;
    let page = browser.eval("document.documentElement.outerHTML").await.to_string();
    assert!(!page.contains("canary"), "neither keys nor results");
    browser.assert_clean(&format!("http://{}/", proxy.http));
}

const POLICY: &str = "default: allow
deny:
- {name: no-sleep, who: {key: 'nobody*'}, tools: sleep}
operators:
  api: {key: whole}
  ui: {key: [whole, narrow]}
";

/// Writes a file of the test into a folder, and returns its path.
pub(crate) fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Waits for the question for a key and answers it.
pub(crate) async fn give_key(browser: &mut Browser, key: &str) {
    browser.until("the question for a key", "document.activeElement.id === 'key'").await;
    browser.write(key).await;
    browser.press("Enter").await;
    browser.until("the page", "!document.getElementById('content').hidden").await;
}

#[tokio::test]
async fn each_view_of_the_proxy_shows_its_part_and_keeps_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let codes = write(
        &folder,
        "codes.yaml",
        "- {code: code-canary-1, name: office, not_after: 2099-01-01T00:00:00Z, labels: {set: {site: berlin}}}\n\
         - {code: code-canary-2, name: old, not_after: 2020-01-01T00:00:00Z}\n",
    );
    let keys = write(
        &folder,
        "keys.yaml",
        "- {name: whole, key: key-canary-1}\n- {name: narrow, key: key-canary-2}\n",
    );
    let proxy = Setup::proxy()
        .env("UI", "1")
        .env("SLAVE_CODES_FILE", codes)
        .env("AUTH_BEARER_KEYS_FILE", keys)
        .env("POLICY", write(&folder, "policy.yaml", POLICY))
        .start_proxy()
        .await;
    let _slave = Setup::slave("berlin", proxy.link).env("SLAVE_CODE", "code-canary-1").start_slave().await;
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer key-canary-1");
    harness::wait::until("the tools", async || {
        client.tool_names().await.contains(&"echo".into()).then_some(())
    })
    .await;
    for _ in 0..3 {
        client.call("echo", json!({ "text": "argument-canary" })).await.result();
    }
    client.call("fail", json!({ "message": "result-canary" })).await.result();
    let mut browser = open_page(proxy.http, "/ui/#catalog").await;
    give_key(&mut browser, "key-canary-1").await;
    read_the_catalog(&mut browser).await;
    open_view(&mut browser, "#guards", "no-sleep").await;
    let text = browser.eval("document.querySelector('[data-view=guards]').innerText").await.to_string();
    for part in
        ["office", "valid", "site=berlin", "expired", "key nobody*", "are allowed", "No port uses TLS"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    hold_to_the_rules(&mut browser, "status-proxy-access").await;
    read_a_slave(&mut browser).await;
    read_the_log(&mut browser).await;
    let page = browser.eval("document.documentElement.outerHTML").await.to_string();
    assert!(!page.contains("canary"), "neither keys, codes nor payloads");
    browser.assert_clean(&format!("http://{}/", proxy.http));
}

/// Looks at the catalog with its calls and rules, and searches it.
async fn read_the_catalog(browser: &mut Browser) {
    open_view(browser, "#catalog", "echo").await;
    let rules = "[...document.querySelectorAll('[data-view=catalog] tbody tr')].find((row) => row.cells[0].innerText === 'sleep').cells[6].textContent";
    assert_eq!(browser.eval(rules).await, "1no-sleep denies key nobody*");
    let row = "[...document.querySelectorAll('[data-view=catalog] tbody tr')].find((row) => row.cells[0].innerText === 'echo')";
    let cells = browser.eval(&format!("[...{row}.cells].map((cell) => cell.innerText)")).await;
    let cells: Vec<&str> = cells.as_array().unwrap().iter().filter_map(|cell| cell.as_str()).collect();
    assert_eq!((cells[1], cells[5], cells[7], cells[8]), ("tool", "office", "3", "0"), "{cells:?}");
    assert!(cells[9].ends_with("ms") && cells[10].ends_with("ms"), "{cells:?}");
    browser.eval(&format!("{row}.querySelector('pre').closest('details').open = true")).await;
    hold_to_the_rules(browser, "status-proxy-catalog").await;
    browser.eval("document.getElementById('f-entries-list').focus()").await;
    browser.write("sleep").await;
    browser
        .until("the search", "document.querySelectorAll('[data-view=catalog] tbody tr').length === 1")
        .await;
}

/// Follows the link of a slave.
async fn read_a_slave(browser: &mut Browser) {
    open_view(browser, "#overview", "berlin").await;
    browser.eval("document.querySelector('[data-rows=\"slaves.list\"] tbody a').click()").await;
    browser
        .until("the slave", "document.querySelector('[data-view=slave]').innerText.includes('site=berlin')")
        .await;
    let text = browser.eval("document.querySelector('[data-view=slave]').innerText").await.to_string();
    for part in
        ["Slave office-berlin", "1 of the last 4 calls", "The tool reported an error", "No tool is left out"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    hold_to_the_rules(browser, "status-proxy-slave").await;
}

/// Looks at the log, chooses a level and exports what is shown.
async fn read_the_log(browser: &mut Browser) {
    open_view(browser, "#log", "Slave authenticated").await;
    hold_to_the_rules(browser, "status-proxy-log").await;
    browser.eval("{ const make = URL.createObjectURL; URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return make(blob); }; }").await;
    browser.eval("document.querySelector('[data-view=log] .bar button').click()").await;
    browser.until("the export", "window.saved?.includes('Slave authenticated')").await;
    let saved = browser.eval("window.saved").await;
    let lines: Vec<&str> = saved.as_str().unwrap().lines().collect();
    let place = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    assert!(place("MCP server listening") < place("Slave authenticated"), "oldest first: {lines:?}");
    let choose = "const choice = document.getElementById('l-list'); choice.value = 'error'; choice.dispatchEvent(new Event('change'));";
    browser.eval(&format!("{{ {choose} }}")).await;
    browser
        .until("no error", "document.querySelector('[data-view=log]').innerText.includes('Nothing matches')")
        .await;
}

#[tokio::test]
async fn an_operator_with_the_page_s_role_alone_sees_neither_the_log_nor_codes() {
    let folder = tempfile::tempdir().unwrap();
    let keys = write(
        &folder,
        "keys.yaml",
        "- {name: whole, key: key-canary-1}\n- {name: narrow, key: key-canary-2}\n",
    );
    let proxy = Setup::proxy()
        .env("UI", "1")
        .env("AUTH_BEARER_KEYS_FILE", keys)
        .env("POLICY", write(&folder, "policy.yaml", POLICY))
        .start_proxy()
        .await;
    let mut browser = open_page(proxy.http, "/ui/").await;
    give_key(&mut browser, "key-canary-2").await;
    for view in ["log", "guards"] {
        browser.eval(&format!("location.hash = '#{view}'")).await;
        browser
            .until(
                "the refusal",
                "document.getElementById('said').textContent.includes('no role for this view')",
            )
            .await;
        assert_eq!(browser.eval("document.getElementById('content').hidden").await, true);
        open_view(&mut browser, "#catalog", "Nothing is offered").await;
        browser.until("the view", "!document.getElementById('content').hidden").await;
    }
}

/// Uses filter and pages of the recent calls by keyboard: 41 calls, of which one failed.
async fn filter_and_turn_pages(browser: &mut Browser) {
    const RECENT: &str = "document.querySelector('[data-rows=\"calls.recent\"]')";
    let rows = |count: u32| format!("{RECENT}.querySelectorAll('tbody tr').length === {count}");
    let button = |place: u32| format!("{RECENT}.parentElement.querySelectorAll('.pages button')[{place}]");
    assert_eq!(browser.eval(&rows(20)).await, true, "twenty rows first");
    browser.eval(&format!("{}.focus()", button(0))).await;
    browser.press("Enter").await;
    browser.until("more rows", &rows(40)).await;
    browser.press("Enter").await;
    browser.until("all rows", &rows(41)).await;
    browser.until("the way back has the focus", &format!("document.activeElement === {}", button(1))).await;
    browser.press("Enter").await;
    browser.until("fewer rows", &rows(20)).await;
    browser.eval("document.getElementById('f-calls-recent').focus()").await;
    browser.write("FAIL tool").await;
    browser.until("the one", &rows(1)).await;
    browser.write(" nothing-like-it").await;
    browser.until("none", &format!("{RECENT}.innerText.includes('Nothing matches the filter')")).await;
    assert_eq!(browser.eval("document.activeElement.id").await, "f-calls-recent", "loads keep the focus");
}

#[tokio::test]
async fn two_slaves_of_one_name_are_told_apart() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let _one = Setup::slave("berlin", proxy.link).start_slave().await;
    let _two = Setup::slave("berlin", proxy.link).start_slave().await;
    let _other = Setup::slave("lisbon", proxy.link).start_slave().await;
    // Browsers find the page at the root of the server.
    let mut browser = open_page(proxy.http, "/").await;
    browser
        .until(
            "three slaves",
            "document.querySelectorAll('[data-rows=\"slaves.list\"] tbody th').length === 3",
        )
        .await;
    assert_eq!(browser.eval("location.pathname").await, "/ui/");
    let names = browser.eval("[...document.querySelectorAll('[data-rows=\"slaves.list\"] tbody th')].map((th) => th.textContent)").await;
    let mut names: Vec<&str> = names.as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert!(
        names[0].starts_with("berlin (") && names[1].starts_with("berlin (") && names[0] != names[1],
        "{names:?}"
    );
    assert_eq!(names[2], "lisbon");
}

#[tokio::test]
async fn durations_are_read_by_people() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let mut browser = open_page(proxy.http, "/ui/").await;
    browser.until("the page", "document.getElementById('said').textContent.includes('is ready')").await;
    browser.eval("import('/ui/values.js').then((module) => { window.span = module.span; })").await;
    browser.until("the function", "typeof window.span === 'function'").await;
    for (ms, text) in [
        ("0.4213", "0.42 ms"),
        ("9.999", "10 ms"),
        ("999.4", "999 ms"),
        ("999.7", "1.0 s"),
        ("9400", "9.4 s"),
        ("59949", "59.9 s"),
        ("59999", "1 min 0 s"),
        ("119999", "2 min 0 s"),
        ("3600000", "1 h 0 min"),
        ("90000000", "1 d 1 h"),
        ("-1", "0 ms"),
        ("NaN", "–"),
    ] {
        assert_eq!(browser.eval(&format!("window.span({ms})")).await, text, "{ms}");
    }
}

#[tokio::test]
async fn what_peers_call_themselves_is_text_and_nothing_more() {
    // This slave answers no pings.
    let proxy = Setup::proxy().env("UI", "1").env("LINK_PING_TIMEOUT_MS", "120000").start_proxy().await;
    let mut slave = dial(proxy.link).await;
    let hello = SlaveHello { agent: HOSTILE.into(), ..slave.hello("raw") };
    slave.authenticate_as(CODE, hello).await;
    slave
        .catalog(
            &json!({ "tools": [definition(HOSTILE)], "health": { "state": "degraded", "reason": HOSTILE } }),
        )
        .await;
    let client = Client::modern(proxy.http);
    harness::wait::until("the tool", async || (!client.tool_names().await.is_empty()).then_some(())).await;
    let call = client.start(McpRequest::tool(1, HOSTILE, json!({}))).await;
    let mut browser = open_page(proxy.http, "/ui/").await;
    browser
        .until(
            "the call",
            "document.querySelector('[data-rows=\"calls.live.list\"]').innerText.includes('onerror')",
        )
        .await;
    browser
        .until(
            "the slave",
            "document.querySelector('[data-rows=\"slaves.list\"]').innerText.includes('reports: <img')",
        )
        .await;
    // Closing the connection cancels the call: it is shown as ended then.
    drop(call);
    browser
        .until(
            "its end",
            "document.querySelector('[data-rows=\"calls.recent\"]').innerText.includes('cancelled')",
        )
        .await;
    assert_eq!(browser.eval("typeof window.pwned").await, "undefined");
    assert_eq!(browser.eval("document.querySelectorAll('img, script:not([src])').length").await, 0);
    browser.assert_clean(&format!("http://{}/", proxy.http));
}

#[tokio::test]
async fn pausing_and_losing_the_server_are_told() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let mut browser = open_page(proxy.http, "/ui/").await;
    browser.until("the page", "document.getElementById('said').textContent.includes('is ready')").await;
    browser.eval("document.getElementById('pause').focus()").await;
    browser.press("Space").await;
    assert_eq!(browser.eval("document.getElementById('pause').getAttribute('aria-pressed')").await, "true");
    browser.press("Space").await;
    drop(proxy);
    browser
        .until("the loss", "document.getElementById('said').textContent.includes('does not answer')")
        .await;
    assert_eq!(browser.eval("document.body.classList.contains('stale')").await, true);
}

#[tokio::test]
async fn without_ui_there_is_no_page() {
    let proxy = Setup::proxy().start_proxy().await;
    for path in ["/ui", "/ui/", "/ui/page.js", "/ui/tables.js", "/ui/page.css"] {
        assert_eq!(get(proxy.http, path).await.0, 404, "{path}");
    }
}
