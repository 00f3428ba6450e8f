//! Refusals that are written as HTTP responses to connections of which nothing was read. Must not know why.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Most bytes of a peer that are read and dropped after a refusal.
const MAX_DROPPED: usize = 1024 * 1024;

/// How long the peer may take to read a refusal.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The refusals of one port. Each is a task of at most a second; their number is bounded.
#[derive(Clone, Debug)]
pub struct Refusals(Arc<Semaphore>);

impl Refusals {
    /// Writes at most `at_once` refusals at the same time.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Writes `answer` to the connection and closes it; where too many are being written, the connection is closed
    /// without an answer. Returns at once.
    pub fn send(&self, stream: TcpStream, answer: impl FnOnce() -> String) {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return };
        let answer = answer();
        tokio::spawn(async move {
            answer_and_close(stream, &answer).await;
            drop(permit);
        });
    }
}

/// Builds the HTTP response of a refusal, after which the connection closes: the status, when to come again in seconds, and
/// a JSON text.
pub fn unavailable(status: u16, retry_after: u32, json: &str) -> String {
    format!(
        "HTTP/1.1 {status} Service Unavailable\r\nRetry-After: {retry_after}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    )
}

/// Writes a whole answer to a peer whose request is not read, or not read any further, and closes the connection so that
/// the peer can read the answer: for at most a second. Whether it does makes no difference here.
pub async fn answer_and_close<S: AsyncRead + AsyncWrite + Unpin>(stream: S, answer: &str) {
    let _ = timeout(TIMEOUT, write(stream, answer)).await;
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // A socket that is dropped with something unread resets the connection, and the answer with it.
    let (mut rest, mut dropped) = ([0; 4096], 0);
    while dropped < MAX_DROPPED {
        match stream.read(&mut rest).await? {
            0 => break,
            read => dropped += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_read_whole_and_beyond_the_bound_connections_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (at_once, expected) in [(1, "no"), (0, "")] {
            let refusals = Refusals::new(at_once);
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"a request that nobody reads").await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            refusals.send(accepted, || "no".to_owned());
            let mut answer = String::new();
            // A connection that is closed with something unread is reset.
            let _ = client.read_to_string(&mut answer).await;
            assert_eq!(answer, expected);
        }
    }
}
