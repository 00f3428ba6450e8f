//! What a slave and the doctor say of each failure of a forward proxy.

use harness::forward::{ForwardProxy, Script};
use harness::relay::Setup;
use harness::{canary, wait};

use super::{CREDENTIALS, RELAY, USERINFO, assert_silent, echoes, proxy, slave};

fn said(status: &str, headers: &str) -> Script {
    Script::Say(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 4\r\n\r\nbody").into_bytes())
}

#[tokio::test]
async fn each_refusal_is_a_sentence_with_what_to_do() {
    let proxy = proxy().await;
    let basic = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
    let long = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 100_000]].concat();
    for (script, userinfo, what, fix) in [
        (said("407 Auth", basic), "", "it wants credentials (HTTP 407)", "http://user:password@host:port"),
        (said("407 Auth", basic), USERINFO, "it refuses the credentials (HTTP 407)", "%40"),
        (
            said("407 Auth", "Proxy-Authenticate: NTLM\r\n"),
            USERINFO,
            "scheme NTLM (HTTP 407)",
            "accept Basic",
        ),
        (
            said("403 Forbidden", ""),
            USERINFO,
            "its rules do not allow it (HTTP 403)",
            "allow CONNECT to relay.invalid:8001",
        ),
        (
            said("502 Bad Gateway", ""),
            USERINFO,
            "it cannot reach that server (HTTP 502)",
            "the proxy may connect",
        ),
        (Script::Pass, USERINFO, "it finds no address for that name (HTTP 503)", "name servers"),
        (said("302 Found", "Location: http://portal\r\n"), USERINFO, "it redirects", "Sign in"),
        (said("405 Method", ""), USERINFO, "it answers HTTP 405", "knows CONNECT"),
        (Script::Close, USERINFO, "it closed the connection without an answer", "http:// or https://"),
        (Script::Say(b"SSH-2.0-x\r\n".to_vec()), USERINFO, "its answer is not HTTP", "names an HTTP proxy"),
        (Script::Say(vec![21, 3, 3, 0, 2, 2, 70]), USERINFO, "its answer is TLS", "Use https://"),
        (Script::Say(long), USERINFO, "more than 16384 bytes", "names an HTTP proxy"),
        (Script::Hang, USERINFO, "no answer within 8 s", "reaches relay.invalid:8001"),
    ] {
        let forward = ForwardProxy::start(script.clone(), &[]).await;
        let slave = slave(&proxy).env("PROXY_TUNNEL_URL", forward.url(userinfo)).start_slave().await;
        let line = slave.log.wait_for("attempting to reconnect").await;
        let named = format!("the proxy http://{} (PROXY_TUNNEL_URL)", forward.address);
        assert!(line.contains(&named) && line.contains(what) && line.contains(fix), "{script:?}: {line}");
        assert_silent(&slave);
    }
}

#[tokio::test]
async fn a_forward_proxy_that_is_not_there_is_named() {
    let proxy = proxy().await;
    for (url, what) in [
        ("http://ann:rd-canary@127.0.0.1:1", "cannot be reached: connection refused"),
        ("http://ann:rd-canary@forward.invalid:3128", "has no address"),
        ("socks5://ann:rd-canary@127.0.0.1:1080", "is of a kind that cannot be used"),
    ] {
        let slave = slave(&proxy).env("ALL_PROXY", url).start_slave().await;
        let line = slave.log.wait_for("attempting to reconnect").await;
        assert!(line.contains(what) && line.contains("ALL_PROXY"), "{line}");
        assert_silent(&slave);
    }
}

#[tokio::test]
async fn a_variable_that_cannot_be_read_ends_the_start_without_its_text() {
    for (name, value) in
        [("HTTPS_PROXY", "http://ann:rd/canary@h:1"), ("PROXY_TUNNEL_URL", "socks5://ann:rd-canary@h:1")]
    {
        let mut slave = Setup::slave("one", "127.0.0.1:1".parse().unwrap()).env(name, value).spawn();
        assert_eq!(slave.exit(wait::TIMEOUT).await.code(), Some(64));
        slave.log.wait_for(name).await;
        assert_eq!(canary::find(&slave.log.text(), "canary"), None);
    }
}

#[tokio::test]
async fn the_link_comes_back_through_a_forward_proxy_that_was_away() {
    let proxy = proxy().await;
    let forward = ForwardProxy::start(Script::Ask(CREDENTIALS), &[(RELAY, proxy.link)]).await;
    let address = forward.address;
    let slave = slave(&proxy).env("HTTP_PROXY", forward.url(USERINFO)).start_slave().await;
    echoes(&proxy).await;
    drop(forward);
    slave.log.wait_for("attempting to reconnect").await;
    let again = ForwardProxy::start_on(address, Script::Pass, &[(RELAY, proxy.link)]).await;
    proxy.accepted(2).await;
    echoes(&proxy).await;
    assert!(again.count("CONNECT ") >= 1);
}

#[tokio::test]
async fn the_doctor_says_which_way_each_address_goes() {
    let proxy = proxy().await;
    let forward = ForwardProxy::start(Script::Ask(CREDENTIALS), &[(RELAY, proxy.link)]).await;
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let entries = serde_json::json!({ "mcpServers": {
        "near": { "url": "http://127.0.0.1:1/mcp?key=rd-canary" }, "far": { "url": "https://far.invalid/mcp" },
    } });
    std::fs::write(&file, entries.to_string()).unwrap();
    let setup = slave(&proxy)
        .args(&["doctor", "slave"])
        .env("HTTP_PROXY", forward.url(USERINFO))
        .env("NO_PROXY", "127.0.0.1")
        .env("SLAVE_BACKENDS", file.to_str().unwrap())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.invalid:4318");
    let mut doctor = setup.clone().spawn();
    doctor.exit(wait::TIMEOUT).await;
    doctor.log.wait_for("to fix").await;
    let through = format!("through http://{} (HTTP_PROXY)", forward.address);
    for line in [
        format!("way out: ws://{RELAY} is reached {through}"),
        format!("way out: the OTLP collector (http://collector.invalid:4318) is reached {through}"),
        "way out: backend near (http://127.0.0.1:1) is reached directly (NO_PROXY)".into(),
        "way out: backend far (https://far.invalid:443) is reached directly".into(),
        format!("tunnel: http://{} opens a way to {RELAY}", forward.address),
        "slave code: accepted".into(),
    ] {
        assert!(doctor.log.text().contains(&line), "{line}\n{}", doctor.log.text());
    }
    assert_silent(&doctor);
    // A refused tunnel is one step of the report, and the steps behind it are left out.
    let mut doctor = setup.env("PROXY_TUNNEL_URL", forward.url("ann:wrong")).spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(1));
    let text = doctor.log.text();
    assert!(text.contains("✗ tunnel: ") && text.contains("refuses the credentials"), "{text}");
    assert!(!text.contains("slave code:"), "{text}");
}
