//! Exchanges that wait for somebody, a client's answer, a task or an update, while links break and proxies and slaves are replaced.

use std::net::SocketAddr;

use harness::client::{Client, McpRequest, Pending};
use harness::fault::{Fault, FaultProxy};
use harness::fixture::Fixture;
use harness::http::{Exchange, request};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "the session key of both replicas, long enough";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What happens while an exchange waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Every link is reset.
    LinksReset,
    /// The proxy that has the exchange is killed.
    ProxyKilled,
    /// Both proxies are killed, and the slave finds the new one only after the client, and after another slave of its identity.
    ProxiesReplaced,
}

const EVENTS: [Event; 3] = [Event::LinksReset, Event::ProxyKilled, Event::ProxiesReplaced];

/// Two proxies of one fleet, and a slave with the fixture of an era that dials each of them through a fault proxy.
struct Scene {
    proxies: Vec<Proxy>,
    faults: Vec<FaultProxy>,
    slave: Slave,
    /// The slave is kept from the second proxy until a request waits for it.
    awaited: bool,
    era: &'static str,
    _fixture: Fixture,
    /// Kept running.
    other: Option<(Slave, Fixture)>,
}

/// A slave with the fixture of an era that dials these addresses, and the backend's folder.
async fn slave(era: &str, name: &str, addresses: &[SocketAddr]) -> (Slave, Fixture) {
    let fixture = Fixture::default();
    let urls: Vec<String> = addresses.iter().map(|address| format!("ws://{address}")).collect();
    let setup = Setup::slave(name, addresses[0]).env("PROXY_SERVER_URL", urls.join(","));
    let variables =
        [("FIXTURE_ERA", era), ("FIXTURE_ASKS", "1"), ("FIXTURE_RESOURCES", "1"), ("FIXTURE_TASKS", "1")];
    let slave = fixture.serve_with(setup.env("RECONNECT_MAX", "0.2"), &variables).start_slave().await;
    (slave, fixture)
}

async fn scene(era: &'static str) -> Scene {
    let (mut proxies, mut faults) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let proxy = Setup::proxy().env("SESSION_KEY", KEY).start_proxy().await;
        faults.push(FaultProxy::start(proxy.link));
        proxies.push(proxy);
    }
    let (slave, fixture) = slave(era, "one", &[faults[0].address, faults[1].address]).await;
    for proxy in &proxies {
        proxy.offers("ask").await;
    }
    Scene { proxies, faults, slave, awaited: false, era, _fixture: fixture, other: None }
}

impl Scene {
    /// Lets the event happen, and waits until the proxies that are left have the slave again, but for new ones.
    async fn meet(&mut self, event: Event) {
        match event {
            Event::LinksReset => {
                self.faults.iter().for_each(|fault| fault.strike(Fault::Reset));
                for proxy in &self.proxies {
                    proxy.accepted(2).await;
                    proxy.offers("ask").await;
                }
            }
            Event::ProxyKilled => self.kill(0).await,
            Event::ProxiesReplaced => {
                self.kill(0).await;
                self.kill(1).await;
                self.faults[1].refuse(true);
                let setup = Setup::proxy().env("SESSION_KEY", KEY).env("LOG_LEVEL", "debug");
                self.proxies[1] = setup.env("START_WINDOW", "60").start_proxy().await;
                self.faults[1].retarget(self.proxies[1].link);
                self.other = Some(slave(self.era, "two", &[self.proxies[1].link]).await);
                self.proxies[1].offers("ask").await;
                self.awaited = true;
            }
        }
    }

    async fn kill(&mut self, proxy: usize) {
        self.proxies[proxy].signal(Signal::SIGKILL);
        self.proxies[proxy].exit(wait::TIMEOUT).await;
    }

    /// Waits for an answer of the second proxy, which its slave finds, if it has not yet, when the request waits for it.
    async fn answer<T>(&mut self, request: impl Future<Output = T>) -> T {
        let awaited = std::mem::take(&mut self.awaited);
        let link = async {
            if awaited {
                self.proxies[1].log.wait_for("waits for slaves").await;
                self.faults[1].refuse(false);
            }
        };
        tokio::join!(request, link).0
    }
}

fn capabilities() -> Value {
    json!({ "elicitation": { "form": {} }, "sampling": {}, "roots": {} })
}

fn rounds() -> Value {
    let params = json!({ "message": "who?", "requestedSchema": { "type": "object", "properties": {} } });
    json!([[{ "method": "elicitation/create", "params": params }]])
}

fn answer() -> Value {
    json!({ "action": "accept", "content": { "text": "me" } })
}

/// The text with which the fixture ends a call that was answered.
fn told() -> String {
    json!([answer()]).to_string()
}

#[tokio::test]
async fn a_modern_client_s_answer_is_taken_whatever_broke_since_it_was_asked() {
    for era in ["legacy", "modern"] {
        for event in EVENTS {
            let mut scene = scene(era).await;
            let able = |request: McpRequest| request.meta(CAPABILITIES, capabilities());
            let ask = able(McpRequest::tool(1, "ask", json!({ "rounds": rounds() })));
            let asked = Client::modern(scene.proxies[0].http).request(ask).await;
            let asked = asked.result();
            let (key, _) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
            scene.meet(event).await;
            let params = json!({
                "name": "ask", "arguments": { "rounds": rounds() },
                "inputResponses": { key: answer() }, "requestState": asked["requestState"],
            });
            let retry = able(McpRequest::new(2, "tools/call", params));
            let elsewhere = Client::modern(scene.proxies[1].http);
            let last = scene.answer(elsewhere.request(retry)).await;
            assert_eq!(last.text(), told(), "{era} backend, {event:?}");
        }
    }
}

/// Reads up to the backend's request, and returns its id and the id of its event.
async fn asked(stream: &mut Pending) -> (Value, String) {
    loop {
        let event = stream.next_event().await.expect("a request of the backend");
        let Ok(message) = serde_json::from_str::<Value>(&event.data) else { continue };
        if message["method"] == "elicitation/create" {
            return (message["id"].clone(), event.id.expect("an id"));
        }
    }
}

/// Posts the client's response.
async fn reply(client: &Client, id: &Value) -> u16 {
    let response = json!({ "jsonrpc": "2.0", "id": id, "result": answer() });
    client.post(response.to_string().as_bytes()).await.status.as_u16()
}

/// Opens the stream behind the event of this id, and reads the text of the result.
async fn resumed_text(address: SocketAddr, client: &Client, last: &str) -> String {
    let headers = [
        ("accept".to_owned(), "text/event-stream".to_owned()),
        ("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()),
        ("mcp-session-id".to_owned(), client.session.clone().unwrap()),
        ("last-event-id".to_owned(), last.to_owned()),
    ];
    let exchange = Exchange::start(address, request(Method::GET, "/mcp", &headers, Vec::new())).await;
    Pending::new(exchange).finish().await.text().to_owned()
}

#[tokio::test]
async fn a_legacy_client_s_answer_is_taken_whatever_broke_since_it_was_asked() {
    for era in ["legacy", "modern"] {
        for event in EVENTS {
            let mut scene = scene(era).await;
            let mut client = Client::uninitialized(scene.proxies[0].http);
            client.initialize_with(capabilities()).await.result();
            let mut stream = client.start(McpRequest::tool(1, "ask", json!({ "rounds": rounds() }))).await;
            let (id, last) = asked(&mut stream).await;
            scene.meet(event).await;
            let elsewhere = client.at(scene.proxies[1].http);
            assert_eq!(scene.answer(reply(&elsewhere, &id)).await, 202, "{era} backend, {event:?}");
            let text = match event {
                Event::LinksReset => stream.finish().await.text().to_owned(),
                Event::ProxyKilled | Event::ProxiesReplaced => {
                    resumed_text(scene.proxies[1].http, &client, &last).await
                }
            };
            assert_eq!(text, told(), "{era} backend, {event:?}");
        }
    }
}

#[tokio::test]
async fn a_question_of_a_slave_that_is_killed_ends_with_an_error_that_says_so() {
    let mut scene = scene("legacy").await;
    let mut client = Client::uninitialized(scene.proxies[0].http);
    client.initialize_with(capabilities()).await.result();
    let mut stream = client.start(McpRequest::tool(1, "ask", json!({ "rounds": rounds() }))).await;
    let (id, _) = asked(&mut stream).await;
    scene.slave.signal(Signal::SIGKILL);
    scene.slave.exit(wait::TIMEOUT).await;
    // Nobody is there who could take it, and no client is told to try again for ever.
    let late = reply(&client, &id).await;
    assert!((200..500).contains(&late), "{late}");
    let failed = stream.finish().await;
    assert_eq!(failed.kind(), "outcome_unknown", "{:?}", failed.messages);
}

#[tokio::test]
async fn a_task_is_found_whatever_broke_since_it_was_made() {
    for era in ["legacy", "modern"] {
        for event in EVENTS {
            let mut scene = scene(era).await;
            let able = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
            let of_era = |request: McpRequest| match era {
                "modern" => request.meta(CAPABILITIES, able.clone()),
                _ => request,
            };
            let client = match era {
                "modern" => Client::modern(scene.proxies[0].http),
                _ => Client::legacy(scene.proxies[0].http).await,
            };
            let mut params = json!({ "name": "arguments" });
            if era == "legacy" {
                params["task"] = json!({ "ttl": 60000 });
            }
            let made = client.request(of_era(McpRequest::new(1, "tools/call", params))).await;
            let task = if era == "legacy" { &made.result()["task"] } else { made.result() };
            scene.meet(event).await;
            let get = McpRequest::new(2, "tasks/get", json!({ "taskId": task["taskId"] }));
            let elsewhere = client.at(scene.proxies[1].http);
            let got = scene.answer(elsewhere.request(of_era(get))).await;
            assert_eq!(got.result()["status"], "completed", "{era}, {event:?}");
        }
    }
}

#[tokio::test]
async fn a_subscription_goes_on_when_its_links_are_back() {
    for era in ["legacy", "modern"] {
        let mut scene = scene(era).await;
        let client = Client::modern(scene.proxies[0].http);
        let filter = json!({ "resourceSubscriptions": ["res:1"] });
        let listen = McpRequest::new("s", "subscriptions/listen", json!({ "notifications": filter }));
        let mut stream = client.start(listen).await;
        let acknowledged = stream.next().await.unwrap();
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{era}");
        scene.meet(Event::LinksReset).await;
        client.at(scene.proxies[1].http).call("touch", json!({ "uri": "res:1" })).await.result();
        let told = stream.next().await.unwrap();
        assert_eq!(
            (&told["method"], &told["params"]["uri"]),
            (&json!("notifications/resources/updated"), &json!("res:1"))
        );
    }
}
