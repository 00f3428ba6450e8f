//! What `doctor`, `call`, `status` and the logs of both sides say about each fault of TLS: what happened and the fix, in words of
//! their own.

use std::path::Path;

use harness::bad_tls::TlsFault;
use harness::process::Process;
use harness::relay::Setup;
use harness::tls::Authority;
use harness::wait;

/// Words of libraries and of the system, which say nothing to an operator.
const FOREIGN: [&str; 17] = [
    "rustls",
    "hyper",
    "tungstenite",
    "webpki",
    "httparse",
    "docs.rs",
    "os error",
    "tls handshake eof",
    "close_notify",
    "invalid peer certificate",
    "InvalidCertificate",
    "InvalidMessage",
    "AlertReceived",
    "UnknownIssuer",
    "received corrupt message",
    "received fatal alert",
    "lookup address",
];

fn path(file: &Path) -> String {
    file.to_str().unwrap().to_owned()
}

/// What a client says of the fault, and a word of the fix: for slaves and for commands.
fn expected(fault: TlsFault) -> (&'static str, &'static str, &'static str) {
    match fault {
        TlsFault::Expired => ("it expired", "renew", "renew"),
        TlsFault::Early => ("not valid before", "clock", "clock"),
        TlsFault::OtherName => ("it is for relay.example", "subjectAltName", "subjectAltName"),
        TlsFault::NoName => ("it names no host", "subjectAltName", "subjectAltName"),
        TlsFault::Untrusted => ("no authority that is trusted here issued it", "PROXY_CA_FILE", "--ca-file"),
        TlsFault::Authority => ("it is an authority's own (CA:TRUE)", "CA:FALSE", "CA:FALSE"),
        TlsFault::Signature => ("an algorithm that is not accepted", "SHA-256", "SHA-256"),
        TlsFault::Purpose => ("issued for another purpose", "serverAuth", "serverAuth"),
        TlsFault::Protocol => ("does not offer HTTP/1.1", "allow http/1.1", "allow http/1.1"),
        TlsFault::ClientCertificate => ("requires a", "PROXY_CLIENT_CERT", "certificate"),
        TlsFault::HangsUp => ("closed the connection during the TLS handshake", "use ws://", "use http://"),
        TlsFault::Plain => ("does not speak TLS on this port", "use ws://", "use http://"),
    }
}

/// Checks that the text has all of `needles`, and no word of a library.
fn check(what: &str, text: &str, needles: &[&str]) {
    for needle in needles {
        assert!(text.contains(needle), "{what} lacks {needle:?}:\n{text}");
    }
    for foreign in FOREIGN {
        assert!(!text.contains(foreign), "{what} says {foreign:?}:\n{text}");
    }
}

async fn output(args: &[&str]) -> String {
    let mut process = Process::relay(args[0], args, &[]);
    let status = process.exit(wait::TIMEOUT).await;
    wait::until("the text of the command", async || (!process.log.is_empty()).then_some(())).await;
    assert_ne!(status.code(), Some(0), "{args:?}: {}", process.log.text());
    process.log.text()
}

async fn doctor(setup: Setup) -> String {
    let mut process = setup.args(&["doctor", "slave"]).spawn();
    assert_eq!(process.exit(wait::TIMEOUT).await.code(), Some(1), "{}", process.log.text());
    process.log.wait_for("to fix").await;
    process.log.text()
}

#[tokio::test]
async fn commands_say_what_is_wrong_with_a_servers_tls_and_how_to_mend_it() {
    let authority = Authority::default();
    let proxy = Setup::proxy().start_proxy().await;
    for fault in TlsFault::ALL {
        let address = fault.serve(&authority, proxy.http).await;
        let (url, roots) = (format!("https://localhost:{}", address.port()), path(&authority.root()));
        let (what, _, fix) = expected(fault);
        let call = output(&["call", "--list", "--url", &url, "--ca-file", &roots]).await;
        check(&format!("call, {fault:?}"), &call, &[what, fix]);
        let status = output(&["status", "--url", &url, "--ca-file", &roots]).await;
        check(&format!("status, {fault:?}"), &status, &[what, fix]);
    }
}

#[tokio::test]
async fn doctor_and_the_slaves_log_say_what_is_wrong_with_the_proxys_tls_and_how_to_mend_it() {
    let authority = Authority::default();
    let proxy = Setup::proxy().start_proxy().await;
    for fault in TlsFault::ALL {
        let address = fault.serve(&authority, proxy.link).await;
        let setup = Setup::slave("one", proxy.link)
            .env("PROXY_SERVER_URL", format!("wss://localhost:{}", address.port()))
            .env("PROXY_CA_FILE", path(&authority.root()));
        let (what, fix, _) = expected(fault);
        check(&format!("doctor, {fault:?}"), &doctor(setup.clone()).await, &[what, fix]);
        let slave = setup.start_slave().await;
        let line = slave.log.wait_for(what).await;
        check(&format!("the slave's line, {fault:?}"), &line, &[fix]);
        check(&format!("the slave's log, {fault:?}"), &slave.log.text(), &[]);
    }
}

#[tokio::test]
async fn a_plain_url_of_a_port_that_speaks_tls_is_recognized_on_both_sides() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost"]);
    let setup = Setup::proxy().env("TLS_CERT", path(&own.cert)).env("TLS_KEY", path(&own.key));
    let proxy = setup.env("LOG_LEVEL", "debug").start_proxy().await;
    let url = format!("http://localhost:{}", proxy.http.port());
    check("call", &output(&["call", "--list", "--url", &url]).await, &["https://"]);
    check("status", &output(&["status", "--url", &url]).await, &["https://"]);
    let line = proxy.log.wait_for("A client's TLS failed").await;
    check("the proxy's line", &line, &["the client does not speak TLS", "use https://"]);
    let slave = Setup::slave("one", proxy.link).env("PROXY_SERVER_URL", format!("ws://{}", proxy.link));
    check("doctor", &doctor(slave.clone()).await, &["wss://"]);
    let slave = slave.start_slave().await;
    let line = slave.log.wait_for("is no WebSocket server").await;
    check("the slave's line", &line, &["wss://"]);
    // At debug: health checks of balancers do the same.
    let line = proxy.log.wait_for("No slave: TLS failed").await;
    check("the proxy's line", &line, &["the client does not speak TLS", "use wss://"]);
    check("the proxy's log", &proxy.log.text(), &[]);
}

#[tokio::test]
async fn the_proxys_log_says_why_a_slaves_tls_failed_and_how_to_mend_it() {
    let (authority, other) = (Authority::default(), Authority::default());
    let own = authority.issue("proxy", &["localhost"]);
    let (plain, encrypted) = (Setup::proxy(), Setup::proxy().env("TLS_CERT", path(&own.cert)));
    let encrypted = encrypted.env("TLS_KEY", path(&own.key));
    let asking = encrypted.clone().env("TLS_CLIENT_CA", path(&authority.root()));
    for (setup, trusted, needles) in [
        (&plain, &authority, ["speaks TLS, and this port does not", "use ws://"]),
        (&encrypted, &other, ["the client refuses the certificate of TLS_CERT", "PROXY_CA_FILE"]),
        (&asking, &authority, ["the client presented no certificate", "PROXY_CLIENT_CERT"]),
    ] {
        let proxy = setup.start_proxy().await;
        let slave = Setup::slave("one", proxy.link)
            .env("PROXY_SERVER_URL", format!("wss://localhost:{}", proxy.link.port()))
            .env("PROXY_CA_FILE", path(&trusted.root()));
        let _slave = slave.start_slave().await;
        let line = proxy.log.wait_for("Slave connection refused").await;
        check("the proxy's line", &line, &needles);
        check("the proxy's log", &proxy.log.text(), &[]);
    }
}

#[tokio::test]
async fn names_and_ports_that_do_not_answer_are_told_in_words() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (host, what) in [("127.0.0.1", "connection refused"), ("relay.invalid", "has no address")] {
        let url = format!("ws://{host}:{}", gone.port());
        let setup = Setup::slave("one", gone).env("PROXY_SERVER_URL", url).env("ALLOW_PLAINTEXT", "1");
        check("doctor", &doctor(setup.clone()).await, &[what, "PROXY_"]);
        let slave = setup.start_slave().await;
        let line = slave.log.wait_for(what).await;
        check("the slave's line", &line, &["PROXY_SERVER_URL"]);
        check("the slave's log", &slave.log.text(), &[]);
        let url = format!("http://{host}:{}", gone.port());
        let call = output(&["call", "--list", "--url", &url]).await;
        check("call", &call, &[if host == "127.0.0.1" { "nothing listens" } else { what }]);
        check("status", &output(&["status", "--url", &url]).await, &[]);
    }
}

#[tokio::test]
async fn a_link_that_breaks_under_tls_is_told_in_words() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost"]);
    let setup = Setup::proxy().env("TLS_CERT", path(&own.cert)).env("TLS_KEY", path(&own.key));
    let proxy = setup.start_proxy().await;
    let url = format!("wss://localhost:{}", proxy.link.port());
    let slave = Setup::slave("one", proxy.link).env("PROXY_SERVER_URL", url);
    let slave = slave.env("PROXY_CA_FILE", path(&authority.root())).start_slave().await;
    proxy.log.wait_for("Slave authenticated successfully").await;
    drop(proxy);
    slave.log.wait_for("cannot reach localhost").await;
    check("the slave's log", &slave.log.text(), &["connection refused"]);
}
