//! What an operator hides of a backend, renames and describes: in lists, and in what can be called.

use harness::fixture::Fixture;
use serde_json::{Value, json};

use super::{ERAS, Scene};

async fn scene(era: &str, rules: Value) -> Scene {
    let fixture = Fixture::default();
    let mut entry = fixture.entry(&[("FIXTURE_ERA", era), ("FIXTURE_KINDS", "kinds")]);
    for (member, rule) in rules.as_object().unwrap() {
        entry[member] = rule.clone();
    }
    Scene::of(fixture, &json!({ "fixture": entry })).await
}

#[tokio::test]
async fn hidden_entries_are_neither_listed_nor_called() {
    for era in ERAS {
        let rules = json!({
            "tools": { "allow": ["c*", "big", "run"], "deny": ["cou*"] },
            "disabledTools": ["run"],
            "prompts": { "deny": ["*"] },
            "resources": { "deny": ["kinds://item/secret*", "kinds://about", "kinds://unlisted"] },
        });
        let scene = scene(era, rules).await;
        scene.proxy.offers("change").await;
        for caller in scene.callers().await {
            let name = format!("{}, {era} backend", caller.name);
            assert_eq!(caller.listed("tools", "name").await, ["big", "change"], "{name}");
            for tool in ["count", "run", "die", "environment"] {
                let call = json!({ "name": tool, "arguments": {} });
                assert_eq!(caller.code("tools/call", call).await, -32602, "{name}: {tool}");
            }
            assert_eq!(caller.listed("prompts", "name").await, Vec::<String>::new(), "{name}");
            assert_eq!(caller.code("prompts/get", json!({ "name": "greet" })).await, -32602, "{name}");
            let completion = json!({ "ref": { "type": "ref/prompt", "name": "greet" }, "argument": { "name": "name", "value": "" } });
            assert_eq!(caller.code("completion/complete", completion).await, -32602, "{name}");
            assert_eq!(caller.listed("resources", "uri").await, Vec::<String>::new(), "{name}");
            for hidden in ["kinds://about", "kinds://item/secret1", "kinds://unlisted"] {
                let code = caller.code("resources/read", json!({ "uri": hidden })).await;
                assert_eq!(code, caller.unknown_resource(), "{name}: {hidden}");
            }
            caller.result("resources/read", json!({ "uri": "kinds://item/open" })).await;
        }
        assert!(scene.fixture.log("none").is_empty(), "a hidden tool ran");
    }
}

#[tokio::test]
async fn entries_have_the_names_and_texts_that_the_operator_gave() {
    for era in ERAS {
        let rules = json!({
            "prefix": "fx_",
            "tools": {
                "allow": ["big", "change"],
                "rename": { "big": "large_text" },
                "describe": { "change": "Changes \"a list\"" },
            },
            "prompts": { "describe": { "greet": "Says hello" } },
            "resources": { "describe": { "kinds://about": "About it" } },
        });
        let scene = scene(era, rules).await;
        scene.proxy.offers("fx_change").await;
        for caller in scene.callers().await {
            let name = format!("{}, {era} backend", caller.name);
            assert_eq!(caller.listed("tools", "name").await, ["large_text", "fx_change"], "{name}");
            let tools = caller.result("tools/list", json!({})).await;
            assert_eq!(tools["tools"][1]["description"], "Changes \"a list\"", "{name}");
            assert_eq!(caller.listed("prompts", "description").await, ["Says hello"], "{name}");
            assert_eq!(caller.listed("resources", "description").await, ["About it"], "{name}");
            let call = json!({ "name": "large_text", "arguments": { "bytes": 3 } });
            assert_eq!(caller.result("tools/call", call).await["content"][0]["text"], "xxx", "{name}");
            for own in ["big", "change", "fx_big"] {
                let call = json!({ "name": own, "arguments": {} });
                assert_eq!(caller.code("tools/call", call).await, -32602, "{name}: {own}");
            }
            let greet = caller.result("prompts/get", json!({ "name": "fx_greet" })).await;
            assert_eq!(greet["messages"][0]["content"]["text"], "Hello you", "{name}");
            assert_eq!(caller.code("prompts/get", json!({ "name": "greet" })).await, -32602, "{name}");
            let completion = json!({ "ref": { "type": "ref/prompt", "name": "fx_greet" }, "argument": { "name": "name", "value": "G" } });
            let completed = caller.result("completion/complete", completion).await;
            assert_eq!(completed["completion"]["values"], json!(["Grace"]), "{name}");
        }
    }
}
