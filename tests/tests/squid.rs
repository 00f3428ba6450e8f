//! The way out through a real Squid (Debian's) with Basic authentication: the link, an HTTP backend in both ways, traces, and what its
//! refusals are called. Needs `squid` and its `basic_ncsa_auth`: run by `make test-squid`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use harness::canary;
use harness::client::Client;
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::otlp::Collector;
use harness::process::Process;
use harness::relay::{Proxy, Setup};
use harness::tls::{Authority, terminator};
use harness::wait;
use serde_json::json;
use tempfile::TempDir;

/// User and password in a URL: `ann` and `p@ss:w/rd`.
const USERINFO: &str = "ann:p%40ss%3Aw%2Frd";

/// The same in Squid's file of users.
const USERS: &str = "ann:$apr1$abcdefgh$iKes.utFK3yvf.EAQLkRr/\n";

struct Squid {
    _process: Process,
    _folder: TempDir,
    address: SocketAddr,
}

impl Squid {
    /// Starts a Squid that lets users pass, to these ports alone.
    async fn start(ports: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Squid gives up root for a user of its own, who reads the file.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, USERS).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let path = folder.path().join("squid.conf");
        std::fs::write(&path, configuration(address, &users, ports)).unwrap();
        let mut command = Command::new("squid");
        command.args(["-N", "-d", "1", "-f"]).arg(&path);
        let process = Process::start("squid", command);
        let up = async || tokio::net::TcpStream::connect(address).await.ok().map(|_| ());
        wait::until("squid to listen", up).await;
        Self { _process: process, _folder: folder, address }
    }

    fn url(&self, userinfo: &str) -> String {
        format!("http://{userinfo}@{}", self.address)
    }
}

fn configuration(address: SocketAddr, users: &Path, ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!(
        "http_port {address}\n\
         pid_filename none\naccess_log none\ncache_log stdio:/dev/stderr\ncache deny all\nshutdown_lifetime 0 seconds\n\
         auth_param basic program /usr/lib/squid/basic_ncsa_auth {}\nauth_param basic realm relay\nauth_param basic children 1\n\
         acl users proxy_auth REQUIRED\nacl open port {}\n\
         http_access deny !users\nhttp_access deny !open\nhttp_access allow users\nhttp_access deny all\n",
        users.display(),
        ports.join(" "),
    )
}

async fn proxy() -> Proxy {
    Setup::proxy().start_proxy().await
}

#[tokio::test]
async fn the_link_goes_through_squid_and_its_refusals_are_explained() {
    let proxy = proxy().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let squid = Squid::start(&[proxy.link.port(), closed.port(), 8001]).await;
    let slave = |name: &str, url: String, userinfo: &str| {
        let setup = Setup::slave(name, proxy.link).env("PROXY_SERVER_URL", url);
        setup.env("HTTP_PROXY", squid.url(userinfo))
    };
    let link = format!("ws://{}", proxy.link);
    let running = slave("one", link.clone(), USERINFO).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.call("echo", json!({ "text": "squid" })).await.text(), "squid");
    let large = client.call("payload", json!({ "bytes": 3_000_000 })).await;
    assert!(large.text().len() >= 3_000_000);
    assert_eq!(canary::find(&running.log.text(), "w%2Frd"), None);
    for (url, userinfo, what) in [
        (link.clone(), "ann:wrong", "it refuses the credentials (HTTP 407)"),
        ("ws://127.0.0.1:9".to_owned(), USERINFO, "its rules do not allow it (HTTP 403)"),
        (format!("ws://{closed}"), USERINFO, "it cannot reach that server (HTTP 503)"),
        ("ws://relay.invalid:8001".to_owned(), USERINFO, "the name has no address there (HTTP 500)"),
    ] {
        let refused = slave("two", url, userinfo).start_slave().await;
        let told = refused.log.wait_for("attempting to reconnect").await;
        assert!(told.contains(what) && told.contains("(HTTP_PROXY)"), "{told}");
    }
    let anonymous = Setup::slave("three", proxy.link).env("HTTP_PROXY", format!("http://{}", squid.address));
    let anonymous = anonymous.start_slave().await;
    anonymous.log.wait_for("it wants credentials (HTTP 407)").await;
}

#[tokio::test]
async fn backends_and_traces_go_through_squid() {
    let authority = Authority::default();
    let upstream = McpUpstream::start(Kind::Modern).await;
    let secured = terminator(upstream.address, &authority.issue("up", &["localhost"]), "http/1.1").await;
    let collector = Collector::http().await;
    let squid = Squid::start(&[upstream.address.port(), secured.port(), collector.address.port()]).await;
    let urls =
        [format!("http://{}/mcp", upstream.address), format!("https://localhost:{}/mcp", secured.port())];
    for url in urls {
        let before = collector.spans().len();
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let entry = json!({ "url": url });
        std::fs::write(&file, json!({ "mcpServers": { "web": entry } }).to_string()).unwrap();
        let proxy = proxy().await;
        let slave = Setup::slave("one", proxy.link)
            .env("DEMO_TOOLS", "0")
            .env("SLAVE_BACKENDS", file.to_str().unwrap())
            .env("EXTRA_CA_FILE", authority.root().to_str().unwrap())
            .env("PROXY_TUNNEL_URL", "none")
            .env("ALL_PROXY", squid.url(USERINFO))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .env("OTEL_BSP_SCHEDULE_DELAY", "100");
        let _slave = slave.start_slave().await;
        proxy.offers("say").await;
        let answer = Client::modern(proxy.http).call("say", json!({ "text": "out" })).await;
        assert_eq!(answer.text(), "said out", "{url}");
        // The slave still runs: one that was killed at once has exported nothing.
        wait::until("a span of this slave", async || (collector.spans().len() > before).then_some(())).await;
    }
}
