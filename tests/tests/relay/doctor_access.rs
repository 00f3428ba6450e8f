//! What `doctor` says of the way to a token: a client's first steps to the broker, through something in front that leads it astray.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use harness::issuer::{SigningKey, TestIssuer};
use harness::relay::{CODE, Proxy, Setup, port};
use harness::tls::Authority;
use harness::wait;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What stands in front of the proxy: it answers paths that begin so by itself, and passes on all others.
#[derive(Clone, Debug, Default)]
struct Front(Arc<Mutex<Option<(String, String)>>>);

impl Front {
    /// Starts it before the proxy is there, whose address comes later.
    async fn start() -> (Self, SocketAddr, Arc<Mutex<Option<SocketAddr>>>) {
        let (front, to) = (Self::default(), Arc::new(Mutex::new(None)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, target) = (front.clone(), Arc::clone(&to));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let target: Option<SocketAddr> = *target.lock().unwrap();
                tokio::spawn(answers.clone().serve(stream, target.expect("a proxy")));
            }
        });
        (front, address, to)
    }

    async fn serve(self, mut stream: TcpStream, target: SocketAddr) {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = self.0.lock().unwrap().clone().filter(|(begin, _)| path.starts_with(begin));
        if let Some((_, answer)) = answer {
            drop(stream.write_all(answer.as_bytes()).await);
            return;
        }
        // Each request is to come on a connection of its own, so that its path is seen.
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"connection: close\r\n\r\n");
        let Ok(mut proxy) = TcpStream::connect(target).await else { return };
        if proxy.write_all(&head).await.is_ok() {
            drop(copy_bidirectional(&mut stream, &mut proxy).await);
        }
    }

    /// From now on answers paths that begin so: a status, and head lines with a body.
    fn answer(&self, path: &str, status: &str, lines: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n{body}"
        );
        *self.0.lock().unwrap() = Some((path.to_owned(), text));
    }
}

/// The variables of a proxy with a broker at this address in front.
fn broker(setup: Setup, folder: &TempDir, public: SocketAddr) -> Setup {
    setup
        .env("OAUTH_BROKER", "1")
        .env("PUBLIC_URL", format!("http://{public}/mcp"))
        .env("SESSION_KEY", "the-session-key-of-the-doctor-tests")
        .env("BROKER_USERS_FILE", folder.path().join("users.yaml").to_str().unwrap())
}

async fn report(proxy: &Proxy, folder: &TempDir, public: SocketAddr) -> String {
    let setup = Setup::bare("doctor").args(&["doctor", "proxy"]).env("SLAVE_CODES", CODE);
    let setup = setup.env("MCP_SERVER_PORT", proxy.http.port().to_string());
    let mut doctor = broker(setup, folder, public).spawn();
    doctor.exit(wait::TIMEOUT).await;
    // No slave is there, which is always to be fixed.
    doctor.log.wait_for("to fix").await;
    doctor.log.text()
}

#[tokio::test]
async fn whoever_leads_clients_astray_is_found_on_the_way_to_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("users.yaml"), "users: []\n").unwrap();
    let (front, public, target) = Front::start().await;
    let proxy = broker(Setup::proxy(), &folder, public).start_proxy().await;
    *target.lock().unwrap() = Some(proxy.http);
    let good = report(&proxy, &folder, public).await;
    for line in ["401 and leads to its metadata", "names this server", "endpoints that this proxy answers"] {
        assert!(good.contains(line), "{good}");
    }
    let metadata = |origin: &str| {
        format!(
            "www-authenticate: Bearer resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\"\r\n"
        )
    };
    let other =
        r#"{"resource":"https://other.example/mcp","authorization_servers":["https://other.example"]}"#;
    let json = "content-type: application/json\r\n";
    for (path, status, lines, body, says) in [
        ("/mcp", "308 Permanent Redirect", "location: /mcp/\r\n".to_owned(), "", "redirects to"),
        (
            "/mcp",
            "401 Unauthorized",
            "www-authenticate: Basic realm=\"x\"\r\n".into(),
            "",
            "401 without metadata",
        ),
        // TLS ends in front, and PUBLIC_URL was not told.
        ("/mcp", "401 Unauthorized", metadata(&format!("https://{public}")), "", "another origin"),
        ("/mcp", "200 OK", String::new(), "<html>", "status 200"),
        ("/.well-known/oauth-protected-resource", "404 Not Found", String::new(), "", "status 404"),
        ("/.well-known/oauth-protected-resource", "200 OK", json.to_owned(), other, "names the resource"),
        (
            "/.well-known/oauth-authorization-server",
            "200 OK",
            json.to_owned(),
            r#"{"issuer":"https://other.example"}"#,
            "✗ OAuth broker",
        ),
        ("/oauth/", "404 Not Found", String::new(), "", "✗ OAuth broker"),
    ] {
        front.answer(path, status, &lines, body);
        let text = report(&proxy, &folder, public).await;
        assert!(text.contains(says), "{path} {status}: no {says:?} in {text}");
    }
}

/// Runs the doctor with these variables beside a proxy.
async fn doctor(setup: Setup) -> String {
    let mut doctor = setup.args(&["doctor", "proxy"]).spawn();
    doctor.exit(wait::TIMEOUT).await;
    doctor.log.wait_for("to fix").await;
    doctor.log.text()
}

#[tokio::test]
async fn the_way_to_an_issuer_is_walked_and_each_of_its_faults_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("issuers.yaml");
    let issuer = TestIssuer::start(&[SigningKey::ed().jwk("one")]).await;
    std::fs::write(&file, format!("issuers:\n- issuer: {}\n", issuer.url)).unwrap();
    let (front, public, target) = Front::start().await;
    let of = |setup: Setup| {
        let setup = setup.env("AUTH_ISSUERS", file.to_str().unwrap());
        setup.env("PUBLIC_URL", format!("http://{public}/mcp"))
    };
    let proxy = of(Setup::proxy()).start_proxy().await;
    *target.lock().unwrap() = Some(proxy.http);
    let run = async || {
        let setup = of(Setup::bare("doctor")).env("SLAVE_CODES", CODE);
        doctor(setup.env("MCP_SERVER_PORT", proxy.http.port().to_string())).await
    };
    let good = run().await;
    for line in ["401 and leads to its metadata", "names this server", "metadata, keys and PKCE are there"] {
        assert!(good.contains(line), "{line}: {good}");
    }
    front.answer("/mcp", "401 Unauthorized", "www-authenticate: Basic realm=\"login\"\r\n", "");
    let text = run().await;
    assert!(text.contains("✗ access tokens") && text.contains("no login of an ingress"), "{text}");
    issuer.describe("code_challenge_methods_supported", json!(["plain"]));
    let text = run().await;
    assert!(text.contains("✗ issuer") && text.contains("does not announce PKCE"), "{text}");
    issuer.describe("issuer", json!("https://other.example"));
    let text = run().await;
    assert!(text.contains("✗ issuer") && text.contains("letter by letter"), "{text}");
    issuer.set_down(true);
    assert!(run().await.contains("✗ issuer"));
}

#[tokio::test]
async fn a_server_that_requires_certificates_is_not_taken_for_a_broken_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("issuers.yaml");
    let issuer = TestIssuer::start(&[SigningKey::ed().jwk("one")]).await;
    std::fs::write(&file, format!("issuers:\n- issuer: {}\n", issuer.url)).unwrap();
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost"]);
    let of = |setup: Setup| {
        setup
            .env("AUTH_ISSUERS", file.to_str().unwrap())
            .env("PUBLIC_URL", "https://localhost:1/mcp")
            .env("TLS_CERT", own.cert.to_str().unwrap())
            .env("TLS_KEY", own.key.to_str().unwrap())
            .env("TLS_HTTP_CLIENT_CA", authority.root().to_str().unwrap())
            .env("TLS_HTTP_CLIENT_CERT", "required")
            .env("TLS_OPS", "0")
            .env("OPS_HOST", "127.0.0.1")
    };
    let proxy = of(Setup::proxy()).env("OPS_PORT", "0").start_proxy().await;
    let operators = port(&proxy, "Ops server listening on http").await;
    let setup =
        of(Setup::bare("doctor")).env("SLAVE_CODES", CODE).env("OPS_PORT", operators.port().to_string());
    let text = doctor(setup.env("MCP_SERVER_PORT", proxy.http.port().to_string())).await;
    assert!(text.contains("– access tokens: not checked (TLS_HTTP_CLIENT_CERT=required"), "{text}");
    assert!(text.contains("✓ issuer"), "{text}");
}
