//! Tests of what operators do on the proxy's page with `UI=full`.

use harness::browser::Browser;
use harness::client::Client;
use harness::fixture::Fixture;
use harness::rawslave::{RawSlave, dial};
use harness::relay::{CODE, Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

use crate::checks::{hold_to_the_rules, open_page, open_view};
use crate::proxy::{give_key, write};

const KEYS: &str = "- {name: ada, key: key-canary-1}\n- {name: bob, key: key-canary-2}\n";

const POLICY: &str = "default: allow
deny:
- {name: no-payload, who: {key: ada}, tools: payload}
operators:
  api: {key: [ada, bob]}
  operate: {key: ada}
";

/// A tool with one parameter of each kind.
const TOOL: &str = r#"{"name":"picture","description":"Paints.","inputSchema":{"type":"object","required":["count"],"properties":{
    "count":{"type":"integer","description":"How many"},"ratio":{"type":"number"},"bright":{"type":"boolean"},"kind":{"type":"string","enum":["a","b"]},
    "tags":{"type":"array","items":{"type":"string"}},"text":{"type":"string","x-mcp-header":"Text"}}}}"#;

/// A picture of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    _slaves: [Slave; 2],
    _fixture: Fixture,
    _folder: tempfile::TempDir,
}

/// A proxy whose page operates, with a slave that has the demo tools and one that asks.
pub(crate) async fn scene() -> Scene {
    let (folder, fixture) = (tempfile::tempdir().unwrap(), Fixture::default());
    let proxy = Setup::proxy()
        .env("UI", "full")
        .env("OPS_KEYS_FILE", write(&folder, "keys.yaml", KEYS))
        .env("POLICY", write(&folder, "policy.yaml", POLICY))
        .env("LINK_PING_TIMEOUT_MS", "120000")
        .start_proxy()
        .await;
    let demo = Setup::slave("berlin", proxy.link).start_slave().await;
    let asks = fixture.serve_with(Setup::slave("lisbon", proxy.link), &[("FIXTURE_ASKS", "1")]);
    let asks = asks.start_slave().await;
    offers(&proxy, "ask").await;
    offers(&proxy, "echo").await;
    Scene { proxy, _slaves: [demo, asks], _fixture: fixture, _folder: folder }
}

pub(crate) async fn offers(proxy: &Proxy, tool: &str) {
    let client = Client::modern(proxy.http);
    wait::until(tool, async || client.tool_names().await.iter().any(|name| name == tool).then_some(())).await;
}

/// The page, opened by the operator with this key.
pub(crate) async fn page(proxy: &Proxy, key: &str) -> Browser {
    let mut browser = open_page(proxy.http, "/ui/#catalog").await;
    give_key(&mut browser, key).await;
    browser
}

/// Returns the labels of the fields below the element with this id, in their order.
pub(crate) async fn labels(browser: &mut Browser, id: &str) -> Value {
    browser
        .eval(&format!("[...document.querySelectorAll('#{id} .field label')].map((one) => one.textContent)"))
        .await
}

/// Opens the view of a tool by its link in the catalog.
pub(crate) async fn open_tool(browser: &mut Browser, tool: &str) {
    open_view(browser, "#catalog", tool).await;
    let link = format!(
        "[...document.querySelectorAll('[data-view=catalog] tbody a')].find((a) => a.textContent === {tool:?})"
    );
    browser.until("the tool's link", &link).await;
    browser.eval(&format!("{link}.click()")).await;
    browser.until("its form", &format!("document.getElementById('h-tool').innerText.includes({tool:?}) && !document.getElementById('try').hidden")).await;
}

/// Writes into the field with this label, as a user does.
pub(crate) async fn write_field(browser: &mut Browser, label: &str, text: &str) {
    let field = format!(
        "(() => {{ const label = [...document.querySelectorAll('.field label')].find((one) => one.textContent.startsWith({label:?})); return document.getElementById(label.htmlFor); }})()"
    );
    let kind = browser.eval(&format!("{field}.tagName")).await;
    if kind == "SELECT" {
        browser.eval(&format!("{{ const one = {field}; one.value = [...one.options].find((option) => option.textContent === {text:?}).value; }}")).await;
        return;
    }
    browser.eval(&format!("{{ const one = {field}; one.focus(); one.select(); }}")).await;
    browser.write(text).await;
}

pub(crate) async fn click(browser: &mut Browser, id: &str) {
    browser.eval(&format!("document.getElementById({id:?}).click()")).await;
}

pub(crate) async fn state_says(browser: &mut Browser, text: &str) {
    let says = format!("document.getElementById('try-state').textContent.includes({text:?})");
    browser.until(text, &says).await;
}

pub(crate) async fn result(browser: &mut Browser) -> String {
    browser.eval("document.getElementById('try-result').innerText").await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_operator_tries_a_tool_with_progress_and_cancels_it() {
    let scene = scene().await;
    let mut browser = page(&scene.proxy, "key-canary-1").await;
    open_tool(&mut browser, "sleep").await;
    click(&mut browser, "try-run").await;
    state_says(&mut browser, "seconds: a value is needed").await;
    write_field(&mut browser, "seconds", "much").await;
    click(&mut browser, "try-run").await;
    state_says(&mut browser, "seconds: a number is needed").await;
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-invalid')").await, "true");
    write_field(&mut browser, "seconds", "1").await;
    write_field(&mut browser, "steps", "4").await;
    click(&mut browser, "try-run").await;
    browser.until("progress", "document.getElementById('try-progress').value > 0").await;
    state_says(&mut browser, "Running: ").await;
    state_says(&mut browser, "Done in").await;
    assert!(result(&mut browser).await.contains("Text"), "a result is shown");
    hold_to_the_rules(&mut browser, "status-proxy-try").await;
    // From the keyboard: the form is sent by Enter, and a call is cancelled by its button.
    write_field(&mut browser, "seconds", "600").await;
    write_field(&mut browser, "steps", "6000").await;
    browser.press("Enter").await;
    state_says(&mut browser, "Running: ").await;
    assert_eq!(browser.eval("document.getElementById('try-run').disabled").await, true);
    browser.eval("document.getElementById('try-cancel').focus()").await;
    browser.press("Space").await;
    state_says(&mut browser, "Cancelled.").await;
    open_view(&mut browser, "#overview", "cancelled").await;
    let row = browser.eval("document.querySelector('[data-rows=\"calls.recent\"] tbody tr').innerText").await;
    assert!(row.as_str().unwrap().contains("ada"), "it was the operator's call: {row}");
    open_tool(&mut browser, "fail").await;
    assert_eq!(
        browser.eval("document.getElementById('try-state').textContent").await,
        "",
        "nothing of the other tool is left"
    );
    write_field(&mut browser, "message", "it said no").await;
    click(&mut browser, "try-run").await;
    state_says(&mut browser, "The tool reported an error").await;
    assert!(result(&mut browser).await.contains("it said no"));
    browser.assert_clean(&format!("http://{}/", scene.proxy.http));
    let page = browser.eval("document.documentElement.outerHTML").await.to_string();
    assert!(!page.contains("canary"), "no key is in the page");
}

#[tokio::test]
async fn all_kinds_of_arguments_are_sent_and_all_kinds_of_results_are_shown() {
    let scene = scene().await;
    let mut raw = painter(&scene.proxy).await;
    let mut browser = page(&scene.proxy, "key-canary-1").await;
    open_tool(&mut browser, "picture").await;
    assert_eq!(
        labels(&mut browser, "try-fields").await,
        json!(["count (required)", "ratio", "bright", "kind", "tags", "text"]),
        "the schema's own order"
    );
    for (label, text) in [
        ("count", "3"),
        ("ratio", "0.5"),
        ("bright", "true"),
        ("kind", "b"),
        ("tags", "[\"x\"]"),
        ("text", "ö"),
    ] {
        write_field(&mut browser, label, text).await;
    }
    click(&mut browser, "try-run").await;
    let arguments =
        json!({ "count": 3, "ratio": 0.5, "bright": true, "kind": "b", "tags": ["x"], "text": "ö" });
    let content = json!([
        { "type": "text", "text": "<b>words</b>" },
        { "type": "image", "mimeType": "image/png", "data": PIXEL },
        { "type": "image", "mimeType": "image/svg+xml", "data": "AAAA" },
        { "type": "resource", "resource": { "uri": "demo://x", "text": "of a resource" } },
    ]);
    answer(&mut raw, &arguments, &json!({ "content": content, "structuredContent": { "number": 42 } })).await;
    state_says(&mut browser, "Done in").await;
    let shown = result(&mut browser).await;
    for part in ["<b>words</b>", "image/svg+xml, 3 bytes: not shown here", "of a resource", "\"number\": 42"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    browser.until("the picture", "document.querySelector('#try-result img').naturalWidth === 1").await;
    hold_to_the_rules(&mut browser, "status-proxy-results").await;
    // As JSON, digits that a number of JavaScript does not have stay what they are.
    click(&mut browser, "try-raw").await;
    let text = browser.eval("document.getElementById('raw-arguments').value").await;
    assert_eq!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap(), arguments);
    write_field(&mut browser, "Arguments", "[1]").await;
    click(&mut browser, "try-run").await;
    state_says(&mut browser, "arguments are a JSON object").await;
    write_field(&mut browser, "Arguments", r#"{"count": 12345678901234567890123}"#).await;
    click(&mut browser, "try-run").await;
    let opened = raw.receive_open().await;
    let message = String::from_utf8_lossy(&opened.bytes).into_owned();
    assert!(message.contains(r#"{"count": 12345678901234567890123}"#), "{message}");
    raw.accept(&opened).await;
    raw.end(opened.call, 0, &json!({ "content": [], "resultType": "complete" })).await;
    state_says(&mut browser, "Done in").await;
    browser.assert_clean(&format!("http://{}/", scene.proxy.http));
}

/// A slave that offers [`TOOL`] as it stands: a value of JSON would have its members in another order.
async fn painter(proxy: &Proxy) -> RawSlave {
    let mut slave = dial(proxy.link).await;
    slave.authenticate(CODE, "raw").await;
    slave
        .raw_part(format!(r#"{{"backend":"raw","position":0,"lists":{{"tools":{{"items":[{TOOL}]}}}}}}"#))
        .await;
    slave.part(&json!({ "slave": { "complete": true } })).await;
    offers(proxy, "picture").await;
    slave
}

/// Answers the next call, which must have these arguments.
async fn answer(slave: &mut RawSlave, arguments: &Value, result: &Value) {
    let opened = slave.receive_open().await;
    assert_eq!(opened.message["params"]["arguments"], *arguments, "{}", opened.message);
    slave.accept(&opened).await;
    let mut result = result.clone();
    result["resultType"] = "complete".into();
    slave.end(opened.call, 0, &result).await;
}

#[tokio::test]
async fn an_operator_drains_a_slave_after_a_question() {
    let scene = scene().await;
    let mut browser = page(&scene.proxy, "key-canary-1").await;
    let open = "document.querySelector('[data-rows=\"slaves.list\"] tbody a').click()";
    open_view(&mut browser, "#overview", "berlin").await;
    browser.eval(open).await;
    browser.until("the slave", "!document.getElementById('drain').hidden").await;
    click(&mut browser, "drain-begin").await;
    browser.until("a question", "document.getElementById('drain-what').textContent.startsWith('Drain berlin?') && document.activeElement.id === 'drain-yes'").await;
    click(&mut browser, "drain-no").await;
    browser
        .until(
            "no question",
            "!document.getElementById('drain-begin').hidden && document.getElementById('drain-sure').hidden",
        )
        .await;
    click(&mut browser, "drain-begin").await;
    browser.press("Enter").await;
    let state = "document.querySelector('[data-view=slave] .facts').innerText";
    browser
        .until(
            "the drain",
            &format!("{state}.includes('draining') && {state}.includes('an operator drains it')"),
        )
        .await;
    browser
        .until("its word", "document.getElementById('drain-state').textContent === 'The slave drains.'")
        .await;
    hold_to_the_rules(&mut browser, "status-proxy-drain").await;
    click(&mut browser, "drain-end").await;
    browser
        .until("its end", &format!("{state}.includes('ready') && !{state}.includes('an operator drains it')"))
        .await;
    browser.assert_clean(&format!("http://{}/", scene.proxy.http));
}

#[tokio::test]
async fn an_operator_without_the_role_is_told_what_is_missing() {
    let scene = scene().await;
    let mut browser = page(&scene.proxy, "key-canary-2").await;
    open_tool(&mut browser, "echo").await;
    write_field(&mut browser, "text", "x").await;
    click(&mut browser, "try-run").await;
    state_says(&mut browser, "Failed").await;
    let shown = result(&mut browser).await;
    assert!(shown.contains("the role operate in the section operators of POLICY"), "{shown}");
    open_view(&mut browser, "#overview", "berlin").await;
    browser.eval("document.querySelector('[data-rows=\"slaves.list\"] tbody a').click()").await;
    browser.until("the slave", "!document.getElementById('drain').hidden").await;
    click(&mut browser, "drain-begin").await;
    click(&mut browser, "drain-yes").await;
    browser
        .until("a refusal", "document.getElementById('drain-state').textContent.includes('the role operate')")
        .await;
    let state =
        browser.eval("document.querySelector('[data-view=slave] .facts').innerText").await.to_string();
    assert!(state.contains("ready"), "{state}");
}
