//! A look at what a connection asks for before any of it is read: whether its slave is in use, so that clients may wait for it. Must not
//! know who is let in.

use std::time::Duration;

use protocol::link::handshake::IN_USE_HEADER;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for the request of a connection.
const TIME: Duration = Duration::from_millis(500);

/// Bytes of the request that are looked at. A slave's own request is shorter.
const MAX_HEAD: usize = 1024;

/// Returns whether the beginning of the request has the header. Takes nothing from the stream.
pub(super) async fn says_in_use(stream: &TcpStream) -> bool {
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
