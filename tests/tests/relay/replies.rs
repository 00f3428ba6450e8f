//! Answers of clients to requests of a backend while its call runs: the first one counts, at whatever proxy it arrives, and only the client
//! that was asked can give it.

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::relay::{Proxy, Setup};
use harness::wait;
use serde_json::{Value, json};

async fn client(proxy: &Proxy, key: &str) -> Client {
    let mut client = Client::uninitialized(proxy.http).with_header("authorization", &format!("Bearer {key}"));
    client.initialize_with(json!({ "elicitation": {} })).await.result();
    client
}

/// Posts an answer to a request; returns the status.
async fn answer(client: &Client, request: &Value, text: &str) -> u16 {
    let result = json!({ "action": "accept", "content": { "text": text } });
    let response = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
    client.post(response.to_string().as_bytes()).await.status.as_u16()
}

#[tokio::test]
async fn the_first_answer_counts_at_any_proxy_and_nobody_else_s() {
    let setup = Setup::proxy().env("SESSION_KEY", "the-key-that-all-replicas-have-in-common");
    let setup = setup.env("AUTH_BEARER_KEYS", "key-of-the-one,key-of-the-other");
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let form = |message: &str| json!([{ "method": "elicitation/create", "params": { "message": message, "requestedSchema": { "type": "object", "properties": {} } } }]);
    for era in ["legacy", "modern"] {
        let fixture = Fixture::default();
        let urls = format!("ws://{},ws://{}", one.link, two.link);
        let setup = Setup::slave(era, one.link).env("PROXY_SERVER_URL", urls);
        let setup = fixture.serve_with(setup, &[("FIXTURE_ERA", era), ("FIXTURE_ASKS", "1")]);
        let _slave = setup.start_slave().await;
        let (mine, stranger) = (client(&one, "key-of-the-one").await, client(&two, "key-of-the-other").await);
        for proxy in [&one, &two] {
            wait::until("the tool", async || {
                mine.at(proxy.http).tool_names().await.contains(&"ask".to_owned()).then_some(())
            })
            .await;
        }
        let rounds = json!({ "rounds": [form("first"), form("second")] });
        let mut call = mine.start(McpRequest::tool(1, "ask", rounds)).await;
        let first = call.next().await.unwrap();
        assert_eq!(first["params"]["message"], "first", "{era}");
        for proxy in [&one, &two] {
            answer(&stranger.at(proxy.http), &first, "of a stranger").await;
        }
        assert_eq!(answer(&mine.at(two.http), &first, "one").await, 202, "{era}");
        for proxy in [&one, &two] {
            answer(&mine.at(proxy.http), &first, "too late").await;
        }
        let second = call.next().await.unwrap();
        assert_eq!(second["params"]["message"], "second", "{era}");
        assert_ne!(second["id"], first["id"], "{era}");
        answer(&mine, &first, "too late").await;
        assert_eq!(answer(&mine, &second, "two").await, 202, "{era}");
        let told: Value = serde_json::from_str(call.finish().await.text()).unwrap();
        let texts: Vec<&Value> = told.as_array().unwrap().iter().map(|one| &one["content"]["text"]).collect();
        assert_eq!(texts, ["one", "two"], "{era}");
    }
}
