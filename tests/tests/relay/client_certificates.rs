//! Certificates of clients (`TLS_HTTP_CLIENT_CA`): alone and with keys, in rules of the policy, until they end.

mod combinations;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use harness::client::{Client, McpRequest, Pending};
use harness::http::try_status;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup};
use harness::tls::{Authority, Issued, tunnel};
use harness::wait;
use rcgen::{CertificateParams, SanType};
use serde_json::json;

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

fn path(file: &Path) -> String {
    file.to_str().unwrap().to_owned()
}

fn replace(file: &Path, content: impl AsRef<[u8]>) {
    let new = file.with_extension("new");
    std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, file)).unwrap();
}

/// A proxy with TLS, whose clients' authority stands in a file of its own.
struct Scene {
    servers: Authority,
    clients: Authority,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            servers: Authority::default(),
            clients: Authority::default(),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::copy(scene.clients.root(), scene.authorities()).unwrap();
        scene
    }

    fn authorities(&self) -> PathBuf {
        self.folder.path().join("clients-ca.pem")
    }

    fn setup(&self) -> Setup {
        let own = self.servers.issue("proxy", &NAMES);
        Setup::proxy()
            .env("TLS_CERT", path(&own.cert))
            .env("TLS_KEY", path(&own.key))
            .env("TLS_HTTP_CLIENT_CA", path(&self.authorities()))
    }

    fn with_file(&self, setup: Setup, variable: &str, content: &str) -> Setup {
        let file = self.folder.path().join(variable);
        std::fs::write(&file, content).unwrap();
        setup.env(variable, path(&file))
    }

    fn slave(&self, proxy: &Proxy) -> Setup {
        Setup::slave("one", proxy.link)
            .env("PROXY_SERVER_URL", format!("wss://localhost:{}", proxy.link.port()))
            .env("PROXY_CA_FILE", path(&self.servers.root()))
    }

    /// Address of a port behind which this certificate is shown.
    async fn showing(&self, proxy: &Proxy, shown: Option<&Issued>) -> SocketAddr {
        tunnel(proxy.http, self.servers.client(shown)).await
    }

    async fn client(&self, proxy: &Proxy, shown: Option<&Issued>) -> Client {
        Client::modern(self.showing(proxy, shown).await)
    }
}

/// Gives a certificate the name of a person.
fn of_person(params: &mut CertificateParams) {
    params.subject_alt_names = vec![SanType::Rfc822Name("ann@team.example".try_into().unwrap())];
}

/// Returns what `tools/list` gives a client: `ok`, or the refusal.
async fn outcome(client: Client, bearer: Option<&str>) -> String {
    let client = match bearer {
        Some(key) => client.with_header("authorization", &format!("Bearer {key}")),
        None => client,
    };
    let answer = client.request(McpRequest::new(1, "tools/list", json!({}))).await;
    match answer.response().get("error") {
        None => "ok".to_owned(),
        Some(error) => format!("{} {}", answer.status, error["message"].as_str().unwrap()),
    }
}

#[tokio::test]
async fn a_certificate_combines_with_keys_and_nothing_wrong_is_made_up_for() {
    let scene = Scene::new();
    let keys = |setup: Setup| setup.env("AUTH_BEARER_KEYS", "right-key-of-a-client");
    let (none, alone, right, wrong, both_wrong) = ("no key", "ok", "ok", "not accepted", "not accepted");
    let accepted = [none, alone, right, right, wrong, both_wrong];
    let required = ["no certificate", "no key", "no certificate", "ok", "no certificate", "not accepted"];
    let only_certificates = ["no key", "ok", "not accepted", "not accepted", "not accepted", "not accepted"];
    for (setup, expected) in [
        (keys(scene.setup()), accepted),
        (keys(scene.setup().env("TLS_HTTP_CLIENT_CERT", "required")), required),
        (scene.setup(), only_certificates),
    ] {
        let proxy = setup.start_proxy().await;
        let ann = scene.clients.issue_as("ann", &[], of_person);
        let mut told = Vec::new();
        for (shown, bearer) in [
            (None, None),
            (Some(&ann), None),
            (None, Some("right-key-of-a-client")),
            (Some(&ann), Some("right-key-of-a-client")),
            (None, Some("wrong-key-of-a-client")),
            (Some(&ann), Some("wrong-key-of-a-client")),
        ] {
            told.push(outcome(scene.client(&proxy, shown).await, bearer).await);
        }
        let as_expected = told.iter().zip(expected).all(|(told, part)| told.contains(part));
        assert!(as_expected, "{told:#?} {expected:#?}");
        // Probes of an orchestrator have no certificate.
        assert_eq!(try_status(scene.showing(&proxy, None).await, "/health").await, Some(200));
        // What no authority of clients has issued is refused in the handshake, whatever key comes with it.
        let foreign = scene.servers.issue("foreign", &["ann"]);
        assert_eq!(try_status(scene.showing(&proxy, Some(&foreign)).await, "/health").await, None);
    }
}

#[tokio::test]
async fn rules_of_proxy_and_slave_go_by_the_names_in_a_certificate() {
    let scene = Scene::new();
    let policy = "
allow:
  - { who: { certificate: '*@team.example' }, tools: [echo, sleep] }
  - { who: { key: ann@team.example }, tools: fail }
deny: [{ who: { certificate: intern.example }, tools: echo }]
";
    let setup = scene.with_file(scene.setup(), "POLICY", policy);
    let audit = scene.folder.path().join("audit");
    let proxy = setup.env("AUDIT_LOG", path(&audit)).start_proxy().await;
    let own = "allow: [{ who: { certificate: ann@team.example }, tools: '*' }]\n";
    let _slave = scene.with_file(scene.slave(&proxy), "SLAVE_POLICY", own).start_slave().await;
    proxy.accepted(1).await;
    let ann = scene.clients.issue_as("ann", &[], of_person);
    let intern = scene.clients.issue_as("intern", &[], |params| {
        of_person(params);
        params.subject_alt_names.push(SanType::DnsName("intern.example".try_into().unwrap()));
    });
    let bob = scene.clients.issue("bob", &["bob.example"]);
    let ann = scene.client(&proxy, Some(&ann)).await;
    ann.lists(&["echo", "sleep"]).await;
    assert_eq!(ann.call("echo", json!({ "text": "hi" })).await.text(), "hi");
    scene.client(&proxy, Some(&intern)).await.lists(&["sleep"]).await;
    scene.client(&proxy, Some(&bob)).await.lists(&[]).await;
    let written = wait::until("the call in the audit stream", async || {
        let text = std::fs::read_to_string(&audit).unwrap_or_default();
        text.lines().find(|line| line.contains("\"call\"") && line.contains("echo")).map(str::to_owned)
    })
    .await;
    assert!(written.contains("\"client_subject\":\"ann@team.example\""), "{written}");
    assert!(written.contains("\"client_issuer\":\"urn:mcp-relay:certificate\""), "{written}");
}

/// Opens a session's stream of events, and waits for its first comment.
async fn stream_of(address: SocketAddr) -> Pending {
    let mut stream = Client::legacy(address).await.open_stream().await;
    assert_eq!(stream.exchange.try_chunk().await.unwrap().unwrap(), ":\n\n");
    stream
}

async fn ends(mut stream: Pending) {
    while let Some(chunk) = stream.exchange.try_chunk().await.unwrap() {
        drop(chunk);
    }
}

#[tokio::test]
async fn what_is_open_ends_with_the_certificate_and_with_its_authority() {
    let scene = Scene::new();
    let proxy = scene.setup().start_proxy().await;
    let ann = scene.clients.issue("ann", &["ann.example"]);
    let soon = scene.clients.issue_as("soon", &["soon.example"], |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(5)).into();
    });
    let of_ann = scene.showing(&proxy, Some(&ann)).await;
    let (lasting, expiring) =
        (stream_of(of_ann).await, stream_of(scene.showing(&proxy, Some(&soon)).await).await);
    ends(expiring).await;
    // A renewed file with one authority more changes nothing for those whose authority is still in it.
    let other = Authority::default();
    let pem = |authority: &Authority| std::fs::read_to_string(authority.root()).unwrap();
    let before = proxy.log.len();
    replace(&scene.authorities(), pem(&scene.clients) + &pem(&other));
    proxy.log.wait_for_after("TLS files were read again", before).await;
    let new = other.issue("new", &["new.example"]);
    assert_eq!(outcome(scene.client(&proxy, Some(&new)).await, None).await, "ok");
    assert_eq!(outcome(Client::modern(of_ann), None).await, "ok");
    replace(&scene.authorities(), pem(&other));
    ends(lasting).await;
    assert_eq!(try_status(of_ann, "/health").await, None, "new connections are refused");
}

#[tokio::test]
async fn slaves_at_the_clients_port_need_the_certificate_that_they_need_at_their_own() {
    let scene = Scene::new();
    let slaves = Authority::default();
    let setup = scene.setup().env("TLS_CLIENT_CA", path(&slaves.root())).env("SLAVES_ON_CLIENT_PORT", "1");
    let proxy = setup.start_proxy().await;
    let at_port = |name: &str| {
        scene
            .slave(&proxy)
            .env("SLAVE_NAME", name)
            .env("PROXY_SERVER_URL", format!("wss://localhost:{}/link", proxy.http.port()))
    };
    let with = |name: &str, issued: &Issued| {
        at_port(name).env("PROXY_CLIENT_CERT", path(&issued.cert)).env("PROXY_CLIENT_KEY", path(&issued.key))
    };
    let at = scene.showing(&proxy, None).await;
    let refused =
        async || Scrape::of(at).await.sum("mcp_relay_link_auth_failures_total", &["reason=\"tls\""]);
    let without = at_port("without").start_slave().await;
    proxy.log.wait_for("it shows no certificate of TLS_CLIENT_CA").await;
    drop(without);
    let before = refused().await;
    // A client's certificate passes the handshake of the port, and is none of a slave.
    let client = scene.clients.issue("client", &["client.example"]);
    let stranger = with("stranger", &client).start_slave().await;
    wait::until("another refusal", async || (refused().await > before).then_some(())).await;
    drop(stranger);
    assert_eq!(proxy.log.count("Slave authenticated successfully"), 0);
    let known = slaves.issue("slave", &["slave.example"]);
    let _slave = with("known", &known).start_slave().await;
    proxy.accepted(1).await;
    // Nor is a slave's certificate one of a client.
    let told = outcome(scene.client(&proxy, Some(&known)).await, None).await;
    assert!(told.starts_with("401 ") && told.contains("certificate"), "{told}");
}

#[tokio::test]
async fn a_certificate_beside_a_key_makes_no_further_client_for_quotas_and_rate_limits() {
    let scene = Scene::new();
    let keys = |setup: Setup| setup.env("AUTH_BEARER_KEYS", "right-key-of-a-client");
    let quota = "default: allow\nquotas: [{name: each, who: anyone, calls: 3}]\n";
    for (setup, reason) in [
        (scene.with_file(keys(scene.setup()), "POLICY", quota), "quota"),
        (keys(scene.setup()).env("RATE_LIMIT_CLIENT", "3/h"), "rate_limited_client"),
    ] {
        let proxy = setup.start_proxy().await;
        let _slave = scene.slave(&proxy).start_slave().await;
        let (ann, bob) =
            (scene.clients.issue_as("ann", &[], of_person), scene.clients.issue("bob", &["bob.example"]));
        let key = |client: Client| client.with_header("authorization", "Bearer right-key-of-a-client");
        let bare = key(scene.client(&proxy, None).await);
        bare.lists(&["echo", "fail", "payload", "sleep"]).await;
        let (with_ann, with_bob) =
            (key(scene.client(&proxy, Some(&ann)).await), key(scene.client(&proxy, Some(&bob)).await));
        let call = async |client: &Client| client.call("echo", json!({ "text": "x" })).await.status;
        assert_eq!([call(&bare).await, call(&with_ann).await, call(&with_bob).await], [200; 3], "{reason}");
        assert_eq!([call(&bare).await, call(&with_ann).await, call(&with_bob).await], [429; 3], "{reason}");
        // A certificate that is shown alone is a client.
        let alone = scene.client(&proxy, Some(&bob)).await;
        assert_eq!(call(&alone).await, 200, "{reason}");
    }
}
