//! The proxy's own TLS on both ports, slaves' trusted roots and client certificates, and changes of all of them.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::try_status;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup};
use harness::tls::{Authority, Issued, shown, tunnel};
use harness::wait;
use serde_json::json;

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

fn path(file: &std::path::Path) -> String {
    file.to_str().unwrap().to_owned()
}

fn secured(own: &Issued) -> Setup {
    Setup::proxy().env("TLS_CERT", path(&own.cert)).env("TLS_KEY", path(&own.key))
}

fn trusting(name: &str, proxy: &Proxy, authority: &Authority) -> Setup {
    Setup::slave(name, proxy.link)
        .env("PROXY_SERVER_URL", format!("wss://localhost:{}", proxy.link.port()))
        .env("PROXY_CA_FILE", path(&authority.root()))
}

#[tokio::test]
async fn both_ports_speak_tls_and_calls_of_both_eras_pass() {
    let authority = Authority::default();
    let proxy = secured(&authority.issue("proxy", &NAMES)).start_proxy().await;
    proxy.log.wait_for("MCP server listening on https://").await;
    proxy.log.wait_for("WebSocket server listening on wss://").await;
    let _slave = trusting("one", &proxy, &authority).start_slave().await;
    proxy.log.wait_for("Slave authenticated successfully").await;
    let http = tunnel(proxy.http, authority.client(None)).await;
    let client = Client::modern(http);
    wait::until("the tools", async || client.tool_names().await.contains(&"echo".into()).then_some(())).await;
    assert_eq!(client.call("echo", json!({ "text": "modern" })).await.text(), "modern");
    let legacy = Client::legacy(http).await;
    assert_eq!(legacy.call("echo", json!({ "text": "legacy" })).await.text(), "legacy");
    let large = client.call("payload", json!({ "bytes": 5_000_000 })).await;
    assert!(large.text().len() >= 5_000_000);
    let left = Scrape::of(http).await.sum("mcp_relay_tls_certificate_expires_seconds", &[]);
    assert!(left > 86_400.0, "{left}");
    // A TLS port refuses plain requests.
    assert_ne!(try_status(proxy.http, "/healthz").await, Some(200));
}

#[tokio::test]
async fn one_port_may_stay_plain() {
    let authority = Authority::default();
    let proxy = secured(&authority.issue("proxy", &NAMES)).env("TLS_HTTP", "0").start_proxy().await;
    let _slave = trusting("one", &proxy, &authority).start_slave().await;
    proxy.offers("echo").await;
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_refused_with_advice() {
    let (authority, other) = (Authority::default(), Authority::default());
    let proxy = secured(&authority.issue("proxy", &NAMES)).start_proxy().await;
    let slave = trusting("one", &proxy, &other).start_slave().await;
    let line = slave.log.wait_for("TLS to localhost failed").await;
    assert!(line.contains("PROXY_CA_FILE"), "{line}");
    // A certificate for another name is refused.
    let elsewhere = secured(&authority.issue("other", &["relay.example"])).start_proxy().await;
    let slave = trusting("two", &elsewhere, &authority).start_slave().await;
    slave.log.wait_for("TLS to localhost failed").await;
    let mut doctor = trusting("two", &elsewhere, &authority).args(&["doctor"]).spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(1));
    doctor.log.wait_for("TLS").await;
}

#[tokio::test]
async fn slaves_present_a_certificate_where_the_proxy_requires_one() {
    let (authority, others) = (Authority::default(), Authority::default());
    let setup = secured(&authority.issue("proxy", &NAMES)).env("TLS_CLIENT_CA", path(&authority.root()));
    let proxy = setup.start_proxy().await;
    let slave = trusting("none", &proxy, &authority).start_slave().await;
    let line = slave.log.wait_for("TLS to localhost failed").await;
    assert!(line.contains("PROXY_CLIENT_CERT"), "{line}");
    proxy.log.wait_for("Slave connection refused: TLS").await;
    drop(slave);
    let with = |name: &str, issued: &Issued| {
        let setup = trusting(name, &proxy, &authority).env("PROXY_CLIENT_CERT", path(&issued.cert));
        setup.env("PROXY_CLIENT_KEY", path(&issued.key))
    };
    let stranger = with("stranger", &others.issue("slave", &["slave"])).start_slave().await;
    stranger.log.wait_for("TLS to localhost failed").await;
    drop(stranger);
    let known = authority.issue("slave", &["slave"]);
    let _slave = with("known", &known).start_slave().await;
    // Clients need no certificate.
    let http = tunnel(proxy.http, authority.client(None)).await;
    let client = Client::modern(http);
    wait::until("the tools", async || client.tool_names().await.contains(&"echo".into()).then_some(())).await;
    let mut doctor = with("doctor", &known).args(&["doctor"]).spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(0), "{}", doctor.log.text());
    assert!(proxy.log.count("Slave authenticated successfully") == 1);
}

#[tokio::test]
async fn a_code_is_of_use_only_with_the_certificate_that_it_names() {
    let authority = Authority::default();
    let (own, other) = (authority.issue("own", &["slave"]), authority.issue("other", &["slave"]));
    let folder = tempfile::tempdir().unwrap();
    let codes = folder.path().join("codes");
    let entry = |issued: &Issued| {
        format!(
            "- {{code: a-code-with-a-certificate, name: office, certificate: 'sha256:{}'}}\n",
            issued.fingerprint()
        )
    };
    std::fs::write(&codes, entry(&own)).unwrap();
    let setup = secured(&authority.issue("proxy", &NAMES)).env("SLAVE_CODES_FILE", path(&codes));
    let unasked = setup.clone().start_proxy().await;
    unasked.log.wait_for("names certificates, but slaves are not asked for any").await;
    let proxy = setup.env("TLS_CLIENT_CA", path(&authority.root())).start_proxy().await;
    let with = |name: &str, issued: &Issued| {
        let setup = trusting(name, &proxy, &authority).env("SLAVE_CODE", "a-code-with-a-certificate");
        setup.env("PROXY_CLIENT_CERT", path(&issued.cert)).env("PROXY_CLIENT_KEY", path(&issued.key))
    };
    let stolen = with("stolen", &other).start_slave().await;
    stolen.log.wait_for("needs a client certificate").await;
    drop(stolen);
    let slave = with("known", &own).start_slave().await;
    proxy.log.wait_for("Slave authenticated successfully").await;
    let new = codes.with_extension("new");
    std::fs::write(&new, entry(&other)).and_then(|()| std::fs::rename(&new, &codes)).unwrap();
    slave.log.wait_for("its slave code needs another client certificate now").await;
    assert_eq!(proxy.log.count("Slave authenticated successfully"), 1);
}

#[tokio::test]
async fn a_new_certificate_is_used_without_dropping_connections_and_an_invalid_one_is_not() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &NAMES);
    let proxy = secured(&own).start_proxy().await;
    let fixture = Fixture::default();
    let _slave = fixture.serve(trusting("one", &proxy, &authority)).start_slave().await;
    let http = tunnel(proxy.http, authority.client(None)).await;
    let client = Client::modern(http);
    wait::until("the tools", async || client.tool_names().await.contains(&"run".into()).then_some(())).await;
    fixture.open_gate("x", 0);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("x", 2))).await;
    fixture.wait_for("x", "start").await;
    let trusted = authority.client(None);
    let before = shown(proxy.http, trusted.clone()).await.unwrap();
    authority.issue("proxy", &NAMES);
    for address in [proxy.http, proxy.link] {
        wait::until("the new certificate", async || {
            (shown(address, trusted.clone()).await.ok()? != before).then_some(())
        })
        .await;
    }
    let new = shown(proxy.http, trusted.clone()).await.unwrap();
    std::fs::write(&own.key, "rubbish").unwrap();
    let line = proxy.log.wait_for("the certificate of before stays").await;
    assert!(line.contains("TLS_KEY") && !line.contains("rubbish"), "{line}");
    assert_eq!(shown(proxy.http, trusted).await.unwrap(), new);
    fixture.open_gate("x", 9);
    assert_eq!(pending.finish().await.text(), "done x");
    assert_eq!(proxy.log.count("Active slave disconnected"), 0);
}

#[tokio::test]
async fn health_and_doctor_find_a_proxy_that_speaks_tls() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &NAMES);
    let proxy = secured(&own).start_proxy().await;
    let again = secured(&own).env("MCP_SERVER_PORT", proxy.http.port().to_string());
    let mut health = again.clone().args(&["health"]).spawn();
    assert_eq!(health.exit(wait::TIMEOUT).await.code(), Some(0), "{}", health.log.text());
    let mut doctor = again.env("PROXY_WS_PORT", proxy.link.port().to_string()).args(&["doctor"]).spawn();
    doctor.exit(wait::TIMEOUT).await;
    let line = doctor.log.wait_for("certificate").await;
    assert!(line.contains("localhost"), "{line}");
    doctor.log.wait_for("runs on").await;
}

#[tokio::test]
async fn contradicting_settings_are_refused_at_start() {
    let authority = Authority::default();
    let (own, other) = (authority.issue("proxy", &NAMES), authority.issue("other", &NAMES));
    for (setup, variable) in [
        (Setup::proxy().env("TLS_CERT", path(&own.cert)), "TLS_KEY"),
        (secured(&own).env("TLS_KEY", path(&other.key)), "TLS_KEY"),
        (secured(&own).env("TLS_CERT", path(&own.key)), "TLS_CERT"),
        (secured(&own).env("TLS_CLIENT_CA", "/nowhere"), "TLS_CLIENT_CA"),
        (Setup::proxy().env("TLS_CLIENT_CA", path(&authority.root())), "TLS_CLIENT_CA"),
    ] {
        let mut process = setup.spawn();
        assert_eq!(process.exit(wait::TIMEOUT).await.code(), Some(64), "{variable}");
        process.log.wait_for(&format!("  {variable} ")).await;
    }
}
