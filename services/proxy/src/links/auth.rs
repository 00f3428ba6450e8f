//! The authentication of a link by its first message, which also selects the dialect. Must not know slaves or calls.

use std::time::Duration;

use link::{Connection, ConnectionError, Message};
use protocol::link::handshake::{
    Auth, AuthReply, HandshakeError as AuthMessageError, PROTOCOL_NAME, ProxyHello, SlaveHello,
    choose_version, close,
};
use protocol::link::peers::to_text;
use runtime::tls::{MaybeTlsStream, TlsPeer, is_no_handshake};
use tokio::time::timeout;

use super::admission::Rejected;
use super::registration::Registered;
use super::registry::Registry;
use crate::access::{AccessDenied, Announced, CodeDigest, CodeStore, Grant, InvalidCode};

/// Time limit for the opening handshake of a new connection, and again for its first message.
pub(super) const AUTH_TIMEOUT: Duration = Duration::from_secs(10);

/// Close code of a server that is full ("try again later" in the registry of RFC 6455).
pub(super) const TRY_AGAIN_LATER: u16 = 1013;

/// A WebSocket on a connection of the link port.
pub(super) type Socket = Connection<MaybeTlsStream>;

/// The reason that a connection did not become a link.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    #[error("no auth message within {} s", AUTH_TIMEOUT.as_secs())]
    Silent,
    #[error("no request within {} s", AUTH_TIMEOUT.as_secs())]
    NoRequest,
    #[error("{denied}")]
    NotAllowed {
        denied: AccessDenied,
        /// Digest of the presented code.
        code: CodeDigest,
    },
    #[error("{0}")]
    Rejected(#[from] Rejected),
    #[error("{0}")]
    NotAuth(#[from] AuthMessageError),
    #[error("the first message is binary, not an auth message")]
    Binary,
    #[error("closed before authentication")]
    Closed,
    #[error("TLS failed: {}", runtime::tls::explain(.0, TlsPeer::Client { encrypted: "wss://" }))]
    Tls(std::io::Error),
    #[error("{0}")]
    Socket(#[from] ConnectionError),
}

impl AuthError {
    /// Returns the stable label of the metric.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Silent | Self::NoRequest => "no_auth",
            Self::NotAllowed { denied: AccessDenied::Code(InvalidCode::Unknown), .. } => "invalid_code",
            Self::NotAllowed { denied: AccessDenied::Code(_), .. } => "code_expired",
            Self::Rejected(rejected) => rejected.kind(),
            Self::NotAllowed { denied: AccessDenied::Certificate(_), .. } => "certificate_not_allowed",
            Self::NotAuth(_) | Self::Binary => "not_auth",
            Self::Tls(_) => "tls",
            Self::Closed | Self::Socket(_) => "closed",
        }
    }

    /// Returns whether the peer may be a probe of a load balancer, which opens a connection and goes, or stays silent.
    pub(super) fn is_probe(&self) -> bool {
        match self {
            Self::NoRequest => true,
            Self::Tls(error) => is_no_handshake(error),
            _ => false,
        }
    }

    /// Returns the close code that the peer gets; `None` where the connection is gone.
    pub(super) fn close_code(&self) -> Option<u16> {
        match self {
            Self::Silent => Some(close::NO_AUTH),
            Self::NotAllowed { .. } => Some(close::AUTH_FAILED),
            Self::Rejected(_) => Some(TRY_AGAIN_LATER),
            Self::NotAuth(_) | Self::Binary | Self::Socket(ConnectionError::TooLong { .. }) => {
                Some(close::NOT_AUTH)
            }
            Self::Closed | Self::NoRequest | Self::Tls(_) | Self::Socket(_) => None,
        }
    }
}

/// The result of a successful authentication.
pub(super) struct Authenticated {
    /// The hello of a slave of the native dialect; `None`: the slave speaks the plain dialect.
    pub(super) hello: Option<SlaveHello>,
    /// The rights that the slave's code grants.
    pub(super) grant: Grant,
}

/// Reads the first message and checks the code, for at most [`AUTH_TIMEOUT`]. `certificate` is the digest of the slave's
/// certificate, if it presented one.
pub(super) async fn authenticate(
    socket: &mut Socket,
    certificate: Option<[u8; 32]>,
    codes: &CodeStore,
) -> Result<Authenticated, AuthError> {
    let auth = timeout(AUTH_TIMEOUT, first_text(socket)).await.map_err(|_| AuthError::Silent)??;
    let hello = auth.protocol.filter(|hello| choose_version(&hello.versions).is_some());
    let code = &auth.slave_code.0;
    let announced = hello.as_ref().map(Announced::from).unwrap_or_default();
    let grant = codes
        .authorize(code, certificate, announced)
        .map_err(|denied| AuthError::NotAllowed { denied, code: CodeDigest::of(code) })?;
    Ok(Authenticated { hello, grant })
}

async fn first_text(socket: &mut Socket) -> Result<Auth, AuthError> {
    loop {
        match socket.recv().await? {
            Message::Text(text) => return Ok(Auth::parse(text.as_str())?),
            Message::Binary(_) => return Err(AuthError::Binary),
            Message::Close(_) => return Err(AuthError::Closed),
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

/// Builds the hello for a slave, with the newest protocol version that both sides speak. `registered`: what the slave is to this
/// proxy; `None`: the slave only asks whether its code is accepted.
pub(super) fn hello_for(
    hello: &SlaveHello,
    registry: &Registry,
    registered: Option<&Registered>,
) -> ProxyHello {
    let (limits, fleet, peers) = (registry.limits(), registry.fleet(), registry.peers().known());
    let slave = registered.map(|registered| &registered.slave);
    let secret = slave.and_then(|slave| slave.process.as_ref()).map(|process| process.secret.secret());
    let label = slave.and_then(|slave| fleet.state_label(&hello.instance, &slave.state_identity()));
    ProxyHello {
        name: PROTOCOL_NAME.into(),
        version: choose_version(&hello.versions).unwrap_or_default(),
        instance: fleet.own().to_string(),
        slave: slave.map(|slave| slave.id()).unwrap_or_default(),
        slave_name: slave.map(|slave| slave.name.clone()).unwrap_or_default(),
        resume: secret.unwrap_or_default(),
        resumed: registered.is_some_and(|registered| registered.resumed),
        fleet: fleet.proofs(&hello.nonce, &hello.instance),
        fact: Some(fleet.own_fact().to_string()),
        state_label: label.map(|label| label.to_string()),
        peers: to_text(&peers.proxies),
        peers_at_least: peers.at_least,
        grace_ms: u64::try_from(limits.grace.as_millis()).unwrap_or(u64::MAX),
        window: u32::try_from(limits.window).unwrap_or(u32::MAX),
        agent: concat!("mcp-relay/", env!("CARGO_PKG_VERSION")).into(),
    }
}

/// Sends the proxy's answer to the first message.
pub(super) async fn send_reply(socket: &mut Socket, reply: &AuthReply) -> Result<(), AuthError> {
    let text = serde_json::to_string(reply).unwrap_or_default();
    Ok(socket.send_text(text).await?)
}
