//! The first messages of a link, from the slave's side. Must not know what follows them.

use std::time::Duration;

use link::{Connection, Message};
use protocol::link::handshake::{Auth, AuthReply, ProxyHello, SlaveHello, close};
use runtime::secret::Secret;
use runtime::tls::MaybeTlsStream;

use super::disconnect::DisconnectReason;
use super::metered::Metered;
use super::proof;
use crate::endpoint::ProvenProxy;

/// Time limit for the proxy's answer to the first message.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);

/// A WebSocket to a proxy, after its opening handshake.
pub(crate) type Socket = Connection<MaybeTlsStream<Metered<MaybeTlsStream>>>;

/// A connection whose code the proxy has accepted.
pub(crate) struct Connected {
    /// The connection.
    pub(crate) socket: Socket,
    /// A proxy of the native dialect; `None`: the proxy speaks the plain dialect.
    pub(crate) proxy: Option<ProvenProxy>,
}

impl Connected {
    /// Returns the dialect of the link.
    pub(crate) fn dialect(&self) -> &'static str {
        if self.proxy.is_some() { "native" } else { "plain" }
    }
}

/// Sends the code and waits for the answer, for at most [`AUTH_TIMEOUT`]; then checks the proof of the proxy's fleet.
pub(crate) async fn authenticate(
    mut socket: Socket,
    code: &Secret,
    hello: &SlaveHello,
) -> Result<Connected, DisconnectReason> {
    let auth = Auth::new(code.expose().to_owned(), hello.clone());
    let text = serde_json::to_string(&auth).map_err(|error| DisconnectReason::Lost(error.to_string()))?;
    socket.outgoing().send_text(text.into());
    let late =
        || DisconnectReason::Lost(format!("the proxy did not answer within {} s", AUTH_TIMEOUT.as_secs()));
    let answered = tokio::time::timeout(AUTH_TIMEOUT, recv_reply(&mut socket)).await;
    let answer = answered.unwrap_or_else(|_| Err(late()))?;
    match answer.map(|answer| proof::verify(answer, hello)).transpose() {
        Ok(proxy) => Ok(Connected { socket, proxy }),
        Err(error) => {
            socket.close(close::PROTOCOL_ERROR, &error.to_string()).await;
            Err(DisconnectReason::ProtocolError(error.to_string()))
        }
    }
}

async fn recv_reply(socket: &mut Socket) -> Result<Option<ProxyHello>, DisconnectReason> {
    let text = loop {
        match socket.recv().await? {
            Message::Text(text) => break text,
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(frame) => return Err(DisconnectReason::from_close(frame)),
            Message::Binary(_) => {
                let what = "the answer to the first message is not text: is it a proxy?";
                return Err(DisconnectReason::Lost(what.into()));
            }
        }
    };
    match AuthReply::parse(&text) {
        Ok(AuthReply::AuthSuccess { protocol, .. }) => Ok(protocol),
        Ok(AuthReply::AuthFailed { message }) => Err(DisconnectReason::Refused(message)),
        Err(error) => Err(DisconnectReason::Lost(error.to_string())),
    }
}
