//! Who answers a request that names no entry of a list: the only backend that can.

use harness::client::McpRequest;
use harness::fixture::Fixture;
use harness::relay::Setup;
use serde_json::json;

use super::{ERAS, Scene};

#[tokio::test]
async fn a_method_of_an_extension_reaches_the_backend_that_has_it() {
    for era in ERAS {
        let fixture = Fixture::default();
        let kinds = |scheme, skills| {
            fixture.entry(&[
                ("FIXTURE_ERA", era),
                ("FIXTURE_KINDS", scheme),
                ("FIXTURE_SKILLS", skills),
                ("FIXTURE_PREFIX", scheme),
            ])
        };
        let alone = json!({ "two": kinds("two", "1") });
        let beside = json!({ "one": kinds("one", "0"), "two": kinds("two", "1") });
        for servers in [alone, beside] {
            let fixture = Fixture::default();
            let scene = Scene::of(fixture, &servers).await;
            scene.proxy.offers("tworun").await;
            for caller in scene.callers().await {
                let params = json!({ "deep": [{ "x": 1.5 }, null], "name": 7, "ref": [1], "filter": "é" });
                let found = caller.result("skills/list", params.clone()).await;
                assert_eq!(found["skills"], json!(["two"]), "{}, {era} backends", caller.name);
                for (member, value) in params.as_object().unwrap() {
                    assert_eq!(&found["seen"][member], value, "{}", caller.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_method_that_nobody_or_anybody_might_have_is_unknown() {
    let fixture = Fixture::default();
    let entry = |prefix| fixture.entry(&[("FIXTURE_PREFIX", prefix)]);
    let servers = json!({ "one": entry("one"), "two": entry("two") });
    let scene = Scene::of(Fixture::default(), &servers).await;
    scene.proxy.offers("tworun").await;
    for caller in scene.callers().await {
        for method in ["skills/list", "skills", "", "x/y/z"] {
            let answer = caller.client.request(McpRequest::new(1, method, json!({}))).await;
            let name = format!("{}: {method:?}: {:?}", caller.name, answer.messages);
            // The specification of 2026-07-28 wants 404 for it.
            let status = if caller.era == "modern" { 404 } else { 200 };
            assert_eq!((answer.code(), answer.status), (-32601, status), "{name}");
        }
        assert_eq!(caller.code("prompts/get", json!({ "name": "greet" })).await, -32602);
        let unknown = json!({ "uri": "kinds://about" });
        assert_eq!(caller.code("resources/read", unknown).await, caller.unknown_resource());
        assert_eq!(caller.listed("prompts", "name").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn each_of_two_backends_answers_for_its_own_and_a_shared_prompt_is_named_after_them() {
    let fixture = Fixture::default();
    let kinds = |era, scheme| fixture.entry(&[("FIXTURE_ERA", era), ("FIXTURE_KINDS", scheme)]);
    let servers = json!({ "one": kinds("legacy", "one"), "two": kinds("modern", "two") });
    let scene = Scene::of(Fixture::default(), &servers).await;
    scene.proxy.offers("two__change").await;
    for caller in scene.callers().await {
        assert_eq!(caller.listed("prompts", "name").await, ["one__greet", "two__greet"], "{}", caller.name);
        assert_eq!(
            caller.listed("resources", "uri").await,
            ["one://about", "two://about"],
            "{}",
            caller.name
        );
        for owner in ["one", "two"] {
            let prompt = caller.result("prompts/get", json!({ "name": format!("{owner}__greet") })).await;
            assert_eq!(prompt["messages"][0]["content"]["text"], "Hello you", "{}", caller.name);
            let read = caller.result("resources/read", json!({ "uri": format!("{owner}://item/1") })).await;
            assert_eq!(read["contents"][0]["text"], "text of item/1", "{}", caller.name);
            let prompt = json!({ "type": "ref/prompt", "name": format!("{owner}__greet") });
            let template = json!({ "type": "ref/resource", "uri": format!("{owner}://item/{{id}}") });
            for (reference, value, values) in [(prompt, "G", json!(["Grace"])), (template, "2", json!(["2"]))]
            {
                let params = json!({ "ref": reference, "argument": { "name": "x", "value": value } });
                let completed = caller.result("completion/complete", params).await;
                assert_eq!(completed["completion"]["values"], values, "{}: {owner}", caller.name);
            }
        }
        // Neither is certain to have it.
        let unlisted = caller.code("resources/read", json!({ "uri": "one://unlisted" })).await;
        assert_eq!(unlisted, caller.unknown_resource(), "{}", caller.name);
        let said = caller.introduction(scene.proxy.http).await;
        let text = said["instructions"].as_str().unwrap();
        assert_eq!(text, "## one\n\nUse one with care.\n\n## two\n\nUse two with care.", "{}", caller.name);
    }
}

#[tokio::test]
async fn the_demo_has_an_entry_of_each_kind() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let scene = Scene { proxy, slave, fixture: Fixture::default() };
    for caller in scene.callers().await {
        assert_eq!(caller.listed("prompts", "name").await, ["greet"], "{}", caller.name);
        assert_eq!(caller.listed("resources", "uri").await, ["demo://about"], "{}", caller.name);
        assert_eq!(caller.listed("resourceTemplates", "uriTemplate").await, ["demo://echo/{text}"]);
        let greet = json!({ "name": "greet", "arguments": { "name": "Ada \"x\"" } });
        let prompt = caller.result("prompts/get", greet).await;
        assert!(prompt["messages"][0]["content"]["text"].as_str().unwrap().contains("Ada \"x\""), "{prompt}");
        assert_eq!(caller.code("prompts/get", json!({ "name": "greet" })).await, -32602);
        let complete = json!({ "ref": { "type": "ref/prompt", "name": "greet" }, "argument": { "name": "name", "value": "a" } });
        let completed = caller.result("completion/complete", complete).await;
        assert_eq!(completed["completion"]["values"], json!(["Ada", "Alan"]), "{}", caller.name);
        for (uri, text) in
            [("demo://echo/a%20b", "a b"), ("demo://echo/%C3%A9", "é"), ("demo://echo/100%", "100%")]
        {
            let read = caller.result("resources/read", json!({ "uri": uri })).await;
            assert_eq!(read["contents"][0], json!({ "uri": uri, "mimeType": "text/plain", "text": text }));
        }
        assert!(
            caller.result("resources/read", json!({ "uri": "demo://about" })).await["contents"][0]["text"]
                .is_string()
        );
        let unknown = caller.code("resources/read", json!({ "uri": "demo://nothing" })).await;
        assert_eq!(unknown, caller.unknown_resource(), "{}", caller.name);
        assert_eq!(caller.code("skills/list", json!({})).await, -32601, "{}", caller.name);
    }
    assert!(scene.fixture.pids().is_empty());
}
