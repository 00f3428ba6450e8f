//! MCP servers that a slave reaches over TLS: HTTP/2 and HTTP/1.1, streams that are reset, connections that are closed, the options of an
//! entry's `tls`, and what a user reads where one of them is wrong.

use std::path::Path;

use harness::bad_tls::TlsFault;
use harness::client::{Client, McpRequest, Pending};
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::relay::{Proxy, Setup, Slave};
use harness::tls::{self, Authority};
use harness::wait;
use serde_json::{Value, json};

const NAMES: [&str; 1] = ["localhost"];

/// Both protocols, as most servers offer them.
const BOTH: [&str; 2] = ["h2", "http/1.1"];

struct Scene {
    proxy: Proxy,
    slave: Slave,
    setup: Setup,
    _file: tempfile::TempPath,
}

/// A proxy and a slave with these backends.
async fn scene(servers: &Value) -> Scene {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::write(&file, json!({ "mcpServers": servers }).to_string()).unwrap();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
    let setup = setup.env("SLAVE_BACKENDS", file.to_str().unwrap());
    let slave = setup.start_slave().await;
    Scene { proxy, slave, setup, _file: file }
}

/// A server with a certificate for `localhost`, and the slave that has it as its backend.
async fn secure(kind: Kind, authority: &Authority, protocols: &[&str]) -> (McpUpstream, Scene) {
    let config = tls::server(&authority.issue("server", &NAMES), protocols, None);
    let upstream = McpUpstream::start_secure(kind, config).await;
    let scene = scene(&json!({ "web": upstream.secure_entry(kind, &authority.root()) })).await;
    scene.proxy.offers("say").await;
    (upstream, scene)
}

/// Begins calls of `wait`, which have reported their first progress afterwards.
async fn waiting(client: &Client, calls: u64) -> Vec<Pending> {
    let mut all = Vec::new();
    for id in 0..calls {
        all.push(client.start(McpRequest::tool(id + 10, "wait", json!({})).progress(id)).await);
    }
    for call in &mut all {
        assert_eq!(call.next().await.unwrap()["method"], "notifications/progress");
    }
    all
}

async fn ends(calls: Vec<Pending>) {
    for mut call in calls {
        assert_eq!(call.finish().await.text(), "said nothing");
    }
}

#[tokio::test]
async fn calls_share_a_connection_of_http_2_and_one_that_is_cancelled_resets_its_own_stream() {
    let authority = Authority::default();
    for kind in [Kind::Modern, Kind::Legacy] {
        let (upstream, scene) = secure(kind, &authority, &BOTH).await;
        let client = Client::modern(scene.proxy.http);
        let calls = waiting(&client, 8).await;
        let hanging = client.start(McpRequest::tool(1, "hang", json!({}))).await;
        wait::until("the call", async || {
            let calls = upstream.seen("tools/call");
            calls.iter().any(|call| call.message["params"]["name"] == "hang").then_some(())
        })
        .await;
        drop(hanging);
        wait::until("the end of its stream", async || (upstream.left() == 1).then_some(())).await;
        assert_eq!(client.call("say", json!({ "text": "on" })).await.text(), "said on", "{kind:?}");
        upstream.release();
        ends(calls).await;
        assert_eq!(upstream.connections(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_stream_that_the_server_resets_fails_its_own_call_with_a_reason() {
    let authority = Authority::default();
    for kind in [Kind::Modern, Kind::Legacy] {
        let (upstream, scene) = secure(kind, &authority, &BOTH).await;
        let client = Client::modern(scene.proxy.http);
        let calls = waiting(&client, 2).await;
        let failed = client.call("reset", json!({})).await;
        assert_eq!(failed.kind(), "backend_failed", "{kind:?}");
        let text = failed.error()["message"].as_str().unwrap();
        assert!(text.contains("it reset the stream (HTTP/2 error 2"), "{kind:?}: {text}");
        upstream.release();
        ends(calls).await;
        assert_eq!(upstream.connections(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_request_that_the_server_refuses_to_process_is_sent_again() {
    let authority = Authority::default();
    let (upstream, scene) = secure(Kind::Modern, &authority, &BOTH).await;
    let client = Client::modern(scene.proxy.http);
    assert_eq!(client.call("refuse", json!({ "text": "at last" })).await.text(), "said at last");
    assert_eq!(upstream.seen("tools/call").len(), 3, "two that were refused, and one that ran");
}

#[tokio::test]
async fn a_connection_that_the_server_closes_carries_its_calls_to_their_ends_and_another_is_opened() {
    let authority = Authority::default();
    for kind in [Kind::Modern, Kind::Legacy] {
        let (upstream, scene) = secure(kind, &authority, &BOTH).await;
        let client = Client::modern(scene.proxy.http);
        let calls = waiting(&client, 3).await;
        upstream.go_away();
        wait::until("another connection", async || {
            assert_eq!(client.call("say", json!({ "text": "new" })).await.text(), "said new", "{kind:?}");
            (upstream.connections() == 2).then_some(())
        })
        .await;
        upstream.release();
        ends(calls).await;
        assert_eq!(client.call("say", json!({ "text": "same" })).await.text(), "said same", "{kind:?}");
        assert_eq!(upstream.connections(), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn servers_without_http_2_are_spoken_to_in_http_1_1_over_connections_that_are_used_again() {
    let authority = Authority::default();
    for kind in [Kind::Modern, Kind::Legacy] {
        let (upstream, scene) = secure(kind, &authority, &["http/1.1"]).await;
        let client = Client::modern(scene.proxy.http);
        let calls = waiting(&client, 4).await;
        upstream.release();
        ends(calls).await;
        let connections = upstream.connections();
        assert!(connections >= 4, "{kind:?}: {connections}");
        for _ in 0..5 {
            assert_eq!(client.call("say", json!({ "text": "on" })).await.text(), "said on", "{kind:?}");
        }
        assert_eq!(upstream.connections(), connections, "{kind:?}");
    }
}

#[tokio::test]
async fn servers_of_2024_11_05_are_reached_over_tls() {
    let authority = Authority::default();
    for protocols in [&BOTH[..], &["http/1.1"]] {
        let (upstream, scene) = secure(Kind::Events, &authority, protocols).await;
        for client in [Client::modern(scene.proxy.http), Client::legacy(scene.proxy.http).await] {
            assert_eq!(client.call("say", json!({ "text": "é" })).await.text(), "said é", "{protocols:?}");
        }
        if protocols.len() == 2 {
            assert_eq!(upstream.connections(), 1, "the stream and what is posted");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_presented_to_servers_that_require_one() {
    let (authority, others) = (Authority::default(), Authority::default());
    let config = tls::server(&authority.issue("server", &NAMES), &BOTH, Some(&authority));
    let upstream = McpUpstream::start_secure(Kind::Modern, config).await;
    let entry = |own: Option<&tls::Issued>| {
        let mut entry = upstream.secure_entry(Kind::Modern, &authority.root());
        if let Some(own) = own {
            entry["tls"]["cert"] = json!(own.cert);
            entry["tls"]["key"] = json!(own.key);
        }
        entry
    };
    let good = scene(&json!({ "web": entry(Some(&authority.issue("client", &["client"]))) })).await;
    good.proxy.offers("say").await;
    assert_eq!(Client::modern(good.proxy.http).call("say", json!({})).await.text(), "said nothing");
    let stranger = others.issue("client", &["client"]);
    for (own, what) in [
        (None, "the server requires a certificate of its clients"),
        (Some(&stranger), "the server refuses the certificate of this client"),
    ] {
        let bad = scene(&json!({ "web": entry(own) })).await;
        let line = bad.slave.log.wait_for(what).await;
        assert!(line.contains(r#""cert": "...", "key": "...""#) || line.contains("\\\"cert\\\""), "{line}");
    }
}

#[tokio::test]
async fn each_fault_of_a_server_s_tls_is_told_with_what_to_do() {
    let authority = Authority::default();
    let upstream = McpUpstream::start(Kind::Modern).await;
    for fault in TlsFault::ALL {
        let (what, fix) = match fault {
            TlsFault::Expired => ("it expired", "renew"),
            TlsFault::Early => ("not valid before", "clock"),
            TlsFault::OtherName => ("it is for relay.example", "subjectAltName"),
            TlsFault::NoName => ("it names no host", "subjectAltName"),
            TlsFault::Untrusted => ("no authority that is trusted here issued it", "in the entry"),
            TlsFault::Authority => ("it is an authority's own (CA:TRUE)", "CA:FALSE"),
            TlsFault::Signature => ("an algorithm that is not accepted", "SHA-256"),
            TlsFault::Purpose => ("issued for another purpose", "serverAuth"),
            TlsFault::ClientCertificate => ("requires a certificate of its clients", "in the entry"),
            TlsFault::HangsUp => ("closed the connection during the TLS handshake", "use http://"),
            TlsFault::Plain => ("does not speak TLS on this port", "use http://"),
            // Both protocols are spoken.
            TlsFault::Protocol => continue,
        };
        let address = fault.serve(&authority, upstream.address).await;
        let url = format!("https://localhost:{}/s3cret", address.port());
        let scene = scene(&json!({ "web": { "url": url, "tls": { "ca": authority.root() } } })).await;
        let line = scene.slave.log.wait_for(what).await;
        assert!(line.contains(fix) && line.contains("web"), "{fault:?}: {line}");
        assert!(!scene.slave.log.text().contains("s3cret"), "{fault:?}");
        let mut doctor = scene.setup.clone().args(&["doctor", "slave"]).spawn();
        doctor.exit(wait::TIMEOUT).await;
        let text = doctor.log.text();
        assert!(text.contains(what) && text.contains(fix), "{fault:?}: {text}");
    }
}

#[tokio::test]
async fn what_an_entry_says_wrongly_of_tls_is_told_and_the_other_entries_run() {
    let authority = Authority::default();
    let own = authority.issue("client", &["client"]);
    let upstream = McpUpstream::start(Kind::Modern).await;
    let of = |tls: Value| json!({ "url": "https://localhost:1/mcp", "tls": tls });
    let servers = json!({
        "good": upstream.entry(Kind::Modern),
        "a": of(json!({ "insecure": true })),
        "b": of(json!({ "serverName": "other" })),
        "c": of(json!({ "ca": "/nowhere.pem" })),
        "d": of(json!({ "ca": own.key })),
        "e": of(json!({ "cert": own.cert })),
        "f": of(json!({ "cert": own.key, "key": own.key })),
        "g": of(json!({ "ca": 7 })),
        "h": of(json!("s3cret")),
    });
    let scene = scene(&servers).await;
    scene.proxy.offers("say").await;
    let text = scene.slave.log.text();
    for (entry, member) in [
        ("a", "tls.insecure"),
        ("b", "tls.serverName"),
        ("c", "tls.ca"),
        ("d", "tls.ca"),
        ("e", "\"cert\\\" and"),
        ("f", "tls.cert"),
        ("g", "tls.ca"),
        ("h", "an object with"),
    ] {
        let named = text.lines().any(|line| {
            let line = line.replace("\\\"", "\"");
            line.contains(&format!("\"{entry}\"")) && line.contains(&member.replace("\\\"", "\""))
        });
        assert!(named, "{entry}: {member} in\n{text}");
    }
    assert!(!text.contains("s3cret") && !Path::new("/nowhere.pem").exists());
}
