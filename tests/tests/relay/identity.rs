//! A code acts only as itself: whatever a slave with another code, or without the secret of a process, says of itself, the calls,
//! links and sessions of others go on.

use harness::client::{Client, McpRequest};
use harness::frames::{CallId, Frame, FrameKind, InstanceId};
use harness::metrics::Scrape;
use harness::plain::node_slave;
use harness::rawslave::{OpenCall, RawSlave, Received, definition, dial, text_result};
use harness::relay::{CODE, Proxy, Setup};
use harness::{http, wait};
use protocol::link::handshake::SlaveHello;
use serde_json::{Value, json};

/// A proxy with two named codes beside the listed one.
async fn proxy() -> (Proxy, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("codes");
    std::fs::write(
        &path,
        "- {code: code-of-the-victim, name: victim}\n- {code: code-of-the-stranger, name: stranger}\n",
    )
    .unwrap();
    let proxy = Setup::proxy().env("SLAVE_CODES_FILE", path.to_str().unwrap()).start_proxy().await;
    (proxy, folder)
}

const VICTIM: &str = "code-of-the-victim";
const STRANGER: &str = "code-of-the-stranger";

/// Reads until the slave is sent a call, and fails if it is asked for a call of another before.
async fn only_own_call(slave: &mut RawSlave, tool: &str) -> CallId {
    loop {
        match slave.receive().await {
            Received::Frame(frame) if frame.kind == FrameKind::Open => {
                let text = String::from_utf8_lossy(&frame.payload).into_owned();
                assert!(text.contains(tool), "another's call: {text}");
                return frame.call;
            }
            Received::Frame(frame) => {
                let allowed = [FrameKind::Peers, FrameKind::Session];
                assert!(allowed.contains(&frame.kind), "{frame:?} on the stranger's link");
            }
            other => panic!("a call, not {other:?}"),
        }
    }
}

async fn lists(proxy: &Proxy, slave: &mut RawSlave, tool: &str) {
    slave.catalog(&json!({ "tools": [definition(tool)] })).await;
    proxy.offers(tool).await;
}

/// A call under way at a slave of the victim's code.
async fn running(proxy: &Proxy) -> (RawSlave, harness::client::Pending, OpenCall) {
    let mut victim = RawSlave::link(proxy.link, VICTIM, "victim", &["work"]).await;
    proxy.offers("work").await;
    let pending = Client::modern(proxy.http).start(McpRequest::tool(1, "work", json!({}))).await;
    let opened = victim.receive_open().await;
    victim.accept(&opened).await;
    (victim, pending, opened)
}

/// Links under the victim's instance and tries to answer its call; the victim's answer must be the one that counts.
async fn poses_in_vain(code: &str, hello: impl FnOnce(SlaveHello, &str) -> SlaveHello) {
    let (proxy, _folder) = proxy().await;
    let (mut victim, mut pending, opened) = running(&proxy).await;
    let mut stranger = dial(proxy.link).await;
    stranger.instance = victim.instance;
    let (_, status) = http::get(proxy.http, "/api/v1/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    let said = hello(stranger.hello("victim"), status["instance"].as_str().unwrap());
    let answer = stranger.authenticate_as(code, said).await;
    assert!(!answer.resumed && answer.slave != victim.instance.to_string());
    stranger.end(opened.call, 0, &text_result("forged")).await;
    lists(&proxy, &mut stranger, "mark").await;
    let mut marked = Client::modern(proxy.http).start(McpRequest::tool(2, "mark", json!({}))).await;
    let call = only_own_call(&mut stranger, "mark").await;
    stranger.end(call, 0, &text_result("mark")).await;
    assert_eq!(marked.finish().await.text(), "mark");
    victim.end(opened.call, 0, &text_result("genuine")).await;
    assert_eq!(pending.finish().await.text(), "genuine");
    assert_eq!(proxy.log.count("its older link is replaced"), 0);
}

#[tokio::test]
async fn another_code_that_claims_an_instance_is_another_slave() {
    poses_in_vain(STRANGER, |hello, _| hello).await;
}

#[tokio::test]
async fn the_same_code_without_the_secret_is_a_new_process() {
    poses_in_vain(VICTIM, |hello, _| hello).await;
}

#[tokio::test]
async fn the_same_code_with_a_made_up_proof_is_a_new_process() {
    poses_in_vain(VICTIM, |hello, proxy| {
        let proof = protocol::link::handshake::ResumeProof::new(&[7; 32]);
        SlaveHello { resume: [(proxy.to_owned(), proof)].into(), ..hello }
    })
    .await;
}

#[tokio::test]
async fn an_instance_of_zeros_takes_no_plain_slave_s_place() {
    let (proxy, _folder) = proxy().await;
    let mut plain = node_slave(proxy.link, CODE).await.unwrap();
    for _ in 0..2 {
        let request = plain.request().await;
        plain.answer(&request, json!({ "tools": [definition("work")] })).await;
    }
    proxy.offers("work").await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "work", json!({}))).await;
    let request = plain.request().await;
    let id = request["id"].as_str().expect("an id that is a string");
    assert!(id.len() > 33 && id.as_bytes()[32] == b'-', "{id}");
    let mut stranger = dial(proxy.link).await;
    stranger.instance = InstanceId(0);
    assert!(!stranger.authenticate(STRANGER, "zero").await.resumed);
    lists(&proxy, &mut stranger, "mark").await;
    plain.answer(&request, json!({ "content": [{ "type": "text", "text": "genuine" }] })).await;
    assert_eq!(pending.finish().await.text(), "genuine");
    let (_, slaves) = http::get(proxy.http, "/api/v1/slaves").await;
    let slaves: Value = serde_json::from_str(&slaves).unwrap();
    assert_eq!(slaves["total"], 2, "{slaves}");
    assert!(!slaves.to_string().contains("\"0000000000000000\""), "{slaves}");
}

#[tokio::test]
async fn the_seat_of_another_identity_supersedes_nobody() {
    let (proxy, _folder) = proxy().await;
    let seated = |slave: &RawSlave, name: &str| SlaveHello { seat: Some("desk".into()), ..slave.hello(name) };
    let mut victim = dial(proxy.link).await;
    let hello = seated(&victim, "victim");
    victim.authenticate_as(VICTIM, hello).await;
    lists(&proxy, &mut victim, "work").await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "work", json!({}))).await;
    let opened = victim.receive_open().await;
    victim.accept(&opened).await;
    // The acceptance has arrived when a later message of the same link has.
    lists(&proxy, &mut victim, "later").await;
    let mut back = dial(proxy.link).await;
    back.resume(&victim);
    victim.disconnect();
    proxy.log.wait_for("Active slave disconnected").await;
    let mut stranger = dial(proxy.link).await;
    let hello = seated(&stranger, "stranger");
    stranger.authenticate_as(STRANGER, hello).await;
    lists(&proxy, &mut stranger, "mark").await;
    let hello = seated(&back, "victim");
    assert!(back.authenticate_as(VICTIM, hello).await.resumed);
    assert_eq!(back.frame(FrameKind::Attach).await.call, opened.call);
    back.accept(&opened).await;
    back.end(opened.call, 0, &text_result("genuine")).await;
    assert_eq!(pending.finish().await.text(), "genuine");
    assert_eq!(proxy.log.count("The slave was restarted"), 0);
}

#[tokio::test]
async fn proxies_and_ended_sessions_that_a_slave_makes_up_change_nothing() {
    let (proxy, _folder) = proxy().await;
    let mut slave = dial(proxy.link).await;
    let hello = SlaveHello { linked: Some(Vec::new()), ..slave.hello("stranger") };
    let own = slave.authenticate_as(STRANGER, hello).await;
    lists(&proxy, &mut slave, "work").await;
    let client = Client::legacy(proxy.http).await;
    let mut pending = client.start(McpRequest::tool(1, "work", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.end(opened.call, 0, &text_result("done")).await;
    assert_eq!(pending.finish().await.text(), "done");
    let session = opened.header.session.expect("the key of a legacy session");
    let (_, fact) = own.fact.as_deref().unwrap().split_once('.').unwrap();
    let made_up = json!({ "proxies": [format!("00000000deadbeef.{fact}")], "atLeast": 9 });
    let ended =
        json!({ "session": session, "ended": true, "at": 1_795_737_600, "tag": "AAAAAAAAAAAAAAAAAAAAAA" });
    for (kind, payload) in [(FrameKind::Peers, made_up), (FrameKind::Session, ended)] {
        let payload = payload.to_string().into_bytes().into();
        slave.send(Frame { payload, ..Frame::bare(kind, CallId::LINK, 0) }).await;
    }
    wait::until("both to be counted", async || {
        let scrape = Scrape::of(proxy.http).await;
        let rejected =
            |kind: &str| scrape.sum("mcp_relay_rejected_facts_total", &[&format!("kind=\"{kind}\"")]);
        (rejected("peer") > 0.5 && rejected("session") > 0.5).then_some(())
    })
    .await;
    let mut pending = client.start(McpRequest::tool(2, "work", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.end(opened.call, 0, &text_result("still served")).await;
    assert_eq!(pending.finish().await.text(), "still served");
    let (_, status) = http::get(proxy.http, "/api/v1/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["proxies"]["total"], &status["proxies"]["atLeast"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn a_cancellation_tells_other_slaves_its_reason_and_neither_session_nor_request() {
    let (proxy, _folder) = proxy().await;
    let mut one = RawSlave::link(proxy.link, VICTIM, "victim", &["work"]).await;
    let mut other = RawSlave::link(proxy.link, STRANGER, "stranger", &["mark"]).await;
    proxy.offers("work").await;
    proxy.offers("mark").await;
    let client = Client::legacy(proxy.http).await;
    let _pending = client.start(McpRequest::tool("a-secret-id", "work", json!({}))).await;
    let opened = one.receive_open().await;
    client.cancel("a-secret-id").await;
    let told = one.frame(FrameKind::Session).await.payload;
    assert_eq!(told, other.frame(FrameKind::Session).await.payload);
    let fact: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(fact, json!({ "cancel": [opened.header.cancel_id.unwrap()], "reason": "the test says so" }));
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(!told.contains("a-secret-id") && !told.contains(&opened.header.session.unwrap()), "{told}");
}

#[tokio::test]
async fn operators_see_who_by_proof_and_never_an_instance() {
    let folder = tempfile::tempdir().unwrap();
    let (codes, audit) = (folder.path().join("codes"), folder.path().join("audit"));
    std::fs::write(&codes, "- {code: code-of-the-victim, name: victim}\n").unwrap();
    let setup = Setup::proxy().env("SLAVE_CODES_FILE", codes.to_str().unwrap());
    let proxy = setup.env("AUDIT_LOG", audit.to_str().unwrap()).start_proxy().await;
    let mut slave = dial(proxy.link).await;
    slave.instance = InstanceId(0xfeed_face_cafe_f00d);
    let hello = slave.authenticate(VICTIM, "pod-7").await;
    assert_eq!((hello.slave_name.as_str(), hello.slave.len()), ("victim-pod-7", 16));
    lists(&proxy, &mut slave, "work").await;
    let (_, slaves) = http::get(proxy.http, "/api/v1/slaves").await;
    let shown: Value = serde_json::from_str(&slaves).unwrap();
    let one = &shown["list"][0];
    assert_eq!(
        (&one["id"], &one["name"], &one["identity"]),
        (&json!(hello.slave), &json!("victim-pod-7"), &json!("victim"))
    );
    wait::until("the link in the audit stream", async || {
        let text = std::fs::read_to_string(&audit).unwrap_or_default();
        (text.contains(&hello.slave) && text.contains("\"victim\"")).then_some(())
    })
    .await;
    let audit = std::fs::read_to_string(&audit).unwrap();
    let secret = hello.resume.0;
    for text in [slaves, proxy.log.text(), audit, Scrape::of(proxy.http).await.text().to_owned()] {
        assert!(!text.contains("feedfacecafef00d") && !text.contains(&secret), "{text}");
    }
}
