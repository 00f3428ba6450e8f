//! Routing rules of the operator: conditions, targets, and their explanation by a running proxy.

use harness::metrics::Scrape;
use serde_json::json;

use super::{Fleet, GITHUB, GITLAB, TOOL, reaches};

const FILE: &str = "
rules:
  - name: team
    match: { tool: review_*, header: { name: X-Team, prefix: east- } }
    to: { region: east }
  - name: parameter
    match: { tool: review_merge_request, header: { name: Mcp-Param-Site, equals: 'Zürich' } }
    to: { region: west }
  - name: project
    match: { argument: { pointer: /project, regex: '^secret/' } }
    to: { region: vault }
    fallback: none
  - name: host
    match: { argument: { pointer: /mrUrlOrId, host: '*.corp.example' } }
    to: { region: vault }
    fallback: [{ region: east }, any]
  - name: gitlab anywhere
    match: { argument: { pointer: /platform, equals: gitlab } }
    to: any
";

#[tokio::test]
async fn rules_match_headers_parameters_and_arguments() {
    let mut fleet = Fleet::with(Some(FILE)).await;
    fleet.add("east", "region=east,platform=github").await;
    fleet.add("west", "region=west,platform=github").await;
    let client = fleet.client();
    let any = json!({ "mrUrlOrId": "7" });
    reaches(&client, any.clone(), &["east", "west"]).await;
    reaches(&client.clone().with_header("x-team", "east-1"), any.clone(), &["east"]).await;
    reaches(&client.clone().with_header("x-team", "north"), any.clone(), &["east", "west"]).await;
    // "Zürich", in the header encoding of 2026-07-28.
    let site = client.clone().with_header("mcp-param-site", "=?base64?WsO8cmljaA==?=");
    reaches(&site, any.clone(), &["west"]).await;
    // The first tier has no slave, the next one has.
    reaches(&client, json!({ "mrUrlOrId": "https://git.corp.example/x" }), &["east"]).await;
    // The operator's rule has precedence over the built-in one.
    reaches(&client, json!({ "mrUrlOrId": GITLAB, "platform": "gitlab" }), &["east", "west"]).await;
    let refused = client.call(TOOL, json!({ "mrUrlOrId": "7", "project": "secret/x" })).await;
    assert_eq!(refused.kind(), "no_slave_for_tool");
    let message = refused.error()["message"].as_str().unwrap();
    assert!(message.contains("region=vault") && message.contains("\"project\""), "{message}");
    let metrics = Scrape::of(fleet.proxy.http).await;
    assert!(metrics.sum("mcp_relay_routed_calls_total", &["rule=\"host\""]) >= 1.0);
    assert!(metrics.sum("mcp_relay_unroutable_calls_total", &["rule=\"project\""]) >= 1.0);
}

#[tokio::test]
async fn clients_are_known_by_their_keys() {
    let id = "e9c893f01a06c7a7a151f3217c9f51b0992615a91e173540357ee7a77b934cbd"; // sha256sum of "key-of-ci"
    let file = format!(
        "clients: {{ ci: {id} }}\nrules:\n  - name: ci\n    match: {{ client: ci }}\n    to: {{ region: west }}\n"
    );
    let mut fleet = Fleet::with_keys(Some(&file), &["key-of-web", "key-of-ci"]).await;
    fleet.add("east", "region=east").await;
    fleet.add("west", "region=west").await;
    let any = json!({ "mrUrlOrId": "7" });
    reaches(&fleet.client(), any.clone(), &["east", "west"]).await;
    fleet.key = Some("key-of-ci");
    reaches(&fleet.client(), any, &["west"]).await;
    fleet.key = Some("another");
    assert_eq!(fleet.explain(&json!({ "tool": TOOL })).await.0, 401);
}

#[tokio::test]
async fn a_running_proxy_says_which_rule_and_slaves() {
    let mut fleet = Fleet::with(Some(FILE)).await;
    fleet.add("east", "region=east,platform=github").await;
    fleet.add("west", "region=west").await;
    let asked =
        json!({ "tool": TOOL, "arguments": { "mrUrlOrId": GITHUB }, "headers": { "x-team": "north" } });
    let (status, explanation) = fleet.explain(&asked).await;
    assert_eq!(
        (status, &explanation["rule"], &explanation["offered"]),
        (200, &json!("review-github"), &json!(true))
    );
    let names: Vec<&str> = explanation["tiers"][0]["slaves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        explanation["considered"][0]["why"].as_str().unwrap().contains("x-team = \"north\""),
        "{explanation}"
    );
    let (_, explanation) =
        fleet.explain(&json!({ "tool": TOOL, "arguments": { "mrUrlOrId": GITLAB } })).await;
    assert_eq!(explanation["tiers"][0]["slaves"].as_array().unwrap().len(), 1, "{explanation}");
    let (_, explanation) = fleet
        .explain(&json!({ "tool": TOOL, "arguments": { "project": "secret/x", "mrUrlOrId": "1" } }))
        .await;
    assert!(explanation["refused"].is_string() && explanation["rule"] == "project", "{explanation}");
    let (_, explanation) = fleet.explain(&json!({ "tool": "nothing" })).await;
    assert_eq!((&explanation["offered"], explanation["refused"].is_string()), (&json!(false), true));
    let (status, explanation) = fleet.explain(&json!({ "tool": TOOL, "client": "nobody" })).await;
    assert!(status == 400 && explanation["error"].as_str().unwrap().contains("nobody"), "{explanation}");
    assert_eq!(fleet.explain(&json!({ "tol": TOOL })).await.0, 400);
}

/// The document's example, between its marks.
fn example() -> String {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operate/routing.md")).unwrap();
    let after = document.split("<!-- routes example").nth(1).expect("the example's mark");
    let block = after.split("```yaml\n").nth(1).expect("a YAML block");
    block.split("```").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_documents_example_works() {
    let mut fleet = Fleet::with_keys(Some(&example()), &["foo", "bar", "baz"]).await;
    assert!(!fleet.proxy.log.text().contains("no key of AUTH_BEARER_KEYS"), "{}", fleet.proxy.log.text());
    fleet.add("corp", "network=corp,platform=gitlab").await;
    fleet.add("plain", "team=x").await;
    fleet.add("ci", "pool=ci,network=other").await;
    let internal = json!({ "mrUrlOrId": "https://git.corp.example/a/b/pull/1" });
    fleet.key = Some("bar");
    reaches(&fleet.client(), internal.clone(), &["corp"]).await;
    reaches(&fleet.client(), json!({ "mrUrlOrId": GITHUB }), &["corp", "plain", "ci"]).await;
    fleet.key = Some("foo");
    reaches(&fleet.client(), internal, &["ci"]).await;
}
