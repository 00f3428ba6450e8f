//! Connections that come faster than `HANDSHAKE_RATE`: those of slaves in use, for which clients wait, are let in at a small rate of their
//! own, so that clients get answers soon after an outage. Must not know what is said on links.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::handshake::IN_USE_HEADER;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::accept::{AcceptContext, Connected, serve_connection};
use super::admission::Rejected;
use super::refusal;

/// Longest wait for the request of a connection.
const TIME: Duration = Duration::from_millis(500);

/// Bytes of the request that are looked at. A slave's own request is shorter.
const MAX_HEAD: usize = 1024;

/// Rejects a connection, unless its request says that its slave is in use and there is room for it. Returns at once.
pub(super) fn take(stream: TcpStream, peer: SocketAddr, rejected: Rejected, context: &Arc<AcceptContext>) {
    let admission = &context.admission;
    // With TLS, an answer would require a handshake: the connection is closed without one.
    if context.tls.is_some() {
        return refusal::record_rejected(peer, rejected, admission);
    }
    let Some(look) = admission.second_look(rejected) else {
        refusal::record_rejected(peer, rejected, admission);
        return admission.reject(stream, rejected);
    };
    let context = Arc::clone(context);
    tokio::spawn(async move {
        let admission = &context.admission;
        let is_in_use = says_in_use(&stream).await;
        drop(look);
        let admitted = if is_in_use {
            admission.admit_in_use(peer.ip(), &context.trusted, Instant::now())
        } else {
            Err(rejected)
        };
        match admitted {
            Ok(share) => serve_connection(Connected { stream, peer, share }, context).await,
            Err(rejected) => {
                refusal::record_rejected(peer, rejected, admission);
                admission.reject(stream, rejected);
            }
        }
    });
}

/// Returns whether the beginning of the request has the header. Takes nothing from the stream.
async fn says_in_use(stream: &TcpStream) -> bool {
    let mut head = [0; MAX_HEAD];
    let read = timeout(TIME, stream.peek(&mut head)).await;
    let length = read.ok().and_then(Result::ok).unwrap_or(0);
    let head = head.get(..length).unwrap_or_default();
    let is_it =
        |line: &[u8]| line.strip_prefix(IN_USE_HEADER.as_bytes()).is_some_and(|rest| rest.starts_with(b":"));
    head.split(|byte| *byte == b'\n').skip(1).any(is_it)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_a_header_of_the_request_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nhost: a\r\nmcp-relay-in-use: 1\r\n\r\n", true),
            ("GET /mcp-relay-in-use: HTTP/1.1\r\nhost: a\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nmcp-relay-in-users: 1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", false),
        ] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(says_in_use(&stream).await, expected, "{head}");
        }
        let client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        drop(client);
        assert!(!says_in_use(&stream).await, "a connection that says nothing");
    }
}
