//! Probe of the connection to the proxy, one layer at a time: name, TCP, TLS, WebSocket, slave code.
//!
//! Knows what can fail in each layer and how to correct it. The doctor opens a separate connection, so that every layer
//! has its own line in the report, and registers nothing with the proxy ([`SlaveHello::probe`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::link::{CloseFrame, Connection, ConnectionError, HandshakeError, Message};
use ::slave::config::{LinkConfig, ProxyUrl, SlaveConfig};
use protocol::link::handshake::{Auth, AuthReply, PROTOCOL_NAME, SlaveHello, VERSIONS, close, nonce_text};
use protocol::link::ids::InstanceId;
use protocol::link::limits::{DEFAULT_WINDOW, MAX_AUTH};
use runtime::tls::{MaybeTlsStream, certificate_info};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::dialed::Dialed;
use super::report::{Fault, Report};
use super::{certificate, ways};

/// Longest time for each of name resolution, TCP connection, TLS and WebSocket upgrade.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for the proxy's check of the code; a proxy waits 10 s for a slave's first message.
const CODE_TIMEOUT: Duration = Duration::from_secs(12);

/// A byte stream that carries a WebSocket.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Close code of a connection that is no longer needed.
const NORMAL: u16 = 1000;

type Socket = Connection<Box<dyn Stream>>;

/// Probes every address behind every URL. The steps behind a failed one are left out of the report.
pub(super) async fn examine(report: &mut Report, link: &LinkConfig, config: &SlaveConfig) {
    for url in &link.proxies {
        report.good("proxy URL", url.to_string());
        let way = url.way(&link.ways);
        if !ways::report(report, &url.to_string(), &way) {
            continue;
        }
        let dialed = Dialed::of(url, &way);
        let started = Instant::now();
        let found = dialed.resolve().await;
        let Some(addresses) = report.timed("name", started, found) else { continue };
        let started = Instant::now();
        let connected = dialed.connect(&addresses).await;
        let Some((streams, failures)) = report.timed("TCP", started, connected) else { continue };
        if !failures.is_empty() {
            let failures = failures.join("; ");
            report.warn("TCP", format!("not every address answers, the slave keeps trying: {failures}"));
        }
        if !url.is_tls() {
            report.note("TLS", "not used: ws:// is for trusted networks, wss:// for all others");
        }
        for (stream, address) in streams {
            let started = Instant::now();
            let tunneled = at(address, dialed.tunnel(stream).await);
            let Some(stream) = ways::step(report, &way, started, tunneled) else { continue };
            let probe = Probe { url, address, link, config };
            probe.run(report, stream).await;
        }
    }
}

/// The probe of an address.
struct Probe<'a> {
    url: &'a ProxyUrl,
    address: SocketAddr,
    link: &'a LinkConfig,
    config: &'a SlaveConfig,
}

impl Probe<'_> {
    /// Examines the layers above TCP.
    async fn run(&self, report: &mut Report, stream: MaybeTlsStream) {
        let stream: Box<dyn Stream> = if self.url.is_tls() {
            let started = Instant::now();
            let encrypted = at(self.address, encrypt(stream, self.url, self.link).await);
            let Some(stream) = report.timed("TLS", started, encrypted) else { return };
            if let Ok(facts) = certificate_info(stream.peer_certificates()) {
                certificate::check(report, "proxy's certificate", &facts);
            }
            Box::new(stream)
        } else {
            Box::new(stream)
        };
        let started = Instant::now();
        let upgraded = at(self.address, upgrade(stream, self.url).await);
        let Some(socket) = report.timed("WebSocket", started, upgraded) else { return };
        let started = Instant::now();
        let checked = at(self.address, check_code(socket, self.link, self.config).await);
        report.timed("slave code", started, checked);
    }
}

/// Adds the address to the text of a finding.
fn at<T>(address: SocketAddr, found: Result<(T, String), Fault>) -> Result<(T, String), Fault> {
    match found {
        Ok((value, text)) => Ok((value, format!("{text} ({address})"))),
        Err(Fault { what, fix }) => Err(Fault { what: format!("{what} ({address})"), fix }),
    }
}

async fn encrypt(
    stream: MaybeTlsStream,
    url: &ProxyUrl,
    link: &LinkConfig,
) -> Result<(MaybeTlsStream<MaybeTlsStream>, String), Fault> {
    let config = client_config(link)?;
    let name = ServerName::try_from(url.host().to_owned()).map_err(|_| {
        let what = format!("{} is no host name that a certificate can have", url.host());
        Fault::new(what, "use a host name in PROXY_SERVER_URL")
    })?;
    match timeout(STEP_TIMEOUT, MaybeTlsStream::connect(config, name, stream)).await {
        Ok(Ok(stream)) => Ok((stream, format!("the certificate of {} is trusted", url.host()))),
        Ok(Err(error)) => Err(tls_fault(&error, url)),
        Err(_) => Err(Fault::new(
            format!("no handshake within {STEP_TIMEOUT:?}"),
            "see whether the port speaks TLS at all (a proxy without TLS is ws://), and whether a firewall drops packets",
        )),
    }
}

fn tls_fault(error: &std::io::Error, url: &ProxyUrl) -> Fault {
    let failure = runtime::tls::explain(error, url.tls_peer());
    Fault::new(failure.what, failure.fix)
}

/// Loads the TLS configuration of the slave, with the same roots and the same client certificate.
fn client_config(link: &LinkConfig) -> Result<Arc<ClientConfig>, Fault> {
    let fix = "install ca-certificates, or name the proxy's authority in PROXY_CA_FILE";
    link.tls.load().map_err(|error| Fault::new(error.to_string(), fix))
}

async fn upgrade(stream: Box<dyn Stream>, url: &ProxyUrl) -> Result<(Socket, String), Fault> {
    let fix = "PROXY_SERVER_URL must name the proxy's PROXY_WS_PORT (8001 by default), not its MCP_SERVER_PORT; a \
               server behind TLS needs wss://, and an ingress must pass path and host on; the clients' port takes slaves at /link where \
               SLAVES_ON_CLIENT_PORT=1 is set";
    match timeout(STEP_TIMEOUT, ::link::connect(url.url().as_str(), None, stream, MAX_AUTH)).await {
        Ok(Ok(socket)) => Ok((socket, "the server speaks it".into())),
        Ok(Err(HandshakeError::Io(error))) if runtime::tls::is_tls(&error) => Err(tls_fault(&error, url)),
        Ok(Err(error)) => Err(Fault::new(
            format!("the server is no proxy's port for slaves: {}", ::link::explain(&error)),
            fix,
        )),
        Err(_) => Err(Fault::new(format!("no answer within {STEP_TIMEOUT:?}"), fix)),
    }
}

/// Sends the slave's code, marked as a probe, and reads the proxy's reply.
async fn check_code(
    mut socket: Socket,
    link: &LinkConfig,
    config: &SlaveConfig,
) -> Result<((), String), Fault> {
    let auth = Auth::new(link.code.expose().to_owned(), probe(config));
    let text = serde_json::to_string(&auth).map_err(|error| broken(error.to_string()))?;
    socket.send_text(text).await.map_err(|error| broken(error.to_string()))?;
    let checked = match timeout(CODE_TIMEOUT, first_answer(&mut socket)).await {
        Ok(Ok(Message::Text(text))) => explain_reply(&text),
        Ok(Ok(Message::Close(Some(frame)))) if frame.code == close::AUTH_FAILED => Err(wrong_code()),
        Ok(Ok(Message::Close(frame))) => Err(broken(closed(frame))),
        Ok(Ok(_)) => Err(broken("the first answer is not text".into())),
        Ok(Err(error)) => Err(broken(format!("the connection broke: {error}"))),
        Err(_) => Err(broken(format!("no answer within {CODE_TIMEOUT:?}"))),
    };
    // The result is the same whether the proxy reads the close frame or not.
    socket.close(NORMAL, "").await;
    checked
}

fn closed(frame: Option<CloseFrame>) -> String {
    let reason = frame.map_or_else(String::new, |frame| format!(" ({} {})", frame.code, frame.reason));
    format!("the proxy closed the connection{reason}")
}

async fn first_answer(socket: &mut Socket) -> Result<Message, ConnectionError> {
    loop {
        match socket.recv().await? {
            Message::Ping(_) | Message::Pong(_) => {}
            other => return Ok(other),
        }
    }
}

/// Explains the proxy's reply to the code.
fn explain_reply(text: &str) -> Result<((), String), Fault> {
    match AuthReply::parse(text) {
        Ok(AuthReply::AuthSuccess { protocol: Some(proxy), .. }) => {
            Ok(((), format!("accepted by {} (native protocol, version {})", proxy.agent, proxy.version)))
        }
        Ok(AuthReply::AuthSuccess { protocol: None, .. }) => {
            Ok(((), "accepted by a proxy of the plain dialect (the existing Node server)".into()))
        }
        Ok(AuthReply::AuthFailed { .. }) => Err(wrong_code()),
        Err(error) => Err(broken(error.to_string())),
    }
}

fn wrong_code() -> Fault {
    Fault::new(
        "the proxy refuses the code",
        "set SLAVE_CODE to one of the proxy's SLAVE_CODES: upper and lower case count, spaces around it do not",
    )
}

fn broken(what: String) -> Fault {
    Fault::new(what, "see the proxy's log; is it an mcp-relay, or another server that speaks its protocol?")
}

/// Builds a hello that asks only whether the code is valid.
fn probe(config: &SlaveConfig) -> SlaveHello {
    SlaveHello {
        name: PROTOCOL_NAME.into(),
        versions: VERSIONS.to_vec(),
        // Nothing is registered under this id, so a failing random source does no harm.
        instance: InstanceId(getrandom::u64().unwrap_or_default()).to_string(),
        nonce: nonce_text(random()),
        slave_name: config.name.clone(),
        labels: config.labels.clone(),
        capacity: config.capacity,
        window: DEFAULT_WINDOW,
        agent: concat!("mcp-relay-doctor/", env!("CARGO_PKG_VERSION")).into(),
        probe: true,
        ..SlaveHello::default()
    }
}

/// Returns random bytes for the nonce of a probe. The probe checks no signature, so a failing random source does no harm.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap_or_default();
    bytes
}

#[cfg(test)]
mod tests {
    use runtime::env::Snapshot;
    use slave::config::Role;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::report::Format;
    use super::*;

    async fn examined(url: &str) -> Report {
        let snapshot = Snapshot::of([("PROXY_SERVER_URL", url), ("SLAVE_CODE", "hush")]);
        let config = SlaveConfig::load(&snapshot, Role::Slave).unwrap().config;
        let mut report = Report::new("slave", Format::Json);
        examine(&mut report, config.link.as_ref().unwrap(), &config).await;
        report
    }

    #[tokio::test]
    async fn an_unreachable_proxy_fails_at_tcp_and_names_its_variables() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let report = examined(&format!("ws://127.0.0.1:{port}")).await;
        let line = report.lines("TCP").join("");
        assert!(line.contains('✗') && line.contains("PROXY_WS_PORT"), "{line}");
        assert!(report.lines("WebSocket").is_empty() && report.lines("slave code").is_empty());
    }

    #[tokio::test]
    async fn an_http_port_is_distinguished_from_a_websocket_port() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 2048];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        let report = examined(&format!("ws://127.0.0.1:{port}")).await;
        let line = report.lines("WebSocket").join("");
        assert!(line.contains('✗') && line.contains("MCP_SERVER_PORT"), "{line}");
        assert!(report.lines("slave code").is_empty());
    }

    #[test]
    fn each_reply_of_the_proxy_is_explained() {
        let native = r#"{"type":"auth_success","message":"m","protocol":{"name":"mcp-relay","version":2,"instance":"0000000000000001","graceMs":1,"window":262144,"agent":"mcp-relay/1"}}"#;
        assert!(explain_reply(native).unwrap().1.contains("mcp-relay/1"));
        assert!(
            explain_reply(r#"{"type":"auth_success","message":"m"}"#).unwrap().1.contains("plain dialect")
        );
        let refused = explain_reply(r#"{"type":"auth_failed","message":"Invalid slave code"}"#).unwrap_err();
        assert!(refused.fix.contains("SLAVE_CODES"), "{refused:?}");
        assert!(explain_reply("hello").is_err());
    }

    #[test]
    fn the_hello_is_marked_as_a_probe() {
        let snapshot = Snapshot::of([("SLAVE_NAME", "s1"), ("SLAVE_LABELS", "a=b")]);
        let hello = probe(&SlaveConfig::load(&snapshot, Role::Standalone).unwrap().config);
        let auth = Auth::parse(&serde_json::to_string(&Auth::new("c".into(), hello)).unwrap()).unwrap();
        assert!(auth.protocol.unwrap().probe);
    }
}
