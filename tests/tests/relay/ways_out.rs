//! Forward proxies on the way out of a slave: tunnels of the link, HTTP backends, the OTLP collector; what each failure is called;
//! and that no credential of a proxy is in any text.

mod faults;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use harness::canary;
use harness::client::Client;
use harness::forward::{ForwardProxy, Script};
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::otlp::Collector;
use harness::process::Process;
use harness::relay::{Proxy, Setup};
use harness::tls::{Authority, terminator};
use harness::wait;
use serde_json::json;

/// User and password of the forward proxy, as it reads them.
const CREDENTIALS: &str = "ann:p@ss:w/rd-canary";

/// The same as in a URL.
const USERINFO: &str = "ann:p%40ss%3Aw%2Frd-canary";

/// A name that only the forward proxy knows.
const RELAY: &str = "relay.invalid:8001";

async fn proxy() -> Proxy {
    Setup::proxy().start_proxy().await
}

/// A slave whose URL is that of a name which only the forward proxy knows.
fn slave(proxy: &Proxy) -> Setup {
    Setup::slave("one", proxy.link).env("PROXY_SERVER_URL", format!("ws://{RELAY}"))
}

/// Checks that the log has the password in no form.
fn assert_silent(process: &Process) {
    let log = process.log.text();
    for form in
        ["p@ss:w/rd-canary", "p%40ss%3Aw%2Frd-canary", "rd-canary", &STANDARD_NO_PAD.encode(CREDENTIALS)]
    {
        assert_eq!(canary::find(&log, form), None, "{log}");
    }
}

async fn echoes(proxy: &Proxy) {
    proxy.offers("echo").await;
    let answer = Client::modern(proxy.http).call("echo", json!({ "text": "through" })).await;
    assert_eq!(answer.text(), "through");
}

#[tokio::test]
async fn the_link_goes_through_the_forward_proxy_that_a_variable_names() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "PROXY_TUNNEL_URL"] {
        let proxy = proxy().await;
        let forward = ForwardProxy::start(Script::Ask(CREDENTIALS), &[(RELAY, proxy.link)]).await;
        let slave = slave(&proxy).env(variable, forward.url(USERINFO)).start_slave().await;
        echoes(&proxy).await;
        assert!(forward.count(&format!("CONNECT {RELAY} HTTP/1.1\r\nHost: {RELAY}\r\n")) >= 1, "{variable}");
        let line = slave.log.wait_for("Connecting to proxy server at").await;
        let name = variable.to_uppercase();
        assert!(line.contains(&format!("through http://{} ({name})", forward.address)), "{line}");
        assert_silent(&slave);
    }
}

#[tokio::test]
async fn tls_with_the_forward_proxy_and_in_its_tunnel_trusts_the_extra_roots() {
    let authority = Authority::default();
    let proxy = proxy().await;
    let secured = terminator(proxy.link, &authority.issue("relay", &["relay.invalid"]), "http/1.1").await;
    let forward = ForwardProxy::start(Script::Ask(CREDENTIALS), &[("relay.invalid:443", secured)]).await;
    let front = terminator(forward.address, &authority.issue("forward", &["localhost"]), "http/1.1").await;
    let setup = Setup::slave("one", proxy.link)
        .env("PROXY_SERVER_URL", "wss://relay.invalid/link")
        .env("HTTPS_PROXY", format!("https://{USERINFO}@localhost:{}", front.port()));
    let untrusting = setup.start_slave().await;
    let line = untrusting.log.wait_for("TLS to the proxy https://localhost").await;
    assert!(line.contains("(HTTPS_PROXY)") && line.contains("EXTRA_CA_FILE"), "{line}");
    drop(untrusting);
    let slave = setup.env("EXTRA_CA_FILE", authority.root().to_str().unwrap()).start_slave().await;
    echoes(&proxy).await;
    assert!(forward.count("CONNECT relay.invalid:443 ") >= 1);
    assert_silent(&slave);
}

#[tokio::test]
async fn what_is_excepted_goes_directly_and_the_links_own_variable_comes_first() {
    let proxy = proxy().await;
    let none = ForwardProxy::start(Script::Close, &[]).await;
    let forward = ForwardProxy::start(Script::Pass, &[(&proxy.link.to_string(), proxy.link)]).await;
    let setup = Setup::slave("one", proxy.link).env("ALL_PROXY", none.url(""));
    let direct = [
        setup.clone().env("NO_PROXY", "127.0.0.0/8"),
        setup.clone().env("no_proxy", format!("example.org,127.0.0.1:{}", proxy.link.port())),
        setup.clone().env("PROXY_TUNNEL_URL", "none"),
    ];
    for (number, setup) in direct.into_iter().enumerate() {
        let slave = setup.env("SLAVE_NAME", format!("direct-{number}")).start_slave().await;
        proxy.accepted(number + 1).await;
        drop(slave);
    }
    assert_eq!(forward.seen().len() + none.seen().len(), 0);
    // NO_PROXY does not count for the link's own variable.
    let setup = setup.env("NO_PROXY", "*").env("PROXY_TUNNEL_URL", forward.url(""));
    let _slave = setup.start_slave().await;
    proxy.accepted(4).await;
    assert!(forward.count("CONNECT 127.0.0.1:") >= 1 && none.seen().is_empty());
}

#[tokio::test]
async fn http_backends_go_through_it_in_both_ways() {
    let authority = Authority::default();
    let upstream = McpUpstream::start(Kind::Modern).await;
    let secured =
        terminator(upstream.address, &authority.issue("up", &["upstream.invalid"]), "http/1.1").await;
    let servers = [("upstream.invalid:80", upstream.address), ("upstream.invalid:443", secured)];
    let forward = ForwardProxy::start(Script::Ask(CREDENTIALS), &servers).await;
    for (scheme, variable, begin) in [
        ("http", "HTTP_PROXY", "POST http://upstream.invalid/mcp "),
        ("https", "HTTPS_PROXY", "CONNECT upstream.invalid:443 "),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let entry = json!({ "url": format!("{scheme}://upstream.invalid/mcp") });
        std::fs::write(&file, json!({ "mcpServers": { "web": entry } }).to_string()).unwrap();
        let proxy = proxy().await;
        let slave = Setup::slave("one", proxy.link)
            .env("DEMO_TOOLS", "0")
            .env("SLAVE_BACKENDS", file.to_str().unwrap())
            .env("EXTRA_CA_FILE", authority.root().to_str().unwrap())
            .env("PROXY_TUNNEL_URL", "none")
            .env(variable, forward.url(USERINFO));
        let running = slave.start_slave().await;
        proxy.offers("say").await;
        let answer = Client::modern(proxy.http).call("say", json!({ "text": "out" })).await;
        assert_eq!(answer.text(), "said out", "{scheme}");
        assert!(forward.count(begin) >= 1, "{:?}", forward.seen());
        assert_silent(&running);
        // With other credentials the reason is the proxy's, not the server's.
        let wrong =
            slave.env(variable, forward.url("ann:wrong-canary")).env("SLAVE_NAME", "two").start_slave().await;
        let line = wrong.log.wait_for("refuses the credentials (HTTP 407)").await;
        assert!(line.contains(&format!("({variable})")), "{line}");
        assert_eq!(canary::find(&wrong.log.text(), "wrong-canary"), None);
    }
}

#[tokio::test]
async fn traces_go_through_it_over_http_and_grpc() {
    for protocol in ["http/protobuf", "grpc"] {
        let collector = if protocol == "grpc" { Collector::grpc().await } else { Collector::http().await };
        let servers = [("collector.invalid:4318", collector.address)];
        let forward = ForwardProxy::start(Script::Ask(CREDENTIALS), &servers).await;
        let proxy = Setup::proxy()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.invalid:4318")
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .env("HTTP_PROXY", forward.url(USERINFO))
            .start_proxy()
            .await;
        Client::modern(proxy.http).call("echo", json!({})).await;
        wait::until("a span", async || (!collector.spans().is_empty()).then_some(())).await;
        let begin = if protocol == "grpc" { "CONNECT collector" } else { "POST http://collector" };
        assert!(forward.count(begin) >= 1, "{:?}", forward.seen());
        assert_silent(&proxy);
        assert_eq!(canary::find(&collector.raw(), "rd-canary"), None);
    }
}
