//! Prompts, resources, templates, completion and methods of extensions through the relay, for every pair of eras, at the proxy and at
//! the slave's own port: what is listed, who answers, what is refused, and what an operator hides.

mod changes;
mod curation;
mod owners;

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

/// Eras of backends.
const ERAS: [&str; 2] = ["legacy", "modern"];

/// A proxy with a slave whose backends are given.
struct Scene {
    proxy: Proxy,
    slave: Slave,
    fixture: Fixture,
}

/// A client with its name for messages.
struct Caller {
    client: Client,
    name: String,
    era: &'static str,
}

impl Scene {
    /// Starts it with these entries of the `mcpServers` file.
    async fn of(fixture: Fixture, servers: &Value) -> Self {
        let proxy = Setup::proxy().start_proxy().await;
        let path = fixture.write_backends(servers);
        let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
        let slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
        Self { proxy, slave, fixture }
    }

    /// Starts it with the fixture of this era, with all kinds and more variables.
    async fn start(era: &str, env: &[(&str, &str)]) -> Self {
        let fixture = Fixture::default();
        let entry = fixture.entry(&[&[("FIXTURE_ERA", era), ("FIXTURE_KINDS", "kinds")], env].concat());
        let scene = Self::of(fixture, &json!({ "fixture": entry })).await;
        scene.proxy.offers("change").await;
        scene
    }

    /// Clients of both eras at the proxy and at the slave's own port.
    async fn callers(&self) -> Vec<Caller> {
        let mut callers = Vec::new();
        for (place, address) in [("proxy", self.proxy.http), ("slave", self.slave.http)] {
            for era in ERAS {
                let client =
                    if era == "modern" { Client::modern(address) } else { Client::legacy(address).await };
                callers.push(Caller { client, name: format!("{era} client at the {place}"), era });
            }
        }
        callers
    }
}

impl Caller {
    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.client.request(McpRequest::new(1, method, params)).await;
        answer.response().clone()
    }

    /// The result; panics where there is none.
    async fn result(&self, method: &str, params: Value) -> Value {
        let response = self.ask(method, params).await;
        response.get("result").unwrap_or_else(|| panic!("{}: {method}: {response}", self.name)).clone()
    }

    /// The code of the error; panics where there is none.
    async fn code(&self, method: &str, params: Value) -> i64 {
        let response = self.ask(method, params).await;
        response["error"]["code"].as_i64().unwrap_or_else(|| panic!("{}: {method}: {response}", self.name))
    }

    /// A member of all entries of a list, on all pages.
    async fn listed(&self, list: &str, member: &str) -> Vec<String> {
        let method = match list {
            "resourceTemplates" => "resources/templates/list".to_owned(),
            list => format!("{list}/list"),
        };
        let (mut names, mut params) = (Vec::new(), json!({}));
        loop {
            let page = self.result(&method, params).await;
            let entries = page[list].as_array().unwrap_or_else(|| panic!("{}: {page}", self.name));
            names.extend(entries.iter().map(|entry| entry[member].as_str().expect("a name").to_owned()));
            let Some(next) = page["nextCursor"].as_str() else { return names };
            params = json!({ "cursor": next });
        }
    }

    /// What the server says of itself.
    async fn introduction(&self, address: std::net::SocketAddr) -> Value {
        if self.era == "modern" {
            return self.result("server/discover", json!({})).await;
        }
        Client::uninitialized(address).initialize().await.result().clone()
    }

    /// Code of an unknown resource (2025-11-25, Resources, "Error Handling"; 2026-07-28 has no code of its own).
    fn unknown_resource(&self) -> i64 {
        if self.era == "modern" { -32602 } else { -32002 }
    }
}

#[tokio::test]
async fn lists_of_all_kinds_are_those_of_the_backend() {
    for era in ERAS {
        let scene = Scene::start(era, &[]).await;
        for caller in scene.callers().await {
            let name = format!("{}, {era} backend", caller.name);
            assert!(caller.listed("tools", "name").await.contains(&"change".to_owned()), "{name}");
            assert_eq!(caller.listed("prompts", "name").await, ["greet"], "{name}");
            assert_eq!(caller.listed("resources", "uri").await, ["kinds://about"], "{name}");
            let templates = caller.listed("resourceTemplates", "uriTemplate").await;
            assert_eq!(templates, ["kinds://item/{id}"], "{name}");
            let prompts = caller.result("prompts/list", json!({})).await;
            assert_eq!(
                prompts["prompts"][0]["arguments"],
                json!([{ "name": "name", "required": true }]),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn prompts_resources_and_completions_are_the_backend_s() {
    for era in ERAS {
        let scene = Scene::start(era, &[]).await;
        for caller in scene.callers().await {
            let name = format!("{}, {era} backend", caller.name);
            let greet = json!({ "name": "greet", "arguments": { "name": "Ada" } });
            let prompt = caller.result("prompts/get", greet).await;
            assert_eq!(prompt["messages"][0]["content"]["text"], "Hello Ada", "{name}");
            for path in ["about", "item/7", "item/a%20b", "unlisted"] {
                let uri = format!("kinds://{path}");
                let read = caller.result("resources/read", json!({ "uri": uri })).await;
                assert_eq!(read["contents"][0]["text"], format!("text of {path}"), "{name}");
                assert_eq!(read["contents"][0]["uri"], uri, "{name}");
            }
            let of_prompt = json!({ "ref": { "type": "ref/prompt", "name": "greet" }, "argument": { "name": "name", "value": "A" } });
            let completed = caller.result("completion/complete", of_prompt).await;
            assert_eq!(completed["completion"]["values"], json!(["Ada", "Alan"]), "{name}");
            let of_template = json!({ "ref": { "type": "ref/resource", "uri": "kinds://item/{id}" }, "argument": { "name": "id", "value": "1" } });
            let completed = caller.result("completion/complete", of_template).await;
            assert_eq!(completed["completion"]["values"], json!(["1", "10"]), "{name}");
        }
    }
}

#[tokio::test]
async fn what_nobody_has_is_refused_with_the_code_of_the_client_s_era() {
    for era in ERAS {
        let scene = Scene::start(era, &[]).await;
        for caller in scene.callers().await {
            let name = format!("{}, {era} backend", caller.name);
            let unknown = json!({ "uri": "kinds://nothing" });
            assert_eq!(caller.code("resources/read", unknown).await, caller.unknown_resource(), "{name}");
            assert_eq!(caller.code("prompts/get", json!({ "name": "nothing" })).await, -32602, "{name}");
            let completion = json!({ "ref": { "type": "ref/prompt", "name": "nothing" }, "argument": { "name": "x", "value": "" } });
            assert_eq!(caller.code("completion/complete", completion).await, -32602, "{name}");
            for params in [json!({}), json!({ "uri": 1 })] {
                assert_eq!(caller.code("resources/read", params).await, -32602, "{name}");
            }
            // The only backend is asked, and says that it has no such method.
            assert_eq!(caller.code("unheard/of", json!({})).await, -32601, "{name}");
        }
    }
}

#[tokio::test]
async fn capabilities_and_instructions_are_those_of_the_backends() {
    for era in ERAS {
        let scene = Scene::start(era, &[]).await;
        for caller in scene.callers().await {
            let name = format!("{}, {era} backend", caller.name);
            let said = caller.introduction(scene.proxy.http).await;
            for capability in ["tools", "prompts", "resources", "completions"] {
                assert!(said["capabilities"][capability].is_object(), "{name}: {said}");
            }
            assert_eq!(said["instructions"], "Use kinds with care.", "{name}");
            let extension = match (caller.era, era) {
                ("modern", "modern") => Some(&said["capabilities"]["extensions"]["org.example/skills"]),
                ("legacy", "legacy") => Some(&said["capabilities"]["experimental"]["skills"]),
                _ => None,
            };
            let trial = &said["capabilities"]["experimental"]["org.example/trial"];
            assert!(trial["of"].is_string(), "{name}: {said}");
            if let Some(extension) = extension {
                assert_eq!(extension, &json!({ "level": 1 }), "{name}: {said}");
            }
        }
        let fixture = Fixture::default();
        let plain = fixture.entry(&[("FIXTURE_ERA", era)]);
        let scene = Scene::of(fixture, &json!({ "plain": plain })).await;
        scene.proxy.offers("run").await;
        for caller in scene.callers().await {
            let said = caller.introduction(scene.slave.http).await;
            for capability in ["prompts", "resources", "completions", "extensions", "experimental"] {
                assert!(said["capabilities"].get(capability).is_none(), "{}: {said}", caller.name);
            }
            assert!(said.get("instructions").is_none(), "{said}");
        }
    }
}

#[tokio::test]
async fn a_list_beyond_a_page_comes_whole_and_in_order() {
    let scene = Scene::start("legacy", &[("FIXTURE_PROMPTS", "1500")]).await;
    let expected: Vec<String> =
        std::iter::once("greet".to_owned()).chain((0..1500).map(|n| format!("p{n:05}"))).collect();
    for caller in scene.callers().await {
        let first = caller.result("prompts/list", json!({})).await;
        assert!(first["nextCursor"].is_string(), "{}: all on one page", caller.name);
        assert!(first["prompts"].to_string().len() <= 1024 * 1024, "{}", caller.name);
        assert_eq!(caller.listed("prompts", "name").await, expected, "{}", caller.name);
        assert_eq!(caller.code("prompts/list", json!({ "cursor": "no such" })).await, -32602);
    }
}

/// A slave with this many prompts, whose names begin with its own.
async fn slave_with_prompts(proxy: &Proxy, name: &str, prompts: usize) -> (Slave, Fixture) {
    let fixture = Fixture::default();
    let mut entry = fixture.entry(&[("FIXTURE_KINDS", name), ("FIXTURE_PROMPTS", &prompts.to_string())]);
    entry["prefix"] = name.into();
    let path = fixture.write_backends(&json!({ "kinds": entry }));
    let setup = Setup::slave(name, proxy.link).env("DEMO_TOOLS", "0");
    let slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    let caller = Caller { client: Client::modern(proxy.http), name: name.into(), era: "modern" };
    wait::until("all its prompts", async || {
        let last = format!("{name}p{:05}", prompts - 1);
        caller.listed("prompts", "name").await.contains(&last).then_some(())
    })
    .await;
    (slave, fixture)
}

#[tokio::test]
async fn pages_of_a_list_that_changes_between_them_repeat_nothing_and_lose_nothing_that_stays() {
    let proxy = Setup::proxy().start_proxy().await;
    let (_a, _c) = (slave_with_prompts(&proxy, "a", 500).await, slave_with_prompts(&proxy, "c", 500).await);
    for era in ERAS {
        let b = slave_with_prompts(&proxy, "b", 900).await;
        let client =
            if era == "modern" { Client::modern(proxy.http) } else { Client::legacy(proxy.http).await };
        let caller = Caller { client, name: era.into(), era };
        let read = async |cursor: Value| {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let page = caller.result("prompts/list", params).await;
            let names = page["prompts"].as_array().unwrap().iter();
            let names = names.map(|prompt| prompt["name"].as_str().unwrap().to_owned());
            (names.collect::<Vec<_>>(), page["nextCursor"].clone())
        };
        let (mut names, cursor) = read(Value::Null).await;
        assert!(names.last().unwrap().starts_with("bp"), "{era}: a page ends within the second slave's list");
        let before = caller.listed("prompts", "name").await.len();
        caller.result("tools/call", json!({ "name": "achange", "arguments": { "kind": "prompts" } })).await;
        wait::until("the new prompt", async || {
            (caller.listed("prompts", "name").await.len() == before + 1).then_some(())
        })
        .await;
        // All of the second slave's prompts go, with the one that the cursor names.
        drop(b);
        wait::until("its prompts to go", async || {
            (!caller.listed("prompts", "name").await.contains(&"bgreet".to_owned())).then_some(())
        })
        .await;
        let mut cursor = cursor;
        while !cursor.is_null() {
            let (more, next) = read(cursor).await;
            names.extend(more);
            cursor = next;
        }
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{era}: nothing twice");
        for slave in ["a", "c"] {
            let stayed = (0..500).map(|n| format!("{slave}p{n:05}")).chain([format!("{slave}greet")]);
            let lost: Vec<String> = stayed.filter(|name| !names.contains(name)).collect();
            assert!(lost.is_empty(), "{era}: {lost:?}");
        }
    }
}
