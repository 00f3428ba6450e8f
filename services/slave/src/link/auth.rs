//! The first messages of a link, from the slave's side. Must not know what follows them.

use protocol::link::handshake::{Auth, AuthReply, ProxyHello, SlaveHello};
use runtime::secret::Secret;
use tokio_tungstenite::tungstenite::Message;

use super::socket::Socket;
use super::{AUTH_TIME, Ended, Opened};

/// Shows the code and waits for the answer, at most [`AUTH_TIME`].
pub(crate) async fn open(mut socket: Socket, code: &Secret, hello: &SlaveHello) -> Result<Opened, Ended> {
    let auth = Auth::new(code.expose().to_owned(), hello.clone());
    let text = serde_json::to_string(&auth).map_err(|error| Ended::Lost(error.to_string()))?;
    socket.send(Message::text(text));
    let mut early = Vec::new();
    let late = || Ended::Lost(format!("the proxy did not answer within {} s", AUTH_TIME.as_secs()));
    let answered = tokio::time::timeout(AUTH_TIME, answer(&mut socket, &mut early)).await;
    let hello = answered.unwrap_or_else(|_| Err(late()))?;
    Ok(Opened { socket, hello, early })
}

/// Messages that come right behind the answer are left in `early`.
async fn answer(socket: &mut Socket, early: &mut Vec<Message>) -> Result<Option<ProxyHello>, Ended> {
    while early.is_empty() {
        socket.io(early).await?;
        early.retain(|message| !message.is_pong());
    }
    let Message::Text(text) = early.remove(0) else {
        return Err(Ended::Lost("the answer to the first message is not text: is it a proxy?".into()));
    };
    match AuthReply::parse(&text) {
        Ok(AuthReply::AuthSuccess { protocol, .. }) => Ok(protocol),
        Ok(AuthReply::AuthFailed { message }) => Err(Ended::Refused(message)),
        Err(error) => Err(Ended::Lost(error.to_string())),
    }
}
