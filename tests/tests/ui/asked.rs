//! Tests of what a tool that an operator tries on the proxy's page asks its client.

use harness::browser::Browser;
use harness::rawslave::{definition, dial};
use harness::relay::CODE;
use serde_json::{Value, json};

use crate::checks::hold_to_the_rules;
use crate::operate::{click, offers, open_tool, page, result, scene, state_says, write_field};

const ASKED: &str = "document.getElementById('try-asked')";

#[tokio::test]
async fn an_operator_answers_what_a_tool_asks() {
    let scene = scene().await;
    let mut browser = page(&scene.proxy, "key-canary-1").await;
    open_tool(&mut browser, "ask").await;
    let form = json!({ "method": "elicitation/create", "params": { "message": "Who <i>are</i> you?", "requestedSchema": {
        "type": "object", "required": ["age"], "properties": {
            "name": { "type": "string", "title": "Your name" }, "age": { "type": "integer" },
            "colour": { "type": "string", "oneOf": [{ "const": "r", "title": "red" }, { "const": "g", "title": "green" }] } } } } });
    let url = json!({ "method": "elicitation/create", "params": {
        "mode": "url", "message": "Sign in", "elicitationId": "e1", "url": "https://sign-in.example/start" } });
    let rounds = json!({ "rounds": [[form], [url.clone()], [url]] });
    write_field(&mut browser, "Arguments", &rounds.to_string()).await;
    click(&mut browser, "try-run").await;
    let asked = "document.getElementById('try-asked')";
    browser.until("the question", &format!("{asked}.innerText.includes('Who <i>are</i> you?')")).await;
    assert_eq!(browser.eval("document.activeElement.textContent").await, "The tool asks");
    hold_to_the_rules(&mut browser, "status-proxy-asked").await;
    let submit = format!("{asked}.querySelector('button[type=submit]').click()");
    browser.eval(&submit).await;
    browser
        .until(
            "a fault",
            &format!("{asked}.querySelector('.fault').textContent.includes('a value is needed')"),
        )
        .await;
    write_field(&mut browser, "Your name", "Ada").await;
    write_field(&mut browser, "age", "36").await;
    write_field(&mut browser, "colour", "green").await;
    browser.eval(&submit).await;
    browser
        .until(
            "the address",
            &format!("{asked}.querySelector('a')?.href === 'https://sign-in.example/start'"),
        )
        .await;
    let text = browser.eval(&format!("{asked}.innerText")).await.to_string();
    assert!(text.contains("It asks you to visit sign-in.example"), "{text}");
    assert_eq!(browser.eval(&format!("{asked}.querySelector('a').rel")).await, "noopener noreferrer");
    hold_to_the_rules(&mut browser, "status-proxy-asked-url").await;
    browser.eval(&submit).await;
    let decline =
        format!("[...{asked}.querySelectorAll('button')].find((one) => one.textContent === 'Decline')");
    browser.until("the third question", &format!("{asked}.querySelector('a') && {decline}")).await;
    browser.eval(&format!("{decline}.click()")).await;
    state_says(&mut browser, "Done in").await;
    let shown = result(&mut browser).await;
    let answers: Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    assert_eq!(
        answers,
        json!([
            { "action": "accept", "content": { "name": "Ada", "age": 36, "colour": "g" } },
            { "action": "accept" },
            { "action": "decline" },
        ])
    );
    browser.assert_clean(&format!("http://{}/", scene.proxy.http));
}

/// Runs `ask` with these rounds of requests.
async fn ask(browser: &mut Browser, rounds: &Value) {
    open_tool(browser, "ask").await;
    write_field(browser, "Arguments", &json!({ "rounds": rounds }).to_string()).await;
    click(browser, "try-run").await;
}

async fn submit(browser: &mut Browser) {
    browser.eval(&format!("{ASKED}.querySelector('button[type=submit]').click()")).await;
}

/// Waits until the panel of a question has this text.
async fn asked(browser: &mut Browser, text: &str) {
    browser.until(text, &format!("{ASKED}.innerText.includes({text:?})")).await;
}

#[tokio::test]
async fn an_operator_answers_for_a_model_and_names_roots() {
    let scene = scene().await;
    let mut browser = page(&scene.proxy, "key-canary-1").await;
    let sampling = json!({ "method": "sampling/createMessage", "params": {
        "systemPrompt": "Be short.", "maxTokens": 77,
        "messages": [
            { "role": "user", "content": { "type": "text", "text": "What is <b>this</b>?" } },
            { "role": "assistant", "content": { "type": "image", "mimeType": "image/svg+xml", "data": "AAAA" } },
        ] } });
    let roots = json!({ "method": "roots/list" });
    ask(&mut browser, &json!([[sampling], [roots.clone()], [roots]])).await;
    asked(&mut browser, "The tool asks a language model").await;
    for text in ["Be short.", "77 tokens", "What is <b>this</b>?", "image/svg+xml, 3 bytes: not shown here"] {
        asked(&mut browser, text).await;
    }
    hold_to_the_rules(&mut browser, "status-proxy-asked-sampling").await;
    state_says(&mut browser, "The tool waits for your answer.").await;
    write_field(&mut browser, "Text of the answer", "A cat.\nA grey one.").await;
    submit(&mut browser).await;
    asked(&mut browser, "The tool asks for your roots").await;
    write_field(&mut browser, "Roots", "https://other.example/").await;
    submit(&mut browser).await;
    asked(&mut browser, "https://other.example/ is not a file:// URI").await;
    hold_to_the_rules(&mut browser, "status-proxy-asked-roots").await;
    write_field(&mut browser, "Roots", "file:///srv/a\n\n  file:///srv/b ").await;
    submit(&mut browser).await;
    let is_new = format!("{ASKED}.querySelector('textarea')?.value === ''");
    browser.until("the second question", &is_new).await;
    submit(&mut browser).await;
    state_says(&mut browser, "Done in").await;
    let shown = result(&mut browser).await;
    let answers: Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    let text = json!({ "type": "text", "text": "A cat.\nA grey one." });
    assert_eq!(
        answers,
        json!([
            { "role": "assistant", "content": text, "model": "operator", "stopReason": "endTurn" },
            { "roots": [{ "uri": "file:///srv/a" }, { "uri": "file:///srv/b" }] },
            { "roots": [] },
        ])
    );
    browser.assert_clean(&format!("http://{}/", scene.proxy.http));
}

#[tokio::test]
async fn a_question_is_refused_by_cancelling_and_an_unknown_one_by_the_page() {
    let scene = scene().await;
    let mut browser = page(&scene.proxy, "key-canary-1").await;
    ask(&mut browser, &json!([[{ "method": "roots/list" }]])).await;
    asked(&mut browser, "To refuse, cancel the call.").await;
    click(&mut browser, "try-cancel").await;
    state_says(&mut browser, "Cancelled.").await;
    assert_eq!(browser.eval(&format!("{ASKED}.hidden")).await, true, "the question is gone with its call");
    let mut raw = dial(scene.proxy.link).await;
    raw.authenticate(CODE, "raw").await;
    raw.catalog(&json!({ "tools": [definition("strange")] })).await;
    offers(&scene.proxy, "strange").await;
    open_tool(&mut browser, "strange").await;
    click(&mut browser, "try-run").await;
    let opened = raw.receive_open().await;
    raw.accept(&opened).await;
    let requests = json!({ "a": { "method": "other/thing" } });
    let result = json!({ "resultType": "input_required", "inputRequests": requests, "requestState": "s" });
    raw.end(opened.call, 0, &result).await;
    state_says(&mut browser, "the tool asks for other/thing, which this page cannot answer").await;
    browser.assert_clean(&format!("http://{}/", scene.proxy.http));
}
