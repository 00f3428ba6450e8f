//! The way to the proxy, one layer at a time: name, TCP, TLS, WebSocket, slave code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::slave::config::{LinkConfig, ProxyUrl, SlaveConfig};
use futures_util::{SinkExt, StreamExt};
use protocol::handshake::{Auth, AuthReply, PROTOCOL_NAME, SlaveHello, VERSIONS, close};
use protocol::ids::InstanceId;
use protocol::limits::DEFAULT_WINDOW;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::report::{Fault, Report};

/// Most that name resolution, TCP, TLS and the WebSocket upgrade may take, each.
const STEP: Duration = Duration::from_secs(5);

/// Most that a proxy may take to judge the code; it gives a slave 10 s for its part.
const VERDICT: Duration = Duration::from_secs(12);

/// Anything that carries a WebSocket.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Goes as far as it can; the steps behind a failed one are left out.
pub(super) async fn examine(report: &mut Report, link: &LinkConfig, config: &SlaveConfig) {
    report.good("proxy URL", link.proxy.to_string());
    let found = resolve(&link.proxy).await;
    let Some(addresses) = report.step("name", found) else { return };
    let connected = connect(&addresses).await;
    let Some(stream) = report.step("TCP", connected) else { return };
    let wire: Box<dyn Wire> = if link.proxy.is_tls() {
        let secured = secure(stream, &link.proxy).await;
        let Some(stream) = report.step("TLS", secured) else { return };
        Box::new(stream)
    } else {
        report.note("TLS", "not used: ws:// is for trusted networks, wss:// for all others");
        Box::new(stream)
    };
    let upgraded = upgrade(wire, &link.proxy).await;
    let Some(socket) = report.step("WebSocket", upgraded) else { return };
    let judged = judge(socket, link, config).await;
    report.step("slave code", judged);
}

async fn resolve(url: &ProxyUrl) -> Result<(Vec<SocketAddr>, String), Fault> {
    let fix = "check the host name in PROXY_SERVER_URL and this machine's name resolution";
    let lookup = tokio::net::lookup_host((url.host(), url.port()));
    let addresses: Vec<SocketAddr> = match timeout(STEP, lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(Fault::new(format!("{} has no address: {error}", url.host()), fix)),
        Err(_) => return Err(Fault::new(format!("no answer for {} within {STEP:?}", url.host()), fix)),
    };
    if addresses.is_empty() {
        return Err(Fault::new(format!("{} has no address", url.host()), fix));
    }
    let text = addresses.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>().join(", ");
    Ok((addresses, format!("{} is {text}", url.host())))
}

async fn connect(addresses: &[SocketAddr]) -> Result<(TcpStream, String), Fault> {
    let mut failures = Vec::new();
    for address in addresses {
        match timeout(STEP, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, format!("connected to {address}"))),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer within {STEP:?}")),
        }
    }
    let fix = "start the proxy, compare the port with its PROXY_WS_PORT, have it listen on an address that this \
               machine reaches (PROXY_WS_HOST), and let the firewall pass it";
    Err(Fault::new(failures.join("; "), fix))
}

async fn secure(stream: TcpStream, url: &ProxyUrl) -> Result<(TlsStream<TcpStream>, String), Fault> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (trusted, _) = roots.add_parsable_certificates(native.certs);
    if trusted == 0 {
        let fix = "install ca-certificates, or point SSL_CERT_FILE to a file of trusted certificates";
        return Err(Fault::new("this machine trusts no certificate at all", fix));
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|error| Fault::new(format!("{}: {error}", url.host()), "use a host name in PROXY_SERVER_URL"))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let fix = "the proxy (or what stands before it) must offer TLS with a certificate for this host name that this \
               machine trusts; a private authority goes into SSL_CERT_FILE. A proxy without TLS is ws://";
    match timeout(STEP, handshake).await {
        Ok(Ok(stream)) => Ok((stream, format!("the certificate of {} is trusted", url.host()))),
        Ok(Err(error)) => Err(Fault::new(error.to_string(), fix)),
        Err(_) => Err(Fault::new(format!("no handshake within {STEP:?}"), fix)),
    }
}

async fn upgrade(
    wire: Box<dyn Wire>,
    url: &ProxyUrl,
) -> Result<(WebSocketStream<Box<dyn Wire>>, String), Fault> {
    match timeout(STEP, tokio_tungstenite::client_async(url.url().as_str(), wire)).await {
        Ok(Ok((socket, _))) => Ok((socket, "the server speaks WebSocket".into())),
        Ok(Err(Error::Http(answer))) => Err(Fault::new(
            format!("the server answers HTTP {} and no WebSocket", answer.status().as_u16()),
            "PROXY_SERVER_URL must name the proxy's PROXY_WS_PORT (8001 by default), not its MCP_SERVER_PORT; behind \
             an ingress, its path and host must lead there",
        )),
        Ok(Err(error)) => Err(Fault::new(
            format!("the server does not speak WebSocket: {error}"),
            "compare the port with the proxy's PROXY_WS_PORT; a server behind TLS needs wss://",
        )),
        Err(_) => Err(Fault::new(
            format!("no answer within {STEP:?}"),
            "compare the port with the proxy's PROXY_WS_PORT; a server behind TLS needs wss://",
        )),
    }
}

async fn judge(
    mut socket: WebSocketStream<Box<dyn Wire>>,
    link: &LinkConfig,
    config: &SlaveConfig,
) -> Result<((), String), Fault> {
    let broken = |what: String| Fault::new(what, "see the proxy's log; is it an mcp-relay or a server that speaks its protocol?");
    let auth = Auth::new(link.code.expose().to_owned(), probe(config));
    let text = serde_json::to_string(&auth).map_err(|error| broken(error.to_string()))?;
    socket.send(Message::text(text)).await.map_err(|error| broken(error.to_string()))?;
    let first = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    };
    let verdict = match timeout(VERDICT, first).await {
        Ok(Some(Ok(Message::Text(text)))) => verdict(&text),
        Ok(Some(Ok(Message::Close(Some(frame))))) if u16::from(frame.code) == close::AUTH_FAILED => Err(wrong_code()),
        Ok(Some(Ok(Message::Close(frame)))) => {
            let reason = frame.map_or_else(String::new, |f| format!(" ({} {})", u16::from(f.code), f.reason));
            Err(broken(format!("the proxy closed the connection{reason}")))
        }
        Ok(Some(Ok(_))) => Err(broken("the first answer is not text".into())),
        Ok(Some(Err(error))) => Err(broken(format!("the connection broke: {error}"))),
        Ok(None) => Err(broken("the proxy closed the connection without an answer".into())),
        Err(_) => Err(broken(format!("no answer within {VERDICT:?}"))),
    };
    // A courtesy: the verdict stands whether the proxy hears the goodbye or not.
    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
    verdict
}

fn verdict(text: &str) -> Result<((), String), Fault> {
    match AuthReply::parse(text) {
        Ok(AuthReply::AuthSuccess { protocol: Some(proxy), .. }) => {
            Ok(((), format!("accepted by {} (native protocol, version {})", proxy.agent, proxy.version)))
        }
        Ok(AuthReply::AuthSuccess { protocol: None, .. }) => {
            Ok(((), "accepted by a proxy that speaks the plain dialect (the existing Node server)".into()))
        }
        Ok(AuthReply::AuthFailed { .. }) => Err(wrong_code()),
        Err(error) => Err(Fault::new(error.to_string(), "PROXY_SERVER_URL must lead to an mcp-relay proxy")),
    }
}

fn wrong_code() -> Fault {
    Fault::new(
        "the proxy refuses the code",
        "set SLAVE_CODE to one of the proxy's SLAVE_CODES: upper and lower case count, spaces around it do not",
    )
}

/// Asks for a verdict only; see [`SlaveHello::probe`].
fn probe(config: &SlaveConfig) -> SlaveHello {
    let mut instance = [0; 8];
    // Without a random source the probe still works: nothing is registered under its instance.
    let _ = getrandom::fill(&mut instance);
    SlaveHello {
        name: PROTOCOL_NAME.into(),
        versions: VERSIONS.to_vec(),
        instance: InstanceId(u64::from_le_bytes(instance)).to_string(),
        slave_name: config.name.clone(),
        labels: config.labels.clone(),
        capacity: config.capacity,
        window: DEFAULT_WINDOW,
        agent: concat!("mcp-relay-doctor/", env!("CARGO_PKG_VERSION")).into(),
        probe: true,
    }
}
