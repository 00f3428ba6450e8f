//! A response that stays open, on its connection without what serves requests: that would be most of the memory of such a connection.
//! Must not know what the stream says.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::RequestGuard;
use super::stream::WatchedStream;
use crate::http::response_body::OpenEvents;

/// The end of a body in chunks (RFC 9112, section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The body of a response that stays open. The connection has a request under way as long.
pub(super) struct OpenBody {
    pub(super) events: OpenEvents,
    pub(super) guard: Option<RequestGuard>,
}

/// The rest of a connection, behind the head of its last response: writes what comes until it or the client ends.
pub(super) struct OpenStream<S> {
    stream: WatchedStream<S>,
    body: OpenBody,
    /// What is being written.
    chunk: Bytes,
    /// Whether the chunk is the last.
    is_over: bool,
    /// Whether the client has sent nothing that it was told not to send. What it sends is not read.
    is_quiet: bool,
}

impl<S> OpenStream<S> {
    pub(super) fn new(stream: WatchedStream<S>, body: OpenBody) -> Self {
        Self { stream, body, chunk: Bytes::new(), is_over: false, is_quiet: true }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> OpenStream<S> {
    /// Returns whether the client has left.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_quiet {
            return false;
        }
        let mut block = [0; 64];
        let mut into = ReadBuf::new(&mut block);
        match Pin::new(&mut self.stream).poll_read(cx, &mut into) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                self.is_quiet = false;
                false
            }
            Poll::Ready(_) => true,
        }
    }

    fn poll_write_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.chunk.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.chunk))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.chunk.advance(written),
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for OpenStream<S> {
    /// An error is the client's: it went away.
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.poll_left(cx) {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(this.poll_write_chunk(cx))?;
            if this.is_over {
                this.body.guard = None;
                return Pin::new(&mut this.stream).poll_shutdown(cx);
            }
            let next = ready!(this.body.events.as_mut().poll_next(cx));
            this.is_over = next.is_none();
            this.chunk = next.map_or(Bytes::from_static(LAST_CHUNK), |bytes| in_chunk(&bytes));
        }
    }
}

/// Returns bytes as one chunk of a body; none of no bytes, which would end it.
fn in_chunk(bytes: &[u8]) -> Bytes {
    if bytes.is_empty() {
        return Bytes::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{Stream, StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::mpsc;

    use super::super::progress::Progress;
    use super::*;

    fn open(
        size: usize,
        events: impl Stream<Item = Bytes> + Send + 'static,
    ) -> (OpenStream<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(size);
        let progress = Progress::new(Duration::from_mins(1));
        let guard = Some(progress.begin_request(None));
        let body = OpenBody { events: events.boxed(), guard };
        (OpenStream::new(WatchedStream::new(server, progress), body), client)
    }

    #[tokio::test]
    async fn what_comes_is_written_in_chunks_also_in_small_writes() {
        let events = ["data: a\n\n".to_owned(), String::new(), "x".repeat(300)];
        let (stream, mut client) = open(7, stream::iter(events.map(Bytes::from)));
        let serving = tokio::spawn(stream);
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, format!("9\r\ndata: a\n\n\r\n12c\r\n{}\r\n0\r\n\r\n", "x".repeat(300)));
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_stream_also_while_nothing_can_be_written() {
        for size in [1, 100] {
            let busy = stream::repeat(Bytes::from_static(b"data: a\n\n"));
            for events in [stream::pending().boxed(), busy.take(50).chain(stream::pending()).boxed()] {
                let (stream, client) = open(size, events);
                let serving = tokio::spawn(stream);
                drop(client);
                // An error, where something was being written.
                let _ = serving.await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_on_gets_the_rest() {
        let (say, said) = mpsc::unbounded_channel::<Bytes>();
        let events = stream::unfold(said, async |mut said| said.recv().await.map(|bytes| (bytes, said)));
        let (stream, mut client) = open(1000, events);
        let serving = tokio::spawn(stream);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        say.send(Bytes::from_static(b"a")).unwrap();
        let mut chunk = [0; 6];
        client.read_exact(&mut chunk).await.unwrap();
        assert_eq!(&chunk, b"1\r\na\r\n");
        drop(say);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest.as_bytes(), LAST_CHUNK);
        serving.await.unwrap().unwrap();
    }
}
