//! The ways on which a request that was allowed is decided again before it is somewhere else: it waits, is run again, or moves. For each
//! kind of what is asked for, and each kind of who asks.

use std::net::SocketAddr;

use futures_util::future::join_all;
use harness::client::{Client, McpRequest, Pending};
use harness::issuer::{SigningKey, TestIssuer};
use harness::rawslave::{OpenCall, RawSlave, dial, text_result};
use harness::relay::{CODE, Proxy};
use harness::tls::{Authority, tunnel};
use harness::wait;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::handshake::SlaveHello;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use rcgen::SanType;
use serde_json::{Value, json};

use super::{Files, waits};

const RESOURCE: &str = "https://relay.example/mcp";

/// What a rule may say of the one client, and the credential that is asked for below.
const WHO: [&str; 5] = [
    "{ key: dev }",
    "{ group: token-group }",
    "{ subject: ada, issuer: 'http://*' }",
    "{ scope: reads }",
    "{ certificate: 'ann@*' }",
];

/// What can be asked for, and how whoever may not is told.
const KINDS: [(&str, &str); 3] = [
    ("tools/call", "unknown_tool"),
    ("prompts/get", "unknown_prompt"),
    ("resources/read", "unknown_resource"),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Wait,
    Retry,
    Move,
}

/// The policy of one course, whose number makes it another one than that of before.
fn allowing(who: &str, course: usize) -> String {
    let what = "tools: read, prompts: read, resources: 'res:read'";
    format!("allow: [{{ who: {{ key: ops }} }}, {{ who: {who}, {what} }}] # {course}\n")
}

const NOBODY_ELSE: &str = "allow: [{ who: { key: ops } }]\n";

fn request(method: &str) -> McpRequest {
    let params = match method {
        "resources/read" => json!({ "uri": "res:read" }),
        _ => json!({ "name": "read" }),
    };
    McpRequest::new(1, method, params)
}

fn result(method: &str) -> Value {
    match method {
        "resources/read" => json!({ "resultType": "complete", "contents": [] }),
        "prompts/get" => json!({ "resultType": "complete", "messages": [] }),
        _ => text_result("read"),
    }
}

/// Waits until the tool is listed, or is not any more.
async fn listed(client: &Client, is_there: bool) {
    wait::until("the tool in the list, or out of it", async || {
        (client.tool_names().await.contains(&"read".to_owned()) == is_there).then_some(())
    })
    .await;
}

/// A slave that takes one call at a time.
async fn slave(proxy: &Proxy, link: SocketAddr, ops: &Client) -> RawSlave {
    let before = proxy.log.len();
    let mut slave = dial(link).await;
    let hello = SlaveHello { capacity: 1, ..slave.hello("one") };
    slave.authenticate_as(CODE, hello).await;
    let tool = json!({ "name": "read", "inputSchema": { "type": "object" }, "annotations": { "readOnlyHint": true } });
    let lists = json!({
        "tools": [tool],
        "prompts": [{ "name": "read" }],
        "resources": [{ "uri": "res:read", "name": "read" }],
    });
    slave.catalog(&lists).await;
    proxy.log.wait_for_after("Slave offers its tools", before).await;
    listed(ops, true).await;
    slave
}

async fn fail(slave: &mut RawSlave, opened: &OpenCall) {
    let failure = Failure::BackendFailed { backend: "b".into(), reason: "died".into(), retry_after: None };
    let frame = Frame::bare(FrameKind::End, opened.call, 0);
    let payload = failure.error_object(Era::Legacy).into();
    slave.send(Frame { payload, flags: Flags::ERROR, ..frame }).await;
}

struct Scene {
    files: Files,
    proxy: Proxy,
    /// The ports without TLS, of clients and of slaves.
    http: SocketAddr,
    link: SocketAddr,
    ops: Client,
    client: Client,
    course: usize,
}

impl Scene {
    /// Brings a call of the client to where it is decided again, there to find that it is allowed or not. Returns what becomes of it.
    async fn outcome(&mut self, way: Way, who: &str, method: &str, is_allowed: bool) -> String {
        self.course += 1;
        self.files.change(&self.proxy, &allowing(who, self.course)).await;
        let mut slave = slave(&self.proxy, self.link, &self.ops).await;
        listed(&self.client, true).await;
        let first = if way == Way::Wait { &self.ops } else { &self.client };
        let mut running = first.start(request(method)).await;
        let opened = slave.receive_open().await;
        let waiting = if way == Way::Wait { Some(self.client.start(request(method)).await) } else { None };
        if waiting.is_some() {
            waits(self.http).await;
        }
        if !is_allowed {
            self.files.change(&self.proxy, NOBODY_ELSE).await;
            listed(&self.client, false).await;
        }
        match way {
            Way::Wait => slave.end(opened.call, 0, &result(method)).await,
            Way::Retry => fail(&mut slave, &opened).await,
            Way::Move => {
                let other = self::slave(&self.proxy, self.link, &self.ops).await;
                std::mem::replace(&mut slave, other).disconnect();
            }
        }
        let mut asked: Pending = match waiting {
            Some(waiting) => {
                running.finish().await.result();
                waiting
            }
            None => running,
        };
        // Whatever the slave gets next is the client's call, if that is allowed.
        let mut other = if is_allowed { None } else { Some(self.ops.start(request(method)).await) };
        let again = slave.receive_open().await;
        let subject =
            again.header.identity.as_ref().map(|identity| identity.subject.clone()).unwrap_or_default();
        assert_eq!(
            subject == "ops",
            !is_allowed,
            "{way:?} {who} {method}: the slave got a call of {subject}"
        );
        slave.end(again.call, 0, &result(method)).await;
        if let Some(other) = &mut other {
            other.finish().await.result();
        }
        let answer = asked.finish().await;
        slave.disconnect();
        listed(&self.ops, false).await;
        if answer.response().get("result").is_some() { "ok".to_owned() } else { answer.kind().to_owned() }
    }
}

/// Has a proxy of their own decide what clients like these ask for, on one way.
async fn decided_again(way: Way, who: &str, issuer: &TestIssuer, token: &str) {
    let files = Files::new(NOBODY_ELSE);
    std::fs::write(files.path("issuers.yaml"), format!("issuers:\n- issuer: {}\n", issuer.url)).unwrap();
    let setup =
        files.proxy().env("PUBLIC_URL", RESOURCE).env("RETRY_IDEMPOTENT", "1").env("LINK_GRACE", "0.3");
    // The slave of this test answers only while it is read from.
    let setup = setup.env("LINK_PING_TIMEOUT_MS", "60000");
    let mut setup = setup.env("AUTH_ISSUERS", files.path("issuers.yaml").to_str().unwrap());
    let (servers, clients) = (Authority::default(), Authority::default());
    let by_certificate = who.contains("certificate");
    if by_certificate {
        let own = servers.issue("proxy", &["localhost", "127.0.0.1"]);
        let files = [("TLS_CERT", own.cert), ("TLS_KEY", own.key), ("TLS_HTTP_CLIENT_CA", clients.root())];
        for (variable, file) in files {
            setup = setup.env(variable, file.to_str().unwrap());
        }
    }
    let proxy = setup.start_proxy().await;
    let (mut http, mut link, mut ann) = (proxy.http, proxy.link, None);
    if by_certificate {
        let of_ann = clients.issue_as("ann", &[], |params| {
            params.subject_alt_names = vec![SanType::Rfc822Name("ann@team.example".try_into().unwrap())];
        });
        ann = Some(Client::modern(tunnel(http, servers.client(Some(&of_ann))).await));
        (http, link) = (tunnel(http, servers.client(None)).await, tunnel(link, servers.client(None)).await);
    }
    let bearer = |text: &str| Client::modern(http).with_header("authorization", &format!("Bearer {text}"));
    let asking = if who.contains("key") { bearer("key-of-dev") } else { bearer(token) };
    let client = ann.unwrap_or(asking);
    let mut scene = Scene { client, ops: bearer("key-of-ops"), files, proxy, http, link, course: 0 };
    for (method, unknown) in KINDS {
        assert_eq!(scene.outcome(way, who, method, true).await, "ok", "{way:?} {who} {method}");
        let expected = match way {
            Way::Wait => unknown,
            Way::Retry => "backend_failed",
            Way::Move => "outcome_unknown",
        };
        assert_eq!(scene.outcome(way, who, method, false).await, expected, "{way:?} {who} {method}");
    }
}

#[tokio::test]
async fn a_request_of_each_kind_and_identity_is_decided_again_on_each_way() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let mut claims = issuer.claims("ada", RESOURCE);
    claims["groups"] = json!(["token-group"]);
    claims["scope"] = json!("reads");
    let token = key.token("e", &claims);
    // All wait for files to be read again, most of the time.
    let ways = [Way::Wait, Way::Retry, Way::Move];
    let courses = WHO.iter().flat_map(|who| ways.map(|way| decided_again(way, who, &issuer, &token)));
    join_all(courses).await;
}
