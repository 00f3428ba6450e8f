//! Ids of tasks of a backend that was started again: its new process may give out the same ids, for tasks of others.

use std::collections::BTreeMap;

use harness::client::Client;
use harness::fixture::Fixture;
use harness::relay::Setup;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{KEYS, client, offers, request, slave_with};

/// Makes some tasks; returns their ids as the client knows them, by the backend's own.
async fn make(client: &Client, fixture: &Fixture, era: &str) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for _ in 0..6 {
        let call = request("tools/call", json!({ "name": "arguments" }), era);
        let answer = client.request(call).await;
        let task = if era == "legacy" { &answer.result()["task"] } else { answer.result() };
        let id = task["taskId"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        made.insert(fixture.log("tasks").last().unwrap().clone(), id);
    }
    made
}

async fn outcome(client: &Client, method: &str, id: &str, era: &str) -> String {
    let answer = client.request(request(method, json!({ "taskId": id }), era)).await;
    if answer.response().get("result").is_some() { "ok".to_owned() } else { answer.kind().to_owned() }
}

async fn listed(client: &Client) -> usize {
    let answer = client.request(request("tasks/list", json!({}), "legacy")).await;
    answer.result()["tasks"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn an_id_of_before_a_restart_reaches_no_task_of_the_process_after_it() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", KEYS).start_proxy().await;
    for era in ["legacy", "modern"] {
        let (slave, fixture) = slave_with(&[&proxy], era, "alpha", "1").await;
        let (mine, yours) = (client(&proxy, era, "one").await, client(&proxy, era, "two").await);
        let before = make(&mine, &fixture, era).await;
        assert_eq!(outcome(&mine, "tasks/get", before.values().next().unwrap(), era).await, "ok");
        let pid = *fixture.pids().last().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        harness::wait::until("the next process", async || {
            (fixture.pids().last() != Some(&pid)).then_some(())
        })
        .await;
        offers(&proxy, "arguments").await;
        let after = make(&yours, &fixture, era).await;
        let same: Vec<(&String, &String)> =
            before.iter().filter_map(|(own, old)| Some((old, after.get(own)?))).collect();
        assert!(!same.is_empty(), "no id was given out again: {before:?} {after:?}");
        for (old, new) in same {
            let last = if era == "legacy" { "tasks/result" } else { "tasks/update" };
            for method in ["tasks/get", last, "tasks/cancel"] {
                assert_eq!(outcome(&mine, method, old, era).await, "unknown_task", "{era} {method}");
                assert_eq!(outcome(&mine, method, new, era).await, "unknown_task", "{era} {method}");
                assert_eq!(outcome(&yours, method, new, era).await, "ok", "{era} {method}");
            }
        }
        if era == "legacy" {
            assert_eq!((listed(&mine).await, listed(&yours).await), (0, after.len()));
        }
        drop(slave);
    }
}

/// What an HTTP server gives out again is its last creator's: the slave does not see that it was started again.
#[tokio::test]
async fn an_id_that_a_server_gives_out_again_is_the_last_creator_s() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", KEYS).start_proxy().await;
    let answer = json!({ "resultType": "task", "taskId": "1", "status": "working", "ttlMs": Value::Null });
    let upstream = repeating::Server::start(&answer).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends.json");
    let entry = json!({ "url": format!("http://{}/mcp", upstream.address) });
    std::fs::write(&path, json!({ "mcpServers": { "again": entry } }).to_string()).unwrap();
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
    let _slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    offers(&proxy, "again").await;
    let (mine, yours) = (client(&proxy, "modern", "one").await, client(&proxy, "modern", "two").await);
    let mut ids = Vec::new();
    for client in [&mine, &yours] {
        let made = client.request(request("tools/call", json!({ "name": "again" }), "modern")).await;
        ids.push(made.result()["taskId"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned());
        assert_eq!(outcome(client, "tasks/get", ids.last().unwrap(), "modern").await, "ok");
    }
    assert_eq!(outcome(&mine, "tasks/get", &ids[0], "modern").await, "unknown_task");
    assert_eq!(outcome(&yours, "tasks/get", &ids[1], "modern").await, "ok");
}

mod repeating {
    //! A modern HTTP server whose only tool makes the same task again and again.

    use std::convert::Infallible;
    use std::net::SocketAddr;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::task::AbortHandle;

    pub(super) struct Server {
        pub(super) address: SocketAddr,
        task: AbortHandle,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    impl Server {
        pub(super) async fn start(made: &Value) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, made) = (listener.local_addr().unwrap(), made.clone());
            let task = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let made = made.clone();
                    let service = service_fn(move |request| answer(request, made.clone()));
                    let connection = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
                }
            });
            Self { address, task: task.abort_handle() }
        }
    }

    async fn answer(request: Request<Incoming>, made: Value) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let result = match message["method"].as_str().unwrap_or_default() {
            "server/discover" => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": { "tools": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } },
                "serverInfo": { "name": "again", "version": "1" },
            }),
            "tools/list" => {
                let tool = json!({ "name": "again", "inputSchema": { "type": "object" } });
                json!({ "resultType": "complete", "tools": [tool], "ttlMs": 0, "cacheScope": "private" })
            }
            "tools/call" => made,
            _ => json!({ "resultType": "complete", "taskId": "1", "status": "working", "ttlMs": null }),
        };
        let text = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string();
        let response = Response::builder().header("content-type", "application/json");
        Ok(response.body(Full::new(text.into())).unwrap())
    }
}
