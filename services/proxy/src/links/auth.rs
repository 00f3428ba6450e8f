//! The first message of a link: is it one, is the code right, which dialect follows. Knows neither slaves nor calls.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::link::handshake::{
    Auth, AuthReply, HandshakeError, PROTOCOL_NAME, ProxyHello, SlaveHello, choose_version, close,
};
use protocol::link::peers::{Peers, to_text};
use runtime::tls::MaybeTlsStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::access::{AccessDenied, CodeStore, Grant, InvalidCode};

/// How long a new connection may take for its first message (the document's 10 s).
pub(super) const AUTH_TIMEOUT: Duration = Duration::from_secs(10);

/// A WebSocket on a connection.
pub(super) type Socket = WebSocketStream<MaybeTlsStream>;

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("no auth message within {} s", AUTH_TIMEOUT.as_secs())]
    Silent,
    #[error("{0}")]
    NotAllowed(#[from] AccessDenied),
    #[error("{0}")]
    NotAuth(#[from] HandshakeError),
    #[error("the first message is binary, not an auth message")]
    Binary,
    #[error("closed before authentication")]
    Closed,
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    #[error("{0}")]
    Socket(#[from] Error),
}

impl Refused {
    /// Stable reason for the metric.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Silent => "no_auth",
            Self::NotAllowed(AccessDenied::Code(InvalidCode::Unknown)) => "invalid_code",
            Self::NotAllowed(AccessDenied::Code(_)) => "code_expired",
            Self::NotAllowed(AccessDenied::Labels(_)) => "labels_not_allowed",
            Self::NotAuth(_) | Self::Binary => "not_auth",
            Self::Tls(_) => "tls",
            Self::Closed | Self::Socket(_) => "closed",
        }
    }

    /// Close code that the peer gets; `None` where there is nobody to tell.
    pub(super) fn close_code(&self) -> Option<u16> {
        match self {
            Self::Silent => Some(close::NO_AUTH),
            Self::NotAllowed(_) => Some(close::AUTH_FAILED),
            Self::NotAuth(_) | Self::Binary | Self::Socket(Error::Capacity(_)) => Some(close::NOT_AUTH),
            Self::Closed | Self::Tls(_) | Self::Socket(_) => None,
        }
    }
}

/// Reads the first message and checks the code. `Some` hello: the slave speaks the native dialect with us.
pub(super) async fn authenticate(
    socket: &mut Socket,
    codes: &CodeStore,
) -> Result<(Option<SlaveHello>, Grant), Refused> {
    let auth = timeout(AUTH_TIMEOUT, first_text(socket)).await.map_err(|_| Refused::Silent)??;
    let hello = auth.protocol.filter(|hello| choose_version(&hello.versions).is_some());
    let labels = hello.as_ref().map(|hello| hello.labels.clone()).unwrap_or_default();
    let grant = codes.authorize(&auth.slave_code.0, labels)?;
    Ok((hello, grant))
}

async fn first_text(socket: &mut Socket) -> Result<Auth, Refused> {
    loop {
        match socket.next().await.ok_or(Refused::Closed)?? {
            Message::Text(text) => return Ok(Auth::parse(text.as_str())?),
            Message::Binary(_) => return Err(Refused::Binary),
            Message::Close(_) => return Err(Refused::Closed),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// What this proxy says of itself, with the newest version of the slave's that it speaks.
pub(super) fn hello_for(hello: &SlaveHello, about: &About) -> ProxyHello {
    ProxyHello {
        name: PROTOCOL_NAME.into(),
        version: choose_version(&hello.versions).unwrap_or_default(),
        instance: about.instance.clone(),
        grace_ms: about.grace_ms,
        window: about.window,
        peers: to_text(&about.peers.proxies),
        peers_at_least: about.peers.at_least,
        agent: concat!("mcp-relay/", env!("CARGO_PKG_VERSION")).into(),
    }
}

/// What a proxy tells native slaves of itself.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) instance: String,
    pub(super) grace_ms: u64,
    pub(super) window: u32,
    pub(super) peers: Peers,
}

/// Sends the proxy's answer.
pub(super) async fn answer(socket: &mut Socket, reply: &AuthReply) -> Result<(), Refused> {
    let text = serde_json::to_string(reply).unwrap_or_default();
    socket.send(Message::Text(text.into())).await?;
    Ok(())
}

/// Closes politely, but not for long: the peer may be dead.
pub(super) async fn close_with(mut socket: Socket, code: u16, reason: &str) {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code: code.into(), reason: reason[..end].into() };
    let farewell = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // Whether the peer heard it makes no difference to us.
    let _ = timeout(Duration::from_secs(1), farewell).await;
}
